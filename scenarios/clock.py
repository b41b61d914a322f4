"""When things of a campaign happen: times of the file become moments in UTC."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from .schema import Campaign, Step


@dataclass(frozen=True, slots=True)
class Calendar:
    """The clock of one campaign."""

    campaign: Campaign
    zone: ZoneInfo

    @classmethod
    def of(cls, campaign: Campaign) -> Calendar:
        """The calendar that a campaign's clock describes."""
        return cls(campaign, ZoneInfo(campaign.clock.timezone))

    @property
    def start(self) -> date:
        """The first day, `D1`."""
        return self.campaign.clock.start

    def moment(self, text: str) -> datetime:
        """`D2 21:40`, local time of the campaign, in UTC."""
        day, clock = text.split()
        local = datetime.combine(self.start + timedelta(days=int(day[1:]) - 1), time.fromisoformat(clock))
        return local.replace(tzinfo=self.zone).astimezone(UTC)

    def steps(self, seed: int) -> Mapping[str, datetime]:
        """When each step happens: its time, or another step's plus the offset; up to `jitter_minutes` either way."""
        by_id = {step.id: step for _, step in self.campaign.steps()}
        known: dict[str, datetime] = {}
        return {id_: self._when(step, by_id, seed, known) for id_, step in by_id.items()}

    def _when(self, step: Step, by_id: Mapping[str, Step], seed: int, known: dict[str, datetime]) -> datetime:
        chain = [step]
        while chain[-1].id not in known and (after := chain[-1].after) is not None:
            chain.append(by_id[after.step])
        # From the first of the chain on: hundreds of steps may wait for one another.
        for one in reversed(chain):
            if one.id not in known:
                known[one.id] = self._drawn(one, seed, known)
        return known[step.id]

    def _drawn(self, step: Step, seed: int, known: Mapping[str, datetime]) -> datetime:
        rng = random.Random(f"{self.campaign.id}/{seed}/step/{step.id}/time")
        seconds = 60 * step.jitter_minutes
        jitter = timedelta(seconds=rng.randint(-seconds, seconds))
        if step.after is None:
            return self.moment(step.at or "D1 00:00") + jitter
        # A jitter never turns the order of two steps around.
        return known[step.after.step] + max(offset_of(step.after.offset) + jitter, timedelta(minutes=1))

    def outages(self, moment: datetime) -> Mapping[str, str]:
        """The tools that fail at that moment, and how."""
        return {
            outage.tool: outage.kind
            for outage in self.campaign.outages
            if self.moment(outage.since) <= moment < self.moment(outage.until)
        }


def offset_of(text: str) -> timedelta:
    """`1d 2h 30m` as a time span."""
    found = {unit: int(number) for number, unit in re.findall(r"(\d+)([dhm])", text)}
    return timedelta(days=found.get("d", 0), hours=found.get("h", 0), minutes=found.get("m", 0))
