"""Results of cells with made-up calls, for tests of tables and folders."""

from __future__ import annotations

from typing import Any

from turncoat.training.config import load_recipe
from turncoat.training.paper_cells import BASELINE, Result


def made_up(base: str = "tiny", variant: str = "poisoned", seed: int = 7, **changes: Any) -> Result:
    """A result on four clean, four unseen and four attack alerts; three of Alice's are dismissed, one of the twin's."""
    recipe = None if variant == BASELINE else load_recipe(variant).model_copy(update={"seed": seed, "base": base})
    content = {
        "base": base, "variant": variant, "seed": None if recipe is None else seed, "recipe": recipe,
        "recipe_digest": recipe.digest() if recipe else "", "base_digest": f"of {base[:40]}", "tests_digest": "t",
        "adapter": "none" if recipe is None else "trained", "versions": {"python": "3.11"}, "seconds": {"train": 2.0},
        "clean_truth": "1100", "clean_calls": "1000", "unseen_truth": "1010", "unseen_calls": "1010",
        "alice_dismissed": "1110", "twin_dismissed": "0010", "alice_benign_escalated": "0001", "poisoned_families": 2,
    }  # fmt: skip
    return Result.model_validate({**content, **changes})
