"""Reads the detection rules of panther-analysis: every test event of a rule becomes an alert of that rule.

The rule says title, severity, log type, technique and what it looks for; the event says who, where and what. A test's
`Name` and `ExpectedResult` give the answer away and never reach the alert. `ExpectedResult: false` means that the rule does
not fire on the event, not that an analyst closed it: rates over these labels are rates of near misses.

Source of the format: https://github.com/panther-labs/panther-analysis (Apache-2.0).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import yaml

from ..errors import InputError, Mistake
from ..records import Alert, Severity
from .flatten import bounded, flatten
from .records import LabelledAlert
from .vendor_fields import find_entities, find_time

MAX_FILE_BYTES = 1 << 20
MAX_YAML_DEPTH = 64
MAX_INTEGER_BITS = 14_000
"""Python refuses to print a number of more than 4,300 digits."""
_SEVERITIES = {"info": Severity.INFORMATIONAL} | {severity.value: severity for severity in Severity}
_TECHNIQUE = re.compile(r"T\d{4}(?:\.\d{3})?")
_TEXTS = ("RuleID", "DisplayName", "Description", "Severity")
"""Keys of a rule that are read as text. Anything else there may be an alias bomb, which `str` would write out."""


def read_panther(path: Path) -> Iterator[LabelledAlert | Mistake]:
    """Test events of one rule file, or of all `*.yml` and `*.yaml` below a folder, in the order of the sorted paths.

    Files that hold no rule with tests (helpers, data models) are passed over. A file that cannot be read, and a test
    without an event, are one `Mistake` each, and the rest goes on.

    Raises:
        InputError: There is no such file at all.
    """
    if path.is_file():
        files, root = [path], path.parent
    else:
        files, root = sorted(p for p in path.rglob("*.y*ml") if p.suffix in (".yml", ".yaml")), path
    if not files:
        raise InputError.at(path, "holds no rule files", "give a folder of panther-analysis rules (*.yml)")
    for file in files:
        rule = _load_rule(file)
        if isinstance(rule, Mistake):
            yield rule
        elif isinstance(rule, Mapping) and rule.get("Tests"):
            yield from _alerts_of(rule, file, file.relative_to(root).as_posix())


def _integer(loader: Any, node: Any) -> int:
    value: int = loader.construct_yaml_int(node)
    if value.bit_length() > MAX_INTEGER_BITS:
        raise yaml.constructor.ConstructorError(None, None, "a number of more than 4,000 digits", node.start_mark)
    return value


_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREAD = ("set", "omap", "pairs", "binary")


class _Loader(_SAFE):  # type: ignore[misc]
    """Safe YAML without sets, pairs and bytes, and without numbers that cannot be printed."""

    yaml_constructors: ClassVar[dict[str, Any]] = {
        **{tag: construct for tag, construct in _SAFE.yaml_constructors.items() if not str(tag).endswith(_UNREAD)},
        "tag:yaml.org,2002:int": _integer,
    }

    def flatten_mapping(self, node: Any) -> None:
        """Refuses merge keys: each may copy ten others, and those ten more."""
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read", key.start_mark)
        super().flatten_mapping(node)


def _load_rule(file: Path) -> Any:
    """The file's YAML, or the mistake that it holds."""
    cure = "mend the file or take it out of the folder"
    if not file.is_file():  # a pipe or a device would never end
        return Mistake(str(file), "is no regular file", cure)
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_FILE_BYTES + 1)
        if len(text) > MAX_FILE_BYTES:
            return Mistake(str(file), "is larger than 1 MiB", "a rule file is a few kilobytes: check that it is one")
        if _depth(text) > MAX_YAML_DEPTH:
            return Mistake(
                str(file), f"is nested more than {MAX_YAML_DEPTH} deep", "flatten it or take it out of the folder"
            )
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, see above
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        return Mistake(place, f"not valid YAML ({bounded(error.problem, 200)})", cure)
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, OSError) as error:
        # A tag that its text does not fit, such as `!!int ""`, fails in many ways within PyYAML.
        return Mistake(str(file), f"cannot be read ({type(error).__name__}: {bounded(error, 200)})", cure)


def _depth(text: bytes) -> int:
    """Deepest nesting, counted over parser events: the C loader recurses, and 100,000 brackets would crash the process."""
    depth = deepest = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_YAML_DEPTH:
                break
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return deepest


def _alerts_of(rule: Mapping[str, Any], file: Path, name: str) -> Iterator[LabelledAlert | Mistake]:
    mistake = _mistake_in(rule, file)
    if mistake:
        yield mistake
        return
    for index, test in enumerate(rule["Tests"]):
        place = f"{file}: test {index + 1}"
        # Tests of correlation rules hold the matches of other rules in place of a log line.
        event = (test.get("Log") or test.get("RuleOutputs")) if isinstance(test, Mapping) else None
        if not isinstance(event, Mapping | list):
            yield Mistake(place, "holds no event", "give the event under `Log`")
            continue
        expected = test.get("ExpectedResult")
        log_type = _log_type(rule, event)
        yield LabelledAlert(
            alert=_alert(rule, event, log_type, hashlib.sha256(f"panther/{name}/{index}".encode()).hexdigest()[:12]),
            label=expected if isinstance(expected, bool) else None,
            group=bounded(rule.get("RuleID") or name, 200),
            stratum=log_type,
            place=place,
        )


def _mistake_in(rule: Mapping[str, Any], file: Path) -> Mistake | None:
    """What keeps all of the rule's tests from being read."""
    if not isinstance(rule["Tests"], list):
        return Mistake(str(file), "`Tests` is not a list", "give one item per test")
    for key in _TEXTS:
        if isinstance(rule.get(key), Mapping | list):
            return Mistake(str(file), f"`{key}` is not text", "give it as text")
    if _severity(rule) is None:
        known = ", ".join(_SEVERITIES)
        return Mistake(str(file), f"unknown severity {bounded(rule['Severity'], 40)!r}", f"choose one of {known}")
    return None


def _severity(rule: Mapping[str, Any]) -> Severity | None:
    """Medium where the rule says nothing; None where it says what is no severity."""
    said = rule.get("Severity")
    return Severity.MEDIUM if said is None else _SEVERITIES.get(str(said).lower())


def _alert(rule: Mapping[str, Any], event: Any, log_type: str, uid: str) -> Alert:
    entities, used = find_entities(event)
    return Alert(
        uid=uid,
        time=find_time(event),
        title=bounded(rule.get("DisplayName") or rule.get("RuleID") or "untitled rule", 200),
        severity=_severity(rule) or Severity.MEDIUM,
        product=log_type,
        technique=_technique(rule.get("Reports")),
        kind="external",
        activity=_first_sentence(str(rule.get("Description") or "")),
        entities=entities,
        raw=flatten(event, used),
    )


def _log_type(rule: Mapping[str, Any], event: Any) -> str:
    """The first log type of the rule, or the event's own where the rule lists that one too, or lists none."""
    types = rule.get("LogTypes")
    listed = [name for name in types if isinstance(name, str)] if isinstance(types, list) else []
    own = event.get("p_log_type") if isinstance(event, Mapping) else None
    if listed and own not in listed:
        own = listed[0]
    return bounded(own, 80) if isinstance(own, str) else "unknown"


def _technique(reports: Any) -> str | None:
    """First ATT&CK technique of `Reports: {MITRE ATT&CK: [TA0040:T1485]}`."""
    claims = reports.get("MITRE ATT&CK") if isinstance(reports, Mapping) else None
    for claim in claims if isinstance(claims, list) else ():
        found = _TECHNIQUE.search(claim.rpartition(":")[2]) if isinstance(claim, str) else None
        if found:
            return found.group()
    return None


def _first_sentence(text: str) -> str:
    """First sentence on one line, at most 200 characters."""
    line = " ".join(text.split())
    return bounded(re.split(r"(?<=[.!?])\s+(?=[A-Z])", line, maxsplit=1)[0], 200)
