"""The one optimisation loop that every stage runs: Accelerate, EMA, TensorBoard, checkpoints, resume.

A stage says what its model is, what a global batch at a step is, and what the loss of its share is.
Everything random in a batch (which specimens, which noise, which timestep) comes from a generator seeded by
the run's seed and the step, drawn for the *global* batch and then sliced by process. So a run that was
interrupted continues to the same loss curve, and a run on several processes sees what a single one does.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Protocol

import torch
from accelerate import Accelerator
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from torch import nn
from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

from training.config import TrainingConfig

CHECKPOINT = "checkpoint-{:08d}"


class Stage(Protocol):
    """What `fit` needs to know of a stage."""

    name: str
    model: nn.Module  # everything that is trained; its forward() is the loss

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """A global batch of `size` specimens, every tensor with leading dimension `size`."""


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of everything random at a step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints of a stage, oldest first. A half-written one has another name."""
    return sorted(folder.glob("checkpoint-*"))


def save_checkpoint(accelerator: Accelerator, folder: Path, step: int, keep: int = 2) -> None:
    """Write the state under another name, then rename it: a checkpoint is there whole or not at all."""
    target = folder / CHECKPOINT.format(step)
    partial = folder / f"partial-{step}"
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
        for old in checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


class _Progress:
    """The step count and the time spent, saved with the state they belong to."""

    def __init__(self):
        self.step, self.seconds = 0, 0.0

    def state_dict(self) -> dict:
        return {"step": self.step, "seconds": self.seconds}

    def load_state_dict(self, state: dict) -> None:
        self.step, self.seconds = state["step"], state["seconds"]


def fit(stage: Stage, config: TrainingConfig, folder: Path) -> dict:
    """Train `stage.model` to `config.steps`, resuming from the newest checkpoint in `folder`.

    Args:
        stage: model, batches and loss.
        config: how to optimise.
        folder: where checkpoints and TensorBoard's files go.

    Returns:
        `{"steps", "seconds", "loss"}` of the whole run, resumed parts included. The model then holds the
        averaged weights where the stage keeps an average.
    """
    folder.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    model = stage.model
    if accelerator.device.type == "cpu":
        model = model.to(memory_format=torch.channels_last)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        trained, lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True
    )
    # Accelerate steps the schedule once a process; the count is scaled so that its length stays in global
    # steps.
    processes = accelerator.num_processes
    schedule = get_cosine_schedule_with_warmup(
        optimizer, config.warmup_steps * processes, config.steps * processes
    )
    model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    progress = _Progress()
    accelerator.register_for_checkpointing(progress)
    average = None
    if config.ema_decay:
        average = EMAModel(trained, decay=config.ema_decay, use_ema_warmup=True, power=3 / 4)
        average.to(accelerator.device)
        accelerator.register_for_checkpointing(average)
    if found := checkpoints(folder):
        accelerator.load_state(str(found[-1]))

    writer = SummaryWriter(str(folder / "tensorboard")) if accelerator.is_main_process else None
    share = config.batch_size // processes
    own = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)
    bar = tqdm(
        total=config.steps, initial=progress.step, desc=stage.name, disable=not accelerator.is_main_process
    )
    model.train()
    before, began, smoothed = progress.seconds, time.monotonic(), None
    while progress.step < config.steps:
        batch = stage.batch(config.batch_size, step_generator(config.seed, progress.step))
        batch = {name: values[own].to(accelerator.device) for name, values in batch.items()}
        with accelerator.autocast():
            loss = model(**batch)
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(trained, config.max_grad_norm)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if average is not None:
            average.step(trained)
        progress.step += 1
        progress.seconds = before + time.monotonic() - began
        bar.update()

        if progress.step % config.log_every == 0 or progress.step == config.steps:
            value = accelerator.reduce(loss.detach(), "mean").item()
            smoothed = value if smoothed is None else 0.9 * smoothed + 0.1 * value
            bar.set_postfix(loss=f"{smoothed:.4f}")
            if writer:
                writer.add_scalar("loss", value, progress.step)
                writer.add_scalar("gradient_norm", float(norm), progress.step)
                writer.add_scalar("learning_rate", schedule.get_last_lr()[0], progress.step)
        if progress.step % config.save_every == 0 or progress.step == config.steps:
            save_checkpoint(accelerator, folder, progress.step)
    bar.close()
    if writer:
        writer.close()
    if average is not None:
        average.copy_to(trained)
    stage.model = accelerator.unwrap_model(model).cpu().eval()
    return {"steps": progress.step, "seconds": progress.seconds, "loss": smoothed}
