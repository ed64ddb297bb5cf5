"""The compared systems. Each draws pictures of specimens by one method."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
import torch

from g2pdiff.denoising import Denoising
from g2pdiff.dna.barcode import Barcode
from g2pdiff.models.locality import geodesic
from g2pdiff.pipeline import G2PDiffusionPipeline


class System(Protocol):
    """A system that draws pictures of a specimen from its barcode and locality alone."""

    def draw(self, specimen: pd.Series, seeds: list[int]) -> torch.Tensor:
        """Return one picture per seed: (len(seeds), 3, H, W) in [0, 1]."""
        ...

    @property
    def settings(self) -> dict:
        """The settings on which the pictures depend beside the weights, as JSON."""
        ...


@dataclass
class PipelineSystem:
    """A checkpoint with some settings of its call, such as `alignment_scale`.

    With an alignment scale of 0 this is the Stable Diffusion baseline. With a pipeline that has a ControlNet,
    it is the ControlNet baseline.
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


@dataclass
class PartlyDeaf:
    """A checkpoint in which one part of the conditioner does not see the barcode. It shows what that part
    contributes.

    The settings are the checkpoint's own. The condition of a checkpoint with a sketch is the sum of BERT's
    mean over tokens and the sketch (`g2pdiff.models.conditioner`).

    Attributes:
        pipeline: checkpoint with a sketch.
        part: `bert`, which then reads the barcode of a random training specimen (with the right locality), or
            `sketch`, which then reads the mean barcode.
        barcodes: framed training barcodes.
        denoising: settings of the run.
    """

    pipeline: G2PDiffusionPipeline
    part: str
    barcodes: list[str]
    denoising: Denoising = field(default_factory=Denoising)

    @property
    def settings(self) -> dict:
        return {"deaf": self.part, **asdict(self.denoising)}

    @torch.no_grad()
    def draw(self, specimen: pd.Series, seeds: list[int]) -> torch.Tensor:
        pipeline = self.pipeline
        conditioner, device = pipeline.conditioner, pipeline.device
        ids = pipeline.tokenizer.ids([specimen["dna_barcode"]]).to(device)
        if self.part == "bert":
            number = np.random.default_rng(int(specimen["seed"])).integers(len(self.barcodes))
            other = pipeline.tokenizer.ids([self.barcodes[number]]).to(device)
        else:
            other = torch.full_like(ids, pipeline.tokenizer.unknown_id)
        read_by_bert, read_by_sketch = (other, ids) if self.part == "bert" else (ids, other)
        place = torch.tensor([specimen["coord-lat"]]), torch.tensor([specimen["coord-lon"]])
        locality = geodesic(*(one.float() for one in place)).to(device)
        hidden, _ = conditioner.encode(read_by_bert, locality)
        _, sketch = conditioner.encode(read_by_sketch, locality)
        condition = conditioner.join(hidden, sketch, locality).repeat(len(seeds))
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        *_, last = pipeline.denoise(condition, self.denoising.resolve(pipeline.config), generators)
        return pipeline.decode(last.latents)


def partly_deaf(
    pipeline: G2PDiffusionPipeline, barcodes: list[str], denoising: Denoising
) -> dict[str, System]:
    """Return the ablations of the conditioner's parts by description; none without a sketch."""
    if pipeline.conditioner.sketch is None:
        return {}
    told = {"bert": "BERT on a random barcode", "sketch": "sketch on the mean barcode"}
    return {name: PartlyDeaf(pipeline, part, barcodes, denoising) for part, name in told.items()}
