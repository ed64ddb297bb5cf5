"""Worlds for comparing systems: held-out specimens, their true pictures, and training specimens.

Three worlds have real specimens. The closed world (`test`) has unseen barcodes of seen species, one barcode
per species. `far` has those of them that differ from every learned barcode at 1 % of the sites or more; the
others are often one or two bases from a learned barcode, so a look-up finds it. The open world
(`test_unseen`) has species that no stage saw. As in the paper's splits of BIOSCAN-5M, the genera of unseen
species may be seen, unless `data.unseen_genera` holds out whole genera.

Two worlds have specimens that nobody collected, so they need a simulator: `mutants` has barcodes of the
closed world, mutated at 5 to 30 %, and `places` has the same barcodes at latitudes that are at least 20
degrees nearer to the equator or farther from it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from training.configs.schema import DataConfig
from training.data.species_pictures import load_photographs
from training.data.specimens import SpecimenSet, draw_specimens, load_table, picture_specimens
from training.data.splits import nearest_difference

FOUND = ("val", "test", "test_unseen", "far")
MADE = ("mutants", "places")  # worlds of simulated specimens
WORLDS = (*FOUND, *MADE)
OTHERS = 2  # further individuals per simulated specimen; they show the limit of the measurements
FAR = 0.01  # share of sites
RATES = (0.05, 0.30)  # lowest and highest mutation rate of `mutants`
LATITUDES, MOVED = 80, 20  # degrees: the highest latitude in `places`, and the smallest move


@dataclass
class World:
    """N held-out specimens of distinct species, and training specimens for comparison."""

    split: str
    specimens: pd.DataFrame  # N rows
    truth: torch.Tensor  # their true pictures (N, 3, H, W) in [0, 1]
    others: torch.Tensor | None  # further individuals of each (N, OTHERS, 3, H, W), if they are simulated
    references: SpecimenSet  # unchanged training specimens, one per species
    gallery: SpecimenSet  # pictures by species, for looking up a drawn picture's species
    likenesses: list[torch.Tensor] | None = None  # all photographs (P, 3, H, W) of each specimen's species

    @property
    def known_traits(self) -> bool:
        """Whether the traits of the pictures are known, from a simulator."""
        return self.others is not None


def _stem(rows: pd.DataFrame, config: DataConfig, folder: Path) -> Path:
    """Return the path without ending for the pictures of some rows. It depends on the pictures' contents."""
    shown = rows[["dna_barcode", "coord-lat", "seed"]].to_csv() + str(config.image_size)
    if config.photographed:
        shown += str(config.package)
    return folder / hashlib.sha256(shown.encode()).hexdigest()[:12]


def _pictured(rows: pd.DataFrame, config: DataConfig, folder: Path) -> SpecimenSet:
    stem = _stem(rows, config, folder)
    folder.mkdir(parents=True, exist_ok=True)
    # If several processes start together, the first makes the files and the others wait for them.
    with FileLock(stem.with_suffix(".lock")):
        return picture_specimens(rows, config, stem)


def _far(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the test rows that are near a learned barcode."""
    test = table["split"] == "test"
    learned = table.loc[table["split"].isin(["train", "val"]), "dna_barcode"].unique().tolist()
    near = nearest_difference(table.loc[test, "dna_barcode"].tolist(), learned) < FAR
    return table.drop(index=table.index[test][near])


def _mutated(rows: pd.DataFrame) -> pd.DataFrame:
    """Return specimens with mutated barcodes. Each has its own `mutation_rate`."""
    rates = [np.random.default_rng(seed).uniform(*RATES) for seed in rows["seed"]]
    barcodes = [
        Barcode(text).mutate(rate, seed=seed).sequence
        for text, rate, seed in zip(rows["dna_barcode"], rates, rows["seed"], strict=True)
    ]
    return rows.assign(dna_barcode=barcodes, mutation_rate=rates)


def _moved(rows: pd.DataFrame) -> pd.DataFrame:
    """Return specimens at other localities, whose |latitude| differs by `MOVED` or more from the original."""
    latitudes, longitudes = [], []
    for own, seed in zip(rows["coord-lat"], rows["seed"], strict=True):
        rng = np.random.default_rng(seed)
        candidates = np.arange(-LATITUDES, LATITUDES + 1)
        candidates = candidates[np.abs(np.abs(candidates) - abs(own)) >= MOVED]
        latitudes.append(float(rng.choice(candidates)))
        longitudes.append(float(rng.uniform(-180, 180)))
    return rows.assign(**{"coord-lat": latitudes, "coord-lon": longitudes})


def _gallery(chosen: pd.DataFrame, others: torch.Tensor | None, references: SpecimenSet) -> SpecimenSet:
    """Return the references, and a further individual of each chosen species that is not among them.

    Photographed animals have no further individual.
    """
    new = np.flatnonzero(~chosen["species"].isin(references.table["species"]))
    if others is None or not len(new):
        return references
    rows = pd.concat([references.table, chosen.iloc[new]], ignore_index=True)
    added = (others[new, 0] * 255).round().byte().numpy()
    return SpecimenSet(rows, np.concatenate([references.pictures[np.arange(len(references))], added]))


def _photographs(species: pd.DataFrame, config: DataConfig) -> SpecimenSet:
    """Return all photographs of the species in some rows with `species` and `family`."""
    names, photographs = load_photographs(config.photographs, config.image_size)
    families = species.drop_duplicates("species").set_index("species")["family"]
    kept = np.isin(names, families.index)
    rows = pd.DataFrame({"species": names[kept], "family": families[names[kept]].to_numpy()})
    return SpecimenSet(rows, photographs[kept])


def load_world(
    config: DataConfig,
    split: str,
    barcodes: int,
    folder: Path,
    seed: int | None = None,
    table: pd.DataFrame | None = None,
) -> World:
    """Load a world by name.

    Args:
        config: source of the specimens.
        split: one of `WORLDS`.
        barcodes: largest number of held-out specimens.
        folder: folder for pictures that are made once.
        seed: seed that chooses specimens from the table; by default the configuration's. The configuration's
            seed also makes the table if barcodes evolve along a tree.
        table: `load_table(config)`, if it is loaded already.

    Raises:
        InputError: field `split`, if there is no such specimen.
    """
    if split in MADE and config.photographed:
        raise InputError(
            "split", f"The world {split} needs simulated specimens: nobody photographed what it asks for."
        )
    table = load_table(config) if table is None else table
    seed = config.seed if seed is None else seed
    natural = replace(config, mutated_share=0.0, roaming_share=0.0, seed=seed)
    held_out = _far(table) if split == "far" else table
    base = split if split in ("val", "test_unseen") else "test"
    chosen = draw_specimens(held_out, base, natural, per_species=1).iloc[:barcodes].reset_index(drop=True)
    if chosen.empty:
        raise InputError("split", f"The table has no held-out specimen for the world {split}.")
    if split in MADE:
        chosen = _mutated(chosen) if split == "mutants" else _moved(chosen)
    trained = draw_specimens(table, "train", natural, per_species=1)
    everyone = np.arange(len(chosen))
    if config.by_species:
        trained = trained.assign(split="shown")  # not `train`, whose photographs are augmented
    references, others = _pictured(trained, config, folder), None
    if not config.photographed:
        individuals = [chosen.assign(seed=chosen["seed"] + n) for n in range(1, OTHERS + 1)]
        others = torch.stack(
            [_pictured(rows, config, folder).images(everyone) for rows in individuals], dim=1
        )
    if config.by_species:
        gallery = _photographs(pd.concat([trained, chosen]), config)
        shown = gallery.table["species"].to_numpy()
        likenesses = [gallery.images(np.flatnonzero(shown == name)) for name in chosen["species"]]
    else:
        gallery, likenesses = _gallery(chosen, others, references), None
    truth = _pictured(chosen, config, folder).images(everyone)
    return World(split, chosen, truth, others, references, gallery, likenesses)
