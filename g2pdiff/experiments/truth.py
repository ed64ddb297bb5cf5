"""What the simulator knows of specimens, where a checkpoint learned from simulated ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from g2pdiff.experiments.drawing import Specimen
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.simulation import Simulator


def true_pictures(pipe: G2PDiffusionPipeline, specimens: Sequence[Specimen]) -> torch.Tensor | None:
    """What the simulator draws of the specimens (N, 3, H, W), evenly lit; None without a known truth."""
    if pipe.config.truth != "simulated":
        return None
    sequences = [specimen.barcode.sequence for specimen in specimens]
    latitudes = [specimen.latitude for specimen in specimens]
    return Simulator.default().specimens(sequences, latitudes, pipe.config.image_size)
