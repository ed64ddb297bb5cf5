"""Baseline: DF-GAN, which maps noise and barcode to pixels in one pass.

    python -m training.baselines.df_gan --config training/configs/embedded_baselines.yaml

Written from the paper (Tao et al. 2022, "DF-GAN: A Simple and Effective Baseline for Text-to-Image
Synthesis"). The generator consists of deep fusion blocks, which modulate features twice before every
convolution by affine maps of condition and noise. The discriminator has a one-way output and sees picture and
condition together. The loss is the hinge loss, with the matching-aware gradient penalty on real pictures with
their own condition.

The pooled condition of the run's conditioner replaces the paper's sentence embedding. The conditioner is
frozen, like the paper's text encoder. Both networks step together, after one backward pass over the sum of
their losses, so each sees the other as it was before the step. The loop is that of the other stages.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from accelerate import PartialState
from accelerate.utils import set_seed
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from torch.func import functional_call

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.models.conditioner import BarcodeConditioner
from g2pdiff.models.locality import geodesic
from g2pdiff.pipeline import G2PDiffusionPipeline
from training.configs.schema import Config, command
from training.data.specimens import draw_rows, load_specimens, mask_tokens, species_batches
from training.data.storage import whole_folder
from training.evaluation.results import record_result
from training.stages.loop import fit

PENALTY_WEIGHT, PENALTY_POWER = 2.0, 6.0  # k and p in Eq. 2 of the paper


class Affine(nn.Module):
    """Scale and shift of every channel, computed from a condition. It starts as the identity.

    Args:
        condition_size: width of noise and condition together.
        channels: channels C of the features (B, C, H, W) that are modulated.
    """

    def __init__(self, condition_size: int, channels: int):
        super().__init__()
        self.scale, self.shift = (
            nn.Sequential(nn.Linear(condition_size, channels), nn.ReLU(), nn.Linear(channels, channels))
            for _ in range(2)
        )
        for mlp, start in ((self.scale, 1.0), (self.shift, 0.0)):
            last = mlp[2]
            assert isinstance(last, nn.Linear)
            nn.init.zeros_(last.weight)
            nn.init.constant_(last.bias, start)

    def forward(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        return features * self.scale(condition)[..., None, None] + self.shift(condition)[..., None, None]


class FusionBlock(nn.Module):
    """Doubles the size by nearest neighbours, then applies two fused convolutions beside a shortcut."""

    def __init__(self, condition_size: int, channels: int, out_channels: int):
        super().__init__()
        widths = (channels, out_channels)
        self.affines = nn.ModuleList(Affine(condition_size, width) for width in widths for _ in range(2))
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out_channels, 1) if channels != out_channels else nn.Identity()

    def _fuse(
        self, features: torch.Tensor, condition: torch.Tensor, affines: Iterable[nn.Module]
    ) -> torch.Tensor:
        for affine in affines:
            features = F.leaky_relu(affine(features, condition), 0.2)
        return features

    def forward(self, features: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        features = F.interpolate(features, scale_factor=2)
        residual = self.conv1(self._fuse(features, condition, self.affines[:2]))
        residual = self.conv2(self._fuse(residual, condition, self.affines[2:]))
        return self.shortcut(features) + residual


class Generator(ModelMixin, ConfigMixin):
    """A generator of pictures from noise and condition.

    Args:
        image_size: height and width of a picture, four times a power of two.
        condition_size: width D of the pooled condition.
        noise_size: width Z of the noise.
        width: channels at full size. Every halving doubles them, up to eight times as many.
    """

    config: Any  # diffusers types it as a dict, but its entries are attributes too

    @register_to_config
    def __init__(
        self, image_size: int = 128, condition_size: int = 256, noise_size: int = 100, width: int = 16
    ):
        super().__init__()
        channels = channels_by_size(image_size, width)[::-1]  # from 4 pixels upwards
        self.start = nn.Linear(noise_size, 16 * channels[0])
        self.blocks = nn.ModuleList(
            FusionBlock(noise_size + condition_size, *pair) for pair in pairwise(channels)
        )
        self.to_rgb = nn.Conv2d(channels[-1], 3, 3, padding=1)

    def forward(self, noise: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        """Map noise (B, Z) and pooled conditions (B, D) to pictures (B, 3, H, W) in [-1, 1]."""
        features = self.start(noise).unflatten(1, (-1, 4, 4))
        condition = torch.cat([noise, pooled], dim=1)
        for block in self.blocks:
            features = block(features, condition)
        return self.to_rgb(F.leaky_relu(features, 0.2)).tanh()


class DownBlock(nn.Module):
    """Halves the size by a strided and a plain convolution. Their factor starts at zero."""

    def __init__(self, channels: int, out_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 4, 2, 1)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, out_channels, 1) if channels != out_channels else nn.Identity()
        self.factor = nn.Parameter(torch.zeros(1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        residual = F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(features), 0.2)), 0.2)
        return F.avg_pool2d(self.shortcut(features), 2) + self.factor * residual


class Discriminator(nn.Module):
    """A discriminator that judges whether a picture with its condition looks real. Arguments: see
    `Generator`."""

    def __init__(self, image_size: int, condition_size: int, width: int):
        super().__init__()
        channels = channels_by_size(image_size, width)
        self.from_rgb = nn.Conv2d(3, channels[0], 3, padding=1)
        self.blocks = nn.Sequential(*(DownBlock(*pair) for pair in pairwise(channels)))
        self.judge = nn.Sequential(
            nn.Conv2d(channels[-1] + condition_size, 2 * width, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 4),
        )

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures (B, 3, H, W) in [-1, 1] to features (B, C, 4, 4)."""
        return self.blocks(self.from_rgb(images))

    def logits(self, features: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        """Map features (B, C, 4, 4) and conditions (B, D) to logits (B,), high for real, matching
        pictures."""
        tiled = pooled[..., None, None].expand(-1, -1, 4, 4)
        return self.judge(torch.cat([features, tiled], dim=1)).flatten()

    def forward(self, images: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        return self.logits(self.features(images), pooled)


def channels_by_size(image_size: int, width: int) -> list[int]:
    """Return the channels at full size, half size, and so on down to 4 pixels."""
    halvings = (image_size // 4).bit_length() - 1
    return [width * min(2**n, 8) for n in range(halvings + 1)]


def gradient_penalty(
    discriminator: Discriminator, images: torch.Tensor, pooled: torch.Tensor
) -> torch.Tensor:
    """Return the matching-aware gradient penalty (B,) of real pictures (B, 3, H, W) with their own conditions
    (B, D).

    It is Eq. 2 of the paper without its factor. Gradients in picture and condition count together.
    """
    images, pooled = images.detach().requires_grad_(True), pooled.detach().requires_grad_(True)
    total = discriminator(images, pooled).sum()
    gradients = torch.autograd.grad(total, (images, pooled), create_graph=True)
    joined = torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)
    return joined.norm(dim=1) ** PENALTY_POWER


class GanLoss(nn.Module):
    """The sum of the two networks' losses. Neither loss reaches the other network's weights."""

    def __init__(self, conditioner: BarcodeConditioner, generator: Generator, discriminator: Discriminator):
        super().__init__()
        self.conditioner = conditioner.requires_grad_(False)
        self.generator, self.discriminator = generator, discriminator

    def forward(
        self, input_ids: torch.Tensor, locality: torch.Tensor, images: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """
        Args:
            input_ids: tokens (B, L).
            locality: unit vectors (B, 3).
            images: real pictures (B, 3, H, W) in [-1, 1] of distinct species.
            noise: noise for the generator (B, Z).
        """
        with torch.no_grad():
            pooled = self.conditioner(input_ids, locality).pooled
        drawn = self.generator(noise, pooled)

        judge = self.discriminator
        real = judge.features(images)
        matching = F.relu(1 - judge.logits(real, pooled)).mean()
        mismatched = F.relu(1 + judge.logits(real, pooled.roll(1, 0))).mean()  # another's condition
        fake = F.relu(1 + judge(drawn.detach(), pooled)).mean()
        penalty = PENALTY_WEIGHT * gradient_penalty(judge, images, pooled).mean()

        frozen = {name: weight.detach() for name, weight in judge.named_parameters()}
        deceived = -functional_call(judge, frozen, (drawn, pooled)).mean()
        return matching + (fake + mismatched) / 2 + penalty + deceived

    def parameter_groups(self, learning_rate: float) -> list[dict]:
        """Return parameter groups. As in the paper, the discriminator learns four times as fast as the
        generator."""
        return [
            {"params": list(self.generator.parameters()), "lr": learning_rate},
            {"params": list(self.discriminator.parameters()), "lr": 4 * learning_rate},
        ]


class DFGANStage:
    """Batches of pictures of distinct species."""

    name = "df_gan"

    def __init__(self, config: Config, run: Path):
        self.specimens = load_specimens(config.data, run)
        table = self.specimens.table
        trained = run / "diffusion"
        self.tokenizer = KmerTokenizer.from_pretrained(trained / "tokenizer")
        self.input_ids = self.tokenizer.ids(table["dna_barcode"].tolist())
        self.localities = geodesic(
            torch.tensor(table["coord-lat"].to_numpy(), dtype=torch.float32),
            torch.tensor(table["coord-lon"].to_numpy(), dtype=torch.float32),
        )
        self.groups = species_batches(table)
        conditioner = BarcodeConditioner.from_pretrained(trained / "conditioner")
        size, condition_size = config.data.image_size, conditioner.config.hidden_size
        generator = Generator(size, condition_size, **config.df_gan.model)
        discriminator = Discriminator(size, condition_size, generator.config.width)
        self.model = GanLoss(conditioner, generator, discriminator)

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        rows = draw_rows(self.groups, size, generator)
        noise_size = self.model.generator.config.noise_size
        return {
            "input_ids": mask_tokens(self.input_ids[rows], self.tokenizer.unknown_id, generator),
            "locality": self.localities[rows],
            "images": self.specimens.images(rows) * 2 - 1,
            "noise": torch.randn(size, noise_size, generator=generator),
        }


@dataclass
class DFGANSystem:
    """A trained generator as a `training.evaluation.systems.System`.

    Args:
        generator: the trained generator.
        pipeline: the run's pipeline, whose conditioner is used.
    """

    generator: Generator
    pipeline: G2PDiffusionPipeline
    settings: dict = field(default_factory=dict)

    @torch.no_grad()
    def draw(self, specimen: pd.Series, seeds: list[int]) -> torch.Tensor:
        place = torch.tensor([[specimen["coord-lat"], specimen["coord-lon"]]], dtype=torch.float32)
        condition = self.pipeline.encode_condition([Barcode(specimen["dna_barcode"])], place)
        noise = [
            torch.randn(self.generator.config.noise_size, generator=torch.Generator().manual_seed(seed))
            for seed in seeds
        ]
        pooled = condition.pooled.expand(len(seeds), -1)
        return (self.generator(torch.stack(noise).to(pooled.device), pooled) / 2 + 0.5).clamp(0, 1)


def train(config: Config) -> None:
    """Train DF-GAN and save its generator to `RUN/df_gan/model`."""
    run = Path(config.run)
    set_seed(config.df_gan.training.seed)
    stage = DFGANStage(config, run)
    training = config.df_gan.training
    groups = stage.model.parameter_groups(training.learning_rate)
    result = fit(stage, training, run / stage.name, groups)
    if not PartialState().is_main_process:
        return
    with whole_folder(run / stage.name / "model") as folder:
        stage.model.generator.save_pretrained(folder)
    record_result(run, stage.name, result)


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
