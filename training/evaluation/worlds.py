"""Worlds to compare systems in: held-out specimens, what they truly look like, and what was learned from.

The closed world (`test`) has unseen barcodes of seen species, flattened to one barcode a species; the open
world (`test_unseen`) has species that no stage ever saw.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from training.configs.schema import DataConfig
from training.data.specimens import SpecimenSet, draw_specimens, load_table, picture_specimens

CLOSED, OPEN = "test", "test_unseen"
OTHERS = 2  # further individuals of a simulated specimen, which say what the measurements allow


@dataclass
class World:
    """N held-out specimens of distinct species, and training specimens to hold pictures against."""

    split: str
    specimens: pd.DataFrame  # N rows
    truth: torch.Tensor  # what they look like (N, 3, H, W) in [0, 1]
    others: torch.Tensor | None  # further individuals of each (N, OTHERS, 3, H, W), where a simulator knows
    references: SpecimenSet  # training specimens as they were found, one a species


def _stem(rows: pd.DataFrame, config: DataConfig, folder: Path) -> Path:
    """Where the pictures of some rows are kept: the name follows from what they show."""
    shown = rows[["dna_barcode", "coord-lat", "seed"]].to_csv() + str(config.image_size)
    if config.photographed:
        shown += str(config.package)
    return folder / hashlib.sha256(shown.encode()).hexdigest()[:12]


def _pictured(rows: pd.DataFrame, config: DataConfig, folder: Path) -> SpecimenSet:
    stem = _stem(rows, config, folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Of processes that start together the first makes the files; the others wait and find them.
    with FileLock(stem.with_suffix(".lock")):
        return picture_specimens(rows, config, stem)


def load_world(config: DataConfig, split: str, barcodes: int, folder: Path, seed: int | None = None) -> World:
    """The world of a split.

    Args:
        config: where specimens come from.
        split: `val`, `test` or `test_unseen`.
        barcodes: held-out specimens at most.
        folder: for pictures that are drawn or made square once.
        seed: decides which specimens of the table; by default the configuration's, which decides the table
            itself where barcodes evolve along a tree.
    """
    table = load_table(config)
    seed = config.seed if seed is None else seed
    natural = replace(config, mutated_share=0.0, roaming_share=0.0, seed=seed)
    chosen = draw_specimens(table, split, natural, per_species=1).iloc[:barcodes].reset_index(drop=True)
    trained = draw_specimens(table, "train", natural, per_species=1)
    everyone = np.arange(len(chosen))
    others = None
    if not config.photographed:
        individuals = [chosen.assign(seed=chosen["seed"] + n) for n in range(1, OTHERS + 1)]
        others = torch.stack(
            [_pictured(rows, config, folder).images(everyone) for rows in individuals], dim=1
        )
    return World(
        split,
        chosen,
        _pictured(chosen, config, folder).images(everyone),
        others,
        _pictured(trained, config, folder),
    )
