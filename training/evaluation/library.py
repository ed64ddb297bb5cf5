"""A library of training specimens with their pictures, for look-ups.

A generator that is not better than a look-up in its training specimens has learned nothing beyond them. So
drawn pictures are compared with the picture of the nearest training barcode, with mean pictures, and, in the
search for copies, with every training picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from g2pdiff.dna.framing import BASES, encode
from g2pdiff.simulation import Simulator
from training.configs.schema import DataConfig
from training.data import species_pictures
from training.data.specimens import SpecimenSet, draw_specimens, load_specimens

RANKS = ("species", "genus", "family")  # groups for mean pictures, narrowest first
AVERAGED = 32  # most pictures per mean


class RenderedPictures:
    """Pictures (N, 3, size, size) uint8 of simulated specimens, drawn on first use."""

    def __init__(self, rows: pd.DataFrame, size: int):
        self.rows, self.shape = rows, (len(rows), 3, size, size)
        self._drawn: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the pictures of B rows: (B, 3, size, size), uint8."""
        rows = np.asarray(rows)
        if new := sorted({int(row) for row in rows} - self._drawn.keys()):
            some = self.rows.iloc[new]
            barcodes, latitudes = some["dna_barcode"].tolist(), some["coord-lat"].to_numpy()
            images = Simulator.default().specimens(barcodes, latitudes, self.shape[-1], some["seed"].tolist())
            pictures = (images * 255).round().byte().cpu().numpy()
            self._drawn |= dict(zip(new, pictures, strict=True))
        return np.stack([self._drawn[int(row)] for row in rows])


@dataclass
class Library:
    """The training specimens of a run.

    Attributes:
        specimens: M rows with their pictures. Photographs by species are not augmented.
        originals: distinct pictures for the search for copies, with the column `species`; None if they are
            not available, as without the run's folder.
    """

    specimens: SpecimenSet
    originals: SpecimenSet | None = None

    @cached_property
    def _codes(self) -> np.ndarray:
        """Return base codes (M, 658) of the barcodes; 4 is unknown."""
        return encode(self.specimens.table["dna_barcode"].tolist())

    def nearest(self, barcode: str) -> np.ndarray:
        """Return the rows whose barcode is nearest to a framed one, all of them if there is a tie.

        The nearest barcode differs at the smallest share of the sites that both know. Barcodes that share
        fewer than half of the sites do not count.
        """
        own = encode([barcode])[0]
        both = (self._codes < len(BASES)) & (own < len(BASES))
        shared = both.sum(1)
        share = ((self._codes != own) & both).sum(1) / np.maximum(shared, 1)
        share = np.where(shared >= len(own) / 2, share, 1.0)
        return np.flatnonzero(share == share.min())

    def group(self, specimen: pd.Series, rank: str) -> np.ndarray:
        """Return the rows of a specimen's species, genus or family. If there are none, the next wider group
        counts.

        If a specimen has no relatives, return all rows.
        """
        for name in RANKS[RANKS.index(rank) :]:
            found = self._groups[name].get(specimen[name])
            if found is not None:
                return found
        return np.arange(len(self.specimens))

    @cached_property
    def _groups(self) -> dict[str, dict[str, np.ndarray]]:
        return {
            name: {
                str(key): np.asarray(rows) for key, rows in self.specimens.table.groupby(name).indices.items()
            }
            for name in RANKS
        }

    def mean(self, rows: np.ndarray) -> torch.Tensor:
        """Return the mean picture (3, H, W) of some rows, or of a sample of `AVERAGED` if there are more."""
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:AVERAGED])
        return self.specimens.images(rows).mean(0)


def load_library(data: DataConfig, table: pd.DataFrame, fallback: SpecimenSet, run: Path | None) -> Library:
    """Load the training specimens of a checkpoint.

    Args:
        data: source of the specimens, as in the run.
        table: `load_table(data)`.
        fallback: specimens to use if the run's photographs are not available: one per species.
        run: folder of the run. Without it, simulated specimens are drawn again on demand, and there is no
            search for copies.
    """
    if data.by_species:
        rows = draw_specimens(table, "train", data, data.per_species)
        # Rows of a split other than `train` are not augmented.
        shown = species_pictures.pictures_of(rows.assign(split="shown"), data)
        names, photographs = species_pictures.load_photographs(data.photographs, data.image_size)
        learned = np.isin(names, rows["species"].unique())
        originals = SpecimenSet(pd.DataFrame({"species": names[learned]}), photographs[learned])
        return Library(SpecimenSet(rows, shown), originals)
    if run is not None:
        specimens = load_specimens(data, run)
        return Library(specimens, specimens)
    if data.by_specimen:
        return Library(fallback)
    rows = draw_specimens(table, "train", data, data.per_species)
    return Library(SpecimenSet(rows, RenderedPictures(rows, data.image_size)))
