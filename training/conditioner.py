"""Stage 2: the conditioner, which learns to regress a picture's latent from barcode and locality.

    python -m training.conditioner --config training/configs/butterflies.yaml

Through the U-Net, an untrained conditioner learns slowly what a barcode means, one noise draw at a time.
Regressing the mean latent of barcode and locality is easier: it needs only pairs and mean squared error, and
takes minutes. Both results are used: the U-Net reads the mean latent beside the noisy latent, and the pooled
condition from which the mean latent is computed.

The condition is BERT's mean over tokens plus the sketch. Each part is also trained alone, so that neither
leaves the work to the other. results.json has the R2 of each on held-out barcodes.

A configuration with `conditioner.training.steps=0`, such as the paper's, has no such stage: the conditioner
then learns with the U-Net.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import PartialState
from accelerate.utils import set_seed
from diffusers import AutoencoderKL
from torch import nn

from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.models.autoencoder import PatchAutoencoder
from g2pdiff.models.conditioner import BarcodeConditioner
from training.configs.schema import Config, command
from training.data.specimens import (
    SpecimenSet,
    draw_rows,
    load_specimens,
    localities_of,
    mask_tokens,
    species_batches,
)
from training.data.storage import whole_folder
from training.diffusion import cache_latents, fresh_conditioner
from training.evaluation.results import record_result
from training.stages.loop import fit
from training.stages.parts import load_autoencoder, start_weights


def mean_latents(
    conditioner: BarcodeConditioner,
    input_ids: torch.Tensor,
    locality: torch.Tensor,
    encoded: int | None = None,
) -> dict[str, torch.Tensor]:
    """Regress mean latents from the whole condition and from each of its parts.

    Args:
        conditioner: a conditioner with a `latent_shape`.
        input_ids: tokens (B, L).
        locality: unit vectors (B, 3).
        encoded: number of rows that BERT reads, from the first; by default all.

    Returns:
        Mean latents by name: `both` and `bert` (encoded, C, h, w), and `sketch` (B, C, h, w). Without a
        sketch, only `both`.
    """
    head, few = conditioner.mean_latent_head, slice(None, encoded)
    assert head is not None  # this stage trains it
    sketch = conditioner.sketch(input_ids) if conditioner.sketch is not None else None
    bert = conditioner.encode(input_ids[few], locality[few])[0].mean(1)
    if sketch is None:
        return {"both": head(bert, locality[few])}
    return {
        "both": head(bert + sketch[few], locality[few]),
        "bert": head(bert, locality[few]),
        "sketch": head(sketch, locality),
    }


class MeanLatentLoss(nn.Module):
    """Mean squared error of the mean latents. The whole condition and its parts have equal weights.

    Args:
        conditioner: the conditioner, which learns.
        bert_share: share of a batch that BERT reads. BERT costs a hundred times as much as the sketch, which
            learns from the whole batch.
    """

    def __init__(self, conditioner: BarcodeConditioner, bert_share: float = 1.0):
        super().__init__()
        self.conditioner, self.bert_share = conditioner, bert_share
        conditioner.null_token.requires_grad_(False)  # it learns in the diffusion stage

    def forward(self, input_ids: torch.Tensor, locality: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        encoded = max(1, round(self.bert_share * len(latents)))
        found = mean_latents(self.conditioner, input_ids, locality, encoded)
        return torch.stack([F.mse_loss(one.float(), latents[: len(one)]) for one in found.values()]).mean()


class ConditionerStage:
    """Batches of barcodes, localities and latents of distinct species."""

    name = "conditioner"

    def __init__(
        self, config: Config, specimens: SpecimenSet, vae: PatchAutoencoder | AutoencoderKL, folder: Path
    ):
        self.tokenizer = KmerTokenizer(**config.diffusion.tokenizer)
        self.input_ids = self.tokenizer.ids(specimens.table["dna_barcode"].tolist())
        self.localities = localities_of(specimens.table)
        self.latents = cache_latents(vae, specimens, folder)
        self.groups = species_batches(specimens.table)
        shape = tuple(self.latents.shape[1:])
        conditioner = fresh_conditioner(config, self.tokenizer, self.input_ids, latent_shape=shape)
        start_weights(config, f"{self.name}/model", conditioner)
        self.model = MeanLatentLoss(conditioner, config.conditioner.settings.get("bert_share", 1.0))

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        rows = draw_rows(self.groups, size, generator)
        return {
            "input_ids": mask_tokens(self.input_ids[rows], self.tokenizer.unknown_id, generator),
            "locality": self.localities[rows],
            "latents": torch.from_numpy(self.latents[rows].astype(np.float32)),
        }


@torch.no_grad()
def explained(stage: ConditionerStage, specimens: SpecimenSet, latents: np.ndarray) -> dict[str, float]:
    """Return the share of the held-out latents' variance (R2) that the mean latents explain, by part."""
    input_ids = stage.tokenizer.ids(specimens.table["dna_barcode"].tolist())
    localities, truth = localities_of(specimens.table), torch.from_numpy(latents[:].astype(np.float32))
    residual: dict[str, float] = {}
    for rows in torch.arange(len(truth)).split(64):
        for name, found in mean_latents(stage.model.conditioner, input_ids[rows], localities[rows]).items():
            residual[name] = residual.get(name, 0.0) + (found - truth[rows]).square().sum().item()
    total = (truth - truth.mean(0)).square().sum().item()
    return {name: 1 - value / total for name, value in residual.items()}


def train(config: Config) -> None:
    """Train the conditioner and save it to `RUN/conditioner/model`."""
    run = Path(config.run)
    set_seed(config.conditioner.training.seed)
    vae = load_autoencoder(run)
    stage = ConditionerStage(config, load_specimens(config.data, run), vae, run / "data")
    result = fit(stage, config.conditioner.training, run / stage.name)
    held_out = load_specimens(config.data, run, "val")
    latents = cache_latents(vae, held_out, run / "data")  # the processes share the encoding
    if not PartialState().is_main_process:
        return
    with whole_folder(run / stage.name / "model") as folder:
        stage.model.conditioner.save_pretrained(folder)
    record_result(run, stage.name, result | {"held_out_r2": explained(stage, held_out, latents)})


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
