"""Stage 3: the conditioner and the U-Net, trained together on cached latents.

    python -m training.diffusion --config training/configs/embedded.yaml

A min-SNR weighted loss (Hang et al. 2023) where the configuration asks for it, an averaged copy of the
weights, and a tenth of the conditions replaced by the learned empty one for classifier-free guidance. The
barcode encoder is as costly as the small U-Net, so every encoded barcode serves several noise draws of its
picture.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate.utils import set_seed
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import nn
from tqdm.auto import tqdm

from g2pdiff.autoencoder import PatchAutoencoder
from g2pdiff.conditioner import BarcodeConditioner
from g2pdiff.environment import geodesic
from g2pdiff.guidance import add_noise
from g2pdiff.tokenizer import KmerTokenizer
from training.config import Config, command
from training.data import SpecimenSet, draw_rows, load_specimens, mask_tokens, species_batches
from training.loop import fit
from training.losses import min_snr_weight
from training.results import record_result


@torch.no_grad()
def cache_latents(vae: PatchAutoencoder, specimens: SpecimenSet, folder: Path, batch: int = 64) -> np.ndarray:
    """Encode every picture once.

    The file is kept until the encoder or the specimens change, which shows in their first latent.

    Returns:
        Latents (N, C, h, w) float16, memory-mapped.
    """
    path = folder / "latents.npy"
    first = vae.encode(specimens.images([0]) * 2 - 1)[0].half().numpy()
    stale = not path.exists() or not (
        (saved := np.load(path, mmap_mode="r")).shape == (len(specimens), *first.shape)
        and np.allclose(saved[0], first, atol=1e-2)
    )
    if stale:
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        latents = np.lib.format.open_memmap(partial, "w+", np.float16, (len(specimens), *first.shape))
        for start in tqdm(range(0, len(specimens), batch), desc="encode latents"):
            rows = list(range(start, min(start + batch, len(specimens))))
            latents[rows] = vae.encode(specimens.images(rows) * 2 - 1).half().numpy()
        latents.flush()
        os.replace(partial, path)
    return np.load(path, mmap_mode="r")


class DiffusionLoss(nn.Module):
    """Conditioner and U-Net; forward() is the weighted denoising loss of a batch."""

    def __init__(
        self,
        conditioner: BarcodeConditioner,
        unet: UNet2DConditionModel,
        scheduler,
        min_snr_gamma: float | None = None,
    ):
        super().__init__()
        self.conditioner, self.unet, self.scheduler = conditioner, unet, scheduler
        self.min_snr_gamma = min_snr_gamma

    def forward(
        self,
        input_ids: torch.Tensor,
        locality: torch.Tensor,
        latents: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        dropped: torch.Tensor,
    ) -> torch.Tensor:
        """
        Args:
            input_ids: tokens (B, L).
            locality: unit vectors (B, 3).
            latents: clean latents (B, C, h, w).
            noise: K draws for every specimen (B, K, C, h, w).
            timesteps: likewise (B, K).
            dropped: whether the empty condition takes the condition's place (B, K).
        """
        draws = noise.shape[1]
        condition = self.conditioner(input_ids, locality).repeat(draws)
        null = self.conditioner.null(condition)
        dropped = dropped.flatten()
        pooled = torch.where(dropped[:, None], null.pooled, condition.pooled)
        context = torch.where(dropped[:, None, None], null.context, condition.context)

        clean, noise, timesteps = (
            latents.repeat_interleave(draws, 0),
            noise.flatten(0, 1),
            timesteps.flatten(),
        )
        noisy = add_noise(clean, noise, timesteps, self.scheduler.alphas_cumprod)
        prediction = self.unet(
            noisy,
            timesteps,
            encoder_hidden_states=context,
            class_labels=pooled if self.unet.config.class_embed_type else None,
        ).sample.float()
        kind = self.scheduler.config.prediction_type
        gamma = self.scheduler.alphas_cumprod.to(noisy.device)[timesteps]
        if kind == "epsilon":
            target = noise
        else:
            root = gamma.view(-1, 1, 1, 1)
            target = root.sqrt() * noise - (1 - root).sqrt() * clean
        error = F.mse_loss(prediction, target, reduction="none").mean((1, 2, 3))
        if self.min_snr_gamma is not None:
            error = error * min_snr_weight(gamma, kind, self.min_snr_gamma)
        return error.mean()


def noise_schedule(config: Config) -> DPMSolverMultistepScheduler:
    """The run's noise schedule; by default Stable Diffusion's."""
    settings = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    settings |= dict(prediction_type="v_prediction", timestep_spacing="trailing")
    return DPMSolverMultistepScheduler(**(settings | config.diffusion.scheduler))


class DiffusionStage:
    """Batches of latents of distinct species, with several noise draws each."""

    name = "diffusion"

    def __init__(self, config: Config, specimens: SpecimenSet, vae: PatchAutoencoder, folder: Path):
        default = {"draws": 4, "condition_dropout": 0.1, "min_snr_gamma": None, "sketch_barcodes": 8192}
        self.settings = default | config.diffusion.settings
        self.tokenizer = KmerTokenizer(**config.diffusion.tokenizer)
        table = specimens.table
        self.input_ids = self.tokenizer.ids(table["dna_barcode"].tolist())
        self.localities = geodesic(
            torch.tensor(table["coord-lat"].to_numpy(), dtype=torch.float32),
            torch.tensor(table["coord-lon"].to_numpy(), dtype=torch.float32),
        )
        self.latents = cache_latents(vae, specimens, folder)
        self.groups = species_batches(table)
        conditioner = BarcodeConditioner(
            vocab_size=self.tokenizer.vocab_size,
            max_tokens=self.input_ids.shape[1],
            k=self.tokenizer.k,
            **config.diffusion.conditioner,
        )
        if conditioner.sketch is not None:
            conditioner.sketch.fit_components(self.input_ids[: self.settings["sketch_barcodes"]])
        unet = UNet2DConditionModel(
            sample_size=self.latents.shape[-1],
            in_channels=self.latents.shape[1],
            out_channels=self.latents.shape[1],
            cross_attention_dim=conditioner.config.hidden_size,
            projection_class_embeddings_input_dim=conditioner.config.hidden_size,
            **config.diffusion.model,
        )
        self.model = DiffusionLoss(
            conditioner,
            unet,
            noise_schedule(config),
            self.settings["min_snr_gamma"],
        )

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        draws = self.settings["draws"]
        rows = draw_rows(self.groups, size, generator)
        latents = torch.from_numpy(self.latents[rows].astype(np.float32))
        steps = self.model.scheduler.config.num_train_timesteps
        # Stratified over the draws of a specimen, so that a batch covers the whole schedule evenly.
        strata = torch.arange(draws) + torch.rand(size, draws, generator=generator)
        return {
            "input_ids": mask_tokens(self.input_ids[rows], self.tokenizer.unk_token_id, generator),
            "locality": self.localities[rows],
            "latents": latents,
            "noise": torch.randn(size, draws, *latents.shape[1:], generator=generator),
            "timesteps": (strata / draws * steps).long().clamp(max=steps - 1),
            "dropped": torch.rand(size, draws, generator=generator) < self.settings["condition_dropout"],
        }


def train(config: Config) -> None:
    """Train conditioner and U-Net and save them to `RUN/diffusion/{conditioner,unet,tokenizer,scheduler}`."""
    run = Path(config.run)
    set_seed(config.diffusion.training.seed)
    vae = PatchAutoencoder.from_pretrained(run / "autoencoder" / "model")
    stage = DiffusionStage(config, load_specimens(config.data, run), vae, run / "data")
    folder = run / stage.name
    result = fit(stage, config.diffusion.training, folder)
    stage.model.conditioner.save_pretrained(folder / "conditioner")
    stage.model.unet.save_pretrained(folder / "unet")
    stage.tokenizer.save_pretrained(folder / "tokenizer")
    stage.model.scheduler.save_pretrained(folder / "scheduler")
    pictures = result["steps"] * config.diffusion.training.batch_size
    record_result(
        run,
        stage.name,
        result | {"pictures": pictures, "noise_draws": pictures * stage.settings["draws"]},
    )


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
