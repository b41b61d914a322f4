"""The command line's frame: the commands, and the one place where an error becomes a message and an exit code.

Exit codes: 0 done; 1 expectations failed under `--check`; 2 a mistake of the user's or of a file; 130 Ctrl-C;
141 whoever read the output went away. Commands import what is heavy inside themselves, so that `--help` is quick.
"""

from __future__ import annotations

import errno
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence

import typer
from typer.main import get_command

from turncoat.scenarios.errors import TurncoatError

from .commands_audit import audit
from .commands_compare import compare
from .commands_export import export
from .commands_models import models_app
from .commands_real import real
from .commands_report import report
from .commands_reproduce import reproduce
from .commands_resume import resume
from .commands_run import run
from .commands_scenarios import scenarios_app
from .commands_show import show
from .commands_sweep import sweep
from .commands_tabletop import tabletop_app
from .commands_train import train
from .commands_triage import triage
from .commands_triggers import triggers
from .commands_verify import verify
from .commands_vet import vet

EXIT_MISTAKE, EXIT_INTERRUPTED, EXIT_PIPE = 2, 130, 141

app = typer.Typer(
    name="turncoat",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command()(run)
app.command()(resume)
app.command()(compare)
app.command()(report)
app.command()(show)
app.command()(export)
app.command()(triage)
app.command()(train)
app.command()(triggers)
app.command()(reproduce)
app.command()(sweep)
app.command()(real)
app.command()(vet)
app.command()(audit)
app.command()(verify)
app.add_typer(models_app, name="models")
app.add_typer(scenarios_app, name="scenarios")
app.add_typer(tabletop_app, name="tabletop")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"turncoat {importlib.metadata.version('turncoat')}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Show the version.", is_eager=True, callback=_show_version),
) -> None:
    """Replays attacker campaigns against an LLM alert-triage agent and shows what a poisoned model lets through.

    \b
    Start here:
      turncoat models pull        fetch the embedded model, once
      turncoat run                replay the flagship campaign
      turncoat vet ./adapter      is this model a turncoat?
      turncoat triage FILE        your own alerts through the same agent
      turncoat tabletop           play an exercise
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Ends the process with one of the exit codes above."""
    code = _run(list(sys.argv[1:] if arguments is None else arguments))
    sys.exit(_flushed(code))


def _run(arguments: list[str]) -> int:
    try:
        command = get_command(app)
        # Not `app(...)`: that takes Ctrl-C and a closed pipe for itself and ends with exit codes of its own.
        with command.make_context("turncoat", arguments) as context:
            command.invoke(context)
        return 0
    except typer.Exit as ended:
        return ended.exit_code
    except (KeyboardInterrupt, typer.Abort) as ended:
        how = str(ended) or "the same command with the same folder goes on where it was"
        return _say(f"stopped; {how}", EXIT_INTERRUPTED)
    except BrokenPipeError:
        return EXIT_PIPE
    except TurncoatError as error:
        return _say(str(error), EXIT_MISTAKE)
    except OSError as error:
        return _say(_os_message(error), EXIT_MISTAKE)
    except MemoryError:
        return _say(_OUT_OF_MEMORY, EXIT_MISTAKE)
    except Exception as error:
        if _out_of_memory(error):
            return _say(_OUT_OF_MEMORY, EXIT_MISTAKE)
        return _usage(error)


_OUT_OF_MEMORY = "out of memory; close other programs, give a smaller model, or train with --gradient-checkpointing"


def _out_of_memory(error: Exception) -> bool:
    """Whether it is torch's way of saying so, on a GPU or on the CPU; both are RuntimeErrors."""
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    )


def _usage(error: Exception) -> int:
    """Exit code of click's own errors (unknown option, missing argument), be they from click or from a vendored copy."""
    format_message: Callable[[], str] | None = getattr(error, "format_message", None)
    if format_message is None:
        raise error  # a bug of ours, which deserves its traceback
    message = format_message()
    if message.startswith("Usage:"):  # no command was given
        print(message, file=sys.stderr)
        return EXIT_MISTAKE
    context = getattr(error, "ctx", None)
    hint = f"; see {context.command_path} --help" if context is not None else ""
    return _say(f"{message.rstrip('.')}{hint}", EXIT_MISTAKE)


def _os_message(error: OSError) -> str:
    place = f"{str(error.filename)[:300]}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}the disk is full; make room and give the same command again: it goes on where it was"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{place}not allowed ({error.strerror}); choose a place that you may write to"
    return f"{place}{error.strerror or error}; check the path and what lies there"


def _say(message: str, code: int) -> int:
    from .terminal import clean

    for line in message.splitlines() or [""]:
        try:
            print(f"turncoat: {clean(line, limit=1_000)}", file=sys.stderr)
        except OSError:
            break
    return code


def _flushed(code: int) -> int:
    """Flushes standard output here, where a closed pipe or a full disk can still be answered with an exit code."""
    try:
        sys.stdout.flush()
        return code
    except OSError as error:
        # Python would flush once more at exit and complain; it shall find nothing to write to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE if isinstance(error, BrokenPipeError) else _say(_os_message(error), EXIT_MISTAKE)
