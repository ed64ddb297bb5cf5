"""Specimens for training: a table of framed barcodes with splits, and a picture of every row.

The schema is BIOSCAN-5M's: `processid, class, order, family, subfamily, genus, species, dna_bin, dna_barcode,
country, coord-lat, coord-lon, split`. All sources become a `SpecimenSet`. Pictures are simulated, or
photographs from BIOSCAN-5M (`training.data.bioscan`) or BOLD (`training.data.bold`).
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from accelerate import PartialState
from filelock import FileLock
from tqdm.auto import tqdm

from g2pdiff.dna import files
from g2pdiff.dna.barcode import COI_SCORE, Barcode
from g2pdiff.dna.framing import frame
from g2pdiff.dna.tables import Reading, standardise, usable
from g2pdiff.errors import InputError
from g2pdiff.models.locality import geodesic
from g2pdiff.simulation import Simulator
from g2pdiff.simulation.barcodes import simulate_barcodes
from training.configs.schema import DataConfig
from training.data import bioscan, bold, species_pictures
from training.data.splits import SPLITS, assign_splits, unlearned
from training.data.storage import new_array

COLUMNS = ("dna_barcode", "species", "coord-lat", "coord-lon")
RANKS = ("order", "family", "genus")  # columns that a table may lack


def read_table(path: str | Path, unseen_species: float = 0.1, unseen_genera: float = 0.0) -> pd.DataFrame:
    """Read a barcode table and frame its barcodes on the Folmer region.

    Rows without a species, a locality or a usable barcode are left out. A line on standard error says how
    many and why.

    Args:
        path: parquet, CSV or TSV in one of the field's formats (`g2pdiff.dna.formats`), or a GenBank file.

    Raises:
        InputError: field `table`, if the file is missing, is not a table or lacks a column, or if no row can
            be used.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError("table", f"{path} is a folder: give one table, a file in it, with --table.")
    if not path.is_file():
        raise InputError(
            "table", f"There is no barcode table {path}; give a parquet or CSV file with --table."
        )
    content, name = files.read_file(path, "table")
    if content[:4] != b"PAR1" and files.is_fasta(files.decode(content, name, "table")):
        raise InputError(
            "table", f"{path} is FASTA: give a table, which has species and coordinates beside its barcodes."
        )
    table = standardise(files.as_table(content, name, "table"))
    if missing := [column for column in COLUMNS if column not in table]:
        missing = ["processid", *missing] if "processid" not in table else missing
        raise InputError(
            "table",
            f"{path} lacks the column {', '.join(missing)}; the names of BIOSCAN-5M, BOLD or Darwin Core are "
            "expected.",
        )
    return prepare(table, unseen_species, unseen_genera, name)


def prepare(
    table: pd.DataFrame, unseen_species: float = 0.1, unseen_genera: float = 0.0, name: str = "The table"
) -> pd.DataFrame:
    """Return the usable rows of a table, with our columns, framed barcodes and splits.

    Raises:
        InputError: field `table`, if no row can be used.
    """
    reading = Reading()
    table = usable(standardise(table), reading, SPLITS)
    print(reading.sentence(name), file=sys.stderr)
    if table.empty:
        raise InputError("table", f"No row can be learned from. {reading.sentence(name)}")
    table = table.assign(**{rank: table[rank].fillna("") if rank in table else "" for rank in RANKS})
    if "processid" not in table:
        table = table.assign(processid=[f"row-{row + 1}" for row in range(len(table))])
    return table.assign(split=assign_splits(table, unseen_species, unseen_genera))


def load_table(config: DataConfig) -> pd.DataFrame:
    """Return the table of a configuration, or, if it names none, barcodes that evolved along a tree.

    For BIOSCAN-5M it has the labelled splits only, one row in thirteen: the others do not fit in memory. With
    photographs by species, only rows of photographed species are kept.
    """
    table = load_records(config)
    return species_pictures.pictured_rows(table, config) if config.by_species else table


def load_records(config: DataConfig) -> pd.DataFrame:
    """Load a table as `load_table` does, but keep species without a photograph."""
    config.require_source()
    held_out = config.unseen_species, config.unseen_genera
    if config.bold:
        return prepare(bold.read_specimens(config.bold), *held_out)
    if config.by_specimen:
        return bioscan.labelled_table(config)
    if config.table:
        return read_table(config.table, *held_out)
    records = simulate_barcodes(config.simulated_species, config.simulated_per_species, config.seed)
    # These barcodes evolved in the frame, so they need no framing and no search for indels.
    table = pd.DataFrame(records)
    table = table[frame(table["dna_barcode"].tolist())[2] >= COI_SCORE].reset_index(drop=True)
    return table.assign(split=assign_splits(table, *held_out))


class Pictures(Protocol):
    """N pictures (N, 3, H, W) uint8: an array, or an object that makes them on demand."""

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


@dataclass
class SpecimenSet:
    """N specimens: a table with one row each, and their pictures in the same order."""

    table: pd.DataFrame  # framed `dna_barcode`, `coord-lat`, `coord-lon`, taxonomy; `seed` of the picture
    pictures: Pictures  # (N, 3, H, W) uint8, memory-mapped or made on demand
    name: str = "specimens"  # unique within a run; part of the names of kept files

    def __len__(self) -> int:
        return len(self.table)

    def images(self, rows: Sequence[int] | np.ndarray) -> torch.Tensor:
        """Return the pictures of some rows (B, 3, H, W) in [0, 1]."""
        return torch.from_numpy(self.pictures[rows]).float() / 255


def draw_specimens(table: pd.DataFrame, split: str, config: DataConfig, per_species: int) -> pd.DataFrame:
    """Choose specimens of a split, at most `per_species` per species. Each gets its own picture seed.

    Some training barcodes are mutated, and some training localities are moved, so that the model sees more
    genotypes and latitudes than were collected; the simulator knows their pictures. Held-out specimens do not
    change, and neither do photographed ones, because nobody knows how they would look. Held-out rows with the
    barcode of a training row are left out, see `training.data.splits.unlearned`.
    """
    rows = table[table["split"] == split].sample(frac=1, random_state=config.seed)
    if split != "train":
        rows = unlearned(rows, table, split)
    rows = rows.groupby("species").head(per_species).reset_index(drop=True)
    digest = hashlib.sha256(f"{split}:{config.seed}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    rows["seed"] = rng.integers(0, 2**31, len(rows))
    if split != "train":
        return rows
    mutated_share, roaming_share = config.mutated_share, config.roaming_share
    if config.photographed:
        mutated_share = roaming_share = 0
    rows["mutation_rate"] = np.where(
        rng.random(len(rows)) < mutated_share, rng.uniform(0, config.max_mutation_rate, len(rows)), 0.0
    )
    rows["dna_barcode"] = [
        Barcode(sequence).mutate(rate, seed=seed).sequence if rate else sequence
        for sequence, rate, seed in zip(rows["dna_barcode"], rows["mutation_rate"], rows["seed"], strict=True)
    ]
    roaming = rng.random(len(rows)) < roaming_share
    rows.loc[roaming, "coord-lat"] = rng.uniform(-85, 85, roaming.sum())
    rows.loc[roaming, "coord-lon"] = rng.uniform(-180, 180, roaming.sum())
    return rows


def render_specimens(rows: pd.DataFrame, size: int, path: Path, batch: int = 256) -> np.ndarray:
    """Draw the simulated specimens of all rows into a memory-mapped file, once.

    Returns:
        Pictures (N, 3, size, size), uint8.
    """
    if not path.exists():
        simulator = Simulator.default().to(PartialState().device)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        pictures = new_array(partial, np.uint8, (len(rows), 3, size, size))
        for start in tqdm(range(0, len(rows), batch), desc=f"render {path.stem}"):
            some = rows.iloc[start : start + batch]
            images = simulator.specimens(
                some["dna_barcode"].tolist(), some["coord-lat"].to_numpy(), size, some["seed"].tolist()
            )
            pictures[start : start + batch] = (images * 255).round().byte().cpu().numpy()
        pictures.flush()
        os.replace(partial, path)
    return np.load(path, mmap_mode="r")


def _digest(config: DataConfig) -> str:
    """Return eight letters that depend on all settings that decide which specimens are drawn."""
    immaterial = {"pictures", "cache"}
    if not config.by_specimen:
        immaterial |= {"metadata", "hub", "package", "unlabelled"}
    default = asdict(DataConfig())
    # Newer settings count only if they differ from their defaults, so that the files of older runs stay
    # valid.
    newer = {"photographs", "bold", "unseen_species", "unseen_genera"}
    settings = {
        name: value
        for name, value in asdict(config).items()
        if name not in immaterial and not (name in newer and value == default[name])
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _stem(config: DataConfig, run: Path, split: str) -> Path:
    """Return the path, without ending, of the files of a split. Its folder is made."""
    stem = run / "data" / f"{split}-{_digest(config)}"
    stem.parent.mkdir(parents=True, exist_ok=True)
    return stem


def load_specimens(config: DataConfig, run: Path, split: str = "train") -> SpecimenSet:
    """Return the specimens of a run. They are drawn once and kept in the run's folder `data/`.

    The file names have a digest of the configuration, so a changed configuration draws them again.
    """
    stem = _stem(config, run, split)
    # If several processes start together, the first makes the files and the others wait for them.
    with FileLock(stem.with_suffix(".lock")):
        return picture_specimens(_rows(config, stem, split), config, stem)


def load_rows(config: DataConfig, run: Path, split: str = "train") -> pd.DataFrame:
    """Return the table of the specimens of a run, as `load_specimens` does, but draw no picture."""
    stem = _stem(config, run, split)
    with FileLock(stem.with_suffix(".lock")):
        return _rows(config, stem, split)


def _rows(config: DataConfig, stem: Path, split: str) -> pd.DataFrame:
    """Return the rows of a split, which are chosen once and kept."""
    rows_path = stem.with_suffix(".parquet")
    if rows_path.exists():
        return pd.read_parquet(rows_path)
    limit = config.per_species if split == "train" else 4
    official = config.by_specimen and not config.bold
    table = bioscan.candidates(config, split, limit) if official else load_table(config)
    rows = draw_specimens(table, split, config, limit)
    if split != "train":
        rows = rows.iloc[: config.held_out]
    check_enough(rows, split)
    partial = rows_path.with_suffix(".partial-rows")
    rows.to_parquet(partial)
    os.replace(partial, rows_path)
    return rows


def check_enough(rows: pd.DataFrame, split: str) -> None:
    """Refuse a split with too few specimens for the stages.

    Training and validation need two species, to distinguish specimens and to set thresholds. A test split
    needs one specimen.

    Raises:
        InputError: field `table`.
    """
    species, needed = rows["species"].nunique(), 2 if split in ("train", "val") else 1
    if species < needed:
        raise InputError(
            "table",
            f"The split {split} has {len(rows)} specimens of {species} species: a run needs specimens of "
            f"{needed} species or more in it, so give more rows, or a split column of your own.",
        )


def picture_specimens(rows: pd.DataFrame, config: DataConfig, stem: Path) -> SpecimenSet:
    """Return chosen rows with their pictures. Pictures that take long to make are kept beside `stem`."""
    if config.bold:
        pictures = bold.photographs(config.bold, rows, config.image_size)
    elif config.by_species:
        pictures = species_pictures.pictures_of(rows, config)
    elif config.by_specimen:
        pictures = bioscan.photographs(config, rows, stem.with_suffix(".zip"))
    else:
        pictures = render_specimens(rows, config.image_size, stem.with_suffix(".npy"))
    return SpecimenSet(rows, pictures, stem.name)


def species_batches(rows: pd.DataFrame) -> list[np.ndarray]:
    """Return row numbers grouped by species, for batches with at most one row per species."""
    return [np.asarray(group) for group in rows.groupby("species").indices.values()]


def draw_rows(groups: list[np.ndarray], size: int, generator: torch.Generator) -> np.ndarray:
    """Draw `size` rows of distinct species. If there are too few species, they repeat."""
    order = torch.randperm(len(groups), generator=generator).tolist()
    order = (order * (size // len(order) + 1))[:size]
    picks = torch.rand(size, generator=generator).tolist()
    return np.array([groups[g][int(p * len(groups[g]))] for g, p in zip(order, picks, strict=True)])


def localities_of(rows: pd.DataFrame) -> torch.Tensor:
    """Return the localities of N rows as unit vectors (N, 3)."""
    latitude, longitude = (
        torch.tensor(rows[name].to_numpy(), dtype=torch.float32) for name in ("coord-lat", "coord-lon")
    )
    return geodesic(latitude, longitude)


def mask_tokens(
    input_ids: torch.Tensor, unknown: int, generator: torch.Generator, ends: float = 0.25, within: float = 0.1
) -> torch.Tensor:
    """Hide tokens: a stretch at each end, and some between them, because real reads miss bases.

    The paper hides none. But users bring reads of every length, and a picture should not depend on a few
    tokens.

    Args:
        input_ids: token ids (B, L).
        unknown: id of the token that stands for a missing k-mer.
        ends: largest hidden share of the read at each end.
        within: largest hidden share of the other tokens. Half of the rows stay complete.
    """
    batch, length = input_ids.shape
    left, right, rate, whole = torch.rand(4, batch, 1, generator=generator)
    position = torch.arange(length)
    hidden = (position < left**3 * ends * length) | (position >= length - right**3 * ends * length)
    hidden |= torch.rand(batch, length, generator=generator) < rate * within
    return torch.where(hidden & (whole < 0.5), unknown, input_ids)
