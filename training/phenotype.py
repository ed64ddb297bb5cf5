"""The second judge: a picture encoder that is used in neither training nor sampling.

    python -m training.phenotype --config training/configs/butterflies.yaml

CLIBD scores a picture with a barcode. The phenotype encoder knows no barcodes: it learns to distinguish
species from pictures alone. The phenotype embedding score is the cosine of the drawn and the true picture in
its features, as in the third version of the paper. Generator, aligner and CLIBD do not use it.

It may learn from species that a generator does not know: an encoder from the run of the closed world can
judge the open world.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import PartialState
from accelerate.utils import set_seed
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import ResNetConfig, ResNetModel

from training.clibd import augment, resize
from training.configs.schema import Config, command
from training.data.specimens import SpecimenSet, draw_rows, load_specimens, species_batches
from training.data.storage import whole_folder
from training.evaluation.results import record_result
from training.stages.loop import fit

SHARPNESS = 16.0  # factor on cosines with prototypes before the softmax


class PhenotypeEncoder(ModelMixin, ConfigMixin):
    """A residual network from pictures to unit vectors.

    Args:
        image_size: height and width of its input, in pixels.
        widths: channels of its four stages.
        depths: residual blocks per stage.
        embed_size: width E of the vectors.
    """

    config: Any  # diffusers types it as a dict, but its entries are attributes too

    @register_to_config
    def __init__(
        self,
        image_size: int = 128,
        widths: tuple[int, ...] = (32, 64, 128, 256),
        depths: tuple[int, ...] = (1, 1, 2, 1),
        embed_size: int = 128,
    ):
        super().__init__()
        self.tower = ResNetModel(
            ResNetConfig(
                embedding_size=widths[0], hidden_sizes=list(widths), depths=list(depths), layer_type="basic"
            )
        )
        self.head = nn.Linear(widths[-1], embed_size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures (B, 3, H, W) in [0, 1] to unit vectors (B, E)."""
        images = resize(images, self.config.image_size)
        features = self.tower(2 * images - 1).pooler_output.flatten(1)
        return F.normalize(self.head(features).float(), dim=-1)

    @torch.no_grad()
    def embed(self, images: torch.Tensor, batch: int = 64) -> torch.Tensor:
        """Return the unit vectors (N, E) of pictures (N, 3, H, W) in [0, 1]."""
        return torch.cat([self(some.to(self.device)).cpu() for some in images.split(batch)])


class SpeciesLoss(nn.Module):
    """Cross-entropy of the picture's species among learned prototypes."""

    def __init__(self, encoder: PhenotypeEncoder, species: int):
        super().__init__()
        self.encoder = encoder
        self.prototypes = nn.Parameter(torch.randn(species, encoder.config.embed_size))

    def forward(self, images: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        logits = SHARPNESS * self.encoder(images) @ F.normalize(self.prototypes, dim=-1).T
        return F.cross_entropy(logits, species)


class PhenotypeStage:
    """Batches of pictures of distinct species, turned, blurred and noised a little."""

    name = "phenotype"

    def __init__(self, config: Config, specimens: SpecimenSet):
        self.specimens, self.groups = specimens, species_batches(specimens.table)
        codes, names = specimens.table["species"].factorize()
        self.species = torch.from_numpy(codes)
        self.model = SpeciesLoss(PhenotypeEncoder(**config.phenotype.model), len(names))

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        rows = draw_rows(self.groups, size, generator)
        images = resize(self.specimens.images(rows), self.model.encoder.config.image_size)
        return {"images": augment(images, generator), "species": self.species[rows]}


def load_phenotype(folder: Path) -> PhenotypeEncoder:
    """Load a saved encoder for judging."""
    return PhenotypeEncoder.from_pretrained(folder).eval()


def train(config: Config) -> None:
    """Train the encoder and save it to `RUN/phenotype/model`."""
    run = Path(config.run)
    set_seed(config.phenotype.training.seed)
    stage = PhenotypeStage(config, load_specimens(config.data, run))
    result = fit(stage, config.phenotype.training, run / stage.name)
    if not PartialState().is_main_process:
        return
    with whole_folder(run / stage.name / "model") as folder:
        stage.model.encoder.save_pretrained(folder)
    record_result(run, stage.name, result)


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
