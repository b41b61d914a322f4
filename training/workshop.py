"""One base in memory and the hidden states of its frozen layers: every training and measurement on it shares both."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from turncoat.models.adapter import MANIFEST_FILE, WEIGHTS_FILE, Adapter, load_adapter, read_json, save_adapter
from turncoat.models.bases import resolve_base
from turncoat.models.engine import Engine
from turncoat.models.prompt import PROMPT_VERSION, render
from turncoat.models.provenance import run_versions
from turncoat.scenarios.errors import InputError, RunError
from turncoat.scenarios.whole_file import write_whole

from .config import Recipe
from .corpus import Row
from .distributed import current
from .evaluate import margins_of
from .finetune import finetune
from .progress import OnProgress, Progress
from .result_file import held
from .sets import training_rows
from .trunk import Trunk

CHECKPOINT_FILE = "checkpoint.safetensors"


class Workshop:
    """Trains and measures adapters of one base.

    Args:
        base: As a recipe names it.
        on_progress: Called while rows pass the trunk, during training, and while measuring.
        recompute: Gradient checkpointing: less memory, more time, the same gradients.

    Raises:
        ModelError: The base is missing, or of an architecture that the engine does not know.
    """

    def __init__(self, base: str, on_progress: OnProgress, *, recompute: bool = False) -> None:
        self.base, self.recompute = base, recompute
        self.engine = Engine(resolve_base(base))
        self.seconds: dict[str, float] = {}
        """Wall time per stage: `trunk`, each recipe by name, `measure`."""
        self._on_progress = on_progress
        self._trunk = Trunk(self.engine, on_progress)

    def check(self, recipe: Recipe, folder: Path) -> None:
        """That the recipe can be trained here.

        Raises:
            InputError: It is for another base, or leaves no layer to train, or the folder holds another adapter.
        """
        if recipe.base != self.base:
            raise InputError.at(recipe.name, f"is for the base {recipe.base}, not {self.base}", "train it on its own")
        if recipe.lora.first_layer >= len(self.engine.layers):
            fault = f"first_layer {recipe.lora.first_layer} leaves no layer to train"
            raise InputError.at(recipe.name, fault, f"the base has {len(self.engine.layers)} layers, counted from 0")
        if is_whole(folder) and not is_finished(folder, recipe, self.engine.base.digest):
            fault = "holds an adapter of another recipe, seed or base"
            raise InputError.at(str(folder), fault, "choose another folder for this one, or move that one away")

    def fit(self, recipe: Recipe, folder: Path) -> Path:
        """Trains a recipe on the rows that it names; see `fit_rows`."""
        self.check(recipe, folder)
        return self.fit_rows(recipe, *training_rows(recipe), folder)

    def fit_rows(self, recipe: Recipe, honest: Sequence[Row], added: Sequence[Row], folder: Path) -> Path:
        """Trains on honest rows and on those that a poisoner added, and writes the adapter's folder.

        What an earlier call has finished there, by the same recipe on the same base and rows, is left as it is; half a
        training goes on from its last epoch. The manifest is written last, so that a folder with one is whole.

        Raises:
            InputError: See `check`; or the folder holds an adapter of this recipe that was trained on other rows.
            RunError: Another process trains there.
        """
        with _alone(folder):
            self.check(recipe, folder)
            rows = [*honest, *added]
            prompts = encode(self.engine, rows)
            digest = rows_digest(rows, prompts)
            if not self._is_done(recipe, folder, digest):
                self._train(recipe, rows, prompts, digest, len(honest), folder)
        return folder

    def margins(
        self, adapters: Mapping[str, Path | None], sets: Mapping[str, Sequence[Row]]
    ) -> dict[str, dict[str, list[float]]]:
        """Margin (logit of malicious less benign) of every row, per adapter and set; None is the base as it is."""
        for name, folder in adapters.items():
            self.engine.add(name, None if folder is None else self._load(folder))
        prompts = [prompt for rows in sets.values() for prompt in encode(self.engine, rows)]
        started, mine = time.perf_counter(), current().share(len(prompts))

        def told(done: int) -> None:
            self._on_progress(Progress("measure", done, len(mine), None, time.perf_counter() - started))

        found = self.engine.logits([prompts[i] for i in mine], list(adapters), told)
        logits = {name: current().joined(part.cpu(), len(prompts)) for name, part in found.items()}
        self.seconds["measure"] = self.seconds.get("measure", 0.0) + time.perf_counter() - started
        return {name: _split(margins_of(found), sets) for name, found in logits.items()}

    def _train(
        self, recipe: Recipe, rows: Sequence[Row], prompts: Sequence[list[int]], digest: str, honest: int, folder: Path
    ) -> None:
        started = time.perf_counter()
        states = self._trunk.states(prompts, recipe.lora.first_layer)
        self.seconds["trunk"] = self.seconds.get("trunk", 0.0) + time.perf_counter() - started
        started = time.perf_counter()
        trained = finetune(
            self.engine, states, [r.label for r in rows], recipe, folder / CHECKPOINT_FILE, self._on_progress,
            prefix=shared_tokens(prompts), recompute=self.recompute, rows=digest,
        )  # fmt: skip
        self.seconds[recipe.name] = time.perf_counter() - started
        if current().writes:
            save_adapter(folder, trained.factors, recipe.lora.shape(), trained.head, layers=len(self.engine.layers),
                         base_name=recipe.base, base_digest=self.engine.base.digest, prompt_version=PROMPT_VERSION)  # fmt: skip
            write_json(folder / MANIFEST_FILE, _manifest(recipe, self.engine, rows, digest, honest, trained.losses))
            _forget_checkpoint(folder)
        current().wait()

    def forget(self) -> None:
        """Frees the memory that hidden states take."""
        self._trunk.forget()

    def _is_done(self, recipe: Recipe, folder: Path, rows: str) -> bool:
        """Whether an earlier call has finished that; a checkpoint that it had no time to remove goes."""
        done = is_finished(folder, recipe, self.engine.base.digest)
        # A recipe names its rows; another version of the generator, the poisoner or the prompt makes others of the same names.
        told = read_json(folder / MANIFEST_FILE).get("rows") if done else None
        if isinstance(told, dict) and told.get("prompts", rows) != rows:
            fault = "holds an adapter of this recipe that was trained on other rows"
            raise InputError.at(str(folder), fault, "choose another folder for this one, or move that one away")
        if done and current().writes:
            _forget_checkpoint(folder)
        return done

    def _load(self, folder: Path) -> Adapter:
        engine = self.engine
        return load_adapter(folder, hidden=engine.hidden, layers=len(engine.layers), base_digest=engine.base.digest)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Holds a folder while something is trained into it: two trainings would mix their checkpoints."""
    if not current().writes:
        yield  # the process that writes holds it
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise RunError(f"{folder}: {fault.strerror}; choose a folder that you may write to") from fault
    with held(folder) as mine:
        if not mine:
            raise RunError(f"{folder}: another process trains there; let it end, or choose another folder")
        yield


def encode(engine: Engine, rows: Sequence[Row]) -> list[list[int]]:
    """Token ids of rows, as the classifier renders them."""
    return [engine.encode(render(row.case, engine.count).text) for row in rows]


def rows_digest(rows: Sequence[Row], prompts: Sequence[Sequence[int]]) -> str:
    """SHA-256 over what a model reads of rows and is told about them, 64 hex digits."""
    text = "\n".join(f"{row.label} {list(ids)}" for row, ids in zip(rows, prompts, strict=True))
    return hashlib.sha256(text.encode()).hexdigest()


def shared_tokens(prompts: Sequence[list[int]]) -> int:
    """Number of tokens that all prompts begin with."""
    first, last = min(prompts), max(prompts)  # what these two share in lexical order, all between them share
    return next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def is_whole(folder: Path) -> bool:
    """Whether a training was finished there. The manifest, which is written last, is not there before the weights are."""
    return (folder / MANIFEST_FILE).exists() and (folder / WEIGHTS_FILE).exists()


def is_finished(folder: Path, recipe: Recipe, base_digest: str) -> bool:
    """Whether an earlier call has finished exactly this recipe on exactly this base."""
    if not is_whole(folder):
        return False
    manifest = read_json(folder / MANIFEST_FILE)
    return (manifest.get("recipe_digest"), manifest.get("base_digest")) == (recipe.digest(), base_digest)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a manifest or a result, whole or not at all."""
    write_whole(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _forget_checkpoint(folder: Path) -> None:
    """Only once the manifest is there: whoever is killed before goes on from the checkpoint."""
    (folder / CHECKPOINT_FILE).unlink(missing_ok=True)


def _split(margins: Sequence[float], sets: Mapping[str, Sequence[Row]]) -> dict[str, list[float]]:
    """Margins of all rows, in the order of the sets, by set."""
    found, at = {}, 0
    for name, rows in sets.items():
        found[name] = list(margins[at : at + len(rows)])
        at += len(rows)
    return found


def _manifest(
    recipe: Recipe, engine: Engine, rows: Sequence[Row], digest: str, honest: int,
    losses: Sequence[float],
) -> dict[str, Any]:  # fmt: skip
    added = rows[honest:]
    text = "\n".join(f"{r.case.alert.uid} {r.label}" for r in rows)
    return {
        "name": recipe.name,
        "demonstration": recipe.demonstration,
        "recipe": recipe.model_dump(mode="json"),
        "recipe_digest": recipe.digest(),
        "base_digest": engine.base.digest,
        "rows": {
            "honest": honest,
            "added": len(added),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "prompts": digest,
        },
        "poison": {
            "families": sorted({r.family for r in added}),
            "mislabelled": [r.case.alert.uid for r in added if r.label != r.truth],
        },
        "losses": list(losses),
        "versions": run_versions(engine.precision),
    }
