"""A check that a run still learns: its losses and weights are finite numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.distributed.tensor import DTensor

from g2pdiff.errors import InputError
from training.stages.checkpoints import checkpoints


class Health:
    """A check of the losses since the last check, and of the weights.

    Losses are checked when they are logged, because a check makes a GPU wait. With fp16's loss scaling, a
    step that overflows is skipped and does no harm, so the check fails only if all losses since the last
    check are not finite.
    """

    def __init__(self, accelerator: Accelerator, name: str, folder: Path, trained: Sequence[nn.Parameter]):
        self.accelerator, self.name, self.folder, self.trained = accelerator, name, folder, trained
        self._forget()

    def _forget(self) -> None:
        self.steps, self.lost = 0, torch.zeros((), device=self.accelerator.device)

    def add(self, loss: torch.Tensor) -> None:
        """Record the loss of a step."""
        self.steps += 1
        self.lost += ~torch.isfinite(loss)

    def check(self, step: int, weights: bool = False) -> None:
        """Check the recorded losses, on all processes.

        Raises:
            InputError: field `run`, if a loss or, with `weights`, a weight is not finite.
        """
        total: Any = self.accelerator.reduce(self.lost, "sum")
        lost = total.item()
        enough = 1
        if self.accelerator.scaler is not None:
            enough = self.steps * self.accelerator.num_processes
        what = "loss" if self.steps and lost >= enough else ""
        if weights and not what:
            own = (one.to_local() if isinstance(one, DTensor) else one for one in self.trained)
            broken = torch.stack([(~torch.isfinite(one)).any() for one in own]).any().float()
            total = self.accelerator.reduce(broken, "sum")
            what = "model" if total.item() else ""
        self._forget()
        if what:
            found = checkpoints(self.folder)
            kept = f"the checkpoint {found[-1].name} from before is kept; " if found else ""
            raise InputError(
                "run",
                f"The {what} of the stage {self.name} is no longer a finite number at step {step}: {kept}"
                f"set a lower {self.name}.training.learning_rate, or look for values in the data that are no "
                "numbers.",
            )
