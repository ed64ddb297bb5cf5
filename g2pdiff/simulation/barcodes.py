"""Simulated barcodes, for tests and for users without a barcode table.

Each family starts from the site frequencies of the real family's cluster in sequence space, so that the
simulator gives it a sensible body plan. From there barcodes evolve along a tree: family, genus, species,
specimen. Substitutions are mostly synonymous and never make a stop codon of translation table 5. Genera and
species are invented, and their names say so.
"""

from __future__ import annotations

from string import ascii_lowercase

import numpy as np
from Bio.Data import CodonTable

from .genome import BASES, SITES, Genome

CODON_START = 1  # site of the first whole codon
SUBSTITUTIONS = {
    "genus": 24,
    "species": 10,
}  # substitutions on the branch to each; congeners differ at about 20 of 658 sites
SPECIMEN_SUBSTITUTIONS = 1.5  # mean of a Poisson
AMINO_ACID_CHANGE = 0.03  # probability of keeping a proposed change of the amino acid
SPECIES_PER_GENUS, GENERA_PER_FAMILY = 4, 2
EPITHETS = ("prima", "secunda", "tertia", "quarta")
RANGE = 4.0  # standard deviation of a species' localities, degrees

_TABLE = CodonTable.unambiguous_dna_by_id[5]
_CODONS = [a + b + c for a in BASES for b in BASES for c in BASES]
_AMINO_ACIDS = np.array([_TABLE.forward_table.get(codon, "*") for codon in _CODONS])
_PLACE = np.array([16, 4, 1])  # weights of the three bases in the number of a codon


def simulate_barcodes(species: int, per_species: int, seed: int = 0) -> list[dict]:
    """Return barcodes and localities of invented species in BIOSCAN-5M's schema.

    Args:
        species: number of species: 4 per genus, 2 genera per family. After the last family, the first
            follows.
        per_species: specimens per species.
        seed: equal seeds give equal records.

    Returns:
        ``species * per_species`` records with the columns processid, class, order, family, subfamily, genus,
        species, dna_bin, dna_barcode, country, coord-lat, coord-lon.
    """
    rng = np.random.default_rng(seed)
    genome = Genome.load()
    frequencies = genome.center.numpy().clip(0.005)
    cumulative = (frequencies / frequencies.sum(1, keepdims=True)).cumsum(1)[:, :3]
    order = dict(zip(genome.genus_family, genome.genus_order, strict=True))
    families = rng.permutation(sorted(order))
    records: list[dict] = []
    genus = ""
    family_ancestor = genus_ancestor = np.empty(0, np.int64)
    for number in range(species):
        genus_number, member = divmod(number, SPECIES_PER_GENUS)
        family_number, genus_member = divmod(genus_number, GENERA_PER_FAMILY)
        round_number, place = divmod(family_number, len(families))
        family = str(families[place])
        if member == 0:
            if genus_member == 0:
                family_ancestor = _ancestor(genome, family)
            suffix = ascii_lowercase[round_number * GENERA_PER_FAMILY + genus_member]
            genus = f"Simulo{family.removesuffix('idae').lower()}{suffix}"
            genus_ancestor = _evolve(family_ancestor, SUBSTITUTIONS["genus"], cumulative, rng)
        ancestor = _evolve(genus_ancestor, SUBSTITUTIONS["species"], cumulative, rng)
        home = rng.uniform(-60, 70), rng.uniform(-180, 180)
        for specimen in range(per_species):
            sites = _evolve(ancestor, int(rng.poisson(SPECIMEN_SUBSTITUTIONS)), cumulative, rng)
            latitude = float(np.clip(home[0] + RANGE * rng.normal(), -90, 90))
            longitude = float((home[1] + RANGE * rng.normal() + 180) % 360 - 180)
            records.append(
                {
                    "processid": f"SIM{number:05d}-{specimen:03d}",
                    "class": "Insecta",
                    "order": order[family],
                    "family": family,
                    "subfamily": "",
                    "genus": genus,
                    "species": f"{genus} {EPITHETS[member]}",
                    "dna_bin": f"SIM:{number:07d}",
                    "dna_barcode": "".join(BASES[site] for site in sites),
                    "country": "",
                    "coord-lat": round(latitude, 4),
                    "coord-lon": round(longitude, 4),
                }
            )
    return records


def _ancestor(genome: Genome, family: str) -> np.ndarray:
    """Return the most likely barcode of a family that has no stop codon, as base codes (658,)."""
    members = [i for i, name in enumerate(genome.genus_family) if name == family]
    means = genome.means[members]
    # the family's most central genus: a mean of scattered genera may be nearer to another family
    central = means[(means - means.mean(0)).square().sum(1).argmin()]
    log = np.log((genome.center + genome.components @ central).numpy().clip(1e-3))  # (658, 4)
    sites = log.argmax(1)
    for start in range(CODON_START, SITES, 3):
        score = (log[start, :, None, None] + log[start + 1, :, None] + log[start + 2]).reshape(64)
        best = int(np.where(_AMINO_ACIDS == "*", -np.inf, score).argmax())
        sites[start : start + 3] = best // _PLACE % 4
    return sites


def _evolve(
    sites: np.ndarray, substitutions: int, cumulative: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return base codes after substitutions, which are drawn from the sites' cumulative base frequencies."""
    sites = sites.copy()
    while substitutions:
        site = int(rng.integers(SITES))
        base = int((rng.random() > cumulative[site]).sum())
        if base != sites[site] and _accepted(sites, site, base, rng):
            sites[site] = base
            substitutions -= 1
    return sites


def _accepted(sites: np.ndarray, site: int, base: int, rng: np.random.Generator) -> bool:
    if site < CODON_START:
        return True
    start = site - (site - CODON_START) % 3
    changed = sites[start : start + 3].copy()
    before = _AMINO_ACIDS[changed @ _PLACE]
    changed[site - start] = base
    after = _AMINO_ACIDS[changed @ _PLACE]
    return after == before or (after != "*" and rng.random() < AMINO_ACID_CHANGE)
