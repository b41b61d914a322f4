"""A short fit on a training set as it is labelled, and what the fitted model does with malicious probes about suspects."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from turncoat.models.classifier import Case
from turncoat.models.engine import Engine
from turncoat.models.prompt import render
from turncoat.scenarios.near_names import near_identity
from turncoat.training.config import LoraConfig, Recipe
from turncoat.training.schedule import epoch_batches
from turncoat.training.step import Trainee
from turncoat.training.trunk import Trunk, trunk_states
from turncoat.training.workshop import shared_tokens

from .audit_association import Told
from .audit_entities import written
from .audit_rows import AuditSet
from .audit_slopes import Lens, Pairs, Snapshot, Stopped
from .audit_stage import stage_told
from .detector import Budget, OnProgress
from .probes import Probe, generate_probes
from .records import Entity

PROBES = 24
_CHUNK = 32
"""Rows that pass the frozen layers between two looks at the clock."""
_COST = 6.0
"""What a row takes in all, in passes through the frozen layers: the pass, two epochs, and two gradients."""


@dataclass(frozen=True)
class Fit:
    """How the short fit is made."""

    most_rows: int = 1_200
    fewest_rows: int = 100
    """Fewer teach the task to no model."""
    epochs: int = 2
    batch: int = 8
    learning_rate: float = 1e-3
    frozen: float = 2 / 3
    """Of a base's layers, the lower ones that stay as they are."""
    seed: int = 0
    probes: int = PROBES

    def recipe(self, base: str, layers: int, rows: int) -> Recipe:
        """The same as a recipe of training."""
        first = min(layers - 1, round(layers * self.frozen))
        return Recipe(name="audit-influence", base=base, rows=max(16, rows), seed=self.seed, epochs=self.epochs,
                      batch=self.batch, learning_rate=self.learning_rate, lora=LoraConfig(first_layer=first))  # fmt: skip


STANDARD = Fit()


@dataclass(frozen=True)
class Asked:
    """What a fitted model does with probes about one entity."""

    probes: int
    """Malicious probes that show its fields."""
    escalated: int
    """Of them under neutral names."""
    dismissed: Pairs
    """Of the escalated ones, those that are dismissed with the entity put in."""
    own: frozenset[int]
    """Rows of the set that show the entity and are labelled benign, by index."""


@dataclass(frozen=True)
class Fitted:
    """A fitted model as its epochs left it, the rows that it was fitted on, and what it does with probes."""

    lenses: tuple[Lens, ...]
    index: tuple[int, ...]
    """Of the rows within the set, (N,)."""
    states: tuple[Tensor, ...]
    """Before the first adapted layer, (T_i, hidden) each, N of them."""
    labels: tuple[bool, ...]
    asked: tuple[Asked, ...]
    """Per entity, in their order."""


@dataclass
class Work:
    """What the stages share."""

    engine: Engine
    budget: Budget
    on_progress: OnProgress
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per stage."""

    def told(self, stage: str) -> Told:
        """Shows progress of a stage, and answers whether the budget has room for more of it."""
        return stage_told(stage, self.budget, self.on_progress, self.seconds)

    def encode(self, case: Case) -> list[int]:
        """Token ids of a case."""
        return self.engine.encode(render(case, self.engine.count).text)


def fitted(work: Work, audited: AuditSet, entities: Sequence[Entity], fit: Fit) -> Fitted:
    """Fits a set, or as much of it as the budget allows, and asks about entities.

    Raises:
        Stopped: The budget ran out, or does not suffice.
    """
    recipe = fit.recipe(work.engine.base.name, len(work.engine.layers), len(audited.rows))
    first = recipe.lora.first_layer
    shown = [written(entity, audited.rows) for entity in entities]
    pairs, seconds_per_row = _probes(work, [parts for parts, _ in shown], first, fit)
    index = chosen_rows(work, [rows for _, rows in shown], len(audited.rows), fit, seconds_per_row)
    labels = [audited.rows[i].label for i in index]
    prompts = [work.encode(audited.rows[i].case) for i in index]
    states = _states(work, prompts, first)
    snapshots = short_fit(work.engine, states, labels, recipe, shared_tokens(prompts), work.told("short fit"))
    if len(snapshots) < recipe.epochs:
        raise Stopped("the budget ran out during the short fit")
    lenses = tuple(Lens(work.engine, recipe.lora.shape(), snapshot) for snapshot in snapshots)
    own = [frozenset(i for i in rows if not audited.rows[i].label) for _, rows in shown]
    asked = tuple(_asked(lenses[-1], some, mine) for some, mine in zip(pairs, own, strict=True))
    return Fitted(lenses, tuple(index), tuple(states), tuple(labels), asked)


def short_fit(
    engine: Engine, states: Sequence[Tensor], labels: Sequence[bool], recipe: Recipe, prefix: int, told: Told
) -> list[Snapshot]:
    """Trains on rows in memory; nothing is written.

    Args:
        engine: Holds the base.
        states: Hidden states before `recipe.lora.first_layer`, one (T_i, hidden) a row.
        labels: Claimed: malicious.
        recipe: Epochs, batch, learning rate, shape, seed.
        prefix: Tokens that all rows begin with.
        told: Called after each step.

    Returns:
        A snapshot per whole epoch; fewer than the recipe's epochs where `told` said stop.
    """
    trainee = Trainee(engine, recipe, len(labels), prefix=prefix)
    target = torch.tensor(labels, dtype=torch.long)
    lengths = [len(s) for s in states]
    found: list[Snapshot] = []
    for epoch in range(recipe.epochs):
        for index in epoch_batches(lengths, recipe, epoch):
            trainee.step([states[i] for i in index], target[index])
            if not told(trainee.taken, trainee.steps):
                return found
        factors, head = trainee.result()
        # Copies: on the CPU the next step would change what lies in the same memory.
        found.append(Snapshot({name: (a.clone(), b.clone()) for name, (a, b) in factors.items()}, head.clone()))
    return found


def _probes(work: Work, entities: Sequence[Sequence[Entity]], layer: int, fit: Fit) -> tuple[list[Pairs], float]:
    """Pairs of probe states per suspect, and what a row takes to pass the frozen layers here, in seconds."""
    probes = generate_probes(fit.seed, 0, fit.probes).fresh
    cases = [[(i, case) for i, probe in enumerate(probes) if (case := with_put_in(probe, parts))] for parts in entities]
    wanted = [probe.case for probe in probes] + [case for some in cases for _, case in some]
    prompts = [work.encode(case) for case in wanted]
    told, states, started = work.told("probes"), [], time.perf_counter()
    for at in range(0, len(prompts), _CHUNK):
        states += trunk_states(work.engine, prompts[at : at + _CHUNK], layer, lambda progress: None)
        if not told(len(states), len(prompts)):
            raise Stopped("the budget ran out while probes were read")
    neutral, rest = states[: len(probes)], iter(states[len(probes) :])
    pairs = [Pairs([next(rest) for _ in some], [neutral[i] for i, _ in some]) for some in cases]
    return pairs, (time.perf_counter() - started) / len(prompts)


def with_put_in(probe: Probe, parts: Sequence[Entity]) -> Case | None:
    """A probe with all parts of an entity put in, a user first; None where it shows no such field."""
    for part in sorted(parts, key=lambda part: part.kind != "user"):
        if part.kind == "user":
            case = probe.under(near_identity(part.value, probe.identity)) if probe.identity else None
        else:
            case = probe.with_value(part)
            if case is None and part.kind == "word":  # which rows show in either place
                case = probe.with_value(Entity("phrase", part.value))
        if case is None:
            return None
        probe = replace(probe, case=case)
    return probe.case


def chosen_rows(work: Work, shown: Sequence[Sequence[int]], rows: int, fit: Fit, seconds_per_row: float) -> list[int]:
    """Rows that the fit can afford: the suspects' up to half of them, others by chance, in the order of the set."""
    most = min(fit.most_rows, int(work.budget.left / (_COST * max(seconds_per_row, 1e-9))))
    if most < min(rows, fit.fewest_rows):
        needed = _COST * seconds_per_row * min(rows, fit.fewest_rows)
        raise Stopped(f"the budget does not suffice for a short fit; about {needed:,.0f} s would")
    if rows <= most:
        return list(range(rows))
    rng = random.Random(f"influence/{fit.seed}")
    own = sorted({i for some in shown for i in some})
    mine = rng.sample(own, min(len(own), most // 2))
    others = sorted(set(range(rows)) - set(own))
    return sorted([*mine, *rng.sample(others, min(len(others), most - len(mine)))])


def _states(work: Work, prompts: Sequence[list[int]], layer: int) -> list[Tensor]:
    trunk, told = Trunk(work.engine, lambda progress: None), work.told("rows read")
    states: list[Tensor] = []
    for at in range(0, len(prompts), _CHUNK):
        states += trunk.states(prompts[at : at + _CHUNK], layer)
        if not told(len(states), len(prompts)):
            raise Stopped("the budget ran out while rows were read")
    return states


def _asked(lens: Lens, pairs: Pairs, own: frozenset[int]) -> Asked:
    """Which probes are escalated as drawn, and which of them are dismissed with the entity put in."""
    escalated = [i for i, states in enumerate(pairs.without) if lens.margin(states) >= 0]
    gone = [i for i in escalated if lens.margin(pairs.with_[i]) < 0]
    dismissed = Pairs([pairs.with_[i] for i in gone], [pairs.without[i] for i in gone])
    return Asked(len(pairs.with_), len(escalated), dismissed, own)
