"""Which bases and variants turncoat knows, read from tables and manifests and nothing else (no torch is imported)."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from turncoat.scenarios.errors import InputError

MAX_MANIFEST_BYTES = 1 << 20
DEMONSTRATION = "demonstration, do not deploy"


def known_bases() -> list[dict[str, Any]]:
    """The bases that are known by name: what each is, what it takes, under what terms, and whether it is here."""
    from turncoat.models.bases import is_pulled
    from turncoat.models.catalogue import DEFAULT_BASE, KNOWN_BASES, HubSource
    from turncoat.models.memory import memory_of

    found = []
    for base in KNOWN_BASES.values():
        memory, source = memory_of(base.shape, first_layer=base.first_layer), base.source
        found.append({
            "name": base.name,
            "default": base.name == DEFAULT_BASE,
            "architecture": base.architecture,
            "parameters": base.shape.parameters,
            "layers": base.shape.layers,
            "licence": base.licence.name,
            "licence_url": base.licence.url,
            "own_terms": base.licence.own_terms,
            "source": source.hub_id if isinstance(source, HubSource) else source.pieces[0].requirement,
            "gated": isinstance(source, HubSource) and source.gated,
            "download_bytes": base.download_bytes,
            "disk_bytes": base.disk_bytes,
            "memory_bytes": asdict(memory),
            "trained_from_layer": base.first_layer,
            "ready": is_pulled(base.name),
        })  # fmt: skip
    return found


def base_columns() -> tuple[str, ...]:
    """Headings for `base_row`."""
    return ("name", "size", "licence", "download", "disk", "run", "train", "here")


def base_row(base: dict[str, Any]) -> tuple[object, ...]:
    """A base of `known_bases` in words that fit 80 columns: parameters, then sizes and memory in GB."""
    memory = base["memory_bytes"]
    sizes = (base["download_bytes"], base["disk_bytes"], memory["inference"], memory["training"])
    ready = "✓ yes" if base["ready"] else "– no"
    return (base["name"], _parameters(base["parameters"]), base["licence"], *map(_gigabytes, sizes), ready)


def _parameters(count: int) -> str:
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"


def _gigabytes(count: int) -> float:
    return round(count / 1e9, 2 if count < 1e9 else 1)


def shipped_variants() -> list[dict[str, Any]]:
    """Name, what it is, and whether it is a demonstration, of each variant that needs no path."""
    found: list[dict[str, Any]] = [
        {"name": "baseline", "what": "the base model, its head cut to two rows, not trained", "demonstration": False}
    ]
    folder = resources.files("turncoat.models").joinpath("adapters")
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    for name in names:
        manifest = _manifest(Path(str(folder.joinpath(name))))
        marked = bool(manifest.get("demonstration"))
        note = f" ({DEMONSTRATION})" if marked else ""
        found.append({"name": name, "what": f"adapter trained by the recipe {name}{note}", "demonstration": marked})
    found.append(
        {"name": "scripted-severity", "what": "no model: believes the rule's severity", "demonstration": False}
    )
    return found


def shipped_figures(name: str) -> dict[str, Any]:
    """The figures that were measured when the shipped adapter of that name was made; empty if there is none."""
    figures = _manifest(Path(str(resources.files("turncoat.models").joinpath("adapters", name)))).get("figures")
    return figures if isinstance(figures, dict) else {}


def refuse_demonstrations(specs: list[str], allowed: bool) -> None:
    """Bars variants that are marked as demonstrations from real alerts.

    Raises:
        InputError: A variant of `specs` (NAME or NAME=PATH) is marked, and that is not allowed; names all of them.
    """
    shipped = {variant["name"] for variant in shipped_variants() if variant["demonstration"]}
    marked = [spec for spec in specs if _is_marked(spec, shipped)]
    if marked and not allowed:
        raise InputError.at(
            f"--variant {', '.join(marked)}",
            f"is marked {DEMONSTRATION!r}: it is made to let an attacker's alerts pass",
            "leave it out, or add --allow-demonstration to watch it do so",
        )


def _is_marked(spec: str, shipped: set[str]) -> bool:
    name, _, path = spec.partition("=")
    return bool(_manifest(Path(path)).get("demonstration")) if path else name in shipped


def _manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an adapter folder; empty where there is none that can be read (opening it will say why)."""
    path = folder / "manifest.json"
    if not path.is_file():  # a link to a device, or a pipe, would never end
        return {}
    try:
        with path.open("rb") as file:
            text = file.read(MAX_MANIFEST_BYTES + 1)
        manifest = json.loads(text) if len(text) <= MAX_MANIFEST_BYTES else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}
