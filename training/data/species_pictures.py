"""Photographs by species: a few pictures and many barcodes of each species.

A folder of pictures, or a parquet file, gives pictures with species names. A barcode table gives barcodes of
these species. No picture shows the animal of a barcode. So a training specimen is a barcode with a random
photograph of its species. The photograph is turned, moved, scaled, mirrored and lit a little differently each
time, so that the model learns wings, not a file. A held-out specimen has an unchanged photograph.

Folders follow the convention of Hugging Face's `imagefolder`: a `metadata.csv` with the columns `file_name`
and `species`, or one sub-folder per species, named after it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from g2pdiff.dna import files
from g2pdiff.dna.tables import standardise
from g2pdiff.errors import InputError
from training.configs.schema import DataConfig
from training.data.pictures import open_square

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff")
TURN, SCALE, SHIFT, LIGHT, TINT = 0.02, 0.015, 0.006, 0.02, 0.005
"""Limits of augmentation: radians, a factor, a share of the side, factors of light."""


def read_photographs(source: str | Path) -> pd.DataFrame:
    """Read a folder or a parquet file into a table with `species` and `picture`, the encoded bytes.

    Raises:
        InputError: field `photographs`, if it cannot be read, holds no pictures, or lacks a column.
    """
    source = Path(source)
    if source.is_dir():
        return _read_folder(source)
    try:
        table = pd.read_parquet(source)
    except (OSError, ValueError) as error:
        raise InputError(
            "photographs", f"{source} is neither a folder of pictures nor a parquet file that can be read."
        ) from error
    if missing := [name for name in ("species", "picture") if name not in table]:
        raise InputError("photographs", f"{source} lacks the column {missing[0]}.")
    pictures = [one["bytes"] if isinstance(one, dict) else one for one in table["picture"]]
    if strange := next((one for one in pictures if one is not None and not isinstance(one, bytes)), None):
        raise InputError(
            "photographs",
            f"{source} has {type(strange).__name__} in its column picture: it should hold encoded pictures.",
        )
    return _named(table.assign(picture=pictures), source)


def _named(table: pd.DataFrame, source: Path) -> pd.DataFrame:
    """Return the columns species and picture, species written as in a table of barcodes; rows without either
    are left out.

    Raises:
        InputError: field `photographs`, if no row is left.
    """
    table = standardise(table)[["species", "picture"]].dropna().reset_index(drop=True)
    if table.empty:
        raise InputError("photographs", f"{source} has no picture with a species.")
    return table


def _read_folder(folder: Path) -> pd.DataFrame:
    listed = folder / "metadata.csv"
    if listed.is_file():
        content, name = files.read_file(listed, "photographs")
        table = files.as_table(content, name, "photographs")
        if missing := [name for name in ("file_name", "species") if name not in table]:
            raise InputError("photographs", f"{listed} lacks the column {missing[0]}.")
        paths, species = [folder / name for name in table["file_name"]], table["species"].tolist()
    else:
        paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)
        species = [path.parent.name.replace("_", " ") for path in paths]
    if not paths:
        raise InputError(
            "photographs",
            f"There are no pictures in {folder}: it should hold a metadata.csv with file_name and species, "
            "or a sub-folder for each species.",
        )
    try:
        pictures = [path.read_bytes() for path in paths]
    except OSError as error:
        raise InputError("photographs", f"The picture {error.filename} cannot be read.") from error
    return _named(pd.DataFrame({"species": species, "picture": pictures}), folder)


@lru_cache(maxsize=2)
def load_photographs(source: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Read and decode all photographs of a source.

    Returns:
        Species names (M,), and pictures (M, 3, size, size), uint8, padded to squares.

    Raises:
        InputError: field `photographs`, if one cannot be read.
    """
    table = read_photographs(source)
    decoded = []
    for number, content in enumerate(table["picture"]):
        decoded.append(open_square(content, size, f"Picture {number} of {source}", "photographs"))
    return table["species"].to_numpy(), np.stack(decoded)


def pictured_rows(table: pd.DataFrame, config: DataConfig) -> pd.DataFrame:
    """Return the rows of a prepared table whose species has a photograph. Print what has no counterpart.

    Raises:
        InputError: field `photographs`, if no species has both.
    """
    names = set(load_photographs(config.photographs, config.image_size)[0])
    barcoded = set(table["species"])
    both = names & barcoded
    if not both:
        raise InputError(
            "photographs",
            f"None of the {len(names)} species of {config.photographs} has a barcode in {config.table}.",
        )
    print(
        f"{len(both)} species have photographs and barcodes; {len(names - barcoded)} with photographs have "
        f"no barcode, {len(barcoded - names)} with barcodes have no photograph.",
        file=sys.stderr,
    )
    return table[table["species"].isin(both)].reset_index(drop=True)


def pictures_of(rows: pd.DataFrame, config: DataConfig) -> SpeciesPictures:
    """Return the pictures of chosen rows. Those of training rows are augmented."""
    names, photographs = load_photographs(config.photographs, config.image_size)
    of_species = {name: np.flatnonzero(names == name) for name in np.unique(names)}
    chosen = [
        of_species[species][seed % len(of_species[species])]
        for species, seed in zip(rows["species"], rows["seed"], strict=True)
    ]
    augmented = (rows["split"] == "train").to_numpy()
    return SpeciesPictures(photographs, np.array(chosen), rows["seed"].to_numpy(), augmented)


class SpeciesPictures:
    """Pictures (N, 3, size, size) uint8 of N specimens, made on demand.

    Args:
        photographs: pictures (M, 3, size, size), uint8.
        chosen: index of each specimen's photograph (N,).
        seeds: seeds of the specimens' augmentations (N,).
        augmented: whether each specimen's picture is augmented (N,).
    """

    def __init__(self, photographs: np.ndarray, chosen: np.ndarray, seeds: np.ndarray, augmented: np.ndarray):
        self.photographs, self.chosen, self.seeds, self.augmented = photographs, chosen, seeds, augmented
        self.shape = (len(chosen), *photographs.shape[1:])

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the pictures of B rows: (B, 3, size, size), uint8."""
        rows = np.asarray(rows)
        pictures = self.photographs[self.chosen[rows]].copy()
        if len(varied := np.flatnonzero(self.augmented[rows])):
            images = torch.from_numpy(pictures[varied]).float() / 255
            images = augment(images, self.seeds[rows[varied]])
            pictures[varied] = (images * 255).round().byte().numpy()
        return pictures


def augment(images: torch.Tensor, seeds: np.ndarray) -> torch.Tensor:
    """Turn, scale, move, mirror and relight pictures (B, 3, H, W) in [0, 1], each with its own seed."""
    draws = np.stack([np.random.default_rng(seed).random(9) for seed in seeds])
    draws = torch.from_numpy(draws).float() * 2 - 1  # (B, 9) in [-1, 1]
    angle, scale, dx, dy, mirror, light, *tint = draws.unbind(1)
    angle, scale = angle * TURN, 1 + SCALE * scale
    sign = torch.where(mirror < 0, -1.0, 1.0)
    affine = torch.stack(
        [
            torch.stack([angle.cos() * scale * sign, -angle.sin() * scale, SHIFT * dx], 1),
            torch.stack([angle.sin() * scale * sign, angle.cos() * scale, SHIFT * dy], 1),
        ],
        1,
    )
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    turned = F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False)
    factor = 1 + LIGHT * light[:, None] + TINT * torch.stack(tint, 1)  # (B, 3)
    return (turned * factor[:, :, None, None]).clamp(0, 1)
