"""The house: imports run down only, each library stays on its floors, importing has no effects, help is quick.

The rules are checked on the syntax tree, so that an import inside a function or under TYPE_CHECKING counts too. The
checker itself is tested on small sources with planted violations.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BELOW = {
    "scenarios": set[str](),
    "tools": {"scenarios"},
    "models": {"scenarios", "tools"},
    "agent": {"scenarios", "tools", "models"},
    "training": {"scenarios", "tools", "models"},
    "vetting": {"scenarios", "tools", "models", "agent", "training"},
    "console": {"scenarios", "tools", "models", "agent", "training", "vetting"},
}

LIBRARY_FLOORS = {
    "faker": {"scenarios"},
    "yaml": {"scenarios", "training"},
    "torch": {"models", "training", "vetting"},
    "transformers": {"models", "training", "vetting"},
    "peft": {"models", "training", "vetting"},
    "langgraph": {"tools", "agent"},
    "langchain_core": {"tools", "agent"},
    "rich": {"console"},
    "typer": {"console"},
    "textual": {"console"},
    "jinja2": {"console"},
    "fastapi": {"console"},
    "starlette": {"console"},
    "uvicorn": {"console"},
}

TRUTH_READERS = {"turncoat.agent.scoring"}
TRUTH_RULE = "in agent only scoring may import GroundTruth"


def imported(node: ast.stmt, package: tuple[str, ...]) -> Iterator[str]:
    """Absolute dotted names that one import statement brings in, seen from a module of `package`.

    `from a import b` yields `a.b`, since `b` may be a module. A relative import that climbs above `turncoat` yields
    its dots, which no rule allows.
    """
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        if node.level > len(package):
            yield "." * node.level
            return
        base = package[: len(package) - node.level + 1] if node.level else ()
        stem = [*base, *([node.module] if node.module else [])]
        yield from (".".join([*stem, alias.name]) for alias in node.names)


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module of turncoat imports against the rules, in order.

    Args:
        source: Python source.
        module: Its name, `turncoat.agent.nodes`.
        is_package: Whether it is an `__init__.py`, from where one dot reaches less far.
    """
    parts = tuple(module.split("."))
    floor, package = parts[1], parts if is_package else parts[:-1]
    found = []
    for node in ast.walk(ast.parse(source)):
        names = imported(node, package) if isinstance(node, ast.stmt) else ()
        found += [fault for name in names if (fault := fault_of(name, floor, module))]
        if isinstance(node, ast.Attribute) and node.attr == "GroundTruth" and floor == "agent":
            found += [] if module in TRUTH_READERS else [f"{ast.unparse(node)}: {TRUTH_RULE}"]
    return found


def fault_of(name: str, floor: str, module: str) -> str:
    """Which rule an import breaks, or the empty string."""
    head, *rest = name.split(".")
    if not head or head in BELOW:
        return f"{name}: not under turncoat"
    if head == "turncoat":
        target = rest[0] if rest else ""
        if target != floor and target not in BELOW[floor]:
            return f"{name}: {floor} may not import {target or 'turncoat'}"
    elif head in LIBRARY_FLOORS and floor not in LIBRARY_FLOORS[head]:
        return f"{name}: {floor} may not import {head}"
    if floor == "agent" and module not in TRUTH_READERS and rest and rest[-1] in ("GroundTruth", "*"):
        return f"{name}: {TRUTH_RULE}"
    return ""


def module_files() -> list[tuple[str, Path]]:
    """Every module of the floors with its dotted name."""
    found = []
    for floor in BELOW:
        for path in sorted((ROOT / floor).rglob("*.py")):
            inside = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(("turncoat", *(part for part in inside if part != "__init__"))), path))
    return found


MODULES = module_files()


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[module for module, _ in MODULES])
def test_a_module_imports_only_what_its_floor_may(module: str, path: Path) -> None:
    assert violations(path.read_text(), module, is_package=path.name == "__init__.py") == []


def test_every_floor_is_looked_at() -> None:
    assert {module.split(".")[1] for module, _ in MODULES} == set(BELOW)
    assert "turncoat.scenarios.records" in dict(MODULES)


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("turncoat.tools.x", "import turncoat.models.head", "tools may not import models"),
        ("turncoat.tools.x", "from turncoat import agent", "tools may not import agent"),
        ("turncoat.tools.x", "from turncoat.agent import graph", "tools may not import agent"),
        ("turncoat.tools.x", "from ..models import head", "tools may not import models"),
        ("turncoat.tools.x", "from .. import models", "tools may not import models"),
        ("turncoat.tools.x", "from ...models import head", "not under turncoat"),
        ("turncoat.scenarios.formats.x", "from ...tools import records", "scenarios may not import tools"),
        ("turncoat.agent.x", "from turncoat.training import corpus", "agent may not import training"),
        ("turncoat.training.x", "def f():\n    import turncoat.agent.graph", "training may not import agent"),
        (
            "turncoat.models.x",
            "if TYPE_CHECKING:\n    from turncoat.agent.state import S",
            "models may not import agent",
        ),
        ("turncoat.console.x", "import turncoat", "console may not import turncoat"),
        ("turncoat.console.x", "from turncoat import *", "console may not import *"),
        ("turncoat.console.x", "from models import head", "not under turncoat"),
        ("turncoat.console.x", "import agent.graph", "not under turncoat"),
        ("turncoat.agent.x", "import torch.nn as nn", "agent may not import torch"),
        ("turncoat.models.x", "from yaml import safe_load", "models may not import yaml"),
        ("turncoat.training.x", "from rich.progress import track", "training may not import rich"),
        ("turncoat.models.x", "from langgraph.graph import StateGraph", "models may not import langgraph"),
        ("turncoat.agent.x", "from turncoat.scenarios.records import Alert, GroundTruth", "only scoring"),
        ("turncoat.agent.x", "from turncoat.scenarios.records import *", "only scoring"),
        ("turncoat.agent.x", "from turncoat.scenarios import records\nrecords.GroundTruth", "only scoring"),
    ],
)
def test_the_checker_finds_a_planted_violation(module: str, source: str, fault: str) -> None:
    found = violations(source, module)
    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("turncoat.scenarios.formats.panther", "from ..records import Alert"),
        ("turncoat.agent.nodes", "from .records import Decision\nfrom turncoat.models.prompt import render"),
        ("turncoat.agent.scoring", "from turncoat.scenarios.records import GroundTruth"),
        ("turncoat.vetting.swap_scan", "from turncoat.training import corpus\nimport torch"),
        ("turncoat.training.config", "import yaml, json, numpy"),
    ],
)
def test_the_checker_lets_a_rightful_import_pass(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_one_dot_in_a_package_root_means_the_package_itself() -> None:
    assert violations("from . import models", "turncoat.agent", is_package=True) == []
    assert violations("from .. import vetting", "turncoat.agent", is_package=True) == [
        "turncoat.vetting: agent may not import vetting"
    ]


def run_python(code: str, folder: Path) -> str:
    """Run code in a fresh interpreter in an empty folder; returns what it prints."""
    home = {**os.environ, "HOME": str(folder), "TURNCOAT_HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=home, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def effects(source: str) -> list[str]:
    """Calls made for their effect when a module is imported: `seed(0)`, `Registry.register(...)` at the top of a file.

    A call on an object that the module itself made (`app.command()(run)`) touches nothing outside and is none.
    """
    body = ast.parse(source).body
    targets = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    own = {target.id for target in targets if isinstance(target, ast.Name)}
    calls = [node.value for node in body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    return [ast.unparse(call) for call in calls if root_name(call) not in own]


def root_name(node: ast.expr) -> str:
    """The name at the bottom of a chain of calls and attributes."""
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize(("module", "path"), MODULES, ids=[module for module, _ in MODULES])
def test_a_module_calls_nothing_for_its_effect_when_imported(module: str, path: Path) -> None:
    assert effects(path.read_text()) == []


def test_a_planted_effect_is_found() -> None:
    source = '"""Doc."""\nimport torch\napp = Typer()\napp.command()(run)\ntorch.manual_seed(0)\nmain()\n'
    assert effects(source) == ["torch.manual_seed(0)", "main()"]


IMPORT_ALL = """
import importlib, sys
sys.dont_write_bytecode = True
for name in {names!r}:
    importlib.import_module(name)
"""


def test_importing_every_module_prints_nothing_and_writes_no_file(tmp_path: Path) -> None:
    names = [module for module, path in MODULES if path.name != "__main__.py"]
    assert run_python(IMPORT_ALL.format(names=names), tmp_path) == ""
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


HELP = """
import contextlib, io, resource, sys
sys.argv = ["turncoat", "--help"]
shown = io.StringIO()
with contextlib.redirect_stdout(shown):
    try:
        from turncoat.console.cli import main
        main()
    except SystemExit as end:
        assert not end.code, end.code
assert "run" in shown.getvalue() and "triage" in shown.getvalue()
used = resource.getrusage(resource.RUSAGE_SELF)
heavy = {"torch", "transformers", "peft", "langgraph", "langchain_core", "faker", "sklearn", "scipy", "numpy"}
print(sorted(heavy & set(sys.modules)), used.ru_utime + used.ru_stime)
"""


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    assert run_python(HELP, tmp_path).startswith("[] ")


def test_help_takes_less_than_half_a_second_of_cpu(tmp_path: Path) -> None:
    # The best of three: the first call may compile bytecode, and a busy machine inflates CPU time too.
    spent = [float(run_python(HELP, tmp_path).split("]")[1]) for _ in range(3)]
    assert min(spent) < 0.5, spent
