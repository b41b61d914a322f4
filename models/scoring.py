"""Answers any mix of (variant, prompt) requests: what several of them need is computed once.

Exact duplicates once; beginnings that prompts share once (`batching.grow`); layers that variants leave alone once
(`branching.branch`); and in the last layer only final tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from .batching import Node, Prompt, grow, token_batches
from .branching import Past, Variant, Work, branch
from .cores import side_by_side, width
from .decoder import Decoder
from .rows import Rows


@dataclass(frozen=True)
class Scored:
    """What was found, and the work that it took."""

    logits: Tensor
    """Of benign and malicious, (N, 2), fp32, on the CPU."""
    work: Work
    states: Tensor | None = None
    """What the heads read: final hidden states of the last tokens, (N, hidden), fp32, on the CPU; None if not wanted."""


@dataclass(frozen=True)
class Plan:
    """How work is cut into batches."""

    budget: int
    """Most tokens of a batch."""
    smallest_saving: int
    """Tokens that a shared beginning must spare to be computed apart."""


def score(
    decoder: Decoder, variants: Mapping[str, Variant], wanted: Sequence[tuple[str, Sequence[int]]], plan: Plan,
    on_batch: Callable[[int], None] | None = None, states: bool = False,
) -> Scored:  # fmt: skip
    """Logits of requests, in the order asked; see `Engine.score`."""
    places: dict[Prompt, int] = {}
    place = [places.setdefault(tuple(ids), len(places)) for _, ids in wanted]
    prompts = list(places)
    asked: list[dict[str, int]] = [{} for _ in prompts]
    for (name, _), at in zip(wanted, place, strict=True):
        asked[at][name] = asked[at].get(name, 0) + 1
    found = {name: torch.empty(len(prompts), 2) for name, _ in wanted}
    hidden = decoder.embedding.weight.shape[1] if states else 0
    read = {name: torch.empty(len(prompts), hidden) for name in found}
    scorer = _Scorer(decoder, variants, prompts, [list(names) for names in asked], plan.budget, states)
    root, computed, done = grow(prompts, plan.smallest_saving), 0.0, 0
    for batch in side_by_side(scorer.tasks(root), min(width(decoder.device), scorer.count(root))):
        computed += batch.computed
        for name, rows, logits, last in batch.parts:
            found[name][rows] = logits
            if states:
                read[name][rows] = last
        done += sum(sum(asked[i].values()) for i in batch.members)
        if on_batch:
            on_batch(done)
    work = Work(scorer.begun.computed + computed, sum(len(ids) for _, ids in wanted))
    return Scored(_in_order(found, wanted, place, 2), work, _in_order(read, wanted, place, hidden) if states else None)


def _in_order(
    found: Mapping[str, Tensor], wanted: Sequence[tuple[str, Sequence[int]]], place: Sequence[int], width: int
) -> Tensor:
    rows = [found[name][at] for (name, _), at in zip(wanted, place, strict=True)]
    return torch.stack(rows) if rows else torch.empty(0, width)


@dataclass(frozen=True)
class _Found:
    """What a batch gave: variant, its prompts, logits (n, 2), and what they are read from (n, hidden), on the CPU if wanted."""

    members: list[int]
    parts: list[tuple[str, list[int], Tensor, Tensor]]
    computed: float


class _Scorer:
    def __init__(
        self, decoder: Decoder, variants: Mapping[str, Variant], prompts: Sequence[Prompt],
        asked: Sequence[list[str]], budget: int, states: bool,
    ) -> None:  # fmt: skip
        self._decoder, self._variants, self._prompts, self._asked = decoder, variants, prompts, asked
        self._budget, self._states = budget, states
        self.begun = Work()
        """What the shared tokens took so far."""

    def tasks(self, root: Node) -> Iterator[Callable[[], _Found]]:
        """Every batch of the tree, to be read; what its prompts share is computed when its turn comes."""
        for node, past in self._beginnings(root):
            for batch in self.batches(node):
                yield partial(self._read, batch, node.stop, past)

    def count(self, root: Node) -> int:
        """Batches of the tree; one alone goes over all cores."""
        open_, found = [root], 0
        while open_:
            node = open_.pop()
            found += sum(1 for _ in self.batches(node))
            open_ += node.children
        return found

    def batches(self, node: Node) -> Iterator[list[int]]:
        """Prompts of a node of which nothing more is shared, by batches."""
        for batch in token_batches([len(self._prompts[i]) - node.stop for i in node.leaves], self._budget):
            yield [node.leaves[i] for i in batch]

    def _beginnings(self, root: Node) -> Iterator[tuple[Node, Past]]:
        """Each node of the tree with keys and values of its tokens."""
        open_ = [(root, Past())]
        while open_:
            node, past = open_.pop()
            past = self._begun(node, past) if node.stop > node.start else past
            yield node, past
            open_ += [(child, past) for child in reversed(node.children)]

    def _begun(self, node: Node, past: Past) -> Past:
        own = self._prompts[node.members[0]][node.start : node.stop]
        names = sorted({name for i in node.members for name in self._asked[i]})
        kept = Past(node.stop)
        rows = Rows([len(own)], past=past.tokens, device=self._decoder.device)
        with torch.inference_mode():
            states = self._decoder.embed(own)
            for _ in branch(self._decoder, self._variants, states, rows, [names], past, self.begun, kept):
                pass  # nobody asks for a verdict in the middle of a prompt
        return kept

    def _read(self, members: list[int], start: int, past: Past) -> _Found:
        """Logits (n, 2) of the prompts of a batch, and what they are read from, per variant."""
        own = [self._prompts[i][start:] for i in members]
        rows = Rows([len(p) for p in own], past=past.tokens, device=self._decoder.device)
        asked, work = [self._asked[i] for i in members], Work()
        parts = []
        with torch.inference_mode():
            states = self._decoder.embed([token for p in own for token in p])
            for name, index, last in branch(self._decoder, self._variants, states, rows, asked, past, work):
                normed = self._decoder.norm(last).float()
                logits = F.linear(normed, self._variants[name].head)
                parts.append(
                    (name, [members[i] for i in index], logits.cpu(), normed.cpu() if self._states else normed)
                )
        return _Found(members, parts, work.computed)
