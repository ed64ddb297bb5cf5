"""Null systems, which only look up training pictures. A generator must be better than they are.

Each uses only the training specimens (`training.evaluation.library`), or skips the diffusion. A lead over
them is a paired bootstrap over barcodes, for both judges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from g2pdiff.dna.barcode import Barcode
from g2pdiff.pipeline import G2PDiffusionPipeline
from training.evaluation.library import RANKS, Library
from training.evaluation.likeness import nearer
from training.evaluation.measures import Measures, lead
from training.evaluation.sampling import Samples, sample
from training.evaluation.systems import System

NULL_SAMPLES = 2  # pictures per barcode, if the seed matters


@dataclass
class NearestBarcode:
    """The picture of the training barcode nearest to a specimen's. The seed chooses one if there is a tie."""

    library: Library
    settings: dict = field(default_factory=lambda: {"null": "nearest barcode"})

    def draw(self, specimen: pd.Series, seeds: list[int]) -> torch.Tensor:
        rows = self.library.nearest(specimen["dna_barcode"])
        return self.library.specimens.images(rows[np.array(seeds) % len(rows)])


@dataclass
class MeanPicture:
    """The mean training picture of a specimen's species, genus or family."""

    library: Library
    rank: str

    @property
    def settings(self) -> dict:
        return {"null": f"mean of the {self.rank}"}

    def draw(self, specimen: pd.Series, seeds: list[int]) -> torch.Tensor:
        mean = self.library.mean(self.library.group(specimen, self.rank))
        return mean.expand(len(seeds), -1, -1, -1)


@dataclass
class RandomPicture:
    """A random training picture."""

    library: Library
    settings: dict = field(default_factory=lambda: {"null": "random picture"})

    def draw(self, specimen: pd.Series, seeds: list[int]) -> torch.Tensor:
        own = [int(specimen["seed"]), len(self.library.specimens)]
        return self.library.specimens.images(
            np.array([np.random.default_rng([*own, seed]).integers(own[1]) for seed in seeds])
        )


@dataclass
class MeanLatent:
    """The mean latent that a checkpoint regresses from barcode and locality, decoded without diffusion."""

    pipeline: G2PDiffusionPipeline
    settings: dict = field(default_factory=lambda: {"null": "mean latent"})

    def draw(self, specimen: pd.Series, seeds: list[int]) -> torch.Tensor:
        place = torch.tensor([[specimen["coord-lat"], specimen["coord-lon"]]], dtype=torch.float32)
        condition = self.pipeline.encode_condition([Barcode(specimen["dna_barcode"])], place)
        assert condition.mean_latent is not None  # only checkpoints with a mean latent have this null
        images = self.pipeline.decode(condition.mean_latent)
        return images.expand(len(seeds), -1, -1, -1)


def null_systems(pipeline: G2PDiffusionPipeline, library: Library) -> dict[str, tuple[System, int]]:
    """Return the null systems by name, each with its number of pictures per barcode."""
    found: dict[str, tuple[System, int]] = {"nearest_barcode": (NearestBarcode(library), NULL_SAMPLES)}
    found |= {f"{rank}_mean": (MeanPicture(library, rank), 1) for rank in RANKS}
    found["random_picture"] = (RandomPicture(library), NULL_SAMPLES)
    if pipeline.conditioner.config.latent_shape:
        found["mean_latent"] = (MeanLatent(pipeline), 1)
    return found


def leads(measures: Measures, first: Samples, second: Samples) -> dict[str, dict | None]:
    """Measure the lead of one system over another for each judge, at all ranks; see `measures.lead`."""
    ahead = {"clibd": lead(measures.scores(first), measures.scores(second)), "phenotype": None}
    if measures.second is not None:
        ahead["phenotype"] = lead(*(measures.second.scores(one.phenotype) for one in (first, second)))
    return ahead


def against_nulls(
    measures: Measures, drawn: Samples, pipeline: G2PDiffusionPipeline, library: Library, folder: Path
) -> dict:
    """Measure the null systems in a world, and a system against them.

    Args:
        measures: measures of the world.
        drawn: the system's samples.
        pipeline: the system's checkpoint.
        library: its training specimens.
        folder: folder for the nulls' samples.

    Returns:
        `nulls`, each measured as a system; the system's `lead_over_nulls` for both judges; and the share of
        cases in which it is `nearer_than_nearest` to the true picture.
    """
    encoder = None if measures.second is None else measures.second.encoder
    samples = {
        name: sample(system, measures.world, measures.judge, count, folder / name, name, encoder)
        for name, (system, count) in null_systems(pipeline, library).items()
    }
    return {
        "nulls": {name: measures.system(found) for name, found in samples.items()},
        "lead_over_nulls": {name: leads(measures, drawn, found) for name, found in samples.items()},
        "nearer_than_nearest": nearer(drawn, samples["nearest_barcode"], measures.world, measures.second),
    }
