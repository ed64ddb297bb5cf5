"""What is compared: systems that draw pictures of specimens, each behind one method."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd
import torch

from g2pdiff.dna.barcode import Barcode
from g2pdiff.pipeline import G2PDiffusionPipeline


class System(Protocol):
    """Draws pictures of a specimen from its barcode and locality alone."""

    def draw(self, specimen: pd.Series, seeds: list[int]) -> torch.Tensor:
        """One picture for every seed: (len(seeds), 3, H, W) in [0, 1]."""

    @property
    def settings(self) -> dict:
        """What the pictures depend on beside the weights, as JSON."""


@dataclass
class PipelineSystem:
    """A checkpoint under some settings of its call, such as `alignment_scale`.

    With an alignment scale of 0 this is the Stable Diffusion baseline; with a pipeline that holds a
    ControlNet, that one.
    """

    pipeline: G2PDiffusionPipeline
    settings: dict = field(default_factory=dict)

    def draw(self, specimen: pd.Series, seeds: list[int]) -> torch.Tensor:
        return self.pipeline(
            Barcode(specimen["dna_barcode"]),
            specimen["coord-lat"],
            specimen["coord-lon"],
            seed=seeds,
            output_type="pt",
            **self.settings,
        ).images
