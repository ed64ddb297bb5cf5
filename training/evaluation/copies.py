"""Search for copies of training pictures among drawn pictures. Small shifts do not hide a copy.

A copy that is shifted by one pixel differs from its original at many pixels. So the search has two steps.
First, pictures are shrunk to `COARSE` pixels per side, where a small shift changes little, and compared with
every training picture. Then the `SHORTLIST` nearest are compared at `FINE` pixels per side. The picture and
its mirror image are shifted by up to 1/64 of the side in every direction, and the smallest difference counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F

from training.data.specimens import SpecimenSet

COARSE, FINE = 16, 32  # side of the compared pictures, in pixels
SHORTLIST = 16
REACH = 64  # pictures are shifted by up to this share of their side: two pixels of 128
COMPARED = 512  # training pictures that give the distances between species
RARE = 0.01  # share of these distances below the measure of a copy


def shrink(images: torch.Tensor, size: int) -> torch.Tensor:
    """Shrink pictures (N, 3, H, W) to vectors of thumbnails (N, 3 * size^2)."""
    return F.adaptive_avg_pool2d(images, size).flatten(1)


def moved(image: torch.Tensor) -> torch.Tensor:
    """Shift a picture (3, H, W) and its mirror image in steps of half the reach: (50, 3, H, W).

    New pixels at a border repeat the border.
    """
    size = image.shape[-1]
    step = max(1, round(size / REACH / 2))
    reach = 2 * step
    variants = []
    for one in (image, image.flip(-1)):
        padded = F.pad(one[None], [reach] * 4, mode="replicate")[0]
        variants += [
            padded[..., y : y + size, x : x + size]
            for y in range(0, 2 * reach + 1, step)
            for x in range(0, 2 * reach + 1, step)
        ]
    return torch.stack(variants)


@dataclass
class Memory:
    """Training pictures that are searched for copies. Their table has the column `species`."""

    originals: SpecimenSet

    def _thumbnails(self, rows: np.ndarray, size: int) -> torch.Tensor:
        parts = np.array_split(rows, -(-len(rows) // 256))
        return torch.cat([shrink(self.originals.images(some), size) for some in parts])

    @cached_property
    def coarse(self) -> torch.Tensor:
        """Return shrunk training pictures (M, 3 * COARSE^2)."""
        return self._thumbnails(np.arange(len(self.originals)), COARSE)

    def distance(
        self, images: torch.Tensor, species: np.ndarray | None = None, batch: int = 32
    ) -> torch.Tensor:
        """Return RMS differences (N,) of pictures (N, 3, H, W) to the nearest training picture, up to shifts.

        Args:
            images: pictures in [0, 1].
            species: names (N,) of species whose pictures are excluded; None excludes none.
            batch: pictures per batch.
        """
        found = []
        own = self.originals.table["species"].to_numpy()
        for start in range(0, len(images), batch):
            some = images[start : start + batch]
            apart = torch.cdist(shrink(some, COARSE), self.coarse)
            if species is not None:
                apart[torch.from_numpy(own[None] == species[start : start + batch, None])] = torch.inf
            near = apart.topk(min(SHORTLIST, apart.shape[1]), largest=False)
            candidates, places = np.unique(near.indices.numpy(), return_inverse=True)
            fine = self._thumbnails(candidates, FINE)[places.reshape(near.indices.shape)]  # (B, S, D)
            variants = torch.stack([shrink(moved(one), FINE) for one in some])  # (B, 50, D)
            distance = torch.cdist(variants, fine)  # (B, 50, S)
            distance = distance.masked_fill(near.values.isinf()[:, None], torch.inf)
            found.append(distance.flatten(1).amin(1) / fine.shape[-1] ** 0.5)
        return torch.cat(found)

    @cached_property
    def unrelated(self) -> float:
        """Return the RMS difference below which a share `RARE` of training pictures has one of another
        species."""
        rows = np.sort(np.random.default_rng(0).permutation(len(self.originals))[:COMPARED])
        names = self.originals.table["species"].to_numpy()[rows]
        apart = self.distance(self.originals.images(rows), names)
        apart = apart[apart.isfinite()]  # with a single species there is no other
        return apart.quantile(RARE).item() if len(apart) else 0.0
