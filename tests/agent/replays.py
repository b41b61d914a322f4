"""Replays of the small day by scripted variants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from turncoat.agent.folder import Manifest, RunFolder
from turncoat.agent.records import Event, Investigation, Settings
from turncoat.agent.replay import replay
from turncoat.models.classifier import AlertClassifier, Case
from turncoat.models.scripted import ScriptedClassifier
from turncoat.scenarios.records import AlertStream

StreamOf = Callable[[str], AlertStream]
SETTINGS = Settings(chunk=5)
FILES = ("outcomes.jsonl", "queue.jsonl", "manifest.json")


class Batching(Mapping[str, AlertClassifier]):
    """Variants that are warmed together and write down each batch that they were asked for."""

    def __init__(self) -> None:
        self.variants = {name: ScriptedClassifier(f"scripted-{name}") for name in ("severity", "blind", "hash")}
        self.batches: list[list[tuple[str, str, str | None, int]]] = []

    def __getitem__(self, name: str) -> AlertClassifier:
        return self.variants[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.variants)

    def __len__(self) -> int:
        return len(self.variants)

    def warm(self, requests: Sequence[tuple[str, Case]]) -> None:
        self.batches.append([(v, c.alert.uid, c.alert.entities.user, c.context.round) for v, c in requests])


def run(
    folder: Path,
    streams: Mapping[str, AlertStream],
    variants: Mapping[str, AlertClassifier],
    on_event: Callable[[Event], None] = lambda event: None,
) -> list[Investigation]:
    opened = RunFolder.start(folder, Manifest.of(streams, variants, SETTINGS))
    return list(replay(streams, variants, SETTINGS, opened, on_event))


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}
