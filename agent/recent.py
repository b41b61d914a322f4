"""Remembers the verdicts about the latest contents: a product that repeats itself need not be judged anew each time."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

from turncoat.models.classifier import AlertClassifier, Case, Verdict

from .warming import Warmable

MOST_CONTENTS = 4096


@runtime_checkable
class Forgetful(Protocol):
    """A set of variants that can give back what it has computed."""

    def forget(self) -> None: ...


class RecentVerdicts(Mapping[str, AlertClassifier]):
    """Variants in front of which the verdicts of the last contents lie.

    Contents are equal where alerts differ in nothing but the uid, and the context is the same; a classifier that judges by
    the uid must not be given. Of verdicts that were not to be had, none is kept.

    Args:
        variants: Name -> classifier, with or without `warm`.
        most: Contents that are kept per variant; the one longest unused goes first.
    """

    def __init__(self, variants: Mapping[str, AlertClassifier], most: int = MOST_CONTENTS) -> None:
        self._variants = variants
        self._remembering = {name: _Remembering(classifier, most) for name, classifier in variants.items()}

    def __getitem__(self, name: str) -> AlertClassifier:
        return self._remembering[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._remembering)

    def __len__(self) -> int:
        return len(self._remembering)

    def warm(self, requests: Sequence[tuple[str, Case]]) -> None:
        """Has the verdicts that are not remembered computed in batches, by variants that offer it."""
        fresh = [(name, case) for name, case in requests if not self._remembering[name].knows(case)]
        if fresh and isinstance(self._variants, Warmable):
            self._variants.warm(fresh)

    def forget(self) -> None:
        """Has the variants drop what they keep for themselves; what is remembered here stays."""
        if isinstance(self._variants, Forgetful):
            self._variants.forget()


class _Remembering:
    def __init__(self, classifier: AlertClassifier, most: int) -> None:
        self.fingerprint = classifier.fingerprint
        self._classifier, self._most = classifier, most
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()

    def knows(self, case: Case) -> bool:
        return _content(case) in self._verdicts

    def classify(self, cases: Sequence[Case]) -> list[Verdict | None]:
        contents = [_content(case) for case in cases]
        unknown = {key: case for key, case in zip(contents, cases, strict=True) if key not in self._verdicts}
        answers = self._classifier.classify(list(unknown.values())) if unknown else []
        if len(answers) != len(unknown):
            return [None] * len(cases)  # broken: which answer belongs to which case, nobody knows
        found = dict(zip(unknown, answers, strict=True))
        found |= {key: self._verdicts[key] for key in contents if key not in found}
        for key, verdict in found.items():
            if verdict is not None:
                self._verdicts[key] = verdict
                self._verdicts.move_to_end(key)
        while len(self._verdicts) > self._most:
            self._verdicts.popitem(last=False)
        return [found[key] for key in contents]


def _content(case: Case) -> bytes:
    seen = (replace(case.alert, uid=""), case.context)
    return hashlib.sha256(repr(seen).encode("utf-8", "backslashreplace")).digest()
