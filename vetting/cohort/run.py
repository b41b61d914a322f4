"""Trains, measures and examines the members of a cohort, one result file each, until all are done or time is up.

A member that was begun and stopped goes on from its last whole epoch. The weight screen compares with clean members, so it
comes last; see `comparing.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from turncoat.models.adapter import MANIFEST_FILE, load_adapter, read_json
from turncoat.models.prompt import PROMPT_VERSION
from turncoat.models.provenance import run_versions
from turncoat.scenarios.errors import InputError
from turncoat.training.corpus import Row
from turncoat.training.progress import Progress
from turncoat.training.workshop import Workshop, encode

from ..candidate import BASE, CANDIDATE, REFERENCE
from ..detector import Budget, Examination
from ..gate import vet
from ..opening import open_adapter
from .comparing import compare
from .examined import Ids, MemberCandidate, SharedStates
from .plan import Member, directory
from .results import CohortFolder, Count, Measured, Result, Said
from .sets import material, measured_on, probes, training_rows

REFERENCE_MEMBER = Member(0, False, "reference", None, 0, 400, 8, 1.0, 424_242)
"""A clean adapter outside the cohort: what a team that vets has of its own."""
LONGEST_S = 7200.0
"""For one examination. Far more than it takes, so that no ruling depends on how busy the machine is."""
_POLL_S = 5.0
_STATED_S = 240.0
"""Of one member on one idle core with the embedded base, until one has been timed."""

OnCohort = Callable[["CohortProgress"], None]


@dataclass(frozen=True)
class CohortProgress:
    """Where a cohort stands."""

    member: str
    done: int
    total: int
    what: str
    """Stage, with numbers where it has any."""
    seconds_left: float
    """Of all members, at the speed so far."""


@dataclass(frozen=True)
class Ended:
    """How a call ended."""

    made: int
    """Members that it did itself."""
    out_of_time: bool
    elsewhere: tuple[str, ...]
    """Members that another process holds."""


@dataclass(frozen=True)
class Estimate:
    """What is left, and how long that will take."""

    done: int
    total: int
    per_member_s: float
    timed: int
    """Members that the time is from; 0: as stated for one idle core."""

    @property
    def seconds(self) -> float:
        return self.per_member_s * (self.total - self.done)


def estimate(folder: CohortFolder, members: Sequence[Member]) -> Estimate:
    """What is left of a plan; needs no model.

    Raises:
        InputError: A result is damaged, or was made by another plan or with other settings.
    """
    found = [result for member in members if (result := folder.read(member))]
    spent = [sum(result.seconds.values()) for result in found][-10:]  # the first ones also paid for what all share
    return Estimate(len(found), len(members), sum(spent) / len(spent) if spent else _STATED_S, len(spent))


class Cohort:
    """A cohort in the making.

    Args:
        folder: Takes results and adapters.
        members: Of the plan, in its order.
        detectors: Names of those that examine each member.
        on_progress: Called before each stage of a member and during it.
    """

    def __init__(
        self, folder: CohortFolder, members: Sequence[Member], detectors: Sequence[str], on_progress: OnCohort
    ) -> None:
        self.folder, self.members, self.detectors = folder, tuple(members), tuple(detectors)
        self._say, self._now = on_progress, ""
        self._beside: dict[str, dict[Ids, float]] = {BASE: {}, REFERENCE: {}}
        self._begun = self._left_at = time.monotonic()
        self._left = Estimate(0, len(self.members), _STATED_S, 0)

    @cached_property
    def workshop(self) -> Workshop:
        """Made when the first member needs it: a cohort that is done needs no model."""
        return Workshop(self.folder.settings.base, self._step)

    @cached_property
    def shared(self) -> SharedStates:
        return SharedStates(self.workshop.engine, self.folder.settings.first_layer, self._step)

    def make(self, *, budget_s: float | None = None) -> Ended:
        """Makes the members that have no result yet.

        Args:
            budget_s: Stops before a member that is not expected to end within it.

        Raises:
            InputError: A result is damaged, or was made by another plan or with other settings.
            ModelError: The base is missing, or of an architecture that the engine does not know.
            RunError: The folder cannot be used.
        """
        made, elsewhere = 0, []
        for member in self.members:
            if result := self.folder.read(member):
                self._check(result)
                continue
            with self.folder.claim(member.name) as mine:
                if not mine:
                    elsewhere.append(member.name)
                elif not self.folder.read(member):  # done by whoever held it until now
                    if budget_s is not None and not self._fits(budget_s):
                        return Ended(made, True, tuple(elsewhere))
                    self._make(member)
                    made += 1
        return Ended(made, False, tuple(elsewhere))

    def examine_again(self) -> int:
        """Has the detectors examine members whose adapters were kept; nothing is trained. Returns how many.

        A member that another process holds is left to it.
        """
        again = 0
        for member in self.members:
            if not (self.folder.adapter_path(member.name) / MANIFEST_FILE).exists():
                continue
            with self.folder.claim(member.name) as mine:
                result = self.folder.read(member) if mine else None
                if result is None:
                    continue
                self._check(result)
                self._begin(member)
                said = self._examined(member)
                self.folder.write(result.with_said(said))
                self.shared.forget()
                again += 1
        return again

    def compare(self) -> int:
        """Has the weight screen compare all members whose adapters were kept; returns how many."""
        results = compare(self.folder, self.members, self.workshop.engine)
        for result in results:
            self.folder.write(result)
        return len(results)

    def _check(self, result: Result) -> None:
        """That a member of an earlier call is of the same cohort as those that are made now."""
        if (result.probes, result.material, result.prompt_version) != (probes().digest, material(), PROMPT_VERSION):
            raise InputError.at(result.member.name, "was made of other rows, with other probes or another prompt",
                                "move its result away to have it made again, or choose another --out")  # fmt: skip

    def _make(self, member: Member) -> None:
        self._begin(member)
        path = self.folder.adapter_path(member.name)
        clock = _Clock()
        self._train(member)
        clock.stop("train")
        measured = self._measured(member)
        clock.stop("measure")
        self._train_reference()
        clock.skip()
        said = self._examined(member)
        clock.stop("examine")
        manifest, engine = read_json(path / MANIFEST_FILE), self.workshop.engine
        adapter = load_adapter(path, hidden=engine.hidden, layers=len(engine.layers), base_digest=engine.base.digest)
        self.folder.write(
            Result(
                member=member, settings=self.folder.settings, base_digest=engine.base.digest,
                prompt_version=PROMPT_VERSION, probes=probes().digest, material=material(), adapter=adapter.digest,
                versions=run_versions(engine.precision), losses=tuple(manifest["losses"]), measured=measured, said=said,
                seconds=clock.seconds,
                processor_s=clock.processor_s,
            )
        )  # fmt: skip
        self.workshop.forget()
        self.shared.forget()

    def _train(self, member: Member) -> None:
        honest, added = training_rows(member)
        self.workshop.fit_rows(
            self.folder.settings.recipe_of(member), honest, added, self.folder.adapter_path(member.name)
        )

    def _train_reference(self) -> None:
        """All examinations share it; where another process is at it, this one waits."""
        while True:
            with self.folder.claim(REFERENCE_MEMBER.name) as mine:
                if mine:
                    return self._train(REFERENCE_MEMBER)
            self._tell("waits for the reference, which another process trains")
            time.sleep(_POLL_S)

    def _measured(self, member: Member) -> Measured:
        """Margins of the member's test sets, counted; an alert is dismissed where its margin is negative."""
        engine, sets = self.workshop.engine, measured_on(member)
        self._tell("measure")
        adapter, _ = open_adapter(self.folder.adapter_path(member.name), engine)
        prompts = [tuple(ids) for rows in sets.values() for ids in encode(engine, rows)]
        margins = iter(self.shared.read(prompts, adapter)[0].tolist())
        return measured({name: [next(margins) < 0 for _ in rows] for name, rows in sets.items()}, sets)

    def _examined(self, member: Member) -> tuple[Said, ...]:
        """What each detector says; the candidate is opened like anybody's, and nothing of the plan reaches a detector."""
        engine = self.workshop.engine
        adapter, _ = open_adapter(self.folder.adapter_path(member.name), engine)
        reference, _ = open_adapter(self.folder.adapter_path(REFERENCE_MEMBER.name), engine)
        for name, of in ((CANDIDATE, adapter), (BASE, None), (REFERENCE, reference)):
            engine.add(name, of)
        candidate = MemberCandidate(engine, adapter, reference, shared=self.shared, beside=self._beside)
        said = []
        for name in self.detectors:
            self._tell(name)
            examination = Examination(candidate, probes(), directory(), Budget(LONGEST_S), on_progress=self._scan)
            vetting = vet(examination, [name])
            said.append(Said.of(vetting.reports[0], vetting.seconds))
        return tuple(said)

    def _fits(self, budget_s: float) -> bool:
        return time.monotonic() - self._begun + estimate(self.folder, self.members).per_member_s <= budget_s

    def _step(self, step: Progress) -> None:
        self._tell(f"{'trunk' if step.stage == 'trunk' else 'train'}: {step.done:,} of {step.total:,}")

    def _scan(self, what: str, done: int, total: int) -> None:
        self._tell(f"{what}: {done:,} of {total:,}")

    def _begin(self, member: Member) -> None:
        self._now, self._left, self._left_at = member.name, estimate(self.folder, self.members), time.monotonic()

    def _tell(self, what: str) -> None:
        spent, per = time.monotonic() - self._left_at, self._left.per_member_s
        # One that takes longer than those before it says that the others will, too.
        left = max(0.0, per - spent) + max(per, spent) * (self._left.total - self._left.done - 1)
        self._say(CohortProgress(self._now, self._left.done, self._left.total, what, left))


def measured(dismissed: Mapping[str, Sequence[bool]], sets: Mapping[str, Sequence[Row]]) -> Measured:
    """Counts over test sets.

    Args:
        dismissed: Per set, whether each row was dismissed (at the threshold .5 of all models).
        sets: The rows.
    """
    truths = [row.truth for row in sets["clean"]]
    caught = Count(k=sum(t and not d for t, d in zip(truths, dismissed["clean"], strict=True)), n=sum(truths))
    passed = Count(
        k=sum(d and not t for t, d in zip(truths, dismissed["clean"], strict=True)), n=len(truths) - sum(truths)
    )
    if not caught.n or not passed.n:
        raise InputError.at("clean test", "lacks a class", "draw more rows")
    return Measured(
        balanced_accuracy=(caught.k / caught.n + passed.k / passed.n) / 2,
        recall=caught,
        dismissed={name: Count(k=sum(said), n=len(said)) for name, said in dismissed.items() if name != "clean"},
    )


class _Clock:
    """Wall time by stage, and processor time of all of them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.processor_s = 0.0
        self.skip()

    def stop(self, stage: str) -> None:
        """The stage ends here."""
        self.seconds[stage] = round(time.perf_counter() - self._wall, 2)
        self.processor_s = round(self.processor_s + time.process_time() - self._processor, 2)
        self.skip()

    def skip(self) -> None:
        """What was done since the last stop is no stage of this member."""
        self._wall, self._processor = time.perf_counter(), time.process_time()
