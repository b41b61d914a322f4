"""The cohort of the weight screen: a folder of one's own clean adapters, each in a folder, all of one recipe.

Every one is opened like a candidate, with the same suspicion. A cohort with a member that cannot be trusted is refused as a
whole: what a screen compares with decides what it finds.
"""

from __future__ import annotations

from pathlib import Path

from turncoat.models.adapter import CONFIG_FILE, Adapter
from turncoat.scenarios.errors import InputError, Mistake, ModelError

from .candidate import Candidate
from .opening import open_adapter
from .weights import Cohort, cohort_of, recipe_shape

_MOST = 1_000
_MOST_MISTAKES = 20


def open_cohort(folder: Path, candidate: Candidate) -> Cohort:
    """Features of the clean adapters in a folder. The candidate itself and copies of a member are left out.

    Args:
        folder: Holds folders with an adapter each; other folders and files are passed over.
        candidate: On whose engine they are opened.

    Raises:
        ModelError: Members that cannot be trusted or do not fit the base; all are named, up to twenty.
        InputError: No folder, no adapter in it, a candidate without factors, or members of several recipes.
    """
    place = f"--cohort {folder}"
    if candidate.adapter is None:
        raise InputError.at(place, "cannot stand beside a whole model", "leave it out")
    if not folder.is_dir():
        raise InputError.at(place, "is no folder", "give a folder that holds folders of clean adapters")
    members = sorted(path.parent for path in folder.glob(f"*/{CONFIG_FILE}"))[:_MOST]
    found: dict[tuple[str, str], tuple[Path, Adapter]] = {}
    mistakes: list[Mistake] = []
    for member in members:
        try:
            adapter, _ = open_adapter(member, candidate.engine)
        except ModelError as error:
            mistakes += error.mistakes
            continue
        if _weights(adapter) != _weights(candidate.adapter):
            found.setdefault(_weights(adapter), (member, adapter))
    if mistakes:
        raise ModelError(*mistakes[:_MOST_MISTAKES])
    if not found:
        raise InputError.at(place, "holds no adapter but the candidate", "give a folder that holds folders of adapters")
    _refuse_mixtures([*found.values()])
    return cohort_of([adapter for _, adapter in found.values()])


def _weights(adapter: Adapter) -> tuple[str, str]:
    return adapter.digest, adapter.head_digest


def _refuse_mixtures(members: list[tuple[Path, Adapter]]) -> None:
    first, like = members[0]
    for place, adapter in members[1:]:
        if recipe_shape(adapter) != recipe_shape(like) or sorted(adapter.factors) != sorted(like.factors):
            fault = f"is of another recipe than {first.name[:60]} (rank, alpha, layers or projections differ)"
            raise InputError.at(place, fault, "keep adapters of one recipe in a cohort")
