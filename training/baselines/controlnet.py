"""Baseline: ControlNet, a locked U-Net that a hint made from the barcode steers.

    python -m training.baselines.controlnet --config training/configs/embedded_baselines.yaml

The U-Net and the conditioner are those of the run's diffusion stage, and they are locked. Specimens, batches
and noise draws are the same too. Only `g2pdiff.models.controlnet.BarcodeControlNet` learns. No condition is
dropped: the locked U-Net with the empty condition is already the unconditional model.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import nn

from g2pdiff.models.conditioner import BarcodeConditioner
from g2pdiff.models.controlnet import BarcodeControlNet
from training.configs.schema import Config, command
from training.data.specimens import load_specimens
from training.data.storage import whole_folder
from training.diffusion import DiffusionStage, condition_of, denoising_errors
from training.evaluation.results import record_result
from training.stages.loop import fit
from training.stages.parts import load_autoencoder, load_unet


class ControlNetLoss(nn.Module):
    """Error of the locked U-Net's predictions from noisy latents, steered by the ControlNet.

    Args:
        conditioner, unet: locked models.
        controlnet: the model that learns.
        scheduler: the noise schedule.
    """

    def __init__(
        self,
        conditioner: BarcodeConditioner,
        unet: UNet2DConditionModel,
        controlnet: BarcodeControlNet,
        scheduler: DPMSolverMultistepScheduler,
    ):
        super().__init__()
        self.conditioner = conditioner.requires_grad_(False)
        self.unet, self.controlnet, self.scheduler = unet.requires_grad_(False), controlnet, scheduler

    def forward(
        self,
        latents: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        **specimens: torch.Tensor,
    ) -> torch.Tensor:
        """Return the denoising loss of a batch.

        Args:
            latents: clean latents (B, C, h, w).
            noise: K draws per specimen (B, K, C, h, w).
            timesteps: timesteps of the draws (B, K).
            specimens: barcodes and localities, or conditions, see `training.diffusion.condition_of`.
        """
        with torch.no_grad():
            condition = condition_of(self.conditioner, specimens).repeat(noise.shape[1])
        null = self.conditioner.null(condition)
        errors, _ = denoising_errors(
            self.unet,
            self.scheduler,
            null,
            latents,
            noise,
            timesteps,
            lambda noisy, flat: self.controlnet(noisy, flat, condition, null),
        )
        return errors.mean()


class ControlNetStage:
    """The diffusion stage's batches for a ControlNet, with its trained models."""

    name = "controlnet"

    def __init__(self, config: Config, run: Path):
        specimens = load_specimens(config.data, run)
        self.diffusion = DiffusionStage(config, specimens, load_autoencoder(run), run / "data")
        conditioner = BarcodeConditioner.from_pretrained(run / "diffusion" / "conditioner")
        unet = load_unet(run, self.diffusion.latents.shape[-1])
        controlnet = BarcodeControlNet.from_unet(
            unet, conditioner.config.hidden_size, **config.controlnet.model
        )
        self.model = ControlNetLoss(conditioner, unet, controlnet, self.diffusion.model.scheduler)

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        batch = self.diffusion.batch(size, generator)
        del batch["dropped"]
        return batch


def train(config: Config) -> None:
    """Train the ControlNet and save it to `RUN/controlnet/model`."""
    run = Path(config.run)
    set_seed(config.controlnet.training.seed)
    stage = ControlNetStage(config, run)
    result = fit(stage, config.controlnet.training, run / stage.name)
    if not PartialState().is_main_process:
        return
    with whole_folder(run / stage.name / "model") as folder:
        stage.model.controlnet.save_pretrained(folder)
    record_result(run, stage.name, result)


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
