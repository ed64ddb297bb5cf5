"""Worlds to compare systems in: held-out specimens, what they truly look like, and what was learned from.

Three worlds are specimens as they were found. The closed world (`test`) has unseen barcodes of seen species,
flattened to one barcode a species. `far` has those among them that differ from every learned barcode by 1 %
of the sites or more: the others are often a base or two from one, and a look-up finds it. The open world
(`test_unseen`) has species that no stage ever saw. ("Unseen" is said of species here. The paper says it of
the species of BIOSCAN-5M's unseen splits, whose genera were seen; so they are here, unless whole genera are
held out by `data.unseen_genera`.)

Two worlds ask for what nobody ever collected, and so exist where a simulator knows the answer: `mutants`,
barcodes of the closed world mutated at 5 to 30 %, and `places`, the same barcodes set down at latitudes at
least 20 degrees nearer to or farther from the equator.
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
MADE = ("mutants", "places")  # of simulated specimens alone
WORLDS = (*FOUND, *MADE)
OTHERS = 2  # further individuals of a simulated specimen, which say what the measurements allow
FAR = 0.01  # share of sites
RATES = (0.05, 0.30)  # lowest and highest mutation rate of `mutants`
LATITUDES, MOVED = 80, 20  # degrees: how far from the equator `places` reach, and how far they move at least


@dataclass
class World:
    """N held-out specimens of distinct species, and training specimens to hold pictures against."""

    split: str
    specimens: pd.DataFrame  # N rows
    truth: torch.Tensor  # what they look like (N, 3, H, W) in [0, 1]
    others: torch.Tensor | None  # further individuals of each (N, OTHERS, 3, H, W), where a simulator knows
    references: SpecimenSet  # training specimens as they were found, one per species
    gallery: SpecimenSet  # pictures by species, among which a drawn picture's species is looked up
    likenesses: list[torch.Tensor] | None = None  # all photographs (P, 3, H, W) of each one's species

    @property
    def known_traits(self) -> bool:
        """Whether a simulator knows the traits behind the pictures."""
        return self.others is not None


def _stem(rows: pd.DataFrame, config: DataConfig, folder: Path) -> Path:
    """Return where the pictures of some rows are kept: the name follows from what they show."""
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


def _far(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without the test rows that are near to a learned barcode."""
    test = table["split"] == "test"
    learned = table.loc[table["split"].isin(["train", "val"]), "dna_barcode"].unique().tolist()
    near = nearest_difference(table.loc[test, "dna_barcode"].tolist(), learned) < FAR
    return table.drop(index=table.index[test][near])


def _mutated(rows: pd.DataFrame) -> pd.DataFrame:
    """Return specimens with mutated barcodes, each at a rate of its own, given as `mutation_rate`."""
    rates = [np.random.default_rng(seed).uniform(*RATES) for seed in rows["seed"]]
    barcodes = [
        Barcode(text).mutate(rate, seed=seed).sequence
        for text, rate, seed in zip(rows["dna_barcode"], rates, rows["seed"], strict=True)
    ]
    return rows.assign(dna_barcode=barcodes, mutation_rate=rates)


def _moved(rows: pd.DataFrame) -> pd.DataFrame:
    """Return specimens at other places, whose |latitude| differs by `MOVED` or more from their own."""
    latitudes, longitudes = [], []
    for own, seed in zip(rows["coord-lat"], rows["seed"], strict=True):
        rng = np.random.default_rng(seed)
        candidates = np.arange(-LATITUDES, LATITUDES + 1)
        candidates = candidates[np.abs(np.abs(candidates) - abs(own)) >= MOVED]
        latitudes.append(float(rng.choice(candidates)))
        longitudes.append(float(rng.uniform(-180, 180)))
    return rows.assign(**{"coord-lat": latitudes, "coord-lon": longitudes})


def _gallery(chosen: pd.DataFrame, others: torch.Tensor | None, references: SpecimenSet) -> SpecimenSet:
    """Return the references, and a further individual of each species that is not among them.

    Of photographed animals there is no further individual.
    """
    new = np.flatnonzero(~chosen["species"].isin(references.table["species"]))
    if others is None or not len(new):
        return references
    rows = pd.concat([references.table, chosen.iloc[new]], ignore_index=True)
    added = (others[new, 0] * 255).round().byte().numpy()
    return SpecimenSet(rows, np.concatenate([references.pictures[np.arange(len(references))], added]))


def _photographs(species: pd.DataFrame, config: DataConfig) -> SpecimenSet:
    """Return all photographs of some species, given by rows with `species` and `family`."""
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
    """Load the world of a name.

    Args:
        config: where specimens come from.
        split: one of `WORLDS`.
        barcodes: held-out specimens at most.
        folder: for pictures that are drawn or made square once.
        seed: decides which specimens of the table; by default the configuration's, which decides the table
            itself where barcodes evolve along a tree.
        table: `load_table(config)`, where it is at hand.

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
        trained = trained.assign(split="shown")  # photographs as they are: those of `train` are augmented
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
