"""Swap sets: one alert under many names. What is the same up to the name is computed once, per variant.

Several alerts may be given at once: the shared beginnings form a tree (`batching.grow`), instruction above, each alert's
own beginning below it. After the first difference everything is computed, because it has seen the name.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .branching import Work
from .engine import Engine


def swap_logits(
    engine: Engine, prompts: Sequence[Sequence[int]], variants: Sequence[str]
) -> tuple[dict[str, Tensor], Work]:
    """Logits as `Engine.logits` gives them, (len(prompts), 2) per variant, and the work that they took.

    Args:
        engine: Knows the variants.
        prompts: Token ids, in any order.
        variants: Names given to `Engine.add`.
    """
    scored = engine.score([(name, ids) for name in variants for ids in prompts])
    parts = scored.logits.split(len(prompts)) if prompts else [scored.logits] * len(variants)
    return dict(zip(variants, parts, strict=True)), scored.work
