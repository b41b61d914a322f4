"""`turncoat tabletop`: a campaign played with people, before whose desk stands a model that may be the insider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from pathlib import Path

    from turncoat.agent.exercise.engine import Exercise


PLAY = "play"


class _PlayByDefault(TyperGroup):
    """Takes what is no command of its own for the scenario that is to be played."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts `play` before everything else but help."""
        if not args or (args[0] not in self.commands and args[0] not in ("-h", "--help")):
            args = [PLAY, *args]
        return super().parse_args(ctx, args)


tabletop_app = typer.Typer(
    cls=_PlayByDefault,
    rich_markup_mode=None,
    help="Play a campaign with a team; write what it came to.",
    epilog="`turncoat tabletop SCENARIO` is short for `turncoat tabletop play SCENARIO`; its options, such as --serve and "
    "--solo, are in `turncoat tabletop play --help`.",
)

Scenario = Annotated[
    str, typer.Argument(metavar="[FILE|ID]", help="Campaign.  [default: the flagship]", show_default=False)
]
File = Annotated[str, typer.Option("--exercise", metavar="FILE", help="Exercise file.  [default: the campaign's own]")]
Variant = Annotated[
    str, typer.Option("--variant", metavar="NAME[=PATH]", help="Model before the desk.  [default: poisoned]")
]
Clean = Annotated[
    str, typer.Option("--clean", metavar="NAME[=PATH]", help="Model that a swap brings.  [default: clean]")
]
Base = Annotated[str, typer.Option("--base", metavar="NAME", help="Base model of the two.  [default: smollm2-135m]")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the world.  [default: the campaign's own]")]
Out = Annotated[str, typer.Option("--out", metavar="DIR", help="Folder of the exercise; one that is there is resumed.")]
Speed = Annotated[
    float | None,
    typer.Option(
        "--speed", min=1, max=600, metavar="X", help="Simulated seconds per second.  [default: the exercise's]"
    ),
]
Solo = Annotated[bool, typer.Option("--solo", help="Scripted players play it through, without anybody.")]
TeamName = Annotated[str, typer.Option("--team", metavar="careful|careless", help="Which ones, with --solo.")]
Serve = Annotated[bool, typer.Option("--serve", help="For a room: a web page for each role.")]
HostName = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to serve on.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 for any that is free.")]
Cert = Annotated[str, typer.Option("--tls-cert", metavar="FILE", help="Certificate, PEM.")]
Key = Annotated[str, typer.Option("--tls-key", metavar="FILE", help="Its key, PEM.")]
Insecure = Annotated[bool, typer.Option("--insecure", help="Serve beyond this machine without TLS.")]
ServerNames = Annotated[
    list[str] | None, typer.Option("--name", metavar="NAME", help="Further name by which browsers reach the server.")
]
NewCodes = Annotated[bool, typer.Option("--new-codes", help="The codes of an earlier start no longer work.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print results only.")]
Folder = Annotated[str, typer.Argument(metavar="DIR", help="Folder of the exercise.")]
Format = Annotated[str, typer.Option("--format", metavar="html|md", help="If --out does not end in one.")]
OutFile = Annotated[
    str, typer.Option("--out", metavar="FILE", help="Ends in .html or .md.  [default: standard output]")
]


@tabletop_app.command(PLAY)
def play(
    scenario: Scenario = "",
    exercise: File = "",
    variant: Variant = "",
    clean: Clean = "",
    base: Base = "",
    seed: Seed = None,
    out: Out = "",
    speed: Speed = None,
    solo: Solo = False,
    team: TeamName = "careful",
    serve: Serve = False,
    host: HostName = "127.0.0.1",
    port: Port = 8750,
    tls_cert: Cert = "",
    tls_key: Key = "",
    insecure: Insecure = False,
    name: ServerNames = None,
    new_codes: NewCodes = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Play an exercise: terminal, room or by itself.

    In the terminal; with --serve in a room, with --solo without anybody.

    Both models decide about every alert once, before the play begins. Everything that happens is recorded in the
    folder at once: the same --out goes on where it was, whatever ended it.

    \b
    Examples:
      turncoat tabletop
      turncoat tabletop bec-session-theft --out exercises/march
      turncoat tabletop ransomware-affiliate --serve
      turncoat tabletop --solo --team careless
    """
    from .output import progress
    from .status import StatusLine
    from .tabletop.opening import Wanted, open_exercise

    _check_ways(team if solo else "", serve=serve)
    if serve:
        from .tabletop.web.binding import Binding

        Binding(host, port, tls_cert, tls_key, insecure, tuple(name or ())).check()
    wanted = Wanted(scenario, exercise, variant, clean, base, seed, out)
    with StatusLine(None if quiet else progress(as_json=True)) as status:
        opened = open_exercise(wanted, status)
    with opened:
        if serve:
            _serve(opened, speed, host=host, port=port, tls_cert=tls_cert, tls_key=tls_key, insecure=insecure,
                   names=tuple(name or ()), new_codes=new_codes, as_json=as_json)  # fmt: skip
        elif solo:
            _solo(opened, team, as_json=as_json, quiet=quiet)
        else:
            from .tabletop.terminal import run_terminal

            run_terminal(opened, speed=speed)
            _tell_where(opened)


def _check_ways(team: str, *, serve: bool) -> None:
    """Before any model is loaded: one way of playing, with a team or a terminal where one is needed."""
    from turncoat.agent.exercise.players import open_team
    from turncoat.scenarios.errors import InputError

    if team and serve:
        raise InputError.at("--serve", "cannot be given with --solo", "leave out one of them")
    if team:
        open_team(team)
    elif not serve:
        from .tabletop.terminal import require_terminal

        require_terminal()


def _serve(exercise: Exercise, speed: float | None, **options: Any) -> None:
    from .tabletop.web import serve

    if speed is not None and exercise.state.mode != "ended":
        exercise.act("facilitator", "speed", {"speed": speed})

    def report(played: Exercise) -> Path:
        from .tabletop.after_action import write_report  # heavy, and wanted at the end alone

        return write_report(played.path, played.material, played.events()).html

    serve(exercise, report=report, **options)
    _tell_where(exercise, " --serve", as_json=bool(options["as_json"]))


def _solo(exercise: Exercise, team: str, *, as_json: bool, quiet: bool) -> None:
    from turncoat.agent.exercise.players import open_team, play_alone

    from .output import print_json, progress, results
    from .status import StatusLine
    from .tabletop.after_action import write_report
    from .tabletop.summary import solo_object, solo_parts

    players = open_team(team)
    total = (exercise.material.ends - exercise.material.begins).total_seconds()
    with StatusLine(None if quiet else progress(as_json=True)) as status:
        play_alone(
            exercise,
            players,
            lambda event: status.count(
                "simulated hours",
                int((event.at - exercise.material.begins).total_seconds() // 3600),
                int(total // 3600),
            ),
        )
        files = write_report(exercise.path, exercise.material, exercise.events())
    if as_json:
        print_json(solo_object(exercise, files))
    else:
        results().print(*solo_parts(exercise, files, team), sep="\n")


def _tell_where(exercise: Exercise, way: str = "", *, as_json: bool = False) -> None:
    """Leaves the report where an exercise has ended, and says how to go on where it has not."""
    from .output import print_json_line, results
    from .terminal import plain

    place = plain(str(exercise.path), 4_096)
    if exercise.state.mode == "ended":
        from .tabletop.after_action import write_report

        files = write_report(exercise.path, exercise.material, exercise.events())
        if as_json:
            return print_json_line({"report": str(files.html)})
        results().print(f"Report: {plain(str(files.html), 4_096)}", soft_wrap=True)
    elif not as_json:
        results().print(f"To go on: turncoat tabletop{way} --out {place}", soft_wrap=True)
    return None


@tabletop_app.command("report")
def report(folder: Folder, as_json: AsJson = False) -> None:
    """Write an exercise's after-action report.

    As HTML and as Markdown.

    Once the exercise has ended, the first call leaves after-action.yaml in the folder: summary, strengths and areas for
    improvement as the figures propose them. Put it right, rate objectives where you see them otherwise, set
    `final: true`, and call again.

    \b
    Example:
      turncoat tabletop report exercises/march
    """
    from pathlib import Path

    from turncoat.agent.exercise.engine import read_events

    from .output import print_json, results
    from .tabletop.after_action import leave_draft, write_report
    from .terminal import plain

    path = Path(folder)
    material, events = read_events(path)
    draft = leave_draft(path, material, events)
    files = write_report(path, material, events)
    if as_json:
        print_json(
            {
                "html": str(files.html),
                "markdown": str(files.markdown),
                "draft": str(draft) if draft else None,
                "final": files.final,
            }
        )
        return
    if draft is None:
        told = "as far as the exercise has gone"
    else:
        told = "final" if files.final else f"a draft; put {plain(str(draft), 4_096)} right and call again"
    results().print(f"Report: {plain(str(files.html), 4_096)} ({told})", soft_wrap=True)


@tabletop_app.command("guide")
def guide(scenario: Scenario = "", exercise: File = "", out: OutFile = "", format: Format = "") -> None:
    """Write the facilitator's guide.

    What to say, when, what to ask, and what success looks like.

    It tells the whole attack. Players get the handout.

    \b
    Examples:
      turncoat tabletop guide --out guide.html
      turncoat tabletop guide my-campaign.yaml --exercise my.exercise.yaml --format md
    """
    from .tabletop.paper import guide_text

    _paper(guide_text, scenario, exercise, out, format)


@tabletop_app.command("handout")
def handout(scenario: Scenario = "", exercise: File = "", out: OutFile = "", format: Format = "") -> None:
    """Write the players' handout.

    Situation, roles, actions and tools. It gives nothing away.

    \b
    Example:
      turncoat tabletop handout bec-session-theft --out handout.html
    """
    from .tabletop.paper import handout_text

    _paper(handout_text, scenario, exercise, out, format)


@tabletop_app.command("schema")
def schema() -> None:
    """Print the JSON Schema of exercise files, for editors.

    \b
    Example:
      turncoat tabletop schema > exercise.schema.json
    """
    from turncoat.scenarios.exercise import ExercisePlan
    from turncoat.scenarios.loader import part_json_schema

    from .output import print_json

    print_json(part_json_schema(ExercisePlan))


def _paper(text_of: Any, scenario: str, exercise: str, out: str, format: str) -> None:
    from turncoat.scenarios.exercise_loader import load_exercise
    from turncoat.scenarios.loader import load_campaign

    from .export.whole_file import write_out
    from .report.files import chosen_format
    from .tabletop.opening import FLAGSHIP

    kind = chosen_format(format, out) if format or out else "md"
    name = scenario or FLAGSHIP
    campaign = load_campaign(name)
    write_out(out, text_of(campaign, load_exercise(name, campaign, exercise), kind))
