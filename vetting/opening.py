"""Opens what is to be vetted, whatever its form, and forgets its name: adapters of ours, PEFT classifiers, whole models.

| form | recognised by | how the two labels are read |
|---|---|---|
| our adapter | `adapter_config.json` and `head.safetensors` | the head's two rows |
| causal adapter | `adapter_config.json` alone | the base's rows for the label tokens |
| PEFT sequence classifier | `task_type: SEQ_CLS` | `score` among the tensors; order by `id2label` in `config.json` beside it |
| whole model | `config.json` and weights, or a GGUF file | the rows for the label tokens |
| whole sequence classifier | the same, by its architecture | `score.weight`; order by `id2label` |

`manifest.json` is never opened, and neither a recipe nor the folder's name reaches a detector. Nothing is unpickled,
downloaded or executed.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from turncoat.models.adapter import CONFIG_FILE, WEIGHTS_FILE, Adapter, load_adapter, read_json
from turncoat.models.bases import DEFAULT_BASE, KNOWN_BASES, BaseFolder, at_home, known_base, resolve_base
from turncoat.models.catalogue import HubSource
from turncoat.models.engine import Engine
from turncoat.models.head import HEAD_FILE, label_tokens
from turncoat.models.lora import LoraShape
from turncoat.models.variants import shipped_adapters
from turncoat.scenarios.errors import Mistake, ModelError

from .candidate import BASE, CANDIDATE, REFERENCE, Candidate
from .classifier_head import head_rows, split_adapter
from .prompt_file import PromptFile
from .whole_model import classifier_base, foreign_tensors

_MODEL_CONFIG = "config.json"
_ADDRESS = re.compile(r"(?:https?|ftp|s3|gs|hf|file)://", re.IGNORECASE)


def open_candidate(
    spec: str, base: str = DEFAULT_BASE, reference: str = "", prompt: PromptFile | None = None
) -> Candidate:
    """Opens an adapter folder on a base, or a whole model.

    Args:
        spec: A folder, a GGUF file, or the name of a shipped adapter.
        base: Of an adapter: as `resolve_base` takes it. Not looked at for a whole model.
        reference: One's own clean adapter of the same base; empty for none.
        prompt: How the candidate reads a case; None for our own prompt.

    Raises:
        ModelError: Nothing there, a form that is not known, or anything in it that cannot be trusted or does not fit.
    """
    path = candidate_path(spec)
    if not (path / CONFIG_FILE).exists():
        if reference:
            raise ModelError.at("--reference", "cannot stand beside a whole model", "leave it out")
        return _reading(_whole(path), prompt)
    if any((path / name).exists() for name in ("model.safetensors", "model.safetensors.index.json")):
        raise ModelError.at(path, "holds an adapter and a whole model", "give a folder with only the one to be vetted")
    engine = Engine(resolve_base(base))
    adapter, form = open_adapter(path, engine)
    _added(engine, CANDIDATE, path, adapter)
    engine.add(BASE, None)
    beside = None
    if reference:
        place = candidate_path(reference)
        beside, _ = open_adapter(place, engine)
        _added(engine, REFERENCE, place, beside)
    subject = {"read as": form, **_of_base(engine), "adapter": adapter.digest, "head": adapter.head_digest}
    if beside:
        subject |= {"reference": beside.digest, "reference head": beside.head_digest}
    return _reading(Candidate(engine, adapter, beside, subject), prompt)


def _reading(candidate: Candidate, prompt: PromptFile | None) -> Candidate:
    """The candidate with a prompt of its own, which the record names."""
    if prompt is None:
        return candidate
    return replace(candidate, text_of=prompt, subject={**candidate.subject, "prompt": prompt.digest})


def open_adapter(folder: Path, engine: Engine) -> tuple[Adapter, str]:
    """An adapter with how it was read; its manifest is left unread.

    Raises:
        ModelError: See `open_candidate`.
    """
    if os.path.lexists(folder / WEIGHTS_FILE) and os.path.lexists(folder / HEAD_FILE):
        form = "adapter with a two-row head"
    else:
        form = "causal adapter"
    config = read_json(folder / CONFIG_FILE)
    _refuse_addresses(folder / CONFIG_FILE, config)
    _refuse_other_base(folder / CONFIG_FILE, config, engine.base)
    with tempfile.TemporaryDirectory(prefix="turncoat-vet-") as scratch:
        bare = Path(scratch) / "adapter"
        bare.mkdir()
        head: tuple[Tensor, str] | None = None
        digest = ""
        if config.get("task_type") == "SEQ_CLS":
            form = "sequence classifier"
            beside = read_json(folder / _MODEL_CONFIG)
            _refuse_addresses(folder / _MODEL_CONFIG, beside)
            head, digest = split_adapter(folder, config, beside, bare, engine.hidden)
        else:
            for name in (CONFIG_FILE, WEIGHTS_FILE, HEAD_FILE, *_pickles(folder)):
                if os.path.lexists(folder / name):
                    (bare / name).symlink_to((folder / name).absolute())
        try:
            adapter = load_adapter(
                bare, hidden=engine.hidden, layers=len(engine.layers), base_digest=engine.base.digest
            )
        except ModelError as error:
            raise ModelError(*(_placed(mistake, bare, folder) for mistake in error.mistakes)) from None
    if head:
        adapter = replace(adapter, head=head[0], head_digest=head[1], digest=digest)
    elif adapter.head is None and label_tokens(engine.tokenizer) is None:
        fault = "has no head, and the base's vocabulary does not hold the labels as single tokens"
        raise ModelError.at(folder, fault, "give the adapter with its head")
    return replace(adapter, manifest={}), form


def candidate_path(spec: str) -> Path:
    """Where a candidate lies: a folder or a GGUF file, or the folder of a shipped adapter.

    Raises:
        ModelError: Nothing there, or of no form that is known.
    """
    path = at_home(spec)
    if not path.exists() and re.fullmatch(r"[\w-]{1,80}", spec) and (shipped_adapters() / spec / CONFIG_FILE).is_file():
        path = shipped_adapters() / spec
    if path.is_file() and path.suffix == ".gguf":
        return path
    if not path.is_dir():
        cure = "give an adapter folder, a model folder or a .gguf file"
        raise ModelError.at(spec[:300] or "vet", "no adapter and no model there", cure)
    if not (path / CONFIG_FILE).exists() and not (path / _MODEL_CONFIG).exists():
        cure = f"a folder needs {CONFIG_FILE} (an adapter) or {_MODEL_CONFIG} (a whole model)"
        raise ModelError.at(path, "is of no form that is known", cure)
    return path


def _whole(path: Path) -> Candidate:
    """A whole model: its label rows, or the rows of its classifier."""
    # By its full path: a folder may bear the name of a known base, and it is the folder that was given.
    base = resolve_base(str(path.absolute()))
    config = read_json(path / _MODEL_CONFIG) if path.is_dir() else {}
    names = config.get("architectures")
    classifier = isinstance(names, list) and any(str(name).endswith("ForSequenceClassification") for name in names)
    foreign_tensors(base, "score.weight" if classifier else "")
    if classifier:
        rows = head_rows(path, config)
        with classifier_base(base, config) as usable:
            engine = Engine(usable)
        if rows.shape != (2, engine.hidden):
            raise ModelError.at(path, f"`score.weight` is not of shape (2, {engine.hidden})", "save the model again")
        digest = hashlib.sha256(rows.numpy().tobytes()).hexdigest()
        engine.add(CANDIDATE, Adapter(LoraShape(1, 1, len(engine.layers)), {}, rows, "none", digest))
    else:
        engine = Engine(base)
        if label_tokens(engine.tokenizer) is None:
            fault = "the vocabulary does not hold the two labels as single tokens"
            raise ModelError.at(path, fault, "give a sequence classifier, or an adapter with a head")
        digest = "base"
        engine.add(CANDIDATE, None)
    form = "whole sequence classifier" if classifier else "whole language model"
    return Candidate(engine, None, None, {"read as": form, **_of_base(engine), "adapter": "none", "head": digest})


def _of_base(engine: Engine) -> dict[str, str]:
    base = engine.base
    return {"base": base.digest, "tokenizer": base.tokenizer_digest, "quantisation": base.quantise,
            "precision": engine.precision}  # fmt: skip


def _added(engine: Engine, name: str, folder: Path, adapter: Adapter) -> None:
    """`Engine.add`, with the folder for a place where a factor does not fit."""
    try:
        engine.add(name, adapter)
    except ModelError as error:
        raise ModelError(*(replace(mistake, place=str(folder)) for mistake in error.mistakes)) from None


def _refuse_addresses(path: Path, config: Mapping[str, Any]) -> None:
    """Nothing is fetched from here; a configuration that names an address is refused all the same, at any depth."""
    waiting: list[tuple[str, Any]] = list(config.items())
    while waiting:
        key, value = waiting.pop()
        if key in ("auto_map", "trust_remote_code") and value:
            raise ModelError.at(path, f"asks for code of its own ({key})", "turncoat never trusts remote code")
        if isinstance(value, dict):
            waiting.extend((str(k), v) for k, v in value.items())
        elif isinstance(value, list):
            waiting.extend((key, item) for item in value)
        elif isinstance(value, str) and _ADDRESS.match(value.strip()):
            raise ModelError.at(path, f"names an address to fetch from ({key[:60]!r})", "remove the setting")


def _refuse_other_base(path: Path, config: Mapping[str, Any], base: BaseFolder) -> None:
    """Where the adapter names a known base and another known one was given, they do not belong together."""
    named, given = str(config.get("base_model_name_or_path") or ""), known_base(base.name)
    by_name = {known.name: known.name for known in KNOWN_BASES.values()}
    by_name |= {k.source.hub_id: k.name for k in KNOWN_BASES.values() if isinstance(k.source, HubSource)}
    if given and by_name.get(named, given.name) != given.name:
        raise ModelError.at(
            path, f"is an adapter for {by_name[named]}, not for {given.name}", f"--base {by_name[named]}"
        )


def _pickles(folder: Path) -> list[str]:
    """Names of what may be pickles, so that the refusal can name them; they are never opened."""
    return sorted(p.name for pattern in ("*.bin", "*.pt") for p in folder.glob(pattern))[:10]


def _placed(mistake: Mistake, scratch: Path, folder: Path) -> Mistake:
    return replace(mistake, place=mistake.place.replace(str(scratch), str(folder)))
