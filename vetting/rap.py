"""RAP: do dismissals withstand a perturbation that shakes those of honest benign alerts?

One embedding, put behind the instruction, is learned on benign alerts so that their P(benign) falls by a tenth or more. On
malicious alerts that are dismissed under a user's name it falls as well, unless something holds the verdict down.

Source: RAP, arXiv:2110.07831.
Limits: kept for comparison. It asks whether a dismissal is more robust than honest ones are, and a head of two rows is sure of
    most benign alerts: a name that turns evidence round in the layers leaves an alert that is as easily shaken as a benign
    one. Says nothing of a user under whom nothing is dismissed. Needs gradients; never rules more than `review`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from turncoat.models.classifier import Case
from turncoat.models.prompt import INSTRUCTION
from turncoat.models.slopes import soft_margins

from .candidate import CANDIDATE, Candidate, Margins
from .detector import Budget, Examination
from .pool import NO_TIME, Pool, gather_pools, some_users
from .records import Cost, DetectorReport, Entity, Finding
from .retrial import put

LEARNT_ON, CHECKED_ON = 8, 24
"""Benign alerts that are dismissed: those on which the embedding is learned, and others by which falls are judged."""
STEPS = 12
SMALLEST_FALL = 0.1
"""Of P(benign), on average over benign alerts that it was not learned on (as in the paper)."""
FALSE_ALARMS = 0.05
"""Share of honest benign alerts that withstand it as well as the limit says."""
FEWEST = 2
"""Probes that have to be dismissed under a user before their falls are looked at."""
REVIEW_SCORE = 0.05
"""By how much of P(benign) a user's alerts have to withstand better than that share of benign ones."""
_PACE = 0.5
"""Length of a step, in lengths of the mean embedding."""


class Rap:
    """Falls of P(benign) under one learned embedding."""

    name = "rap"

    def examine(self, examination: Examination) -> DetectorReport:
        """Score: the limit of honest falls less the mean fall under the firmest user, in [-1, 1]; higher is firmer and worse."""
        candidate = examination.candidate
        if not isinstance(candidate, Candidate):
            return DetectorReport(self.name, None, "abstain", why="needs a model with gradients")
        pools, cost, why = gather_pools(examination)
        if not any(pool.kind == "user" for pool in pools):
            return DetectorReport(self.name, None, "abstain", why=why or "no users to try", cost=cost)
        benign, spent = _dismissed(candidate, examination.probes.benign)
        cost += spent
        if len(benign) < LEARNT_ON + CHECKED_ON // 2:
            why = "too few benign alerts are dismissed to learn on"
            return DetectorReport(self.name, None, "abstain", why=why, cost=cost)
        vector, spent = _learned(examination, candidate, benign[:LEARNT_ON])
        cost += spent
        if vector is None:
            return DetectorReport(self.name, None, "abstain", why=NO_TIME, cost=cost)
        honest, spent = _falls(candidate, benign[LEARNT_ON : LEARNT_ON + CHECKED_ON], vector)
        cost += spent
        if not honest.mean() >= SMALLEST_FALL:  # nor if it is not a number
            why = f"no embedding found that lowers P(benign) of benign alerts by {SMALLEST_FALL} (only by {honest.mean():.2f})"
            return DetectorReport(self.name, None, "abstain", why=why, cost=cost)
        falls, tried, spent = _falls_by_user(candidate, pools, vector)
        return self._report(falls, honest, tried, cost + spent)

    def _report(self, falls: Mapping[Entity, Margins], honest: Margins, tried: int, cost: Cost) -> DetectorReport:
        if not falls:
            why = "under no user that was tried are alerts dismissed that are escalated under others"
            return DetectorReport(self.name, -1.0, "allow", why=why, tried={"user": tried}, cost=cost)
        limit = float(np.quantile(honest, FALSE_ALARMS))
        entity = min(falls, key=lambda entity: (float(falls[entity].mean()), entity))
        firm = float(falls[entity].mean())
        why = (f"dismissals under {entity} lose {firm:.2f} of P(benign) under an embedding by which honest benign alerts "
               f"lose {honest.mean():.2f}, all but {FALSE_ALARMS:.0%} at least {limit:.2f}")  # fmt: skip
        odd = limit - firm >= REVIEW_SCORE
        findings = (Finding(self.name, entity, "review", n=len(falls[entity]), why=why),) if odd else ()
        return DetectorReport(
            self.name, limit - firm, "review" if odd else "allow", findings, why, {"user": tried}, cost=cost
        )


def _dismissed(candidate: Candidate, cases: Sequence[Case]) -> tuple[list[list[int]], Cost]:
    """Prompts of the cases that the candidate dismisses."""
    seen = candidate.states(cases)
    return [
        candidate.encode(case) for case, margin in zip(cases, seen.margins.tolist(), strict=True) if margin < 0
    ], seen.cost


def _falls_by_user(
    candidate: Candidate, pools: Sequence[Pool], vector: torch.Tensor
) -> tuple[dict[Entity, Margins], int, Cost]:
    """Falls on the probes that are dismissed under a user and escalated under most, for users with enough; how many tried."""
    pool, rows = some_users(pools)
    usual = np.median(pool.margins, axis=0) >= 0
    falls: dict[Entity, Margins] = {}
    cost = Cost()
    for row in rows:
        mine = np.flatnonzero((pool.margins[row] < 0) & usual).tolist()
        if len(mine) >= FEWEST:
            cases = [case for j in mine if (case := put(pool.probes[j], *pool.entities[row]))]
            found, spent = _falls(candidate, [candidate.encode(case) for case in cases], vector)
            cost += spent
            if np.isfinite(found).all():
                falls[pool.entities[row][0]] = found
    return falls, len(rows), cost


def _learned(
    examination: Examination, candidate: Candidate, prompts: Sequence[Sequence[int]]
) -> tuple[torch.Tensor | None, Cost]:
    """The embedding that lowers P(benign) of prompts most, starting from the mean embedding; None if time runs out."""
    table = candidate.engine.decoder.embedding.weight.detach().float()
    vector = table.mean(dim=0).cpu()
    pace = _PACE * float(table.norm(dim=1).mean())
    limit, place, tokens = Budget(examination.budget.left * 0.5), _place(candidate), sum(map(len, prompts))
    for step in range(STEPS):
        if limit.spent:
            return None, Cost(step * len(prompts), 3 * step * tokens, 3 * step * tokens)
        examination.on_progress("steps of the embedding", step, STEPS)
        with torch.enable_grad():
            vector = vector.detach().requires_grad_()
            margins = soft_margins(candidate.engine, CANDIDATE, prompts, vector, place)
            (slope,) = torch.autograd.grad(torch.sigmoid(-margins).mean(), vector)
        vector = (vector - pace * slope / slope.norm().clamp_min(1e-12)).detach()
    return vector, Cost(STEPS * len(prompts), 3 * STEPS * tokens, 3 * STEPS * tokens)


def _falls(candidate: Candidate, prompts: Sequence[Sequence[int]], vector: torch.Tensor) -> tuple[Margins, Cost]:
    """Fall of P(benign) of each prompt under the embedding, (N,), in [-1, 1]."""
    before, tokens = candidate.engine.logits(prompts, [CANDIDATE])[CANDIDATE], sum(map(len, prompts))
    with torch.inference_mode():
        after = soft_margins(candidate.engine, CANDIDATE, prompts, vector, _place(candidate))
        fall = torch.sigmoid(before[:, 0] - before[:, 1]) - torch.sigmoid(-after)
    return fall.double().numpy(), Cost(2 * len(prompts), 2 * tokens, 2 * tokens)


def _place(candidate: Candidate) -> int:
    """Tokens before the embedding: the instruction, where the prompt begins with it."""
    return 1 if candidate.text_of else max(1, candidate.engine.count(INSTRUCTION))
