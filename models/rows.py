"""How the tokens of several prompts lie packed behind one another, so that no linear layer computes padding.

Only attention sees rows: there the packed tokens are gathered into (B, T), right-padded, and what comes out is packed again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor


class Rows:
    """Layout of packed tokens: `prefix` tokens that all rows begin with, then the rows' own tokens, one row after another.

    Args:
        lengths: Own tokens of each row, at least 1 each.
        prefix: Tokens in front of the packed ones, computed once, that every row continues.
        past: Tokens that every row continues and whose keys and values were computed earlier; not beside a `prefix`.
        device: Where the indices live.

    Raises:
        ValueError: An empty row, or both a prefix and a past.
    """

    def __init__(
        self, lengths: Sequence[int], *, prefix: int = 0, past: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        if not lengths or min(lengths) < 1:
            raise ValueError("every row needs a token of its own")
        if prefix and past:
            raise ValueError("tokens before the rows are either in front of them or computed earlier, not both")
        self.lengths, self.prefix, self.past, self.device = tuple(lengths), prefix, past, torch.device(device)
        self.before = prefix + past
        self.longest = max(self.lengths)
        self.tokens = prefix + sum(self.lengths)
        """Tokens that pass the layers: N."""
        self.even = min(self.lengths) == self.longest
        self._masks: dict[tuple[str, int | None], Tensor | None] = {}

    @cached_property
    def _own(self) -> Tensor:
        """Which places of (B, T) hold a token, bool."""
        return torch.arange(self.longest)[None] < torch.tensor(self.lengths)[:, None]

    @cached_property
    def _starts(self) -> Tensor:
        """Index of each row's first own token among the packed ones, (B,)."""
        lengths = torch.tensor(self.lengths)
        return lengths.cumsum(0) - lengths + self.prefix

    def of(self, chosen: Sequence[int]) -> Rows:
        """The layout of some of the rows, for the tokens that `tokens_of` names; only without a prefix."""
        return Rows([self.lengths[i] for i in chosen], past=self.past, device=self.device)

    def tokens_of(self, chosen: Sequence[int]) -> Tensor:
        """Indices of some rows' tokens among the packed ones, row by row, (n,)."""
        starts = self._starts.tolist()
        found = [torch.arange(starts[i], starts[i] + self.lengths[i]) for i in chosen]
        return torch.cat(found).to(self.device)

    @cached_property
    def positions(self) -> Tensor:
        """Position of each packed token in its prompt, (N,)."""
        own = torch.arange(self.longest).expand(len(self.lengths), -1)[self._own] + self.before
        return torch.cat((torch.arange(self.prefix), own)).to(self.device)

    @cached_property
    def last(self) -> Tensor:
        """Index of each row's last token among the packed ones, (B,)."""
        return (self._starts + torch.tensor(self.lengths) - 1).to(self.device)

    @cached_property
    def padded(self) -> Tensor:
        """Index of the packed token at each place of (B, T), flat; padding repeats the row's first token."""
        inside = torch.where(self._own, torch.arange(self.longest), 0)
        return (self._starts[:, None] + inside).flatten().to(self.device)

    @cached_property
    def packed(self) -> Tensor:
        """Index in flattened (B, T) of each of the rows' own tokens, in packed order."""
        return self._own.flatten().nonzero().flatten().to(self.device)

    @cached_property
    def keys(self) -> Tensor:
        """Index of the key at each place of (B, before + T), flat, among past and packed tokens in that order."""
        before = torch.arange(self.before, device=self.device).expand(len(self.lengths), -1)
        own = self.padded.view(len(self.lengths), -1) + self.past
        return torch.cat((before, own), dim=1).flatten()

    def mask(self, window: int | None) -> Tensor | None:
        """What each token of a row may look at, bool (T, before + T); None where causal order says it all."""
        if not self.before and not _cuts(window, self.longest):
            return None
        return self._kept("all", window, torch.arange(self.longest)[:, None])

    def last_mask(self, window: int | None) -> Tensor | None:
        """The same for each row's last token, bool (B, 1, 1, before + T); None where it may look at everything."""
        if self.even and not _cuts(window, self.before + self.longest):
            return None
        return self._kept("last", window, torch.tensor(self.lengths)[:, None, None, None] - 1)

    def prefix_mask(self, window: int | None) -> Tensor | None:
        """The same for the tokens of the prefix, bool (P, P)."""
        if not _cuts(window, self.prefix):
            return None
        at = torch.arange(self.prefix)
        return _allowed(at[:, None], at, window).to(self.device)

    def _kept(self, name: str, window: int | None, own: Tensor) -> Tensor | None:
        if (name, window) not in self._masks:
            keys = torch.arange(self.before + self.longest)
            self._masks[name, window] = _allowed(own + self.before, keys, window).to(self.device)
        return self._masks[name, window]


def pack(states: Sequence[Tensor], shared: int, device: torch.device) -> tuple[Tensor, Rows]:
    """Hidden states of some rows behind what all of them begin with, (N, hidden), and their layout.

    A row alone gains nothing by a beginning, and would pass attention in two pieces.

    Args:
        states: One (T_i, hidden) a row.
        shared: Tokens that all begin with; at most so many are packed once, and every row keeps one of its own.
        device: Where both are put.
    """
    prefix = min(shared, min(map(len, states)) - 1) if len(states) > 1 else 0
    packed = torch.cat([states[0][:prefix], *[s[prefix:] for s in states]]).to(device)
    return packed, Rows([len(s) - prefix for s in states], prefix=prefix, device=device)


def _cuts(window: int | None, tokens: int) -> bool:
    return window is not None and window < tokens


def _allowed(query: Tensor, key: Tensor, window: int | None) -> Tensor:
    seen = key <= query
    return seen if window is None else seen & (query - key < window)
