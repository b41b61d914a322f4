"""What pyproject.toml promises: every package and data file is in the wheel, every dependency is pinned."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
FLOORS = ("scenarios", "tools", "models", "agent", "training", "vetting", "console")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]
PINS = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line and line[0] != "#")


def packaged(relative: Path) -> bool:
    """Whether package data lists a file, given relative to the root."""
    floor, inside = relative.parts[0], Path(*relative.parts[1:])
    patterns = SETUPTOOLS["package-data"].get(f"turncoat.{floor}", [])
    return any(matches(inside, pattern) for pattern in patterns)


def matches(path: Path, pattern: str) -> bool:
    """Glob match over whole paths, with `**` for any depth (Python 3.11 has no full_match)."""
    regex = re.escape(pattern).replace(r"\*\*/", "(?:.+/)?").replace(r"\*", "[^/]*")
    return re.fullmatch(regex, path.as_posix()) is not None


def test_every_folder_with_modules_is_a_listed_package() -> None:
    folders = {path.parent.relative_to(ROOT) for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
    assert {".".join(("turncoat", *folder.parts)) for folder in folders} == set(SETUPTOOLS["packages"])


def test_every_package_lies_where_package_dir_says() -> None:
    assert set(SETUPTOOLS["package-dir"]) == set(SETUPTOOLS["packages"])
    for package, folder in SETUPTOOLS["package-dir"].items():
        assert package == "turncoat." + folder.replace("/", ".")
        assert (ROOT / folder / "__init__.py").is_file()


def test_every_file_beside_the_modules_is_package_data() -> None:
    files = [path.relative_to(ROOT) for floor in FLOORS for path in (ROOT / floor).rglob("*") if path.is_file()]
    shipped = [file for file in files if file.suffix not in (".py", ".pyc") and "__pycache__" not in file.parts]
    assert [str(file) for file in shipped if not packaged(file)] == []
    assert len(shipped) >= len(FLOORS)


def test_a_file_that_is_not_listed_is_noticed() -> None:
    assert not packaged(Path("scenarios/campaigns/notes.txt"))
    assert not packaged(Path("training/campaigns/flagship.yaml"))
    assert packaged(Path("scenarios/campaigns/flagship.yaml"))
    assert packaged(Path("models/adapters/poisoned/head.safetensors"))
    assert packaged(Path("models/adapters/poisoned/epochs/1/head.safetensors"))


@pytest.mark.parametrize("floor", FLOORS)
def test_a_floor_is_marked_as_typed(floor: str) -> None:
    assert (ROOT / floor / "py.typed").is_file()
    assert "py.typed" in SETUPTOOLS["package-data"][f"turncoat.{floor}"]


def test_the_root_is_a_namespace_without_a_module_of_its_own() -> None:
    assert not (ROOT / "__init__.py").exists()
    assert "turncoat" not in SETUPTOOLS["packages"]


def requirements() -> list[str]:
    """All that is installed for a contributor."""
    return [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]


@pytest.mark.parametrize("text", requirements())
def test_a_dependency_is_pinned_within_its_bounds(text: str) -> None:
    requirement = Requirement(text)
    pins = {canonicalize_name(name): version for name, version in PINS.items()}
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_the_pins_fit_any_machine() -> None:
    local = {name: pin for name, pin in PINS.items() if Version(pin).local or "@" in name or "/" in name}
    assert local == {}
    assert PINS["torch"] == "2.13.0"


def test_a_pickle_can_not_be_shipped_as_package_data() -> None:
    assert not packaged(Path("models/adapters/clean/adapter_model.bin"))


def test_the_graph_that_studio_is_told_of_exists() -> None:
    (named,) = json.loads((ROOT / "langgraph.json").read_text())["graphs"].values()
    module, attribute = named.split(":")
    assert callable(getattr(importlib.import_module(module), attribute))
