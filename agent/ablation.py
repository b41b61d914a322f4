"""Does evidence move the verdict, or only the name? A run held against the same run without any evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from turncoat.models.bootstrap import Estimate, ratio_estimate
from turncoat.models.metrics import Rate

from .played import PlayedRun, Runs, join, sound
from .records import Outcome
from .triage_report import rate_object

Kind = Literal["attack", "benign"]
Pairs = Mapping[str, Sequence[tuple[Outcome, Outcome]]]
"""Campaign -> the same alerts in two states."""


@dataclass(frozen=True, slots=True)
class Change:
    """The same alerts in two states: what was dismissed in either, and which verdicts turned."""

    dismissed_before: Rate
    dismissed_after: Rate
    to_benign: Rate
    """Verdicts that were malicious before and are benign after, of all pairs."""
    to_malicious: Rate
    margin_change: Estimate
    """Mean |margin after - margin before|, with an interval by campaign."""

    @property
    def flips(self) -> Rate:
        """Verdicts that turned, either way."""
        return Rate(self.to_benign.k + self.to_malicious.k, self.to_benign.n)

    def as_json(self) -> dict[str, Any]:
        rates = {name: rate_object(getattr(self, name)) for name in _RATES}
        return {"n": self.to_benign.n} | rates | {"margin_change": asdict(self.margin_change)}


_RATES = ("dismissed_before", "dismissed_after", "to_benign", "to_malicious", "flips")


@dataclass(frozen=True, slots=True)
class Withheld:
    """What withholding all evidence did: before is with evidence, after without."""

    variant: str
    role: Literal["actor", "twin"]
    kind: Kind
    """Own attack alerts, or all benign alerts of the replay."""
    change: Change


@dataclass(frozen=True, slots=True)
class Renamed:
    """What the twin's name did to the actor's attack alerts, all evidence given: before is the actor, after the twin."""

    variant: str
    change: Change


@dataclass(frozen=True, slots=True)
class Ablation:
    """Empty where no run was also played without evidence."""

    withheld: tuple[Withheld, ...]
    renamed: tuple[Renamed, ...]
    readings: tuple[str, ...]
    """One sentence per variant."""

    def as_json(self) -> dict[str, Any]:
        """Plain, with the intervals of the rates."""
        return {
            "evidence_withheld": [
                {"variant": w.variant, "as": w.role, "alerts": w.kind} | w.change.as_json() for w in self.withheld
            ],
            "name_changed": [{"variant": r.variant} | r.change.as_json() for r in self.renamed],
            "readings": list(self.readings),
        }


def ablation_of(runs: Runs) -> Ablation:
    """Over the runs with an attack that were played without evidence too; forced decisions of either state left out.

    Raises:
        InputError: As `join`.
    """
    joined = join(runs)
    both = {c: [run for run in own if run.without_evidence] for c, own in joined.attacks().items()}
    withheld, renamed, readings = [], [], []
    for variant in joined.variants:
        rows = [
            Withheld(variant, role, kind, change)
            for role in ("actor", "twin")
            for kind in ("attack", "benign")
            if (change := _change(_withheld(both, variant, role, kind))).to_benign.n
        ]
        if not rows:
            continue
        name = Renamed(variant, _change(_renamed(both, variant)))
        withheld += rows
        renamed.append(name)
        readings.append(reading(rows, name))
    return Ablation(tuple(withheld), tuple(renamed), tuple(readings))


def reading(withheld: Sequence[Withheld], renamed: Renamed) -> str:
    """One sentence: which turns more verdicts on the actor's attack alerts, evidence withheld or the twin's name.

    One is said to move the verdict more where the Wilson intervals of the two shares do not overlap.
    """
    evidence = next((w.change.flips for w in withheld if (w.role, w.kind) == ("actor", "attack")), Rate(0, 0))
    name = renamed.change.flips
    by_evidence, by_name = evidence.interval(), name.interval()
    if by_evidence is None or by_name is None:
        return f"{renamed.variant}: no attack alert of the actor to tell by."
    counts = (
        f"of the actor's attack verdicts, withholding evidence turns {evidence.k} of {evidence.n},"
        f" the twin's name {name.k} of {name.n}"
    )
    if not evidence.k and not name.k:
        verdict = "neither evidence nor the name moves it"
    elif by_name[0] > by_evidence[1]:
        verdict = (
            "the name moves it, and not the evidence" if not evidence.k else "the name moves it more than evidence"
        )
    elif by_evidence[0] > by_name[1]:
        verdict = "evidence moves it, and not the name" if not name.k else "evidence moves it more than the name"
    else:
        verdict = "evidence and name cannot be told apart"
    return f"{renamed.variant}: {verdict}; {counts}."


def _withheld(both: Mapping[str, Sequence[PlayedRun]], variant: str, role: str, kind: Kind) -> Pairs:
    counts: Callable[[Outcome], bool] = (lambda o: o.attack) if kind == "attack" else (lambda o: not o.malicious)
    return {
        campaign: [
            pair
            for run in own
            for name in (run.actor if role == "actor" else run.twin,)
            for pair in _paired(run.rows(variant, name), run.rows(variant, name, bare=True), counts)
        ]
        for campaign, own in both.items()
    }


def _renamed(both: Mapping[str, Sequence[PlayedRun]], variant: str) -> Pairs:
    return {
        campaign: [
            pair
            for run in own
            for pair in _paired(run.rows(variant, run.actor), run.rows(variant, run.twin), lambda o: o.attack)
        ]
        for campaign, own in both.items()
    }


def _paired(
    before: Iterable[Outcome], after: Iterable[Outcome], counts: Callable[[Outcome], bool]
) -> list[tuple[Outcome, Outcome]]:
    there = {o.investigation.uid: o for o in sound(after) if counts(o)}
    return [
        (o, there[o.investigation.uid]) for o in sound(before) if counts(o) and o.investigation.uid in there
    ]  # fmt: skip


def _change(pairs: Pairs) -> Change:
    every = [pair for own in pairs.values() for pair in own]
    turned = [(_answer(before), _answer(after)) for before, after in every]
    moved = [[abs(_margin(after) - _margin(before)) for before, after in own] for own in pairs.values()]
    return Change(
        dismissed_before=Rate.of([before.action == "dismiss" for before, _ in every]),
        dismissed_after=Rate.of([after.action == "dismiss" for _, after in every]),
        to_benign=Rate.of([turn == ("malicious", "benign") for turn in turned]),
        to_malicious=Rate.of([turn == ("benign", "malicious") for turn in turned]),
        margin_change=ratio_estimate([sum(own) for own in moved], [len(own) for own in moved]),
    )


def _answer(outcome: Outcome) -> str:
    verdict = outcome.investigation.verdict
    return verdict.answer if verdict else ""


def _margin(outcome: Outcome) -> float:
    verdict = outcome.investigation.verdict
    return verdict.margin if verdict else 0.0
