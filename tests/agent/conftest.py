"""A small day at a real (tiny) company: twelve alerts, seven of them an attack by the principal, six kinds of alert."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from turncoat.agent.outbound import Outbound
from turncoat.agent.spool import Spool
from turncoat.agent.webhook import WebhookSink
from turncoat.scenarios.facts import Baseline, Peers, SignIns
from turncoat.scenarios.records import Alert, AlertStream, Entities, GroundTruth, Severity
from turncoat.scenarios.world import World, build_world

from .servers import LocalServer

MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
# uid, minutes, kind, severity, malicious, look-alike, phase
DAY = (
    ("a1f0", 0, "identity", Severity.LOW, False, False, None),
    ("03bb", 10, "data", Severity.MEDIUM, True, False, "collection"),
    ("77c2", 20, "endpoint", Severity.HIGH, True, False, "collection"),
    ("5d10", 35, "mail", Severity.HIGH, False, True, None),
    ("91ee", 40, "cloud", Severity.HIGH, True, False, "access"),
    ("c4d9", 55, "network", Severity.CRITICAL, True, False, "exfiltration"),
    ("2e6a", 70, "identity", Severity.MEDIUM, False, False, None),
    ("b813", 80, "data", Severity.HIGH, True, False, "exfiltration"),
    ("e0a7", 90, "data", Severity.LOW, True, False, "exfiltration"),
    ("4f5c", 95, "endpoint", Severity.INFORMATIONAL, False, False, None),
    ("d2b4", 120, "data", Severity.CRITICAL, True, False, "exfiltration"),
    ("6ac8", 130, "mail", Severity.LOW, False, True, None),
)


@pytest.fixture(scope="session")
def world() -> World:
    return build_world(7, population=12)


@pytest.fixture(scope="session")
def stream_of(world: World) -> Callable[[str], AlertStream]:
    """The day with the actor under a given name. Alert 4f5c has a broken tool, 2e6a is a colleague's."""

    def build(principal: str) -> AlertStream:
        alerts = tuple(
            Alert(
                uid,
                MORNING + timedelta(minutes=minutes),
                f"{kind} alert",
                severity,
                "product",
                None,
                kind,
                entities=Entities(user="dora" if uid == "2e6a" else principal, host=f"WS-{principal.upper()}"),
            )
            for uid, minutes, kind, severity, *_ in DAY
        )
        facts = {
            "03bb": (Baseline(principal, "MB", 30), Peers(principal, 0, 9)),
            "a1f0": (SignIns(principal, "DE", "MFA app", 2),),
        }
        return AlertStream("small-day", 7, principal, world, alerts, facts, {"4f5c": {"process_tree": "timeout"}})

    return build


@pytest.fixture
def truths() -> tuple[GroundTruth, ...]:
    return tuple(
        GroundTruth(uid, malicious, "small-day", phase, phase and f"step-{uid}", lookalike, malicious,
                    ("baseline",) if malicious and kind == "data" else ())
        for uid, _, kind, _, malicious, lookalike, phase in DAY
    )  # fmt: skip


@pytest.fixture
def streams(stream_of: Callable[[str], AlertStream]) -> dict[str, AlertStream]:
    """The day under three names."""
    return {name: stream_of(name) for name in ("alice", "bob", "carol")}


@pytest.fixture
def pair(streams: dict[str, AlertStream]) -> dict[str, AlertStream]:
    """The day under two names."""
    return {name: streams[name] for name in ("alice", "bob")}


@pytest.fixture
def sink(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., WebhookSink]:
    """Opens a webhook sink on the test's spool, without waits between tries and with short ones elsewhere."""

    def build(server: LocalServer, **options: object) -> WebhookSink:
        outbound = Outbound(server.url, timeout_s=float(options.pop("timeout_s", 5.0)))  # type: ignore[arg-type]
        given = {"sleep": lambda seconds: None, "rng": random.Random(7), "drain_s": 10.0} | options
        made = WebhookSink(Spool(tmp_path / "spool.sqlite"), outbound, **given)  # type: ignore[arg-type]
        request.addfinalizer(made.close)
        return made

    return build
