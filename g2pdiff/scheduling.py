"""The scheduler of one run: the checkpoint's own, or another one that was chosen for the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import diffusers
import torch
from diffusers import DPMSolverMultistepScheduler

from g2pdiff.denoising import SCHEDULERS, Resolved
from g2pdiff.errors import InputError


def check_scheduler(own: Any, denoising: Resolved) -> None:
    """Refuse to step with a scheduler whose noise the aligner and the guidance do not know, such as Euler's.

    Args:
        own: the checkpoint's scheduler.
        denoising: settings of the run. A scheduler that they choose is always a known one.

    Raises:
        InputError: field `scheduler`, if the run would step with an unknown scheduler.
    """
    name = type(own).__name__
    if denoising.scheduler is None and name not in SCHEDULERS.values():
        raise InputError(
            "scheduler",
            f"The pipeline's scheduler is {name}, which this pipeline cannot step with: choose one of "
            f"{', '.join(SCHEDULERS)} with scheduler=.",
        )


def prepare_scheduler(own: Any, denoising: Resolved, device: torch.device | str) -> Any:
    """Return a new scheduler for one run, with its timesteps set.

    It expects predictions of the noise: `G2PDiffusionPipeline.predict_noise` converts the U-Net's output.

    Args:
        own: the checkpoint's scheduler, which gives the configuration.
        denoising: settings of the run.
        device: device of the timesteps.
    """
    name = denoising.scheduler
    kind: Any = type(own) if name is None else getattr(diffusers, SCHEDULERS[name])
    # Latents are larger than 1. The DPM solver never clips them, and has no such setting.
    clipping = {} if kind is DPMSolverMultistepScheduler else {"clip_sample": False}
    scheduler: Any = kind.from_config(own.config, prediction_type="epsilon", **clipping)
    scheduler.set_timesteps(denoising.steps, device=device)
    return scheduler


def step_arguments(scheduler: Any, generators: torch.Generator | Sequence[torch.Generator]) -> dict:
    """Return the further arguments of `scheduler.step`: the generators, unless its steps add no noise."""
    return {} if isinstance(scheduler, DPMSolverMultistepScheduler) else {"generator": generators}
