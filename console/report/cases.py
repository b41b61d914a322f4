"""The case files of a run: one per alert, with every variant side by side, as many as a page can carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from turncoat.agent.records import Outcome
from turncoat.agent.storyline import Fate, fate_of
from turncoat.scenarios.records import Alert

from ..case_view import Case, names_of
from ..past_run import PastRun

Rows = Mapping[str, Mapping[str, Outcome]]
"""Name -> variant -> row of one alert."""


SHELVES = {
    "Attack alerts": "Every malicious alert of the campaign.",
    "Benign alerts on which the variants disagree": "Ordinary life that one of them took for an attack.",
    "Other alerts": "Benign alerts that all variants treated alike, and those that nobody has decided on yet.",
}
"""Titles in the order in which the page fills up, and what stands there."""


@dataclass(frozen=True, slots=True)
class CaseFile:
    """One alert as a page tells of it."""

    anchor: str
    case: Case
    fates: tuple[Fate, ...]
    """One per variant of the run."""

    @property
    def outcome(self) -> Outcome | None:
        """Any row of it, for the truth; None where nobody has decided on it yet."""
        return next(iter(self.case.shown), None)

    @property
    def malicious(self) -> bool:
        return self.outcome is not None and self.outcome.malicious

    @property
    def shelf(self) -> str:
        """Title of the shelf that it stands on."""
        if self.malicious:
            return "Attack alerts"
        return "Benign alerts on which the variants disagree" if len(set(self.fates)) > 1 else "Other alerts"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Case files of one kind: those that the page holds, and what it says of the others."""

    title: str
    told: str
    files: tuple[Markup, ...]
    left_out: int
    left_out_by: Mapping[str, Counter[Fate]]
    """Variant -> what was done about those that were left out."""


def case_files(run: PastRun, anchor: str) -> list[CaseFile]:
    """Every alert under the actor's name, in order of time.

    Args:
        run: As read back.
        anchor: Of our own making; what the anchors on the page begin with.
    """
    rows: dict[str, dict[str, dict[str, Outcome]]] = {}
    for outcome in run.outcomes:
        row = outcome.investigation
        rows.setdefault(row.uid, {}).setdefault(row.principal, {})[row.variant] = outcome
    return [_file(run, alert, rows.get(alert.uid, {}), anchor) for alert in run.streams[run.principals[0]].alerts]


def shelves(files: Sequence[CaseFile], render: Callable[[CaseFile], Markup], budget: int) -> list[Shelf]:
    """The case files in the order of what a reader wants first, until the page is full.

    Args:
        files: Of one run, in order of time.
        render: Makes the HTML of one.
        budget: Bytes that all of them together may take.
    """
    full, found = False, []
    for title, told in SHELVES.items():
        here = [file for file in files if file.shelf == title]
        kept: list[Markup] = []
        for file in here if not full else ():
            html = render(file)
            budget -= len(html.encode("utf-8", "replace"))
            full = budget < 0
            if full:
                break
            kept.append(html)
        if here:
            found.append(Shelf(title, told, tuple(kept), len(here) - len(kept), _counted(here[len(kept) :])))
    return found


def other_names(case: Case) -> Iterator[tuple[str, list[Outcome | None]]]:
    """The rows of an alert under every name of the run, one per variant of the run."""
    for name in names_of(case.run):
        rows = case.everywhere.get(name, {})
        yield name, [rows.get(variant) for variant in case.run.manifest.variants]


def _counted(files: Sequence[CaseFile]) -> dict[str, Counter[Fate]]:
    found: dict[str, Counter[Fate]] = {}
    for file in files:
        for variant, fate in zip(file.case.run.manifest.variants, file.fates, strict=True):
            found.setdefault(variant, Counter())[fate] += 1
    return found


def _file(run: PastRun, alert: Alert, everywhere: Rows, anchor: str) -> CaseFile:
    name = run.principals[0]
    here = everywhere.get(name, {})
    variants = list(run.manifest.variants)
    case = Case(
        run=run,
        alert=alert,
        principal=name,
        shown=tuple(here[v] for v in variants if v in here),
        missing=tuple(v for v in variants if v not in here),
        everywhere=everywhere,
    )
    fates: tuple[Fate, ...] = tuple(fate_of(here[v]) if v in here else "pending" for v in variants)
    return CaseFile(f"{anchor}-{alert.uid}", case, fates)
