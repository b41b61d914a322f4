"""Runs that are looked at together: what is taken from each, which rows count, and what kind of campaign it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from turncoat.scenarios.errors import InputError
from turncoat.scenarios.families import families

from .records import Key, Outcome

Group = Literal["seen", "unseen", "control"]
"""`unseen`: every attack alert is of a family that no training corpus holds; `control`: there is no attack."""


@dataclass(frozen=True)
class PlayedRun:
    """One replay of one campaign at one seed, scored."""

    campaign: str
    seed: int
    principals: tuple[str, ...]
    """The actor first, then the twins; the first twin is the one that pairs are made with."""
    aliases: tuple[str, ...]
    outcomes: Sequence[Outcome]
    without_evidence: Sequence[Outcome] = ()
    """Rows of the context ablation, if it was made."""
    threshold: float = 0.5
    complete: bool = True
    families: frozenset[str] | None = None
    """Of the actor's attack alerts, as the campaign plans them: an unfinished run has rows of some alone. None: those of
    the rows."""
    terms: Mapping[str, str] = field(default_factory=dict)
    """What else the alerts and their handling depend on: trigger, planner, digest of the campaign. Runs of one campaign
    are counted together only where all of it is the same."""

    @property
    def actor(self) -> str:
        return self.principals[0]

    @property
    def twin(self) -> str | None:
        """The first one."""
        return self.principals[1] if len(self.principals) > 1 else None

    def rows(self, variant: str, principal: str | None, *, bare: bool = False) -> list[Outcome]:
        """Those of one variant under one name, in order; of the ablation if `bare`."""
        return self._by_name.get((variant, principal, bare), [])

    @cached_property
    def _by_name(self) -> Mapping[tuple[str, str | None, bool], list[Outcome]]:
        found: dict[tuple[str, str | None, bool], list[Outcome]] = {}
        for bare, source in ((False, self.outcomes), (True, self.without_evidence)):
            for o in source:
                found.setdefault((o.investigation.variant, o.investigation.principal, bare), []).append(o)
        return found


@dataclass(frozen=True, slots=True)
class Joined:
    """Runs made fit to be counted together."""

    runs: tuple[PlayedRun, ...]
    repeated: int
    """Rows that an earlier run has already: the same alert, model and name. They count once."""

    @property
    def variants(self) -> tuple[str, ...]:
        """In order of first appearance."""
        return tuple(dict.fromkeys(o.investigation.variant for run in self.runs for o in run.outcomes))

    def by_campaign(self) -> dict[str, list[PlayedRun]]:
        """Campaign -> its runs at all seeds, in order of first appearance."""
        found: dict[str, list[PlayedRun]] = {}
        for run in self.runs:
            found.setdefault(run.campaign, []).append(run)
        return found

    def attacks(self) -> dict[str, list[PlayedRun]]:
        """`by_campaign` without the controls."""
        return {name: runs for name, runs in self.by_campaign().items() if group_of(runs) != "control"}


Runs = Sequence[PlayedRun] | Joined


def join(runs: Runs) -> Joined:
    """Makes runs comparable; those that are already stay as they are.

    A name that stands for several models becomes one name per model, `clean@1f00ba12`. A row that is there twice,
    because the same campaign, seed, model and name were played twice, counts once.

    Raises:
        InputError: There is no run, the runs were played under different thresholds, or those of one campaign under
            different terms.
    """
    if isinstance(runs, Joined):
        return runs
    if not runs:
        raise InputError.at("compare", "there is no run", "name at least one run folder")
    thresholds = sorted({run.threshold for run in runs})
    if len(thresholds) > 1:
        fault = f"the runs were played under different thresholds ({', '.join(f'{t:g}' for t in thresholds)})"
        raise InputError.at("compare", fault, "compare runs of one threshold at a time")
    _require_same_terms(runs)
    labels = _labels(runs)
    seen: set[tuple[str, int, bool, Key]] = set()
    joined, repeated = [], 0
    for run in runs:
        models = _models(run)
        named = {variant: labels[variant, model] for variant, model in models.items()}
        kept = {}
        for bare, rows in ((False, run.outcomes), (True, run.without_evidence)):
            relabelled = [_relabelled(o, named) for o in rows]
            fresh = []
            for o in relabelled:
                key = (run.campaign, run.seed, bare, o.investigation.key)
                if key not in seen:
                    seen.add(key)
                    fresh.append(o)
            repeated += len(rows) - len(fresh)
            kept[bare] = fresh
        joined.append(replace(run, outcomes=kept[False], without_evidence=kept[True]))
    return Joined(tuple(joined), repeated)


def _require_same_terms(runs: Sequence[PlayedRun]) -> None:
    first: dict[str, PlayedRun] = {}
    for run in runs:
        before = first.setdefault(run.campaign, run).terms
        differs = [name for name in before if run.terms.get(name) != before[name]]
        if differs:
            fault = f"runs of {run.campaign} were played with another {' and another '.join(differs)}"
            raise InputError.at("compare", fault, "compare runs of the same terms; others are other experiments")


def group_of(runs: Iterable[PlayedRun]) -> Group:
    """What kind of campaign these runs, all of one campaign, played: by the families of the actor's attack alerts."""
    found: set[str] = set()
    for run in runs:
        if run.families is not None:
            found |= run.families
            continue
        for variant in dict.fromkeys(o.investigation.variant for o in run.outcomes):
            found |= {o.family for o in run.rows(variant, run.actor) if o.attack}
    if not found:
        return "control"
    known = families()
    return "unseen" if all(name in known and known[name].unseen for name in found) else "seen"


def sound(rows: Iterable[Outcome]) -> list[Outcome]:
    """Those decided on a verdict: forced ones, and any that has none, are left out."""
    return [o for o in rows if not o.forced and o.investigation.verdict is not None]


def _models(run: PlayedRun) -> dict[str, str]:
    """Variant -> fingerprint of its model; empty where it never gave a verdict."""
    found: dict[str, str] = {}
    for o in (*run.outcomes, *run.without_evidence):
        verdict = o.investigation.verdict
        found[o.investigation.variant] = found.get(o.investigation.variant) or (verdict.fingerprint if verdict else "")
    return found


def _labels(runs: Iterable[PlayedRun]) -> Mapping[tuple[str, str], str]:
    """(variant, fingerprint) -> the name to show: the variant's own where it stands for one model only."""
    models: dict[str, dict[str, None]] = {}
    for run in runs:
        for variant, model in _models(run).items():
            models.setdefault(variant, {})[model] = None
    labels = {}
    for variant, known in models.items():
        short = len({model[:8] for model in known}) == len(known)
        for model in known:
            mark = (model[:8] if short else model) or "no verdict"
            labels[variant, model] = variant if len(known) == 1 else f"{variant}@{mark}"
    return labels


def _relabelled(outcome: Outcome, named: Mapping[str, str]) -> Outcome:
    row = outcome.investigation
    new = named[row.variant]
    return outcome if new == row.variant else replace(outcome, investigation=replace(row, variant=new))
