"""Experiments with a checkpoint on held-out specimens: latitude, longitude as the null control, and
mutations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from g2pdiff.analysis.statistics import Estimate, mean_interval, rank_agreement
from g2pdiff.dna.barcode import Barcode
from g2pdiff.experiments.latitude import LatitudeSweep, cline, relative_lengths
from g2pdiff.experiments.mutations import Mutations
from g2pdiff.experiments.specification import Experiment
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.simulation.traits import PLANTED_SLOPE
from training.evaluation.worlds import World

NOTHING = Estimate(float("nan"), float("nan"), float("nan"))  # the simulator's picture is empty


class Trials:
    """Experiments with a checkpoint on a world's first specimens.

    Args:
        pipeline: the checkpoint.
        world: held-out specimens.
        settings: arguments of the pipeline's call, such as `alignment_scale`.
    """

    def __init__(self, pipeline: G2PDiffusionPipeline, world: World, settings: dict):
        self.pipeline, self.world = pipeline, world
        scales = {name: settings.get(name) for name in ("guidance_scale", "alignment_scale")}
        self.denoising = {"steps": settings.get("num_inference_steps")} | scales

    def rows(self, kind: Callable[..., Experiment], count: int, **arguments: Any) -> list[list]:
        """Return the rows of an experiment on each of the first `count` specimens."""
        rows = []
        for _, specimen in tqdm(list(self.world.specimens.iloc[:count].iterrows()), desc=kind.__name__):
            experiment = kind(
                barcode=Barcode(specimen["dna_barcode"]),
                latitude=specimen["coord-lat"],
                longitude=specimen["coord-lon"],
                **self.denoising,
                **arguments,
            )
            rows.append([row for update in experiment.start(self.pipeline) for row in update.rows])
        return rows

    def sweep(self, along: str, count: int, replicates: int = 2) -> dict:
        """Measure body length along latitude, or along longitude as the null control, with fixed barcode and
        noise.

        One slope is fitted per barcode. The interval is that of their mean.
        """
        simulated = self.pipeline.config.truth == "simulated"
        swept = self.rows(LatitudeSweep, count, along=along, replicates=replicates)
        clines = [cline(rows, planted=simulated) for rows in swept]
        slopes = [found.slope for found in clines if found] or [NOTHING]
        slope = mean_interval([one.value for one in slopes]) if len(slopes) > 1 else slopes[0]
        degrees = [row.degrees for row in swept[0] if row.replicate == 0]
        relative = np.stack([relative_lengths(rows) for rows in swept])
        planted = 100 * PLANTED_SLOPE if along == "latitude" else 0.0
        return {
            "slope_percent_per_10_degrees": slope.value,
            "interval": [slope.low, slope.high],
            "planted_percent_per_10_degrees": planted if simulated else None,
            "slopes": [one.value for one in slopes],
            "degrees": degrees,
            "relative_length": relative.reshape(len(swept), len(degrees), replicates).mean((0, 2)).tolist(),
        }

    def mutations(self, count: int) -> dict:
        """Measure generated and true appearance drift under mutation, and their rank correlation over
        pictures.

        The mean curves rise together by construction, so `spearman` is computed over single mutated pictures.
        """
        series = self.rows(Mutations, count, replicates=1)
        generated = np.array([[row.drift for row in rows] for rows in series])
        true = np.array([[row.true_drift for row in rows] for rows in series])
        return {
            "rates": [row.rate for row in series[0]],
            "generated": generated.mean(0).tolist(),
            "true": true.mean(0).tolist(),
            "pictures": generated[:, 1:].size,
            "spearman": rank_agreement(generated[:, 1:].ravel(), true[:, 1:].ravel()),
        }
