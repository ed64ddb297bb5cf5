"""The genotype map: from framed barcodes to smooth coordinates of sequence space.

The map is simulated biology, not an inference about real animals. It has three steps.

1. ``project``: probabilistic PCA of the one-hot sites. Missing sites are marginalised, so a short barcode
gets the coordinates of the full one, only closer to the mean. 2. ``membership``: the weight of each known
genus, from a Gaussian kernel over genus means. The further a barcode is from every genus (mutation, novelty),
the wider the kernel and the broader the blend. 3. ``species_fields``: one draw of a Gaussian process over
sequence space (random Fourier features at the
   length scales of species and of genera, Rahimi & Recht 2007). Near relatives share values, far ones do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

GENOTYPE_PATH = Path(__file__).with_name("genotype.npz")  # written by training.genotype

SITES = 658
BASES = "ACGT"
WIDENING = 0.05  # the kernel's variance grows by this times the squared distance to the nearest genus

_LETTER = np.zeros((256, 4), np.uint8)
_LETTER[[ord(base) for base in BASES], range(4)] = 1


def one_hot(sequences: Sequence[str]) -> Tensor:
    """Map framed barcodes to (B, 658, 4) float32; a missing site (N) is all zeros.

    Raises:
        ValueError: a sequence is not framed to 658 letters.
    """
    if any(len(sequence) != SITES for sequence in sequences):
        raise ValueError(
            f"the simulator takes barcodes framed to {SITES} sites (see g2pdiff.dna.barcode.frame)"
        )
    letters = np.frombuffer("".join(sequences).encode("ascii"), np.uint8)
    return torch.from_numpy(_LETTER[letters].reshape(-1, SITES, 4)).float()


@dataclass
class Genome:
    """The fitted arrays of the genotype map, G genera, K coordinates, M features, F fields."""

    center: Tensor  # (658, 4) mean of each site
    components: Tensor  # (658, 4, K)
    variance: Tensor  # (K,) of the coordinates
    noise: Tensor  # () variance of a site outside the coordinates
    scale: Tensor  # (K,) damped within-genus whitening
    bandwidth: Tensor  # () kernel variance of the membership
    means: Tensor  # (G, K) genus means
    omega: Tensor  # (K, M) frequencies
    phase: Tensor  # (M,)
    coefficients: Tensor  # (M, F)
    trait_scale: Tensor  # (D,) standard deviation of each trait over the table
    genera: tuple[str, ...]
    genus_family: tuple[str, ...]
    genus_order: tuple[str, ...]

    @classmethod
    def load(cls) -> Self:
        """Read the packaged ``genotype.npz``."""
        with np.load(GENOTYPE_PATH) as arrays:
            return cls.of(dict(arrays))

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Return a genome from arrays by name. Numbers become float32 tensors, text becomes tuples."""
        values: dict[str, Any] = {
            f.name: tuple(arrays[f.name].tolist())
            if arrays[f.name].dtype.kind == "U"
            else torch.tensor(arrays[f.name].astype(np.float32))
            for f in fields(cls)
        }
        return cls(**values)

    def to(self, device: torch.device | str) -> Self:
        """Return a copy with its arrays on ``device``."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in values.items():
            if isinstance(value, Tensor):
                values[name] = value.to(device)
        return type(self)(**values)

    @property
    def device(self) -> torch.device:
        return self.center.device

    @torch.no_grad()
    def project(self, sequences: Sequence[str], batch: int = 1024) -> Tensor:
        """Map framed barcodes to coordinates (B, K): the posterior mean, given the known sites."""
        parts = [self._project(one_hot(sequences[i : i + batch])) for i in range(0, len(sequences), batch)]
        return torch.cat(parts) if parts else torch.zeros(0, len(self.variance), device=self.device)

    def _project(self, hot: Tensor) -> Tensor:
        hot = hot.to(self.device)
        known = hot.sum(-1)  # (B, 658)
        residual = (hot - self.center * known[..., None]).flatten(1)
        size = len(self.variance)
        # barcodes with the same missing sites share one system of equations, and most miss none
        patterns, which = torch.unique(known, dim=0, return_inverse=True)
        evidence = (residual @ self.components.reshape(-1, size)).double()
        out = torch.empty_like(evidence)
        for i, sites in enumerate(patterns.bool()):
            weights = self.components[sites].reshape(-1, size)
            precision = (weights.T @ weights).double() + torch.diag(self.noise / self.variance).double()
            rows = which == i
            out[rows] = torch.linalg.solve(precision, evidence[rows].T).T
        return out.float()

    def membership(self, coordinates: Tensor) -> Tensor:
        """Map coordinates (B, K) to weights of the genera (B, G), which sum to one."""
        distance = torch.cdist(coordinates * self.scale, self.means * self.scale).square()
        width = self.bandwidth + WIDENING * distance.amin(1, keepdim=True)
        return torch.softmax(-distance / (2 * width), 1)

    def species_fields(self, coordinates: Tensor) -> Tensor:
        """Map coordinates (B, K) to Gaussian-process values (B, F), about N(0, 1) over the table."""
        return torch.cos(coordinates @ self.omega + self.phase) @ self.coefficients
