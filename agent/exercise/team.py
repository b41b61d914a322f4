"""A team's decisions as rows like a model's, so that the same scoring judges both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from turncoat.models.classifier import Case
from turncoat.tools.records import Context

from ..comparison import Comparison, compare
from ..guards import decide_guarded
from ..policy import TeamPolicy, ThresholdPolicy, Word
from ..records import Investigation, Outcome
from .material import Material
from .records import DEPLOYED, REPLACEMENT
from .state import State

TEAM = "team"
"""Variant under which the team stands beside the models."""


@dataclass(frozen=True)
class Scored:
    """Team and models on the alerts that came up, held against the truth."""

    team: Sequence[Outcome]
    """One per alert that was decided while the exercise ran; those that containment prevented are not among them."""
    prevented: Sequence[Outcome]
    """What the deployed model would have done with those that the team's containment prevented."""
    comparison: Comparison
    """Variants `team`, the deployed model and the reference, each on every alert up to the end of the exercise."""


def team_rows(material: Material, state: State) -> list[Investigation]:
    """The team's decision about every alert that came up, in order of their coming.

    An alert that the team said nothing about keeps the decision of the model that stood before the desk then; the
    guards are those of the agent, so that nothing is dismissed on a failed tool.
    """
    words = {
        uid: Word(call.action, call.reason, call.role, max(call.at, material.alerts[uid].time))
        for uid, call in state.calls.items()
    }
    policy = TeamPolicy(words, ThresholdPolicy.under(material.settings))
    rows = []
    for uid, passed in state.fates.items():
        if passed.fate == "prevented":
            continue
        row = material.outcome(uid, passed.model or DEPLOYED).investigation
        evidence = (*row.evidence, *state.evidence.get(uid, ()))
        case = Case(material.alerts[uid], Context(evidence, row.rounds))
        fault = row.decision.reason if row.decision.forced else ""
        decision = decide_guarded(policy, case, row.verdict, fault, row.decision.simulated_time)
        rows.append(replace(row, variant=TEAM, evidence=evidence, decision=decision))
    return rows


def scored(material: Material, state: State) -> Scored:
    """The team beside the deployed model alone and the reference alone, over what came up until now."""
    team = material.judge(team_rows(material, state))
    came_up = [uid for uid in material.alerts if uid in state.fates]
    models = [
        replace(
            material.outcome(uid, model),
            investigation=replace(material.outcome(uid, model).investigation, variant=name),
        )
        for model, name in ((DEPLOYED, material.variant), (REPLACEMENT, material.reference))
        for uid in came_up
    ]
    unique = {(o.investigation.variant, o.alert.uid): o for o in models}
    comparison = compare(
        [*team, *unique.values()],
        scenario=material.campaign.id,
        seed=material.seed,
        threshold=material.settings.threshold,
        principals=(material.stream.principal,),
    )
    prevented = [material.outcome(uid, DEPLOYED) for uid in came_up if state.fates[uid].fate == "prevented"]
    return Scored(team, prevented, comparison)
