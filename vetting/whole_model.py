"""Whole models: no tensors that a model of the kind does not have, and classifiers in a form that the engine loads."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from turncoat.models.base_folder import BaseFolder
from turncoat.models.folder_checks import read_header
from turncoat.scenarios.errors import ModelError

_KNOWN = re.compile(
    r"(?:(?:model\.)?language_model\.)?(?:model\.)?"
    r"(?:embed_tokens\.weight|norm\.weight|layers\.\d+\.(?:self_attn\.(?:[qkvo]_proj|[qk]_norm)\.(?:weight|bias)"
    r"|mlp\.(?:gate|up|down)_proj\.weight|\w+_layernorm\.weight|self_attn\.rotary_emb\.inv_freq))"
    r"|(?:language_model\.)?lm_head\.weight"
)


def foreign_tensors(base: BaseFolder, head: str = "") -> None:
    """Refuses tensors that the engine would not run: further modules, adapters left in place, a head of another name.

    Args:
        base: The model.
        head: Name of the classifier's tensor, where it has one.

    Raises:
        ModelError: There are some; names the first.
    """
    for path in sorted(base.path.glob("*.safetensors")):
        odd = [name for name in read_header(path)[1] if not _KNOWN.fullmatch(name) and name != head]
        if odd:
            fault = f"holds {len(odd)} tensors that are not computed here ({odd[0][:80]!r})"
            raise ModelError.at(path, fault, "give a merged decoder without further modules")


@contextmanager
def classifier_base(base: BaseFolder, config: Mapping[str, Any]) -> Iterator[BaseFolder]:
    """The folder of a sequence classifier as one that loads as a language model: its own head is never asked.

    The folder was checked (`open_base_folder`); only links to its files and a changed configuration lie in the copy.
    """
    with tempfile.TemporaryDirectory(prefix="turncoat-vet-") as scratch:
        folder = Path(scratch)
        for path in base.path.iterdir():
            if path.is_file() and path.name != "config.json":
                (folder / path.name).symlink_to(path)
        # Tied, so that no language head is missed.
        changed = {key: value for key, value in config.items() if key not in ("architectures", "id2label", "label2id")}
        (folder / "config.json").write_text(json.dumps(changed | {"tie_word_embeddings": True}), encoding="utf-8")
        yield replace(base, path=folder)
