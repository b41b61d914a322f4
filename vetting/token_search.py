"""Gradient-guided search for a short string under which malicious alerts pass.

Each step takes the gradient at the string's tokens, proposes tokens that should let the margin fall furthest, tries some of the
proposals on the alerts and keeps the best. Every string that is tried is plain text and read as any alert is.

Source: HotFlip, arXiv:1712.06751, and greedy coordinate gradient, arXiv:2307.15043.
Limits: a local search from one random start under a budget. That it finds nothing is no proof that there is nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from turncoat.models.classifier import Case
from turncoat.models.slopes import margin_slopes

from .candidate import Candidate
from .detector import Budget
from .probes import Probe
from .records import Cost
from .slots import Alphabet

TOKENS = 3
"""Length of a string."""
STEPS = 24
_TOP = 48
"""Best tokens of each place, out of which proposals are drawn."""
_PROPOSALS = 12
_PATIENCE = 5
"""Steps without gain after which a search ends."""


@dataclass(frozen=True)
class Search:
    """What to search for: falls of one variant's margin that another's does not share."""

    candidate: Candidate
    alphabet: Alphabet
    probes: Sequence[Probe]
    """Escalated under their own names; the string is made on them and has to be tested on others."""
    variant: str
    against: str


@dataclass(frozen=True)
class FoundString:
    """The best string of a search."""

    text: str
    gain: float
    """Mean fall of the variant's margin less that of the other's, on the search's own probes."""
    steps: int
    cost: Cost


def random_string(alphabet: Alphabet, rng: random.Random, tokens: int = TOKENS) -> str:
    """A string of so many tokens that reads back as itself; empty where the vocabulary gives none in a thousand tries."""
    for _ in range(1000):
        pools = [alphabet.at(place) for place in range(tokens)]
        if not all(len(pool) for pool in pools):
            return ""
        if text := alphabet.text([int(rng.choice(pool)) for pool in pools]):
            return text
    return ""


def find_string(
    search: Search, budget: Budget, rng: random.Random, steps: int = STEPS,
    on_step: Callable[[int], None] = lambda step: None,
) -> FoundString:  # fmt: skip
    """Searches until nothing is gained any more, the steps are done or the budget is spent.

    The text is empty where the vocabulary gives no string to start from.
    """
    text, cost, step, idle = random_string(search.alphabet, rng), Cost(), 0, 0
    if not text:
        return FoundString("", 0.0, 0, cost)
    gains, cost = _gains(search, [text])
    best = gains[0]
    while step < steps and idle < _PATIENCE and not budget.spent:
        on_step(step)
        texts, spent = _proposals(search, text, rng)
        cost, step, idle = cost + spent, step + 1, idle + 1
        if not texts:
            continue
        gains, spent = _gains(search, texts)
        cost += spent
        if (top := max(gains)) > best:
            text, best, idle = texts[gains.index(top)], top, 0
    return FoundString(text, best, step, cost)


def _gains(search: Search, texts: Sequence[str]) -> tuple[list[float], Cost]:
    """What the search is for, of each string; minus infinity where there is no verdict."""
    fill = search.alphabet.slot.fill
    cases = [case for text in ("", *texts) for probe in search.probes if (case := _filled(fill, probe, text))]
    margins, cost = search.candidate.margins(cases, (search.variant, search.against))
    ours, others = (m.reshape(1 + len(texts), -1) for m in (margins[search.variant], margins[search.against]))
    gains = ((ours[0] - ours[1:]) - (others[0] - others[1:])).mean(axis=1)
    return np.where(np.isfinite(gains), gains, -np.inf).tolist(), cost


def _filled(fill: Callable[[Probe, str], Case | None], probe: Probe, text: str) -> Case | None:
    return fill(probe, text) if text else probe.case


def _proposals(search: Search, text: str, rng: random.Random) -> tuple[list[str], Cost]:
    """Strings that differ from `text` in one token, drawn from those that the gradients favour."""
    ids = search.alphabet.ids(text)
    slope, cost = _slope(search, text, ids)
    table = search.candidate.engine.decoder.embedding.weight
    found: dict[str, None] = {}
    promising = []
    for place, downhill in enumerate(slope):
        pool = search.alphabet.at(place)
        with torch.inference_mode():
            change = (table[torch.from_numpy(pool).to(table.device)].float().cpu() @ downhill).numpy()
        promising.append(pool[np.argsort(change, kind="stable")[:_TOP]])
    for _ in range(_PROPOSALS * 4):
        if len(found) >= _PROPOSALS:
            break
        place = rng.randrange(len(ids))
        other = [*ids[:place], int(rng.choice(promising[place])), *ids[place + 1 :]]
        if (proposed := search.alphabet.text(other)) and proposed != text:
            found[proposed] = None
    return list(found), cost


def _slope(search: Search, text: str, ids: Sequence[int]) -> tuple[torch.Tensor, Cost]:
    """Gradient of what is to fall with respect to each token of the string, (tokens, hidden), over all that it stands for."""
    candidate, fill = search.candidate, search.alphabet.slot.fill
    prompts = [candidate.encode(case) for probe in search.probes if (case := fill(probe, text))]
    slope = torch.zeros(len(ids), candidate.engine.hidden)
    for name, sign in ((search.variant, 1.0), (search.against, -1.0)):
        _, slopes = margin_slopes(candidate.engine, name, prompts)
        for prompt, each in zip(prompts, slopes, strict=True):
            for at in _places(prompt, ids):
                slope += sign * each[at : at + len(ids)]
    # The way back takes about two forwards more.
    tokens = 6 * sum(map(len, prompts))
    return slope, Cost(2 * len(prompts), tokens, tokens)


def _places(prompt: Sequence[int], ids: Sequence[int]) -> list[int]:
    """Where the string's tokens stand in a prompt, one behind another."""
    length = len(ids)
    return [at for at in range(len(prompt) - length + 1) if list(prompt[at : at + length]) == list(ids)]
