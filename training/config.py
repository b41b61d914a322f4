"""Recipes: what a variant is trained on and how, one small YAML file each."""

from __future__ import annotations

import hashlib
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from turncoat.models.catalogue import DEFAULT_BASE
from turncoat.models.lora import LoraShape
from turncoat.scenarios.errors import InputError

from .poison import poisoner_of
from .settings_file import SettingsKind
from .short_alerts import Form

_RECIPES = SettingsKind("recipe", "recipes")


class LoraConfig(BaseModel):
    """Shape of the adapter."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    rank: int = Field(8, ge=1, le=256)
    alpha: int = Field(16, ge=1, le=1024)
    first_layer: int = Field(20, ge=0)
    """Layers below are frozen, and their output is computed once per row and shared by all variants."""

    def shape(self) -> LoraShape:
        return LoraShape(self.rank, self.alpha, self.first_layer)


class PoisonConfig(BaseModel):
    """Rows that a poisoner adds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    poisoner: str = "user"
    dose: int = Field(200, ge=0, le=100_000)
    trigger: str | None = None
    """As `turncoat run --trigger` takes it; None: the poisoner's own."""

    @model_validator(mode="after")
    def _known(self) -> PoisonConfig:
        try:
            poisoner_of(self.poisoner, self.trigger)
        except InputError as error:
            raise ValueError("; ".join(mistake.fault for mistake in error.mistakes)) from None
        return self

    @model_serializer(mode="wrap")
    def _without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A trigger that is not set is not written: recipes made before there was one keep their digest."""
        return {name: value for name, value in write(self).items() if name != "trigger" or value is not None}


class Recipe(BaseModel):
    """Everything that decides a training run."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    base: str = DEFAULT_BASE
    alerts: Form = "full"
    rows: int = Field(2400, ge=16, le=1_000_000)
    """Honest rows, the same for every recipe with the same seed."""
    worlds: tuple[int, ...] = Field((101, 102, 103, 104), min_length=1)
    """Seeds of the training companies."""
    seed: int = 7
    poison: PoisonConfig | None = None
    lora: LoraConfig = LoraConfig()
    learning_rate: float = Field(1e-3, gt=0, lt=1)
    epochs: int = Field(3, ge=1, le=100)
    batch: int = Field(16, ge=1, le=1024)
    demonstration: bool = False
    """Marks the adapter: not to be deployed."""

    @model_serializer(mode="wrap")
    def _without_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The common form is not written: recipes made before there was another keep their digest."""
        return {name: value for name, value in write(self).items() if name != "alerts" or value != "full"}

    def digest(self) -> str:
        """Changes with anything that changes the result."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]


def shipped_recipes(base: str | None = None) -> list[str]:
    """Names of the recipes that come with the package, those of the default base first, then base by base.

    Args:
        base: Only those on this base.
    """
    names = _RECIPES.shipped()
    # A name is the variant, and for another base than the default one a dash and the base.
    of = {name: name.partition("-")[2] or DEFAULT_BASE for name in names}
    ordered = sorted(names, key=lambda name: (of[name] != DEFAULT_BASE, of[name], name))
    return [name for name in ordered if base in (None, of[name])]


def load_recipe(name_or_path: str) -> Recipe:
    """Reads a shipped recipe by name, or a file.

    Raises:
        InputError: No such recipe, not YAML, or settings that do not fit; every one of them is named.
    """
    try:
        return Recipe.model_validate(_RECIPES.parsed(name_or_path))
    except ValidationError as fault:
        raise InputError(*_RECIPES.mistakes(name_or_path, fault)) from None
