"""What an investigation has found out about one alert."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Evidence:
    """One question put to one tool, and what came back. A tool that failed is evidence too."""

    tool: str
    """Name in the registry of tools, such as `sign_ins`."""
    question: str
    answer: str
    """One line. "unknown ..." is an answer; for a failed tool it names the fault."""
    cost_s: float
    """Simulated seconds that asking took; never negative."""
    failed: bool = False
    """The tool gave no answer (timeout, outage). Bars a dismissal."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything gathered about an alert so far, in the order in which it was asked."""

    evidence: tuple[Evidence, ...] = ()
    round: int = 0
    """Playbook rounds that were asked; 0 means that nothing was."""

    @property
    def cost_s(self) -> float:
        """Simulated seconds spent on all of the evidence."""
        return sum(e.cost_s for e in self.evidence)

    @property
    def failed_tools(self) -> tuple[str, ...]:
        """Names of the tools that failed, in the order of asking."""
        return tuple(e.tool for e in self.evidence if e.failed)
