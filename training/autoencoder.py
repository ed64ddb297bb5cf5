"""Stage 1: the autoencoder, which makes the latents of the diffusion model.

    python -m training.autoencoder --config training/configs/embedded.yaml

The encoder is computed in closed form from principal components of patches (`g2pdiff.models.autoencoder`), or
it is that of the run to start from. Only the decoder's refinement is trained. Thin legs, antennae and veins
are few pixels, but people look at them most. So the loss weighs a pixel by the detail around it.

A run on a base (`diffusion.base`) uses the base's autoencoder and trains none.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import PartialState
from accelerate.utils import set_seed
from diffusers import AutoencoderKL
from torch import nn

from g2pdiff.models.autoencoder import PatchAutoencoder
from training.configs.schema import Config, command
from training.data.specimens import SpecimenSet, draw_rows, load_specimens, species_batches
from training.data.storage import whole_folder
from training.evaluation.results import record_result
from training.stages.loop import fit
from training.stages.lora import load_base
from training.stages.losses import gather
from training.stages.parts import reconstruct, start_weights


def detail_weight(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Return weights of pixels by the detail around them: 1 on flat paper, up to 1 + `strength` along edges.

    Args:
        images: pictures (B, 3, H, W).

    Returns:
        Weights (B, 1, H, W), detached.
    """
    grey = images.detach().mean(1, keepdim=True)
    mean = F.avg_pool2d(grey, 5, 1, 2, count_include_pad=False)
    contrast = F.avg_pool2d((grey - mean).square(), 5, 1, 2, count_include_pad=False).clamp(min=0).sqrt()
    return 1 + strength * (contrast / 0.15).clamp(max=1)


class AutoencoderLoss(nn.Module):
    """Detail-weighted L1 + L2 reconstruction of pictures in [-1, 1], from slightly noisy latents.

    Noise on the latents, in units of a channel's standard deviation, makes the decoder robust against small
    errors of the diffusion model.
    """

    def __init__(self, vae: PatchAutoencoder, detail: float, latent_noise: float):
        super().__init__()
        self.vae, self.detail, self.latent_noise = vae, detail, latent_noise

    def forward(self, images: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        latents = self.vae.encode(images)
        deviation = gather(latents.detach()).std((0, 2, 3), keepdim=True)
        decoded = self.vae.decode(latents + self.latent_noise * deviation * noise).sample.float()
        error = decoded - images
        return (detail_weight(images, self.detail) * (error.square() + 0.2 * error.abs())).mean()


def example_patches(specimens: SpecimenSet, size: int, pictures: int, seed: int) -> torch.Tensor:
    """Return all patches of some pictures: (N, 3, size, size) in [-1, 1]."""
    rows = torch.randperm(len(specimens), generator=torch.Generator().manual_seed(seed))[:pictures].numpy()
    images = specimens.images(rows) * 2 - 1
    patches = images.unfold(2, size, size).unfold(3, size, size)  # (B, 3, h, w, size, size)
    return patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, size, size)


class AutoencoderStage:
    """Batches of randomly mirrored pictures."""

    name = "autoencoder"

    def __init__(self, config: Config, specimens: SpecimenSet):
        self.specimens, self.groups = specimens, species_batches(specimens.table)
        settings = {"detail": 3.0, "latent_noise": 0.1, "pca_pictures": 1500, **config.autoencoder.settings}
        vae = PatchAutoencoder(**config.autoencoder.model)
        patches = example_patches(
            specimens, vae.config.patch_size, settings["pca_pictures"], config.autoencoder.training.seed
        )
        self.variance_kept = vae.fit_components(patches)
        start_weights(config, f"{self.name}/model", vae)
        self.model = AutoencoderLoss(vae, settings["detail"], settings["latent_noise"])

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        images = self.specimens.images(draw_rows(self.groups, size, generator)) * 2 - 1
        mirrored = torch.rand(size, 1, 1, 1, generator=generator) < 0.5
        vae = self.model.vae.config
        side = images.shape[-1] // vae.patch_size
        return {
            "images": torch.where(mirrored, images.flip(3), images),
            "noise": torch.randn(size, vae.latent_channels, side, side, generator=generator),
        }


@torch.no_grad()
def psnr(vae: PatchAutoencoder | AutoencoderKL, specimens: SpecimenSet, count: int = 128) -> float:
    """Measure the mean PSNR in dB of reconstructed pictures."""
    values = []
    for start in range(0, min(count, len(specimens)), 16):
        rows = range(start, min(start + 16, count, len(specimens)))
        images = specimens.images(list(rows)).to(vae.device) * 2 - 1
        error = (reconstruct(vae, images).clamp(-1, 1) - images).square().mean((1, 2, 3))
        values.append(10 * torch.log10(4 / error))
    return torch.cat(values).mean().item()


def train(config: Config) -> None:
    """Train the autoencoder, or copy the base's, and save it to `RUN/autoencoder/model`."""
    run = Path(config.run)
    if config.diffusion.base:
        state = PartialState()
        vae = load_base(AutoencoderKL, config.diffusion.base, "vae").to(state.device)
        quality = psnr(vae, load_specimens(config.data, run, "val"))
        if state.is_main_process:
            with whole_folder(run / "autoencoder" / "model") as folder:
                vae.save_pretrained(folder)
        state.wait_for_everyone()
        record_result(run, "autoencoder", {"steps": 0, "seconds": 0.0, "loss": None, "psnr_db": quality})
        return
    set_seed(config.autoencoder.training.seed)
    stage = AutoencoderStage(config, load_specimens(config.data, run))
    result = fit(stage, config.autoencoder.training, run / stage.name)
    if not PartialState().is_main_process:
        return
    vae = stage.model.vae
    with whole_folder(run / stage.name / "model") as folder:
        vae.save_pretrained(folder)
    held_out = load_specimens(config.data, run, "val")
    record_result(
        run, stage.name, result | {"variance_kept": stage.variance_kept, "psnr_db": psnr(vae, held_out)}
    )


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
