"""Checkpoints of a stage. Each is complete or absent, and a run continues from the newest one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from pickle import UnpicklingError

from accelerate import Accelerator
from accelerate.utils import SAFE_WEIGHTS_NAME
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import nn

from g2pdiff.errors import InputError
from training.data.storage import discard

CHECKPOINT = "checkpoint-{:08d}"


def checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints of a stage, oldest first. An incomplete one has another name."""
    return sorted(folder.glob("checkpoint-*"))


def save_checkpoint(accelerator: Accelerator, folder: Path, step: int, keep: int = 2) -> None:
    """Write the state under another name, then rename it, so that a checkpoint is complete or absent.

    Incomplete checkpoints of interrupted processes are deleted.
    """
    target = folder / CHECKPOINT.format(step)
    if accelerator.is_main_process:
        for leftover in folder.glob("partial-*"):
            shutil.rmtree(leftover)
    accelerator.wait_for_everyone()
    partial = folder / f"partial-{step}"
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
        for old in checkpoints(folder)[:-keep]:
            discard(old)
    accelerator.wait_for_everyone()


def leave_out_frozen(accelerator: Accelerator, model: nn.Module) -> None:
    """Keep frozen weights out of the checkpoints of a prepared model: its stage loads them before it resumes.

    A checkpoint that contains them can still be read. Those of FSDP and DeepSpeed do: Accelerate does not
    pass their weights to hooks.
    """
    parameters = accelerator.unwrap_model(model).named_parameters()
    frozen = {name for name, parameter in parameters if not parameter.requires_grad}

    def saving(_: list[nn.Module], weights: list[dict], folder: str) -> None:
        for state in weights:
            for name in frozen:
                del state[name]

    def loading(models: list[nn.Module], folder: str) -> None:
        while models:  # Accelerate does not load the models that are removed here
            own = accelerator.unwrap_model(models.pop())
            missing, unknown = load_model(own, Path(folder) / SAFE_WEIGHTS_NAME, strict=False)
            if unknown or set(missing) - frozen:
                raise ValueError(f"{folder} holds the weights of another model.")

    accelerator.register_save_state_pre_hook(saving)
    accelerator.register_load_state_pre_hook(loading)


def load_checkpoint(accelerator: Accelerator, path: Path) -> None:
    """Load a checkpoint, to continue from it.

    Raises:
        InputError: field `run`, if it is damaged or belongs to another model.
    """
    try:
        accelerator.load_state(str(path))
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, SafetensorError, UnpicklingError) as error:
        raise InputError(
            "run",
            f"The training checkpoint {path} is damaged or of another configuration: delete it to go on from "
            "the one before, or choose another folder with --run.",
        ) from error


class Progress:
    """The step count, the elapsed time and the smoothed loss. They are saved with the state."""

    def __init__(self):
        self.step, self.seconds, self.loss = 0, 0.0, None

    def state_dict(self) -> dict:
        return {"step": self.step, "seconds": self.seconds, "loss": self.loss}

    def load_state_dict(self, state: dict) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        self.loss = state.get("loss")  # older checkpoints lack it
