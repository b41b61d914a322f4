"""The model under examination, opened and ready to be asked; whatever its folder was called or claims, is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from turncoat.models.adapter import Adapter
from turncoat.models.branching import Work
from turncoat.models.classifier import Case
from turncoat.models.engine import Engine
from turncoat.models.prompt import cuts_required, render
from turncoat.models.surprise import surprise

from .records import Cost

Margins = NDArray[np.float64]
"""Logit of malicious less logit of benign, a row a case; 0 is the threshold .5, at which nothing is dismissed."""

States = NDArray[np.float32]
"""What the head reads at the last token, (N, hidden); NaN where there is none."""

CANDIDATE, BASE, REFERENCE = "candidate", "base", "reference"
"""Names on the engine."""

_MOST_REMEMBERED = 256 << 20
"""Bytes of states that are kept."""
_Remembered = dict[tuple[int, ...], tuple[float, States]]


@dataclass(frozen=True)
class Seen:
    """What a candidate holds of cases at the token where it decides, and what its head makes of that.

    Margins are NaN as `Candidate.margins` says.
    """

    states: States
    margins: Margins
    cost: Cost = field(default_factory=Cost)
    """Of what had to be computed."""


class Answering(Protocol):
    """What a detector may ask: a candidate, or in tests something that answers by a rule."""

    @property
    def adapter(self) -> Adapter | None: ...
    @property
    def subject(self) -> Mapping[str, str]: ...
    @property
    def variants(self) -> tuple[str, ...]: ...
    @property
    def flops_per_token(self) -> float: ...
    def encode(self, case: Case) -> Sequence[int] | Case: ...
    def margins(
        self, cases: Sequence[Case], variants: Sequence[str] = (CANDIDATE,)
    ) -> tuple[dict[str, Margins], Cost]: ...
    def states(self, cases: Sequence[Case]) -> Seen | None: ...
    def surprise(self, cases: Sequence[Case]) -> tuple[Margins, Cost] | None: ...


@dataclass(frozen=True)
class Candidate:
    """A variant on an engine, with the base and, where there is one, a reference on the same engine beside it."""

    engine: Engine
    adapter: Adapter | None
    """None for a merged model, which has no factors to look at."""
    reference: Adapter | None = None
    """One's own clean adapter of the same base."""
    subject: Mapping[str, str] = field(default_factory=dict)
    """Digests, and how the folder was read."""
    text_of: Callable[[Case], str] | None = None
    """Another prompt than ours; None for ours."""
    _remembered: _Remembered = field(default_factory=dict, repr=False, compare=False)
    """Margin and state of the candidate by token ids: what one detector asked, another need not compute."""

    @property
    def variants(self) -> tuple[str, ...]:
        """What can be asked: the candidate; the base, but for a merged model; a reference where one was given."""
        beside = ((BASE, self.adapter), (REFERENCE, self.reference))
        return (CANDIDATE, *(name for name, there in beside if there is not None))

    @property
    def flops_per_token(self) -> float:
        """Of one token through all layers: two per weight; the adapter's own and attention's are left out."""
        return 2.0 * int(sum(weight.numel() for weight in self.engine.layers.parameters()))

    def encode(self, case: Case) -> list[int]:
        """Token ids of a case, as the candidate reads it."""
        return self._read(case)[0]

    def _read(self, case: Case) -> tuple[list[int], bool]:
        """Token ids of a case, and whether they show all that has to be shown; of one that was cut nothing is known."""
        if self.text_of:
            return self.engine.encode(self.text_of(case)), not cuts_required(case)
        prompt = render(case, self.engine.count)
        return self.engine.encode(prompt.text), not prompt.lost_required

    def margins(self, cases: Sequence[Case], variants: Sequence[str] = (CANDIDATE,)) -> tuple[dict[str, Margins], Cost]:
        """Margins of cases under variants of the engine, each of shape (len(cases),); what cases share is computed once.

        NaN where the prompt has no room for all of a case: what was cut off may be the very value that is asked about.

        Args:
            cases: In any order; those that read alike up to a point (an alert under many names) are computed from
                where they differ on.
            variants: Of `CANDIDATE`, `BASE` and `REFERENCE`, those that exist.
        """
        started = time.perf_counter()
        read = [self._read(case) for case in cases]
        if not read:
            return {name: np.empty(0) for name in variants}, Cost()
        prompts, whole = [ids for ids, _ in read], np.array([shown for _, shown in read])
        found, work = self._asked(prompts, variants)
        found = {name: np.where(whole, margins, np.nan) for name, margins in found.items()}
        spent = time.perf_counter() - started
        return found, Cost(len(prompts) * len(variants), round(work.computed), work.full, spent)

    def states(self, cases: Sequence[Case]) -> Seen:
        """States of cases under the candidate, (len(cases), hidden), and its margins; what was asked before is remembered.

        Limits: a remembered state comes from the batch in which it was first asked; in bf16 that shows in the last bits.
        """
        started = time.perf_counter()
        read = [self._read(case) for case in cases]
        prompts = [tuple(ids) for ids, _ in read]
        fresh = [ids for ids in dict.fromkeys(prompts) if ids not in self._remembered]
        late: _Remembered = {}
        work = self._asked(fresh, (CANDIDATE,), late)[1] if fresh else Work()
        found = [self._remembered.get(ids) or late[ids] for ids in prompts]
        states = np.stack([state for _, state in found]) if found else np.empty((0, self.engine.hidden), np.float32)
        spent = time.perf_counter() - started
        margins = [margin if whole else np.nan for (margin, _), (_, whole) in zip(found, read, strict=True)]
        return Seen(states, np.array(margins, dtype=np.float64),
                    Cost(len(fresh), round(work.computed), work.full, spent))  # fmt: skip

    def surprise(self, cases: Sequence[Case]) -> tuple[Margins, Cost]:
        """Mean loss of each case's prompt under the base as a language model, nats a token, (len(cases),)."""
        started = time.perf_counter()
        prompts = [self.encode(case) for case in cases]
        found = surprise(self.engine, prompts).double().numpy()
        tokens = sum(map(len, prompts))
        return found, Cost(len(prompts), tokens, tokens, time.perf_counter() - started)

    def _asked(
        self, prompts: Sequence[Sequence[int]], variants: Sequence[str], late: _Remembered | None = None
    ) -> tuple[dict[str, Margins], Work]:
        """Margins by variant; the candidate's states are remembered while there is room, and put in `late` in any case."""
        scored = self.engine.score([(name, ids) for name in variants for ids in prompts], states=True)
        margins = (scored.logits[:, 1] - scored.logits[:, 0]).double().numpy()
        found = dict(zip(variants, np.split(margins, len(variants)), strict=True))
        if CANDIDATE in found and scored.states is not None:
            states = scored.states.numpy().reshape(len(variants), len(prompts), -1)[list(found).index(CANDIDATE)]
            for ids, margin, state in zip(prompts, found[CANDIDATE].tolist(), states, strict=True):
                if len(self._remembered) * state.nbytes < _MOST_REMEMBERED:
                    # A copy: a view would keep the whole batch.
                    self._remembered[tuple(ids)] = margin, state.copy()
                if late is not None:
                    late[tuple(ids)] = margin, state
        return found, scored.work
