"""Fit the genotype map to a barcode table: ``python -m training.genotype --table barcodes.parquet``.

It writes ``genotype.npz``, the arrays of `g2pdiff.simulation.genome.Genome`, from a subsample that no species
dominates. The arrays define the simulated biology: after a new fit, old models no longer match the simulator.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from g2pdiff.dna.framing import frame
from g2pdiff.errors import InputError
from g2pdiff.simulation.archetypes import COLOUR_GROUPS, NAMES, TRAITS, load_archetypes
from g2pdiff.simulation.genome import GENOTYPE_PATH, SITES, Genome, one_hot
from g2pdiff.simulation.traits import Development

PER_SPECIES = 30  # barcodes per species
COORDINATES = 96
FEATURES = 384
SEED = 658


def subsample(table: pd.DataFrame, per_species: int = PER_SPECIES, seed: int = SEED) -> pd.DataFrame:
    """Draw at most ``per_species`` rows per species, in random order."""
    return table.sample(frac=1, random_state=seed).groupby("species").head(per_species).reset_index(drop=True)


def principal_components(hot: torch.Tensor, weight: torch.Tensor, size: int = COORDINATES) -> dict:
    """Fit weighted probabilistic PCA to barcodes (N, 658, 4) with missing sites (Tipping & Bishop 1999)."""
    known = hot.sum(-1, keepdim=True)
    center = (hot * weight[:, None, None]).sum(0) / ((known * weight[:, None, None]).sum(0) + 1e-6)
    residual = ((hot - center * known) * weight.sqrt()[:, None, None]).flatten(1)
    if len(residual) < residual.shape[1]:  # otherwise the covariance would be singular
        _, deviations, directions = torch.linalg.svd(residual, full_matrices=False)
        eigenvalues, vectors = deviations.square().flip(0) / weight.sum(), directions.flip(0).T
    else:
        eigenvalues, vectors = torch.linalg.eigh(residual.T @ residual / weight.sum())
    eigenvalues = eigenvalues.clamp(min=0)  # rounding can make it negative
    kept = eigenvalues[-size:].flip(0)
    print(f"{size} coordinates hold {float(kept.sum() / eigenvalues.sum()):.1%} of the variance")
    return {
        "center": center.numpy(),
        "components": vectors[:, -size:].flip(1).reshape(SITES, 4, size).numpy().astype(np.float16),
        "variance": kept.clamp(min=1e-6).numpy(),  # a small table may have fewer directions
        "noise": np.float32(eigenvalues[:-size].sum() / (3 * SITES - size)),
    }


def kernel(coordinates: np.ndarray, table: pd.DataFrame) -> tuple[dict, float, float]:
    """Return genus means, the membership kernel, and squared distances between species and between genera."""
    species: dict[Any, Any] = table.groupby(["family", "genus", "species"], sort=True).indices
    genus_of_species = pd.Index([f"{family}|{genus}" for family, genus, _ in species])
    genera = genus_of_species.unique()
    which = genera.get_indexer(genus_of_species)
    species_means = np.stack([coordinates[rows].mean(0) for rows in species.values()])
    counts = np.bincount(which)
    means = np.zeros((len(genera), coordinates.shape[1]))
    np.add.at(means, which, species_means)
    means /= counts[:, None]

    genus_of_row = genera.get_indexer(pd.Index(table.family + "|" + table.genus))
    within = coordinates - means[genus_of_row]
    spread = within.var(0)
    scale = 1 / np.sqrt(spread + 0.5 * spread.mean())
    scale /= scale.mean()
    bandwidth = np.median(((within * scale) ** 2).sum(1)) / 8

    congeners = counts[which] > 1
    between_species = 2 * np.median(((species_means - means[which])[congeners] ** 2).sum(1))
    pairs = np.random.default_rng(SEED).integers(0, len(means), (2, 4000))
    between_genera = np.median(((means[pairs[0]] - means[pairs[1]]) ** 2).sum(1))
    order = table.drop_duplicates("family").set_index("family")["order"]
    names = [name.split("|") for name in genera]
    arrays = {
        "means": means.astype(np.float16),
        "scale": scale.astype(np.float32),
        "bandwidth": np.float32(bandwidth),
        "genera": np.array([genus for _, genus in names]),
        "genus_family": np.array([family for family, _ in names]),
        "genus_order": np.array([order[family] for family, _ in names]),
    }
    return arrays, float(between_species), float(between_genera)


def random_fields(between_species: float, between_genera: float) -> dict:
    """Draw random Fourier features of the trait fields: half at the length scale of species, half at that of
    genera."""
    rng = np.random.default_rng(SEED + 1)
    halves = np.repeat([between_species, between_genera], FEATURES // 2)
    length = np.sqrt(0.6 * halves)
    fields = len(TRAITS) + 3 * len(COLOUR_GROUPS)
    return {
        "omega": (rng.normal(size=(COORDINATES, FEATURES)) / length).astype(np.float16),
        "phase": rng.uniform(0, 2 * np.pi, FEATURES).astype(np.float32),
        "coefficients": (rng.normal(size=(FEATURES, fields)) * np.sqrt(2 / FEATURES)).astype(np.float16),
    }


def fit(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Fit the genotype map to a table with columns dna_barcode, order, family, genus, species.

    Raises:
        InputError: the table has too few barcodes for the map's coordinates.
    """
    table = subsample(table)
    if len(table) <= COORDINATES:
        raise InputError(
            "table", f"The table has {len(table)} usable barcodes; give more than {COORDINATES}."
        )
    print(f"kept {len(table)} barcodes of {table.species.nunique()} species, {table.genus.nunique()} genera")
    sequences, offsets, _ = frame(table.dna_barcode.tolist())
    print(f"{np.mean(offsets != 0):.1%} of them do not start at the first site")
    counts = table.groupby("species").species.transform("size").to_numpy()
    arrays = principal_components(one_hot(sequences), torch.tensor(counts**-0.5, dtype=torch.float32))

    unfitted = ("scale", "bandwidth", "means", "omega", "phase", "coefficients", "trait_scale")
    unnamed = {name: np.array([""]) for name in ("genera", "genus_family", "genus_order")}
    genome = Genome.of(arrays | {name: np.zeros(1) for name in unfitted} | unnamed)
    coordinates = genome.project(sequences)
    relatives, between_species, between_genera = kernel(coordinates.double().numpy(), table)
    arrays |= relatives | random_fields(between_species, between_genera)
    print(f"squared distance between species {between_species:.1f}, between genera {between_genera:.1f}")

    genome = Genome.of(arrays | {"trait_scale": np.ones(len(NAMES))})
    traits = Development(genome, load_archetypes())(coordinates, torch.full((len(table),), 30.0))
    spread = traits.values.std(0)
    arrays["trait_scale"] = torch.where(spread > 1e-4, spread, 0).numpy()
    agreement = np.mean(np.array(traits.family) == table.family.to_numpy())
    print(f"the most probable family is the table's for {agreement:.2%}")
    return arrays


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, required=True, help="parquet file in the BIOSCAN schema")
    parser.add_argument("--out", type=Path, default=GENOTYPE_PATH)
    options = parser.parse_args()
    columns = ["order", "family", "genus", "species", "dna_barcode"]
    try:
        arrays = fit(pd.read_parquet(options.table, columns=columns))
    except InputError as error:
        parser.error(str(error))
    entries: dict[str, Any] = arrays
    np.savez_compressed(options.out, **entries)
    print(f"wrote {options.out} ({options.out.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
