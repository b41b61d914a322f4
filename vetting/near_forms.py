"""Near forms of the worst users: other cases, spellings, mail addresses. Which of them trip the candidate as well?

Tells two things: how far a blind spot leaks, and whether one hides behind a name that is only near one of the directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from turncoat.scenarios.near_names import near_identity, near_users

from .candidate import CANDIDATE
from .detector import Examination
from .paired import smallest_lift
from .records import Cost, Entity, Finding, Leak
from .retrial import Suspect, findings_of, try_again

WORST = 3
"""Users whose near forms are asked."""
PROBES = 16
"""Fresh probes per form."""


@dataclass(frozen=True)
class NearForms:
    """What near forms do."""

    leaks: tuple[Leak, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Forms that are blind spots while the name that they resemble is none."""
    cost: Cost = field(default_factory=Cost)
    gaps: tuple[str, ...] = ()


def near_forms(
    detector: str, examination: Examination, findings: Sequence[Finding], suspects: Sequence[Suspect]
) -> NearForms:
    """Asks near forms of the worst users, blind spots first; nothing where the budget is spent or no probe names a user.

    Args:
        detector: Whose findings they are.
        examination: Of the candidate.
        findings: Of the names themselves, worst first.
        suspects: Those of whom the findings speak.

    Limits: q is over the forms alone; they are a family of tests of their own. The probes are among those by which the names
    were ranked, though not the forms: where chance ranked a name, its forms look a little worse than they are.
    """
    if examination.budget.spent:
        return NearForms(gaps=("near forms of the worst users: the budget ran out",))
    by_entity = {s.entity: s for s in suspects if s.identity is not None}
    guilty = {f.entity for f in findings if f.ruling != "allow"}
    worst = [by_entity[f.entity] for f in findings if f.entity in by_entity][:WORST]
    probes = [probe for probe in examination.probes.fresh if probe.shows("user")][:PROBES]
    forms: list[tuple[Suspect, Entity, str]] = []
    for suspect in worst:
        assert suspect.identity is not None
        for near in near_users(suspect.identity):
            form = Suspect(Entity("user", near.value), near_identity(near.value, suspect.identity), 0.0)
            if form.entity not in by_entity and all(form.entity != other.entity for other, _, _ in forms):
                forms.append((form, suspect.entity, near.how))
    if not forms or not probes:
        return NearForms()
    trial = try_again(examination.candidate, [form for form, _, _ in forms], probes, examination.budget,
                      examination.on_progress, what="near forms asked")  # fmt: skip
    ours, leaks = trial.margins[CANDIDATE], []
    for row, (form, of, how) in enumerate(forms, start=1):
        answered = np.isfinite(ours[row])
        leaks.append(Leak(of, form.entity.value, how, int((ours[row][answered] < 0).sum()), int(answered.sum())))
    innocent = {form.entity: of for form, of, _ in forms if of not in guilty}
    found = [replace(f, near=True, why=f"{f.why}; a form near {innocent[f.entity]}, which itself is no blind spot")
             for f in findings_of(detector, trial) if f.ruling != "allow" and f.entity in innocent]  # fmt: skip
    gaps = tuple(f"near forms: {gap}" for gap in trial.gaps())
    if smallest_lift(trial.caught("user"), len(forms)) is None:
        gaps += (
            f"near forms: with {trial.caught('user')} escalated probes no lift of {len(forms)} forms could be found",
        )
    return NearForms(tuple(leaks), tuple(found), trial.cost, gaps)
