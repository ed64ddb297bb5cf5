"""Loading of a run's parts of either kind: trained here, or published by others.

The autoencoder is ours or Stable Diffusion's. The judge is our CLIBD or the official one. The U-Net is a
whole one, or a base's with an adapter. The saved files say which, and this module loads both kinds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import nn

from g2pdiff.errors import InputError
from g2pdiff.models.autoencoder import PatchAutoencoder
from g2pdiff.models.clibd import CLIBD
from g2pdiff.models.clibd_official import OfficialCLIBD
from training.configs.schema import Config
from training.stages.lora import ADAPTER_FOLDER, fuse, load_adapted

AnyModule = TypeVar("AnyModule", bound=nn.Module)


def _load_either(folder: Path, *kinds: Any, **settings: Any) -> Any:
    """Load a saved model as the class among `kinds` that its config.json names."""
    name = json.loads((folder / "config.json").read_text())["_class_name"]
    return {kind.__name__: kind for kind in kinds}[name].from_pretrained(folder, **settings)


def on_device(model: AnyModule, device: torch.device | None) -> AnyModule:
    """Move a model to a device and return it. The type of diffusers' own `to` is wrong."""
    nn.Module.to(model, device)  # in place
    return model


def schedule_on_device(scheduler: DPMSolverMultistepScheduler) -> DPMSolverMultistepScheduler:
    """Move the cumulative alphas of a noise schedule to where training reads them; return the schedule.

    Losses look them up at every step. A copy from the machine's memory would make a GPU wait each time. A
    pipeline's schedule stays: diffusers computes with it on the CPU.
    """
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.to(PartialState().device)
    return scheduler


def load_scheduler(folder: Path) -> DPMSolverMultistepScheduler:
    """Return the noise schedule that is saved in a folder."""
    scheduler = DPMSolverMultistepScheduler.from_pretrained(folder)
    assert isinstance(scheduler, DPMSolverMultistepScheduler)
    return scheduler


def load_autoencoder(run: Path) -> PatchAutoencoder | AutoencoderKL:
    """Return the autoencoder of a run's first stage, which makes the latents."""
    return _load_either(run / "autoencoder" / "model", PatchAutoencoder, AutoencoderKL)


def load_final_autoencoder(run: Path) -> PatchAutoencoder | AutoencoderKL:
    """Return a run's final autoencoder: the one with the last decoder, if a stage trained one."""
    last = run / "decoder" / "model"
    return PatchAutoencoder.from_pretrained(last) if last.is_dir() else load_autoencoder(run)


def load_clibd(folder: Path, **settings) -> CLIBD | OfficialCLIBD:
    """Return the CLIBD model that is saved in a folder; `settings` go to `from_pretrained`."""
    return _load_either(folder, CLIBD, OfficialCLIBD, **settings)


def load_unet(run: Path, latent_size: int) -> UNet2DConditionModel:
    """Return the U-Net of a run. An adapter is fused into its base.

    Args:
        run: folder of the run.
        latent_size: height and width of a latent; a base does not know it.

    Raises:
        InputError: field `base`, if the run has an adapter and its base cannot be loaded.
    """
    adapter = run / "diffusion" / ADAPTER_FOLDER
    if adapter.is_dir():
        return fuse(load_adapted(adapter, latent_size))
    return UNet2DConditionModel.from_pretrained(run / "diffusion" / "unet")


def start_weights(config: Config, part: str, model: Any) -> None:
    """Give a new model the weights of the same part of the run to start from, if the configuration names one.

    Args:
        config: configuration; `start_from` names the run.
        part: folder of the part in a run, such as `diffusion/unet`.
        model: a diffusers model that gets the weights.

    Raises:
        InputError: field `start_from`, if the run lacks the part, or the part has another shape.
    """
    if not config.start_from:
        return
    folder = Path(config.start_from) / part
    try:
        trained = type(model).from_pretrained(folder)
        model.load_state_dict(trained.state_dict())
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            "start_from", f"{folder} does not hold the weights of this configuration's {part}."
        ) from error


def to_latents(vae: PatchAutoencoder | AutoencoderKL, images: torch.Tensor) -> torch.Tensor:
    """Map pictures (B, 3, H, W) in [-1, 1] to latents (B, C, h, w), scaled for diffusion.

    From a variational autoencoder the mode of the posterior is taken: latents are cached, and the posterior
    of Stable Diffusion is narrow.
    """
    encoded: Any = vae.encode(images)
    latents = encoded.latent_dist.mode() if isinstance(vae, AutoencoderKL) else encoded
    return latents * vae.config["scaling_factor"]


def reconstruct(vae: PatchAutoencoder | AutoencoderKL, images: torch.Tensor) -> torch.Tensor:
    """Reconstruct pictures (B, 3, H, W) in [-1, 1] with the autoencoder."""
    decoded: Any = vae.decode(to_latents(vae, images) / vae.config["scaling_factor"])
    return decoded.sample
