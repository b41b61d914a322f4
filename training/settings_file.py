"""Settings that people write, such as recipes and grids: small YAML files, the shipped ones by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from turncoat.scenarios.errors import InputError, Mistake

_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class SettingsKind:
    """One kind of settings file."""

    word: str
    """`recipe`, as messages call it."""
    folder: str
    """Where the shipped ones lie within this package."""

    def shipped(self) -> list[str]:
        """Names of those that come with the package: plain ones such as `clean` before `clean-gemma3-270m`."""
        files = resources.files(__package__).joinpath(self.folder).iterdir()
        names = [p.name.removesuffix(".yaml") for p in files if p.name.endswith(".yaml")]
        return sorted(names, key=lambda name: ("-" in name, name))

    def parsed(self, name_or_path: str) -> Any:
        """What a shipped file, by name, or a file of one's own holds: whatever YAML's safe subset can say.

        Raises:
            InputError: No such file, one that is too large, not YAML, or values that cannot be read.
        """
        try:
            return yaml.safe_load(self._text(name_or_path))
        except yaml.YAMLError as fault:
            mark = getattr(fault, "problem_mark", None)
            place = f"{name_or_path}:{mark.line + 1}:{mark.column + 1}" if mark else name_or_path
            raise InputError.at(place, "not YAML", self._form) from None
        except RecursionError:
            raise InputError.at(name_or_path, "nested too deeply", f"a {self.word} is flat") from None
        except (ValueError, ArithmeticError, LookupError, AttributeError):
            # A tag that its text does not fit, such as `!!int ""`, fails in any of these ways within PyYAML.
            cure = "write plain numbers and words"
            raise InputError.at(name_or_path, "holds a value that cannot be read", cure) from None

    def mistakes(self, place: str, fault: ValidationError) -> Sequence[Mistake]:
        """Every setting that does not fit."""
        return [
            Mistake(place, f"{'.'.join(map(str, e['loc'])) or self.word}: {e['msg']}", self._form)
            for e in fault.errors(include_url=False, include_input=False)
        ]

    @property
    def _form(self) -> str:
        return f"see the shipped {self.word}s for the form"

    def _text(self, name_or_path: str) -> str:
        if name_or_path in self.shipped():
            file = resources.files(__package__).joinpath(f"{self.folder}/{name_or_path}.yaml")
            return file.read_text(encoding="utf-8")
        path = Path(name_or_path)
        try:
            if not path.is_file():  # a pipe or a device would never end
                raise ValueError("no regular file")
            with path.open("rb") as file_there:
                content = file_there.read(_LARGEST + 1)
            if len(content) <= _LARGEST:
                return content.decode("utf-8")
        except (OSError, ValueError):
            known = ", ".join(self.shipped())
            raise InputError.at(
                path, f"no readable {self.word} there", f"give a YAML file or one of: {known}"
            ) from None
        raise InputError.at(path, "larger than 64 KiB", f"a {self.word} is a short file")
