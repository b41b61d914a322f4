"""Variants by name: the untrained base, the shipped adapters, scripted rules, and anybody's folder as `NAME=PATH`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

from turncoat.scenarios.errors import ModelError
from turncoat.scenarios.vocabulary import quoted, suggestion

from .adapter import CONFIG_FILE, Adapter, load_adapter
from .bases import DEFAULT_BASE, resolve_base
from .classifier import AlertClassifier, Case
from .engine import Engine
from .finetuned import FineTunedClassifier, Margins, compute, read
from .scripted import SCRIPTS, ScriptedClassifier
from .variant_names import BASELINE


class VariantSet(Mapping[str, AlertClassifier]):
    """Classifiers by variant name; those on one engine share its base, its frozen layers and its batches."""

    def __init__(self, classifiers: Mapping[str, AlertClassifier], memo: Margins | None = None) -> None:
        self._classifiers = dict(classifiers)
        self._memo: Margins = {} if memo is None else memo

    def __getitem__(self, name: str) -> AlertClassifier:
        return self._classifiers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classifiers)

    def __len__(self) -> int:
        return len(self._classifiers)

    @property
    def arithmetic(self) -> str:
        """What the last bits of verdicts depend on (`Engine.arithmetic`); empty where there are rules alone."""
        engines = (c.engine for c in self._classifiers.values() if isinstance(c, FineTunedClassifier))
        return "; ".join(sorted({engine.arithmetic for engine in engines}))

    def warm(self, requests: Sequence[tuple[str, Case]]) -> None:
        """Computes the verdicts of (variant, case) in batches; `classify` then finds them. Nothing for rules."""
        by_engine: dict[int, tuple[Engine, list[tuple[str, tuple[int, ...]]]]] = {}
        for variant, case in requests:
            classifier = self._classifiers[variant]
            if isinstance(classifier, FineTunedClassifier):
                engine, wanted = by_engine.setdefault(id(classifier.engine), (classifier.engine, []))
                wanted.append((classifier.name, read(engine, case)[1]))
        for engine, wanted in by_engine.values():
            # Not skipping what an earlier call computed keeps the batches, and with them bf16 results, a function of
            # these requests alone: a run that was killed and goes on gets the verdicts of an undisturbed one.
            fresh: Margins = {}
            compute(engine, fresh, wanted)
            self._memo.update(fresh)

    def computed(self) -> list[tuple[str, tuple[int, ...]]]:
        """What has gone through an engine so far: (variant, token ids), each once."""
        return list(self._memo)

    def forget(self) -> None:
        """Drops what was computed so far; an endless stream would else fill the memory."""
        self._memo.clear()


def shipped_adapters() -> Path:
    """The folder of the adapters that come with the package."""
    return Path(str(resources.files("turncoat.models").joinpath("adapters")))


def known_variants() -> list[str]:
    """Names that need no path."""
    shipped = sorted(p.parent.name for p in shipped_adapters().glob(f"*/{CONFIG_FILE}"))
    return [BASELINE, *shipped, *sorted(SCRIPTS)]


def open_variants(specs: Sequence[str], base: str = DEFAULT_BASE) -> VariantSet:
    """Opens variants given as `NAME` or `NAME=PATH`; the base is loaded once, and only where one needs it.

    Raises:
        ModelError: An unknown name (the known ones are listed), a name given twice, a base or adapter that cannot be used.
    """
    wanted: dict[str, Path | None] = {}
    for spec in specs:
        name, _, path = spec.partition("=")
        if name in wanted:
            raise ModelError.at(f"--variant {spec}", f"{name!r} is given twice", "give each variant a name of its own")
        wanted[name] = _folder(spec, name, path)
    memo: Margins = {}
    engine: Engine | None = None
    found: dict[str, AlertClassifier] = {}
    for name, folder in wanted.items():
        if folder is None and name in SCRIPTS:
            found[name] = ScriptedClassifier(name)
            continue
        engine = engine or Engine(resolve_base(base))
        adapter = _adapter(engine, folder) if folder else None
        engine.add(name, adapter)
        found[name] = FineTunedClassifier(engine, name, adapter, memo)
    return VariantSet(found, memo)


def _folder(spec: str, name: str, path: str) -> Path | None:
    if not name or ("=" in spec and not path):
        raise ModelError.at(f"--variant {spec}", "not NAME or NAME=PATH", "such as --variant mine=./my-adapter")
    if path:
        return Path(path)
    if name not in known_variants():
        cure = f"{suggestion(name, known_variants())} (your own: NAME=PATH)"
        raise ModelError.at(f"--variant {spec}", f"unknown variant {quoted(name)}", cure)
    return None if name == BASELINE or name in SCRIPTS else shipped_adapters() / name


def _adapter(engine: Engine, folder: Path) -> Adapter:
    return load_adapter(folder, hidden=engine.hidden, layers=len(engine.layers), base_digest=engine.base.digest)
