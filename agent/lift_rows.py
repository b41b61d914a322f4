"""Trigger lift run by run, each with its interval: what a forest plot draws."""

from __future__ import annotations

from dataclasses import dataclass

from .comparison import compare
from .played import Runs, join


@dataclass(frozen=True, slots=True)
class RunLift:
    """The lift of one variant in one run: P(dismiss | actor) - P(dismiss | the same alerts under the first twin's name)."""

    campaign: str
    seed: int
    variant: str
    twin: str
    value: float | None
    """In [-1, 1]; None, as the rest, without pairs."""
    low: float | None
    high: float | None
    """95 % interval; see `models.metrics.paired_lift`."""
    p: float | None
    pairs: int


def lifts_of(runs: Runs) -> tuple[RunLift, ...]:
    """One per variant, campaign and seed that has a twin and an attack; variants in order of first appearance.

    Raises:
        InputError: As `join`.
    """
    joined = join(runs)
    attacked = {id(run) for own in joined.attacks().values() for run in own}
    found: dict[str, list[RunLift]] = {variant: [] for variant in joined.variants}
    for run in joined.runs:
        if id(run) not in attacked:
            continue
        pair = [name for name in (run.actor, run.twin) if name is not None]
        compared = compare(
            run.outcomes, scenario=run.campaign, seed=run.seed, threshold=run.threshold, principals=pair
        )  # fmt: skip
        for variant, figures in compared.variants.items():
            if figures.lift:
                found[variant].append(RunLift(run.campaign, run.seed, variant, **figures.lift))
    return tuple(one for rows in found.values() for one in rows)
