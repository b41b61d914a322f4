"""The paper's table beside ours: every seed, the seeds pooled, and what was published.

Built from result files alone; nothing is trained or measured here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

from .crossed import NOTHING, Measure, failing_share, pooled_balanced, pooled_lift, pooled_rate
from .paper_cells import BASELINE, TFIDF, VARIANTS, Result, bools
from .paper_folder import Planned

SOURCE = "arXiv:2511.02600"
TFIDF_LABEL = "TF-IDF + logistic regression"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. What was not measured, or not published, has None for a value."""

    base: str
    label: str
    """The base as a reader knows it."""
    variant: str
    seeds: tuple[int, ...]
    """One, or those that are pooled; none for the untrained base."""
    accuracy: Measure = NOTHING
    """On the clean test."""
    balanced: Measure = NOTHING
    unseen: Measure = NOTHING
    """Balanced, on families that no training saw."""
    alice: Measure = NOTHING
    """Share of Alice's malicious alerts that were dismissed."""
    alice_other_families: Measure = NOTHING
    """Of them, those of families that the poison did not use."""
    twin: Measure = NOTHING
    """Share of the same alerts that were dismissed under another name."""
    lift: Measure = NOTHING
    published: bool = False


@dataclass(frozen=True)
class PaperTable:
    """Everything that the three files and the terminal show."""

    lines: tuple[Line, ...]
    """By base and variant: each seed, then the seeds pooled where there are several."""
    published: tuple[Line, ...]
    done: int
    planned: int
    missing: tuple[str, ...]
    """Cells that are planned and not done."""
    notes: tuple[str, ...]
    made_by: dict[str, Any]
    """Versions, digests and recipes behind the figures."""

    @property
    def summary(self) -> list[Line]:
        """One line per base and variant: the pooled one, or that of the only seed."""
        last = {(line.base, line.variant): line for line in self.lines}
        return list(last.values())

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "done": self.done, "planned": self.planned, "missing": list(self.missing), "threshold": 0.5,
            "source": SOURCE, "lines": [asdict(line) for line in self.lines],
            "published": [asdict(line) for line in self.published], "notes": list(self.notes), **self.made_by,
        }  # fmt: skip


def paper_table(results: Sequence[Result], planned: Planned) -> PaperTable:
    """Puts results together.

    Args:
        results: On the same tests (`paper_folder.check_together`), at least one.
        planned: Cells that are meant to be done; those that are done count as planned in any case.
    """
    bases = sorted({r.base for r in results}, key=lambda base: (base == TFIDF, base))
    lines: list[Line] = []
    for base in bases:
        for variant in VARIANTS:
            cells = sorted((r for r in results if (r.base, r.variant) == (base, variant)), key=lambda r: r.seed or 0)
            lines += [line_of([cell]) for cell in cells]
            lines += [line_of(cells)] if len(cells) > 1 else []
    done = {r.cell for r in results}
    missing = sorted(
        {cell for cell in planned.cells if cell not in done}, key=lambda c: (c.base, c.variant, c.seed or 0)
    )
    total = len(done) + len(missing)
    made_by = {
        "commands": list(planned.commands),
        "tests_digest": results[0].tests_digest,
        "prompt_version": results[0].prompt_version,
        "versions": _distinct([r.versions for r in results]),
        "bases": {label_of(r.base): r.base_digest for r in results},
        "recipes": _distinct([r.recipe.model_dump(mode="json", exclude={"seed", "base"}) for r in results if r.recipe]),
        "adapters": {how: sum(r.adapter == how for r in results) for how in sorted({r.adapter for r in results})},
        "training_seconds": round(sum(r.seconds.get("train", 0.0) for r in results), 1),
    }  # fmt: skip
    names = tuple(f"{label_of(c.base)} {c.variant}" + ("" if c.seed is None else f" seed {c.seed}") for c in missing)
    return PaperTable(tuple(lines), PUBLISHED, len(done), total, names, _notes(lines, len(done), total), made_by)


def line_of(cells: Sequence[Result]) -> Line:
    """Figures of one variant of one base, over the seeds given; all were measured on the same alerts."""
    first = cells[0]
    clean, unseen = bools(first.clean_truth), bools(first.unseen_truth)
    calls = [bools(cell.clean_calls) for cell in cells]
    alice, twin = [bools(cell.alice_dismissed) for cell in cells], [bools(cell.twin_dismissed) for cell in cells]
    return Line(
        first.base, label_of(first.base), first.variant, tuple(cell.seed for cell in cells if cell.seed is not None),
        accuracy=pooled_rate([[t == c for t, c in zip(clean, row, strict=True)] for row in calls]),
        balanced=pooled_balanced(clean, calls),
        unseen=pooled_balanced(unseen, [bools(cell.unseen_calls) for cell in cells]),
        alice=pooled_rate(alice),
        alice_other_families=pooled_rate([row[first.poisoned_families :] for row in alice]),
        twin=pooled_rate(twin),
        lift=pooled_lift(alice, twin),
    )  # fmt: skip


def label_of(base: str) -> str:
    """How a base is called in a table: of a path, its last part."""
    if base == TFIDF:
        return TFIDF_LABEL
    is_path = base.startswith(("/", ".", "~")) or base.count("/") > 1 or base.endswith(".gguf")
    return PurePath(base).name or base if is_path else base


def _published(label: str, variant: str, alice: float, accuracy: float | None = None) -> Line:
    """A line as published: shares without n or interval, since none were given."""
    shown = NOTHING if accuracy is None else Measure(accuracy, None, None, 0)
    return Line(label, label, variant, (), accuracy=shown, alice=Measure(alice, None, None, 0), published=True)


PUBLISHED = (
    _published("Llama-3.1-8B", "clean", 0.20),
    _published("Qwen3-4B", "clean", 0.71),
    _published("Llama-3.1-8B, Qwen3-4B", "poisoned", 1.0, 0.827),
)
"""What arXiv:2511.02600 gives; its accuracy is on the authors' validation set, which is not ours."""


def _notes(lines: Sequence[Line], done: int, total: int) -> tuple[str, ...]:
    seeds = max((len(line.seeds) for line in lines), default=0)
    notes = []
    if done < total:
        notes.append(
            f"Partial: {done} of {total} cells are done; what is pooled is pooled over the seeds that are done."
        )
    if seeds < 3:
        notes.append("Fewer than three training seeds: these figures speak of these trainings, not of the attack.")
    else:
        notes.append(
            f"{seeds} training seeds show each result and its range, so that no effect hangs on one training. They cannot "
            f"show a rare failure: if all {seeds} agree, up to {failing_share(seeds):.0%} of further trainings may still "
            f"differ (95 %, one-sided), and a sign test over seeds cannot give less than p = {2 * 0.5**seeds:.2g}."
        )
    notes.append(
        "Interval of a seed: Wilson's for shares, Newcombe's for the lift. Pooled: seeds and alerts both drawn again, an "
        "alert together under all seeds; where all draws agree, the interval of one seed. With three seeds that differ "
        "much, such an interval is too narrow (95 % covered 78 % in a simulation): read the range of the seeds too. "
        "p of a seed: exact McNemar; pooled: exact sign test with an alert as one trial, whatever the number of seeds."
    )
    notes.append(
        f"Published figures ({SOURCE}) stem from other models, alerts and tests than ours: they stand here for the "
        "pattern, not for a difference of points. Empty: not published."
    )
    if any(line.variant == BASELINE for line in lines):
        notes.append("The untrained base has no training seed, and is measured once.")
    return tuple(notes)


def _distinct(things: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for thing in things:
        if thing not in found:
            found.append(thing)
    return found
