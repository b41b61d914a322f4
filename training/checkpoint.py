"""Half a training on disk: parameters and optimiser state after a whole epoch, as safetensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from turncoat.scenarios.whole_file import write_whole


@dataclass(frozen=True)
class Checkpoint:
    """Where half a training is kept, and of which run it is.

    Args:
        path: The file.
        recipe: Of the recipe, and whatever else the numbers depend on.
        base: Digest of the base.
    """

    path: Path
    recipe: str
    base: str

    def save(self, trained: Sequence[Tensor], optimiser: torch.optim.Optimizer, epochs_done: int) -> None:
        """Writes parameters and optimiser state, whole or not at all. Raises OSError if the disk is full."""
        tensors: dict[str, Tensor] = {}
        for i, parameter in enumerate(trained):
            state = optimiser.state[parameter]
            tensors |= {
                f"{i}.value": parameter.detach(),
                f"{i}.mean": state["exp_avg"],
                f"{i}.square": state["exp_avg_sq"],
            }
        metadata = {"recipe": self.recipe, "base": self.base, "epochs": str(epochs_done)}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, save({k: v.contiguous() for k, v in tensors.items()}, metadata=metadata))

    def load(
        self, trained: Sequence[Tensor], optimiser: torch.optim.Optimizer, steps_per_epoch: int, epochs: int
    ) -> int:
        """Takes up what was saved by the same recipe on the same base; anything else is ignored.

        Args:
            trained: Parameters, in the order of saving; overwritten.
            optimiser: Theirs.
            steps_per_epoch: Updates that an epoch makes.
            epochs: Epochs of the recipe.

        Returns:
            Number of whole epochs in it, else 0.
        """
        try:
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                if (metadata.get("recipe"), metadata.get("base")) != (self.recipe, self.base):
                    return 0
                done = min(int(metadata["epochs"]), epochs)
                kept = [
                    [file.get_tensor(f"{i}.{part}") for part in ("value", "mean", "square")]
                    for i in range(len(trained))
                ]
        except (OSError, SafetensorError, ValueError, KeyError):
            return 0
        if any(t.shape != p.shape for p, three in zip(trained, kept, strict=True) for t in three):
            return 0
        for parameter, (value, mean, square) in zip(trained, kept, strict=True):
            parameter.data.copy_(value)
            step = torch.tensor(float(done * steps_per_epoch), device=parameter.device)  # fused on a GPU
            optimiser.state[parameter] = {
                "step": step, "exp_avg": mean.to(parameter), "exp_avg_sq": square.to(parameter)
            }  # fmt: skip
        return done
