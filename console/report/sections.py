"""What the page and the Markdown tell of one run, and of several together. All figures come from `agent`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from turncoat.agent.ablation import ablation_of
from turncoat.agent.cascade import CloudLoad, CloudTerms, cascade
from turncoat.agent.conclusion import conclusion
from turncoat.agent.entity_recall import KINDS, EntityRecall, Kind, entity_recalls
from turncoat.agent.lift_rows import lifts_of
from turncoat.agent.matrix import Matrix, matrix_of
from turncoat.agent.played import join
from turncoat.agent.storyline import Storyline, storyline
from turncoat.agent.thresholds import thresholds_of
from turncoat.scenarios.errors import InputError

from ..matrix_tables import as_played, notes, statements
from ..past_run import PastRun
from .forest_figure import ForestRow, forest_rows
from .outside import DoseCurve, VettingVerdict

MOST_ENTITIES = 40
"""Users, or hosts, that a table names; those with the worst gap come first."""


@dataclass(frozen=True, slots=True)
class EntityRow:
    """One entity and what each variant escalated of its malicious alerts; None where none was judged."""

    entity: str
    recalls: tuple[EntityRecall | None, ...]


class RunPart:
    """One run, worked out once and told twice."""

    def __init__(self, run: PastRun, number: int, terms: CloudTerms | None) -> None:
        """`number` counts the runs of a report from 1; what the `terms` leave open is as the run was made."""
        self.run = run
        self.anchor = f"r{number}"
        own, other = run.plan.order.terms, terms or CloudTerms()
        if other.price:
            own = replace(own, price=other.price, overflow_price=None)
        self.terms = replace(own, daily_budget=other.daily_budget) if other.daily_budget else own
        self.variants = list(run.manifest.variants)
        self.names = (*run.principals, *run.aliases)

    @cached_property
    def sentence(self) -> str:
        return conclusion(self.run.comparison, complete=self.run.complete)

    @property
    def attacked(self) -> bool:
        """Whether there is an attack alert that anybody decided on."""
        actor = self.run.comparison.principal
        return any(v.principals[actor].attack_alerts for v in self.run.comparison.variants.values())

    @cached_property
    def story(self) -> Storyline:
        """As the actor and as the first twin."""
        run = self.run
        return storyline(run.campaign, run.manifest.seed, run.outcomes, self.variants, run.principals[:2])

    @cached_property
    def loads(self) -> list[CloudLoad]:
        """The cloud's side, as the actor, one per variant that has decided on something."""
        return cascade(
            [o for o in self.run.outcomes if o.investigation.principal == self.run.principals[0]], self.terms
        )

    @cached_property
    def entities(self) -> dict[Kind, list[EntityRow]]:
        """Per kind the entities that can be compared; a kind with one entity alone compares nothing."""
        found: dict[Kind, dict[str, dict[str, EntityRecall]]] = {kind: {} for kind in KINDS}
        for one in entity_recalls(self.run.outcomes, self.variants, self.names):
            found[one.kind].setdefault(one.entity, {})[one.variant] = one
        return {kind: self._rows(kind, rows) for kind, rows in found.items() if len(rows) > 1}

    def _rows(self, kind: Kind, found: Mapping[str, Mapping[str, EntityRecall]]) -> list[EntityRow]:
        rows = [EntityRow(entity, tuple(by.get(v) for v in self.variants)) for entity, by in found.items()]
        if kind == "name":
            return rows
        return sorted(rows, key=lambda row: (-max((r.gap or 0.0) for r in row.recalls if r), row.entity))


class ReportParts:
    """Everything that a report tells."""

    def __init__(
        self,
        runs: Sequence[PastRun],
        terms: CloudTerms | None = None,
        sweep: DoseCurve | None = None,
        vetting: VettingVerdict | None = None,
    ) -> None:
        """Raises InputError if a run was played without evidence, or the runs have different thresholds."""
        for run in runs:
            if run.manifest.settings.withhold_evidence:
                raise InputError.at(run.path, "was played without evidence", "name the run folder that it lies in")
        self.runs = [RunPart(run, number, terms) for number, run in enumerate(runs, start=1)]
        self.sweep, self.vetting = sweep, vetting
        self._joined = join([as_played(run) for run in runs])
        self.matrix: Matrix = matrix_of(self._joined)

    @cached_property
    def forest(self) -> list[ForestRow]:
        return forest_rows(lifts_of(self._joined), self.matrix)

    @cached_property
    def names(self) -> list[str]:
        """Whether each variant is blind to names, over several campaigns; empty for one."""
        return list(statements(self.matrix)) if len({f.campaign for f in self.matrix.campaigns}) > 1 else []

    @cached_property
    def said(self) -> list[tuple[str, list[str]]]:
        """Questions with what `turncoat compare` says to them; only those that there is an answer to."""
        told = [
            ("Would another threshold have saved us?", [one.reading() for one in thresholds_of(self._joined)]),
            ("Does evidence move the verdict, or only the name?", list(ablation_of(self._joined).readings)),
            ("To know when reading this", list(notes(self.matrix))),
        ]
        return [(question, sentences) for question, sentences in told if sentences]
