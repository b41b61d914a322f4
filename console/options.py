"""Options that several commands have, as types: `base: Base = DEFAULT_BASE`. Each is described in one place."""

from __future__ import annotations

from typing import Annotated

import typer

Base = Annotated[
    str,
    typer.Option(
        "--base", metavar="NAME|DIR|FILE.gguf|HUB-ID", help="Base model: a known name, a folder, a GGUF file, a hub id."
    ),
]
OnlyPlan = Annotated[bool, typer.Option("--plan", help="Say what there is to do and how long it takes, and stop.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print results only.")]
JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object per replay, each on a line.")]
Variants = Annotated[
    list[str],
    typer.Option(
        "--variant",
        metavar="NAME[=DIR]",
        help="baseline, clean, matched, poisoned, or your own adapter; may be repeated.",
    ),
]

Sink = Annotated[str, typer.Option("--sink", help="Where escalations go: queue, webhook, second-opinion.")]
SinkUrl = Annotated[
    str, typer.Option("--sink-url", metavar="URL", help="Of the sink; https, or http on loopback.")
]  # fmt: skip
SinkModel = Annotated[
    str, typer.Option("--sink-model", metavar="NAME", help="Model that gives the second opinion.")
]  # fmt: skip
TokenEnv = Annotated[
    str, typer.Option("--token-env", metavar="NAME", help="Environment variable with the sink's bearer token.")
]

Planner = Annotated[str, typer.Option("--planner", help="Who chooses the tools: playbook, or llm.")]
PlannerModel = Annotated[str, typer.Option("--planner-model", metavar="NAME", help="Model of the llm planner.")]
PlannerUrl = Annotated[
    str, typer.Option("--planner-url", metavar="URL", help="OpenAI-compatible endpoint that chooses the tools.")
]
PlannerTokenEnv = Annotated[
    str, typer.Option("--planner-token-env", metavar="NAME", help="Environment variable with its bearer token.")
]

# Of a run that goes on the sink is known, but not how to reach it.
SinkUrlAgain = Annotated[
    str, typer.Option("--sink-url", metavar="URL", help="Again, where the run had one: no folder keeps it.")
]
SinkModelAgain = Annotated[str, typer.Option("--sink-model", metavar="NAME", help="Likewise.")]

# Of a triage that goes on there is a sink only where there is a state folder.
SinkOfState = Annotated[
    str, typer.Option("--sink", metavar="NAME", help="queue, webhook or second-opinion; needs --state.")
]
SinkUrlOfState = Annotated[str, typer.Option("--sink-url", metavar="URL", help="https, or http on loopback.")]
SinkModelOfState = Annotated[str, typer.Option("--sink-model", metavar="NAME", help="Model of a second opinion.")]
TokenEnvOfState = Annotated[
    str, typer.Option("--token-env", metavar="NAME", help="Variable that holds the bearer token.")
]
