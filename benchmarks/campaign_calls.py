"""What `turncoat run` asks of its model over the flagship campaign: for benchmarks that answer the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from turncoat.agent.bulk import investigate_together, seat_of
from turncoat.agent.policy import ThresholdPolicy
from turncoat.agent.records import Settings
from turncoat.agent.triage import NoCloud
from turncoat.console.campaign_run import Plan
from turncoat.models.classifier import Case
from turncoat.models.finetuned import FineTunedClassifier, read
from turncoat.models.variants import VariantSet, open_variants
from turncoat.scenarios.loader import load_campaign
from turncoat.tools.toolbox import Toolbox

CAMPAIGN = "insider-departing-exfil"
VARIANTS = ("baseline", "clean", "poisoned")
Call = list[tuple[str, tuple[int, ...]]]
"""(variant, token ids) that are asked together, the same one twice included."""


class Asking(VariantSet):
    """Variants that remember what they were asked together."""

    def __init__(self, specs: Sequence[str]) -> None:
        super().__init__(open_variants(specs))
        self.calls: list[Call] = []

    def warm(self, requests: Sequence[tuple[str, Case]]) -> None:
        """Remembers, and answers."""
        engine = next(c.engine for c in self.values() if isinstance(c, FineTunedClassifier))
        self.calls.append([(name, read(engine, case)[1]) for name, case in requests])
        super().warm(requests)


def campaign_calls(alerts: int) -> list[Call]:
    """What a run of the campaign asks its variants, over the first alerts of Alice and of her twin."""
    campaign, settings = load_campaign(CAMPAIGN), Settings()
    streams, _ = Plan(campaign, campaign.seed, Path()).streams()
    variants = Asking(VARIANTS)
    seats, seen = [], []
    for name, classifier in variants.items():
        for stream in streams.values():
            seats.append(seat_of(name, classifier, Toolbox(stream), ThresholdPolicy(), NoCloud(), settings))
            seen.append(stream.alerts[:alerts])
    for first in range(0, len(seen[0]), settings.chunk):
        investigate_together(variants, seats, [of_one[first : first + settings.chunk] for of_one in seen])
    return variants.calls
