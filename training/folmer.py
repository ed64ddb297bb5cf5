"""Make the site profile of the Folmer region, `g2pdiff/dna/folmer.npz`, from a table of barcodes.

    python -m training.folmer --table barcodes.parquet

Profile and framing are improved in turns. The first profile comes from the records of exactly 658 letters
without a stop codon, which nearly always are the region itself. Then all records are framed with the profile,
and it is estimated again from those that match well and have no stop codon. All species have the same weight,
so that a species with a thousand records does not dominate.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from g2pdiff.dna.framing import BASES, CODON_START, PROFILE_PATH, SITES, encode, frame

STOP_CODONS = ("TAA", "TAG")
"""Stop codons of the invertebrate mitochondrial code, NCBI table 5."""

MINIMUM_SCORE = 0.5
PSEUDOCOUNT = 0.5
RECORDS_PER_SPECIES = 20


def is_open_frame(sequence: str) -> bool:
    """Return whether a framed sequence has no stop codon in the region's reading frame."""
    return not any(sequence[site : site + 3] in STOP_CODONS for site in range(CODON_START, SITES - 2, 3))


def estimate_profile(framed: list[str], species: pd.Series) -> np.ndarray:
    """Estimate base frequencies (658, 4) of framed sequences. All species have the same weight."""
    weight = (1 / species.groupby(species).transform("size")).to_numpy()
    one_hot = np.eye(len(BASES) + 1)[encode(framed)][:, :, : len(BASES)]  # (N, 658, 4)
    counts = np.einsum("n,nsb->sb", weight, one_hot) + PSEUDOCOUNT
    return counts / counts.sum(axis=1, keepdims=True)


def fit_profile(records: pd.DataFrame, rounds: int = 2, seed: int = 0) -> np.ndarray:
    """Fit the site profile (658, 4) to records with columns `species` and `dna_barcode`."""
    sample = records.sample(frac=1, random_state=seed).groupby("species").head(RECORDS_PER_SPECIES)
    whole = sample[[len(row) == SITES and is_open_frame(row) for row in sample["dna_barcode"]]]
    profile = estimate_profile(whole["dna_barcode"].tolist(), whole["species"])
    for _ in range(rounds):
        framed, _, scores = frame(sample["dna_barcode"].tolist(), profile)
        good = (scores > MINIMUM_SCORE) & np.array([is_open_frame(row) for row in framed])
        kept = [row for row, keep in zip(framed, good, strict=True) if keep]
        profile = estimate_profile(kept, sample["species"][good])
        print(f"{len(kept)} of {len(sample)} sampled records match the profile")
    return profile


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", type=Path, required=True, help="parquet table of barcodes")
    parser.add_argument("--out", type=Path, default=PROFILE_PATH)
    arguments = parser.parse_args()
    records = pd.read_parquet(arguments.table, columns=["species", "dna_barcode"])
    np.savez_compressed(arguments.out, profile=fit_profile(records).astype(np.float16))


if __name__ == "__main__":
    main()
