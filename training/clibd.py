"""Stage 2: the CLIBD dual encoder that judges pictures, and its success threshold.

    python -m training.clibd --config training/configs/embedded.yaml

The loss has two terms. The first is InfoNCE between pictures and barcodes (Gong et al. 2024), with each
species at most once per batch. The second teaches both towers the species: each embedding must find its
species among learned prototypes, which pictures and barcodes share. CLIBD starts from pretrained towers.
These towers start untrained, and without prototypes neither has a useful target at first. Unlabelled and
strongly mutated specimens take part in InfoNCE only. Pictures are turned, moved, blurred and noised a little,
because drawn pictures are imperfect too. Barcodes lose bases, as real reads do.

With `clibd.settings.official=best.pth` the published CLIBD is the judge: nothing is trained, and only its
threshold is measured on the validation specimens.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import PartialState
from accelerate.utils import set_seed
from torch import nn

from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.models.clibd import CLIBD, success_threshold
from g2pdiff.models.clibd_official import OfficialCLIBD, load_official_clibd
from training.configs.schema import Config, command
from training.data.specimens import SpecimenSet, draw_rows, load_specimens, mask_tokens, species_batches
from training.data.storage import whole_folder
from training.evaluation.results import record_result
from training.stages.loop import fit, step_generator
from training.stages.losses import centre, gather, info_nce
from training.stages.parts import on_device


def resize(images: torch.Tensor, side: int) -> torch.Tensor:
    """Resize pictures (B, 3, H, W) to the size of a judge's input: (B, 3, side, side)."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Turn and move pictures a little, and blur and noise some of them.

    Args:
        images: pictures (B, 3, H, W) in [0, 1].
        generator: source of all randomness.
    """
    batch = len(images)
    angle, dx, dy, zoom, blur, noise = torch.rand(6, batch, generator=generator) * 2 - 1
    angle, zoom = angle * 0.1, 1 + 0.02 * zoom
    affine = torch.stack(
        [
            torch.stack([angle.cos() * zoom, -angle.sin() * zoom, 0.03 * dx], 1),
            torch.stack([angle.sin() * zoom, angle.cos() * zoom, 0.03 * dy], 1),
        ],
        1,
    )
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    soft = F.interpolate(F.avg_pool2d(images, 2), images.shape[-2:], mode="bilinear")
    mix = (0.8 * blur.clamp(min=0)).view(-1, 1, 1, 1)
    images = images * (1 - mix) + soft * mix
    grain = torch.randn(images.shape, generator=generator) * (0.03 * noise.clamp(min=0)).view(-1, 1, 1, 1)
    return (images + grain).clamp(0, 1)


NO_SPECIES = -100  # the label that cross-entropy ignores
RECOGNISABLE = 0.05  # highest mutation rate at which a specimen still counts as its species


class ContrastiveLoss(nn.Module):
    """Symmetric InfoNCE over the global batch, and cross-entropy of the species among shared prototypes."""

    def __init__(self, clibd: CLIBD, species: int):
        super().__init__()
        self.clibd = clibd
        self.prototypes = nn.Parameter(torch.randn(species, clibd.config.embed_size))

    def forward(self, images: torch.Tensor, input_ids: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        pictures = self.clibd.embed_images(images).float()
        barcodes = self.clibd.embed_tokens(input_ids).float()
        scale = self.clibd.logit_scale.exp().clamp(max=100)
        pictures, barcodes, species = gather(pictures), gather(barcodes), gather(species)
        recognised = scale * torch.cat([pictures, barcodes]) @ F.normalize(self.prototypes, dim=-1).T
        species_loss = F.cross_entropy(recognised, species.repeat(2), ignore_index=NO_SPECIES)
        return info_nce(scale * pictures @ barcodes.T) + species_loss


class ClibdStage:
    """Batches of pictures and barcodes of distinct species."""

    name = "clibd"

    def __init__(self, config: Config, specimens: SpecimenSet):
        self.specimens, self.groups = specimens, species_batches(specimens.table)
        clibd = CLIBD(**{"image_size": config.data.image_size, **config.clibd.model})
        tokenizer = KmerTokenizer(k=clibd.config.k, stride=clibd.config.stride)
        self.input_ids = tokenizer.ids(specimens.table["dna_barcode"].tolist())
        self.unknown = tokenizer.unknown_id
        codes, names = specimens.table["species"].factorize()
        mutated = (specimens.table["mutation_rate"] > RECOGNISABLE).to_numpy()
        self.species = torch.from_numpy(np.where(mutated, NO_SPECIES, codes))
        self.model = ContrastiveLoss(clibd, len(names))
        training = config.clibd.training
        first = self.batch(training.batch_size, step_generator(training.seed, 0))
        with torch.no_grad():
            centre(clibd.image_head, clibd.image_features(first["images"]))
            centre(clibd.barcode_head, clibd.barcode_features(first["input_ids"]))

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        rows = draw_rows(self.groups, size, generator)
        side = self.model.clibd.config.image_size
        return {
            "images": augment(resize(self.specimens.images(rows), side), generator),
            "input_ids": mask_tokens(self.input_ids[rows], self.unknown, generator),
            "species": self.species[rows],
        }


@torch.no_grad()
def embed(
    clibd: CLIBD | OfficialCLIBD, specimens: SpecimenSet, batch: int = 64
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the picture embeddings and the barcode embeddings of all specimens, each (N, E)."""
    pictures, barcodes = [], []
    for start in range(0, len(specimens), batch):
        rows = list(range(start, min(start + batch, len(specimens))))
        pictures.append(clibd.embed_images(specimens.images(rows).to(clibd.device)).cpu())
        barcodes.append(clibd.embed_barcodes(specimens.table["dna_barcode"].iloc[rows].tolist()).cpu())
    return torch.cat(pictures), torch.cat(barcodes)


def measure(clibd: CLIBD | OfficialCLIBD, specimens: SpecimenSet) -> dict:
    """Measure true and shuffled pairs of held-out specimens: scores, success threshold and retrieval.

    A shuffled pair is a picture with the barcode of another species. Retrieval looks for the right species
    among one barcode per species, at most 200.
    """
    pictures, barcodes = embed(clibd, specimens)
    species = specimens.table["species"].to_numpy()
    scores = pictures @ barcodes.T
    other = torch.from_numpy(species[:, None] != species[None, :])
    true, shuffled = scores.diagonal().numpy(), scores[other].numpy()
    threshold, overlap = success_threshold(true, shuffled)
    firsts = specimens.table.reset_index().groupby("species")["index"].first()
    candidates = firsts.unique()[:200]
    found = scores[candidates][:, candidates].argmax(1) == torch.arange(len(candidates))
    return {
        "threshold": threshold,
        "overlap": overlap,
        "true_score": float(true.mean()),
        "shuffled_score": float(shuffled.mean()),
        "retrieval_top1": found.float().mean().item(),
        "retrieval_candidates": len(candidates),
    }


def train(config: Config) -> None:
    """Train CLIBD or load the official one, measure its threshold on validation specimens, and save it to
    `RUN/clibd/model`."""
    run = Path(config.run)
    if official := config.clibd.settings.get("official"):
        clibd = on_device(load_official_clibd(official), PartialState().device)
        result = {"steps": 0, "seconds": 0.0, "loss": None}
    else:
        set_seed(config.clibd.training.seed)
        stage = ClibdStage(config, load_specimens(config.data, run))
        result = fit(stage, config.clibd.training, run / ClibdStage.name)
        clibd = stage.model.clibd
    if not PartialState().is_main_process:
        return
    result |= measure(clibd, load_specimens(config.data, run, "val"))
    clibd.register_to_config(threshold=result["threshold"], overlap=result["overlap"])
    with whole_folder(run / ClibdStage.name / "model") as folder:
        clibd.save_pretrained(folder)
    record_result(run, ClibdStage.name, result)


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
