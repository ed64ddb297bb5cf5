"""Who trains and who is held out, decided by hashes so that anyone with the same table gets the same split.

Names follow BIOSCAN-5M. A tenth of the species is held out whole (`test_unseen`, the open world). Of the
other species, barcodes are held out (`test`, `val`, the closed world): the hash is of the framed barcode,
so records with one barcode fall on one side of these three, whatever their species or order in the table.

Species can share a barcode, so a row of an unseen species can have a barcode of a seen one. `unlearned`
leaves such rows out of whatever is drawn from a held-out split.
"""

from __future__ import annotations

import hashlib

import pandas as pd

UNSEEN_SPECIES = 0.10
TEST_BARCODES = 0.10
VALIDATION_BARCODES = 0.03


def fraction(text: str, salt: str) -> float:
    """A number in [0, 1) that depends on nothing but the text and the salt."""
    digest = hashlib.sha256(f"{salt}:{text}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(species: str, barcode: str) -> str:
    """`train`, `val`, `test` or `test_unseen` for a framed barcode of a species."""
    if fraction(species, "species") < UNSEEN_SPECIES:
        return "test_unseen"
    place = fraction(barcode, "barcode")
    if place < TEST_BARCODES:
        return "test"
    return "val" if place < TEST_BARCODES + VALIDATION_BARCODES else "train"


def unlearned(rows: pd.DataFrame, table: pd.DataFrame, split: str) -> pd.DataFrame:
    """Rows of a held-out split that share no barcode with the training rows of their table.

    Args:
        rows: of the split.
        table: rows of all splits, with framed barcodes. Of BIOSCAN-5M a stage reads one split at a time and
            finds nothing to leave out: that its splits share no barcode is its own promise.
        split: its name, not `train`.

    Returns:
        The rows, in their order, without those whose barcode is in `train` or, for a split other than `val`,
        in `val`, which thresholds are set on.
    """
    learned = table.loc[table["split"].isin({"train", "val"} - {split}), "dna_barcode"]
    return rows[~rows["dna_barcode"].isin(learned)]


def assign_splits(table: pd.DataFrame) -> pd.Series:
    """The split of every row; a table that brings its own `split` column (BIOSCAN-5M's) keeps it."""
    if "split" in table:
        return table["split"]
    pairs = zip(table["species"], table["dna_barcode"], strict=True)
    return pd.Series([split_of(*pair) for pair in pairs], index=table.index, name="split")
