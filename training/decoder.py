"""Stage 6: the decoder again, on latents of the diffusion model.

    python -m training.decoder --config training/configs/butterflies.yaml

The autoencoder's decoder learned from latents of true pictures. The latents of a diffusion model have small
errors, which such a decoder turns into visible artefacts. So here half of its latents are noisy, and half are
the U-Net's one-step estimates from a noisy latent. The encoder does not change, so the models that learned
from its latents stay valid.

Squared error alone gives blurred pictures. A small patch discriminator (hinge loss, spectral norm; Isola et
al. 2017, Miyato et al. 2018) rewards texture. Its weight is small and it starts late, so that the decoder
invents little.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import PartialState
from accelerate.utils import set_seed
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.guidance import add_noise, to_clean, to_noise
from g2pdiff.models.autoencoder import PatchAutoencoder
from g2pdiff.models.conditioner import BarcodeConditioner, Condition
from training.autoencoder import detail_weight, psnr
from training.configs.schema import Config, command
from training.data.specimens import SpecimenSet, draw_rows, load_specimens, localities_of, species_batches
from training.data.storage import whole_folder
from training.diffusion import cache_conditions, cache_latents
from training.evaluation.results import record_result
from training.stages.loop import fit
from training.stages.parts import (
    load_autoencoder,
    load_scheduler,
    load_unet,
    schedule_on_device,
    start_weights,
)

TIMESTEPS = (20, 400)  # range of timesteps for the U-Net's one-step estimates
NOISE = 0.3  # largest noise on the noisy latents, in standard deviations of a channel


class PatchDiscriminator(nn.Sequential):
    """Scores overlapping patches: it learns scores above 1 for true pictures and below -1 for drawn ones."""

    def __init__(self, width: int = 32):
        layers: list[nn.Module] = []
        channels = 3
        for number in range(3):
            layers += [spectral_norm(nn.Conv2d(channels, width << number, 4, 2, 1)), nn.LeakyReLU(0.2)]
            channels = width << number
        super().__init__(*layers, spectral_norm(nn.Conv2d(channels, 1, 3, padding=1)))


class DecoderLoss(nn.Module):
    """Detail-weighted L1 + L2 reconstruction, and the hinge losses of decoder and discriminator.

    Args:
        vae: autoencoder; its decoder learns.
        unet: frozen U-Net, which estimates clean latents from noisy ones.
        scheduler: the noise schedule.
        adversarial: weight of the decoder's adversarial loss.
        detail: strength of the detail weight.
    """

    def __init__(
        self,
        vae: PatchAutoencoder,
        unet: UNet2DConditionModel,
        scheduler: DPMSolverMultistepScheduler,
        adversarial: float,
        detail: float,
    ):
        super().__init__()
        self.vae, self.unet, self.scheduler = vae, unet.requires_grad_(False), scheduler
        self.discriminator = PatchDiscriminator() if adversarial else None
        self.adversarial, self.detail = adversarial, detail

    @torch.no_grad()
    def disturbed(
        self, latents: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor, condition: Condition
    ) -> torch.Tensor:
        """Return latents (B, C, h, w): the first half is noisy, the others are estimates of the U-Net."""
        half = len(latents) // 2
        deviation = latents.std((0, 2, 3), keepdim=True)
        share = NOISE * timesteps[:half].view(-1, 1, 1, 1) / TIMESTEPS[1]
        noisy = latents[:half] + share * deviation * noise[:half]
        steps, gammas = timesteps[half:], self.scheduler.alphas_cumprod
        noised = add_noise(latents[half:], noise[half:], steps, gammas)
        condition = condition[half:]
        prediction = self.unet(
            condition.beside(noised),
            steps,
            encoder_hidden_states=condition.context,
            class_labels=condition.pooled if self.unet.config["class_embed_type"] else None,
        ).sample.float()
        predicted = to_noise(prediction, noised, steps, gammas, self.scheduler.config["prediction_type"])
        return torch.cat([noisy, to_clean(predicted, noised, steps, gammas)])

    def forward(
        self,
        images: torch.Tensor,
        latents: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        **condition: torch.Tensor,
    ) -> torch.Tensor:
        """Return the decoder's loss for a batch.

        Args:
            images: pictures (B, 3, H, W) in [-1, 1].
            latents: their latents (B, C, h, w).
            noise: noise (B, C, h, w).
            timesteps: timesteps (B,) of the U-Net's estimates; they also set the noise of the other latents.
            condition: the tensors of the specimens' `Condition`.
        """
        given = self.disturbed(latents, noise, timesteps, Condition(**condition))
        decoded = self.vae.decode(given).sample.float()
        error = decoded - images
        loss = (detail_weight(images, self.detail) * (error.square() + error.abs()) / 2).mean()
        if self.discriminator is None:
            return loss
        self.discriminator.requires_grad_(False)  # the decoder's loss does not change the discriminator
        loss = loss - self.adversarial * self.discriminator(decoded).float().mean()
        self.discriminator.requires_grad_(True)
        true, drawn = self.discriminator(images).float(), self.discriminator(decoded.detach()).float()
        return loss + (F.relu(1 - true).mean() + F.relu(1 + drawn).mean())


class DecoderStage:
    """Batches of pictures, their latents and conditions."""

    name = "decoder"

    def __init__(self, config: Config, specimens: SpecimenSet, run: Path):
        trained = run / "diffusion"
        self.specimens, self.groups = specimens, species_batches(specimens.table)
        vae = load_autoencoder(run)
        assert isinstance(vae, PatchAutoencoder)  # `train` refuses an autoencoder of a base
        self.latents = cache_latents(vae, specimens, run / "data")
        conditioner = BarcodeConditioner.from_pretrained(trained / "conditioner").eval()
        tokenizer = KmerTokenizer.from_pretrained(trained / "tokenizer")
        input_ids = tokenizer.ids(specimens.table["dna_barcode"].tolist())
        self.conditions = cache_conditions(conditioner, input_ids, localities_of(specimens.table))
        start_weights(config, f"{self.name}/model", vae)
        settings = {"adversarial": 0.01, "detail": 3.0, **config.decoder.settings}
        scheduler = schedule_on_device(load_scheduler(trained / "scheduler"))
        unet = load_unet(run, self.latents.shape[-1])
        self.model = DecoderLoss(vae, unet, scheduler, settings["adversarial"], settings["detail"])

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        rows = draw_rows(self.groups, size, generator)
        latents = torch.from_numpy(self.latents[rows].astype(np.float32))
        return {
            "images": self.specimens.images(rows) * 2 - 1,
            "latents": latents,
            "noise": torch.randn(latents.shape, generator=generator),
            "timesteps": torch.randint(*TIMESTEPS, (size,), generator=generator),
            **vars(self.conditions[rows].to(torch.float32)),
        }


def train(config: Config) -> None:
    """Continue the decoder's training, and save the autoencoder to `RUN/decoder/model`."""
    run = Path(config.run)
    set_seed(config.decoder.training.seed)
    stage = DecoderStage(config, load_specimens(config.data, run), run)
    learning_rate = config.decoder.training.learning_rate
    groups = [{"params": [*stage.model.vae.parameters()], "lr": learning_rate}]
    if stage.model.discriminator is not None:
        groups += [{"params": [*stage.model.discriminator.parameters()], "lr": learning_rate / 2}]
    before = psnr(stage.model.vae, held_out := load_specimens(config.data, run, "val"))
    result = fit(stage, config.decoder.training, run / stage.name, groups)
    if not PartialState().is_main_process:
        return
    vae = stage.model.vae
    with whole_folder(run / stage.name / "model") as folder:
        vae.save_pretrained(folder)
    quality = {"psnr_db_before": before, "psnr_db": psnr(vae, held_out)}
    record_result(run, stage.name, result | quality)


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
