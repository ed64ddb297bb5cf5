"""Stage 4: the aligner, which learns to match a noisy latent with its barcode.

    python -m training.aligner --config training/configs/embedded.yaml

The loss has two terms. The first is InfoNCE (Eq. 9 of the paper) between noisy latents and conditions, with
each species at most once per batch. The second is the log-probability that guidance uses: the right condition
among those of the reference bank, which has many more than a batch. The conditioner is frozen: if it were
trained too, the condition could collapse to one that is easy to align with. Conditions are computed once, for
`aligner.settings.specimens` of the specimens (null: for all), because encoding barcodes is expensive, and the
noise makes a picture new every time. The reference bank is filled with the conditions of known barcodes.

The paper has Eq. 9 only. The other direction of InfoNCE (the right latent among those of the batch) and the
term over the bank are additions.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler
from torch import nn

from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.guidance import add_noise
from g2pdiff.models.aligner import LatentAligner
from g2pdiff.models.autoencoder import PatchAutoencoder
from g2pdiff.models.conditioner import BarcodeConditioner
from training.configs.schema import Config, command
from training.data.specimens import SpecimenSet, draw_rows, load_specimens, localities_of, species_batches
from training.data.storage import whole_folder
from training.diffusion import cache_conditions, cache_latents
from training.evaluation.results import record_result
from training.stages.loop import fit, step_generator
from training.stages.losses import centre, gather, info_nce
from training.stages.parts import load_autoencoder, load_scheduler, schedule_on_device, start_weights


def reference_rows(table: pd.DataFrame, size: int, seed: int) -> np.ndarray:
    """Return the rows of `size` random species: one unmutated, unmoved specimen of each."""
    natural = table[table["mutation_rate"] == 0]
    one_each = natural.sample(frac=1, random_state=seed).groupby("species").head(1)
    return one_each.index[:size].to_numpy()


class AlignerLoss(nn.Module):
    """Symmetric InfoNCE over the global batch, and cross-entropy of the right condition among the bank's.

    Args:
        aligner: an aligner with a filled bank.
        scheduler: the noise schedule.
        bank_species: species numbers of the bank's conditions (N,).
    """

    def __init__(
        self, aligner: LatentAligner, scheduler: DPMSolverMultistepScheduler, bank_species: torch.Tensor
    ):
        super().__init__()
        self.aligner, self.scheduler = aligner, scheduler
        self.register_buffer("bank_species", bank_species, persistent=False)

    def forward(
        self,
        latents: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        pooled: torch.Tensor,
        species: torch.Tensor,
    ) -> torch.Tensor:
        """Return the contrastive loss of a batch.

        Args:
            latents: clean latents (B, C, h, w).
            noise: noise of the same shape.
            timesteps: (B,).
            pooled: conditions (B, D).
            species: species numbers (B,).
        """
        noisy = add_noise(latents, noise, timesteps, self.scheduler.alphas_cumprod)
        pictures = gather(self.aligner.embed_latents(noisy, timesteps).float())
        conditions = gather(self.aligner.embed_condition(pooled).float())
        scale = self.aligner.logit_scale.exp().clamp(max=100)
        own = gather(species)
        bank = scale * pictures @ self.aligner.embed_condition(self.aligner.bank).float().T
        # A reference of the specimen's own species is not a negative.
        is_own: Any = own[:, None] == self.bank_species
        bank = bank.masked_fill(is_own, -torch.inf)
        right = scale * (pictures * conditions).sum(-1, keepdim=True)
        recognised = -torch.log_softmax(torch.cat([right, bank], dim=1), dim=1)[:, 0].mean()
        return info_nce(scale * pictures @ conditions.T) + recognised


class AlignerStage:
    """Batches of noisy latents and conditions of distinct species."""

    name = "aligner"

    def __init__(
        self, config: Config, specimens: SpecimenSet, vae: PatchAutoencoder | AutoencoderKL, run: Path
    ):
        trained = run / "diffusion"
        conditioner = BarcodeConditioner.from_pretrained(trained / "conditioner").eval()
        tokenizer = KmerTokenizer.from_pretrained(trained / "tokenizer")
        scheduler = schedule_on_device(load_scheduler(trained / "scheduler"))
        settings = {"bank_size": 512, "specimens": 8192, **config.aligner.settings}
        seed = config.aligner.training.seed
        chosen = np.random.default_rng(seed).permutation(len(specimens))[: settings["specimens"]]
        table = specimens.table.iloc[chosen].reset_index(drop=True)
        self.latents = cache_latents(vae, specimens, run / "data")[chosen]
        self.groups = species_batches(table)
        input_ids = tokenizer.ids(table["dna_barcode"].tolist())
        self.conditions = cache_conditions(conditioner, input_ids, localities_of(table)).pooled.float()
        self.species = torch.from_numpy(table["species"].factorize()[0])
        references = reference_rows(table, settings["bank_size"], seed)
        aligner = LatentAligner(
            latent_channels=self.latents.shape[1],
            latent_size=self.latents.shape[-1],
            condition_size=self.conditions.shape[1],
            num_train_timesteps=scheduler.config["num_train_timesteps"],
            bank_size=len(references),
            **config.aligner.model,
        )
        start_weights(config, f"{self.name}/model", aligner)
        aligner.bank.copy_(self.conditions[references])
        self.model = AlignerLoss(aligner, scheduler, self.species[references])
        training = config.aligner.training
        first = self.batch(training.batch_size, step_generator(training.seed, 0))
        noisy = add_noise(first["latents"], first["noise"], first["timesteps"], scheduler.alphas_cumprod)
        with torch.no_grad():
            centre(aligner.latent_head, aligner.latent_features(noisy, first["timesteps"]))
            centre(aligner.condition_head, first["pooled"])

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        rows = draw_rows(self.groups, size, generator)
        latents = torch.from_numpy(self.latents[rows].astype(np.float32))
        steps = self.model.scheduler.config["num_train_timesteps"]
        return {
            "latents": latents,
            "noise": torch.randn(latents.shape, generator=generator),
            "timesteps": torch.randint(0, steps, (size,), generator=generator),
            "pooled": self.conditions[rows],
            "species": self.species[rows],
        }


@torch.no_grad()
def accuracy_by_noise(stage: AlignerStage, rows: int = 256, levels: int = 5) -> dict[str, float]:
    """Measure the top-1 accuracy among training specimens of distinct species, `rows`, at a few timesteps."""
    generator = torch.Generator().manual_seed(0)
    batch = stage.batch(min(rows, len(stage.groups)), generator)
    aligner, scheduler = stage.model.aligner, stage.model.scheduler
    steps = scheduler.config["num_train_timesteps"]
    found = {}
    for timestep in np.linspace(0, steps - 1, levels).astype(int):
        timesteps = torch.full((len(batch["latents"]),), int(timestep))
        noisy = add_noise(batch["latents"], batch["noise"], timesteps, scheduler.alphas_cumprod)
        logits = aligner(noisy, timesteps, batch["pooled"])
        found[str(timestep)] = (logits.argmax(1) == torch.arange(len(logits))).float().mean().item()
    return found


def train(config: Config) -> None:
    """Train the aligner, fill its reference bank, and save it to `RUN/aligner/model`."""
    run = Path(config.run)
    set_seed(config.aligner.training.seed)
    vae = load_autoencoder(run)
    stage = AlignerStage(config, load_specimens(config.data, run), vae, run)
    result = fit(stage, config.aligner.training, run / stage.name)
    if not PartialState().is_main_process:
        return
    with whole_folder(run / stage.name / "model") as folder:
        stage.model.aligner.save_pretrained(folder)
    record_result(run, stage.name, result | {"accuracy_by_timestep": accuracy_by_noise(stage)})


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
