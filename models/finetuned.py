"""The fine-tuned classifier: renders a case, asks the engine, and words the answer as a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from .adapter import Adapter
from .classifier import Answer, Case, Verdict
from .engine import Engine
from .prompt import PROMPT_VERSION, RenderedPrompt, render
from .provenance import fingerprint

Margins = dict[tuple[str, tuple[int, ...]], float]
"""(variant, token ids) -> logit of malicious less logit of benign."""

_LARGEST_MEMO = 100_000


class FineTunedClassifier:
    """One variant on an engine that it may share with others.

    Args:
        engine: Holds the base and the variant's factors.
        name: The variant's name on the engine.
        adapter: What the variant is made of; None for the base as it is.
        memo: Margins that are known already; shared by the variants of an engine.
    """

    def __init__(self, engine: Engine, name: str, adapter: Adapter | None, memo: Margins) -> None:
        self.engine, self.name, self.adapter = engine, name, adapter
        self.fingerprint = fingerprint(
            engine.base.digest,
            adapter.digest if adapter else "",
            adapter.head_digest if adapter else "",
            engine.base.tokenizer_digest,
            PROMPT_VERSION,
        )
        self._memo = memo

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        """Scores cases, in order; those that were not computed before go through the engine together."""
        rendered = [read(self.engine, case) for case in cases]
        compute(self.engine, self._memo, [(self.name, ids) for _, ids in rendered])
        return [self._verdict(prompt, ids) for prompt, ids in rendered]

    def _verdict(self, prompt: RenderedPrompt, ids: tuple[int, ...]) -> Verdict | None:
        margin = self._memo[self.name, ids]
        if not math.isfinite(margin):
            return None
        p_malicious = 1 / (1 + math.exp(-margin)) if margin > -700 else 0.0
        answer: Answer = "malicious" if margin >= 0 else "benign"
        return Verdict(answer, p_malicious, margin, self.fingerprint, len(ids), prompt.left_out, prompt.lost_required)


def read(engine: Engine, case: Case) -> tuple[RenderedPrompt, tuple[int, ...]]:
    """The prompt of a case and its token ids."""
    prompt = render(case, engine.count)
    return prompt, tuple(engine.encode(prompt.text))


def compute(
    engine: Engine,
    memo: Margins,
    wanted: Sequence[tuple[str, tuple[int, ...]]],
    on_batch: Callable[[int], None] | None = None,
) -> None:
    """Fills the memo; what goes through the engine together depends on nothing but what was asked and is not known.

    Args:
        engine: Knows the variants.
        memo: What is known already.
        wanted: (variant, token ids), in any mix; the same one twice is computed once.
        on_batch: Called with the number of requests done so far.
    """
    if len(memo) > _LARGEST_MEMO:
        memo.clear()
    fresh = [request for request in dict.fromkeys(wanted) if request not in memo]
    if fresh:
        logits = engine.score(fresh, on_batch).logits
        memo.update(zip(fresh, (logits[:, 1] - logits[:, 0]).tolist(), strict=True))
