"""What systems learned from, to look things up in: training specimens with their pictures.

A generator that does no better than a look-up in its own training specimens has learned nothing beyond them.
So whatever it draws is held against the picture of the nearest training barcode, against mean pictures, and
against every training picture, in the search for copies.
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

RANKS = ("species", "genus", "family")  # groups that a mean picture is made of, the narrowest first
AVERAGED = 32  # pictures of a group at most that go into its mean


class RenderedPictures:
    """Pictures (N, 3, size, size) uint8 of simulated specimens, drawn when they are first asked for."""

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
    """Training specimens as a run learned from them.

    Attributes:
        specimens: M rows with their pictures; photographs by species are shown as they are, unaugmented.
        originals: distinct pictures to look for copies among, with the column `species`; None where they
            are not at hand, as without the run's folder.
    """

    specimens: SpecimenSet
    originals: SpecimenSet | None = None

    @cached_property
    def _codes(self) -> np.ndarray:
        """Base codes (M, 658) of the barcodes, 4 where unknown."""
        return encode(self.specimens.table["dna_barcode"].tolist())

    def nearest(self, barcode: str) -> np.ndarray:
        """Return the rows whose barcode is nearest to a framed one, all of them where several tie.

        Near is what differs at the smallest share of the sites that both know; a barcode that shares fewer
        than half of the sites does not count as near.
        """
        own = encode([barcode])[0]
        both = (self._codes < len(BASES)) & (own < len(BASES))
        shared = both.sum(1)
        share = ((self._codes != own) & both).sum(1) / np.maximum(shared, 1)
        share = np.where(shared >= len(own) / 2, share, 1.0)
        return np.flatnonzero(share == share.min())

    def group(self, specimen: pd.Series, rank: str) -> np.ndarray:
        """Return the rows of a specimen's species, genus or family, or of the next wider group that has any.

        Where a specimen has no relatives at all, they are all rows.
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
        """Return the mean picture (3, H, W) of rows, of `AVERAGED` among them if there are more."""
        rows = np.sort(np.random.default_rng(0).permutation(rows)[:AVERAGED])
        return self.specimens.images(rows).mean(0)


def load_library(data: DataConfig, table: pd.DataFrame, fallback: SpecimenSet, run: Path | None) -> Library:
    """Load what a checkpoint learned from.

    Args:
        data: where specimens come from, as the run had it.
        table: `load_table(data)`.
        fallback: specimens to take where the run's photographs are not at hand: one per species.
        run: folder of the run. Without it, simulated specimens are drawn again as they are asked for, and
            copies are not looked for.
    """
    if data.by_species:
        rows = draw_specimens(table, "train", data, data.per_species)
        # Rows of another split than `train` are not augmented: these are the photographs as they are.
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
