"""Answers any mix of (variant, prompt) requests: what several of them need is computed once.

Exact duplicates once; beginnings that prompts share once (`batching.grow`); layers that variants leave alone once
(`branching.branch`); and in the last layer only final tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .batching import Node, Prompt, grow, token_batches
from .branching import Past, Variant, Work, branch
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
    width = decoder.embedding.weight.shape[1] if states else 0
    read = {name: torch.empty(len(prompts), width) for name in found}
    done, scorer = 0, _Scorer(decoder, variants, prompts, [list(names) for names in asked])
    with torch.inference_mode():
        for node, past in scorer.beginnings(grow(prompts, plan.smallest_saving)):
            for batch in token_batches([len(prompts[i]) - node.stop for i in node.leaves], plan.budget):
                members = [node.leaves[i] for i in batch]
                for name, rows, logits, last in scorer.read(members, node.stop, past):
                    found[name][rows] = logits
                    if states:
                        read[name][rows] = last.cpu()
                done += sum(sum(asked[i].values()) for i in members)
                if on_batch:
                    on_batch(done)
    scorer.work.full = sum(len(ids) for _, ids in wanted)
    return Scored(
        _in_order(found, wanted, place, 2), scorer.work, _in_order(read, wanted, place, width) if states else None
    )


def _in_order(
    found: Mapping[str, Tensor], wanted: Sequence[tuple[str, Sequence[int]]], place: Sequence[int], width: int
) -> Tensor:
    rows = [found[name][at] for (name, _), at in zip(wanted, place, strict=True)]
    return torch.stack(rows) if rows else torch.empty(0, width)


class _Scorer:
    def __init__(
        self, decoder: Decoder, variants: Mapping[str, Variant], prompts: Sequence[Prompt], asked: Sequence[list[str]]
    ) -> None:
        self._decoder, self._variants, self._prompts, self._asked = decoder, variants, prompts, asked
        self.work = Work()

    def beginnings(self, root: Node) -> Iterator[tuple[Node, Past]]:
        """Each node of the tree with keys and values of its tokens, computed when its turn comes."""
        open_ = [(root, Past())]
        while open_:
            node, past = open_.pop()
            if node.stop > node.start:
                own = self._prompts[node.members[0]][node.start : node.stop]
                names = sorted({name for i in node.members for name in self._asked[i]})
                kept = Past(node.stop)
                rows = Rows([len(own)], past=past.tokens, device=self._decoder.device)
                states = self._decoder.embed(own)
                for _ in branch(self._decoder, self._variants, states, rows, [names], past, self.work, kept):
                    pass  # nobody asks for a verdict in the middle of a prompt
                past = kept
            yield node, past
            open_ += [(child, past) for child in reversed(node.children)]

    def read(self, members: Sequence[int], start: int, past: Past) -> Iterator[tuple[str, list[int], Tensor, Tensor]]:
        """Logits (n, 2) of some prompts of a batch and what they are read from, per variant, from tokens `start` on."""
        own = [self._prompts[i][start:] for i in members]
        rows = Rows([len(p) for p in own], past=past.tokens, device=self._decoder.device)
        states = self._decoder.embed([token for p in own for token in p])
        asked = [self._asked[i] for i in members]
        for name, index, last in branch(self._decoder, self._variants, states, rows, asked, past, self.work):
            normed = self._decoder.norm(last).float()
            logits = F.linear(normed, self._variants[name].head).cpu()
            yield name, [members[i] for i in index], logits, normed
