"""Alerts that nobody here wrote, through the loop's nodes in bulk.

No tool knows anything about an outside alert, so its investigation is one verdict on the alert alone. What could not be
read is escalated too, forced: an attacker who breaks his own log line must not thereby slip past.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from turncoat.models.classifier import AlertClassifier, Case, Verdict
from turncoat.models.prompt import cuts_required
from turncoat.scenarios.enterprise import World
from turncoat.scenarios.errors import Mistake, RunError
from turncoat.scenarios.formats import LabelledAlert
from turncoat.scenarios.formats.vendor_fields import UNKNOWN_TIME
from turncoat.scenarios.records import Alert, AlertStream
from turncoat.tools.records import Evidence
from turncoat.tools.toolbox import Toolbox

from .bulk import Seat, investigate_together
from .guards import force_escalation
from .nodes import Desk
from .policy import ThresholdPolicy
from .records import Decision, Investigation, Settings
from .sinks import CloudSink
from .warming import Foreseen

CHUNK = 256
"""Alerts whose prompts are computed together: the batches are a function of the input, never of timing."""


@dataclass(frozen=True, slots=True)
class Triaged:
    """What one variant made of one thing that came in."""

    variant: str
    source: LabelledAlert | Mistake
    decision: Decision
    verdict: Verdict | None

    @property
    def label(self) -> bool | None:
        return self.source.label if isinstance(self.source, LabelledAlert) else None


@dataclass(frozen=True)
class ScoredBefore:
    """A classifier that answers from scores made elsewhere, such as those of a cross-fitted model."""

    fingerprint: str
    scores: Mapping[str, float]
    """Alert uid -> P(malicious)."""

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        """The score of each case; None for an alert that has none."""
        return [self._verdict(case) for case in cases]

    def _verdict(self, case: Case) -> Verdict | None:
        score = self.scores.get(case.alert.uid)
        if score is None:
            return None
        # A probability has no logits of its own; the margin is the distance from a half, twice.
        return Verdict("malicious" if score >= 0.5 else "benign", score, 2 * score - 1, self.fingerprint, tokens=0,
                       lost_required=cuts_required(case))  # fmt: skip


class NoCloud:
    """A sink that keeps nothing, for where every decision is a line of its own, escalations too."""

    name = "none"

    def sync(self) -> None:
        """Keeps nothing."""

    def close(self) -> None:
        """Holds nothing."""

    def send(self, alert: Alert, investigation: Investigation) -> None:
        del alert, investigation


class OutsideDesks:
    """The loop for alerts of which nothing is known: one desk per variant, and on all of them the same few alerts.

    Args:
        variants: Name -> classifier; one set that offers `warm(requests)` is asked for all laid out alerts together.
        settings: The threshold and the rest.
        sink: Takes what is escalated; its errors end the investigation.
    """

    def __init__(self, variants: Mapping[str, AlertClassifier], settings: Settings, sink: CloudSink) -> None:
        self._variants = variants
        self._tray = _Tray()
        self._sink = sink
        policy = ThresholdPolicy.under(settings)
        foreseen = [Foreseen(name, classifier) for name, classifier in variants.items()]
        self._seats: list[Seat] = [(_TrayDesk(self._tray, mine, policy, sink, settings), mine) for mine in foreseen]
        self._done: dict[tuple[str, str], Investigation] = {}

    def lay_out(self, alerts: Sequence[Alert]) -> None:
        """Takes these alerts, each with a uid of its own, in place of the last ones, and decides about them."""
        self._tray.alerts = {alert.uid: alert for alert in alerts}
        decided = investigate_together(self._variants, self._seats, [alerts] * len(self._seats))
        self._done = {(one.uid, one.variant): one for at_seat in decided for one in at_seat}

    def investigate(self, uid: str, variant: str) -> Investigation:
        """What a variant decided about one of the alerts, delivered where it is escalated.

        Raises:
            OSError: The sink could not deliver it.
            RunError: The alert is not one of those that lie here.
        """
        done = self._done.get((uid, variant))
        if done is None:
            raise RunError(f"no alert {uid!r} among the {len(self._tray.alerts)} that lie here for {variant!r}")
        if done.decision.action == "escalate":
            self._sink.send(self._tray.alerts[uid], done)
        return done


class _Tray:
    """Tools that know nothing about any alert, and the few alerts that they are asked about."""

    def __init__(self) -> None:
        self.alerts: Mapping[str, Alert] = {}
        self._toolbox = Toolbox(_nowhere())

    @property
    def stream(self) -> AlertStream:
        return self._toolbox.stream

    def ask(self, tool: str, alert: Alert) -> Evidence:
        return self._toolbox.ask(tool, alert)


class _TrayDesk(Desk):
    """A desk whose alerts change, so that nothing has to be set up anew for every few alerts."""

    @property
    def alerts(self) -> Mapping[str, Alert]:
        return self.toolbox.alerts if isinstance(self.toolbox, _Tray) else {}


def triage(
    items: Sequence[LabelledAlert | Mistake],
    variants: Mapping[str, AlertClassifier],
    settings: Settings | None = None,
    *,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Triaged]:
    """Decides about everything that came in, under every variant.

    Args:
        items: What a reader of `scenarios.formats` yielded.
        variants: Name -> classifier; one that offers `warm(requests)` is asked for a chunk at a time.
        settings: The threshold and the rest; those of a run where none are given.
        on_progress: Called with the items finished and their number, after each chunk.

    Yields:
        For each item, in order, one `Triaged` per variant, in their order.
    """
    desks = OutsideDesks(variants, settings or Settings(), NoCloud())
    for first in range(0, len(items), CHUNK):
        chunk = items[first : first + CHUNK]
        desks.lay_out([item.alert for item in chunk if isinstance(item, LabelledAlert)])
        for item in chunk:
            for variant in variants:
                yield _decide(desks, variant, item)
        on_progress(first + len(chunk), len(items))


def decision_about(mistake: Mistake) -> Decision:
    """What is done about something that could not be read."""
    return force_escalation(f"could not be read: {mistake.fault}", UNKNOWN_TIME)


def _decide(desks: OutsideDesks, variant: str, item: LabelledAlert | Mistake) -> Triaged:
    if isinstance(item, Mistake):
        return Triaged(variant, item, decision_about(item), None)
    done = desks.investigate(item.alert.uid, variant)
    return Triaged(variant, item, done.decision, done.verdict)


def _nowhere() -> AlertStream:
    """A world of which nothing is known."""
    world = World(
        seed=0, pool="", domain="", people=(), hosts=(), service_accounts=(), networks=(), changes=(), partners={},
        indicators=(), baselines={},
    )  # fmt: skip
    return AlertStream("outside", 0, "", world, (), facts={})
