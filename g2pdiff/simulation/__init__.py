"""Simulated specimens with a known truth: barcode and latitude give traits, and traits give a picture.

The body plan comes from the known genera nearest to the barcode. The colours and patterns of a species are
random functions of its sequence: no picture shows a real animal. But the truth is known: every trait is a
fixed, smooth function of the barcode, and body length has a planted cline of 5 % per 10 degrees of latitude.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property
from typing import Self

import torch
from torch import Tensor

from .archetypes import load_archetypes
from .genome import Genome
from .rendering import render
from .traits import PLANTED_SLOPE, Development, Traits, as_latitudes

__all__ = ["Simulator", "Traits"]


class Simulator:
    """A simulator that turns barcodes and latitudes into traits and pictures.

    Args:
        genome: the fitted genotype map.
        planted_slope: growth of body length per 10 degrees of |latitude|, relative to the length at 30
            degrees; 0 is the null control.
    """

    def __init__(self, genome: Genome, planted_slope: float = PLANTED_SLOPE):
        self.genome, self.planted_slope = genome, planted_slope

    @classmethod
    @cache
    def default(cls, planted_slope: float = PLANTED_SLOPE) -> Self:
        """Return the packaged simulator on the CPU. It is made once and shared: nothing changes it."""
        return cls(Genome.load(), planted_slope)

    def to(self, device: torch.device | str) -> Self:
        """Return a copy that computes on ``device``."""
        return type(self)(self.genome.to(device), self.planted_slope)

    @cached_property
    def development(self) -> Development:
        return Development(self.genome, load_archetypes(), self.planted_slope)

    @property
    def families(self) -> tuple[str, ...]:
        """The known families, in the order of ``Traits.weights``."""
        return self.development.families

    def traits(self, sequences: Sequence[str], latitudes: Sequence[float] | Tensor) -> Traits:
        """Return traits of specimens.

        Args:
            sequences: B barcodes framed to 658 sites (see ``g2pdiff.dna.barcode.frame``), N where unknown.
            latitudes: (B,) degrees.
        """
        coordinates = self.genome.project(sequences)
        return self.development(coordinates, as_latitudes(latitudes, self.genome.device))

    def render(self, traits: Traits, size: int = 256, seeds: Sequence[int] | None = None) -> Tensor:
        """Return pictures of traits, (B, 3, size, size) in [0, 1].

        ``seeds`` (B,) vary pose, light and paper. Without them every specimen is drawn straight and evenly
        lit.
        """
        return render(traits.values, size, seeds)

    def specimens(
        self,
        sequences: Sequence[str],
        latitudes: Sequence[float] | Tensor,
        size: int = 256,
        seeds: Sequence[int] | None = None,
    ) -> Tensor:
        """Return pictures of barcodes (B, 3, size, size) in [0, 1]: ``traits``, then ``render``."""
        return self.render(self.traits(sequences, latitudes), size, seeds)
