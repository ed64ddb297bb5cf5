"""The simulated truth of specimens, for checkpoints that learned from simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from g2pdiff.experiments.drawing import Specimen

if TYPE_CHECKING:
    import torch

    from g2pdiff.pipeline import G2PDiffusionPipeline


def has_truth(pipe: G2PDiffusionPipeline) -> bool:
    """Return whether a checkpoint learned from simulated specimens."""
    return pipe.config.truth == "simulated"


def true_pictures(pipe: G2PDiffusionPipeline, specimens: Sequence[Specimen]) -> torch.Tensor | None:
    """Return the simulator's pictures of N specimens (N, 3, H, W), evenly lit; None without a truth."""
    if not has_truth(pipe):
        return None
    from g2pdiff.simulation import Simulator

    sequences = [specimen.barcode.sequence for specimen in specimens]
    latitudes = [specimen.latitude for specimen in specimens]
    return Simulator.default().specimens(sequences, latitudes, pipe.config.image_size)
