"""Splits into training and held-out specimens. Hashes decide, so equal tables give equal splits.

Names follow BIOSCAN-5M. A tenth of the species is held out with all barcodes (`test_unseen`, the open world).
Of the other species, some barcodes are held out (`test` and `val`, the closed world). The framed barcode is
hashed, so records with equal barcodes get the same of the splits `train`, `val` and `test`, whatever their
species or order in the table.

The paper uses "unseen" for specimens "without species labels", and elsewhere for those that "do not have
scientific names". Here it means BIOSCAN-5M's splits `*_unseen`. In other tables it means whole species, whose
genus may be in training, or, with `unseen_genera`, whole genera.

A hash does not notice that two barcodes agree if one is shorter and has N where the other has letters.
Species can also share a barcode. So `unlearned` removes from a held-out split every row whose barcode equals
a learned one at all sites that both know.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from g2pdiff.dna.framing import BASES, encode

SPLITS = (
    "pretrain",
    "train",
    "val",
    "test",
    "key_unseen",
    "val_unseen",
    "test_unseen",
    "other_heldout",
)
"""BIOSCAN-5M's names. A table's own column `split` may hold only these."""

UNSEEN_SPECIES = 0.10
TEST_BARCODES = 0.10
VALIDATION_BARCODES = 0.03


def fraction(text: str, salt: str) -> float:
    """Return a number in [0, 1) that depends only on the text and the salt."""
    digest = hashlib.sha256(f"{salt}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(species: str, barcode: str, unseen_species: float = 0.1, unseen_genera: float = 0.0) -> str:
    """Return `train`, `val`, `test` or `test_unseen` for a framed barcode of a species.

    Args:
        species: name of the species; the first word is the genus.
        barcode: the framed barcode.
        unseen_species: share of the species that are held out with all barcodes.
        unseen_genera: share of the genera that are held out with all their species.
    """
    genus = species.partition(" ")[0]
    if fraction(species, "species") < unseen_species or fraction(genus, "genus") < unseen_genera:
        return "test_unseen"
    place = fraction(barcode, "barcode")
    if place < TEST_BARCODES:
        return "test"
    return "val" if place < TEST_BARCODES + VALIDATION_BARCODES else "train"


def unlearned(rows: pd.DataFrame, table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Return the rows of a held-out split whose barcode equals no learned barcode.

    Args:
        rows: rows of the split.
        table: rows of all splits, with framed barcodes. With BIOSCAN-5M a stage reads one split at a time, so
            nothing is left out here: BIOSCAN-5M itself keeps barcodes of its splits apart.
        split: name of the split, not `train`.

    Returns:
        The rows in their order, without those whose barcode equals a barcode of `train` at all sites that
        both know. Barcodes of `val` count as learned too, except for the split `val`: thresholds are set on
        them.
    """
    learned = learned_barcodes(table, split)
    kept = rows[~rows["dna_barcode"].isin(learned)]
    if kept.empty or learned.empty:
        return kept
    different = nearest_difference(kept["dna_barcode"].tolist(), learned.unique().tolist()) > 0
    return kept[different]


def learned_barcodes(table: pd.DataFrame, split: str) -> pd.Series:
    """Return the barcodes of a table that are learned when a split is held out; see `unlearned`."""
    return table.loc[table["split"].isin({"train", "val"} - {split}), "dna_barcode"]


def nearest_difference(
    barcodes: list[str], learned: list[str], rows: int = 2048, of_shorter: bool = False
) -> np.ndarray:
    """Return the share of differing sites between each framed barcode and its nearest learned barcode.

    Only sites that both know are compared. Pairs that share fewer than half of the sites do not count.

    Args:
        barcodes: N framed barcodes.
        learned: M framed barcodes.
        rows: barcodes per comparison.
        of_shorter: whether half of the shorter barcode's known sites are enough.

    Returns:
        Shares (N,), 0 to 1; 0 for a barcode that equals a learned one.
    """
    unique, inverse = np.unique(barcodes, return_inverse=True)
    nearest = np.ones(len(unique), np.float32)
    ours, theirs = encode(unique.tolist()), encode(learned)
    for start in range(0, len(theirs), rows):
        one_hot = _one_hot(theirs[start : start + rows])
        known = (theirs[start : start + rows] < len(BASES)).astype(np.float32)
        theirs_known = known.sum(1)
        for at in range(0, len(ours), rows):
            some = ours[at : at + rows]
            ours_known = (some < len(BASES)).astype(np.float32)
            shared = ours_known @ known.T
            least = np.minimum.outer(ours_known.sum(1), theirs_known) if of_shorter else some.shape[1]
            equal = _one_hot(some) @ one_hot.T
            share = np.where(shared >= least / 2, (shared - equal) / np.maximum(shared, 1), 1.0)
            nearest[at : at + rows] = np.minimum(nearest[at : at + rows], share.min(1))
    return nearest[inverse]


def _one_hot(codes: np.ndarray) -> np.ndarray:
    """Return one-hot codes (N, 4L) of codes (N, L); unknown sites are zeros."""
    return (codes[:, :, None] == np.arange(len(BASES))).reshape(len(codes), -1).astype(np.float32)


def assign_splits(table: pd.DataFrame, unseen_species: float = 0.1, unseen_genera: float = 0.0) -> pd.Series:
    """Return the split of every row. A table with its own column `split`, such as BIOSCAN-5M's, keeps it."""
    if "split" in table:
        return table["split"]
    pairs = zip(table["species"], table["dna_barcode"], strict=True)
    splits = [split_of(*pair, unseen_species, unseen_genera) for pair in pairs]
    return pd.Series(splits, index=table.index, name="split")
