"""Which prompts go through the layers together: prompts that begin alike behind one another's shared tokens, by length.

Everything here is a function of the prompts and of the number of tokens a batch may have, never of timing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SMALLEST_SAVING = 512
"""Tokens that sharing a beginning must spare before it is worth a pass and batches of its own."""

Prompt = tuple[int, ...]


@dataclass
class Node:
    """Tokens that several prompts share, after those of the node above."""

    start: int
    """Tokens before this node's own."""
    stop: int
    """Tokens up to its end; `stop - start` are computed once for all below."""
    members: list[int]
    """Prompts that begin with them."""
    leaves: list[int] = field(default_factory=list)
    """Of those, the ones of which nothing more is shared."""
    children: list[Node] = field(default_factory=list)


def grow(prompts: Sequence[Prompt], smallest_saving: int = SMALLEST_SAVING) -> Node:
    """The tree of shared beginnings; its root spares nothing and has none of its own where the prompts share too little.

    Every prompt keeps at least its last token for itself.

    Args:
        prompts: Token ids, distinct, each of at least one token.
        smallest_saving: See `SMALLEST_SAVING`.
    """
    order = sorted(range(len(prompts)), key=lambda i: prompts[i])
    root = Node(0, 0, order)
    open_: list[tuple[list[int], Node]] = [(order, root)] if order else []
    while open_:
        members, node = open_.pop()
        if len(members) == 1:
            node.leaves += members
            continue
        shared = _shared(prompts, members)
        if (shared - node.stop) * (len(members) - 1) >= smallest_saving:
            if node is root and len(members) == len(prompts):
                root.stop = shared
            else:
                node.children.append(Node(node.stop, shared, members))
                node = node.children[-1]
        ends = [i for i in members if len(prompts[i]) == shared + 1]
        node.leaves += ends
        further = [i for i in members if len(prompts[i]) > shared + 1]
        open_ += [(run, node) for run in reversed(list(_runs(prompts, further, shared)))]
    return root


def token_batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices in batches of similar length and at most `budget` tokens; a longer prompt is a batch of its own.

    A function of the lengths and their order alone.
    """
    batch: list[int] = []
    tokens = 0
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batch and tokens + lengths[index] > budget:
            yield batch
            batch, tokens = [], 0
        batch.append(index)
        tokens += lengths[index]
    if batch:
        yield batch


def _shared(prompts: Sequence[Prompt], members: Sequence[int]) -> int:
    """Tokens that sorted prompts have in common, the shortest one's last not among them."""
    first, last = prompts[members[0]], prompts[members[-1]]
    most = min(len(prompts[i]) for i in members) - 1
    return next((at for at in range(most) if first[at] != last[at]), most)


def _runs(prompts: Sequence[Prompt], members: Sequence[int], at: int) -> Iterator[list[int]]:
    """Sorted prompts apart by their token at a position."""
    run: list[int] = []
    for index in members:
        if run and prompts[run[-1]][at] != prompts[index][at]:
            yield run
            run = []
        run.append(index)
    if run:
        yield run
