"""Who is held out, and what a held-out barcode may share with a learned one."""

import numpy as np
import pandas as pd

from tests.tiny import BARCODE
from training.data.splits import assign_splits, nearest_difference, unlearned


def changed(*sites: int) -> str:
    letters = list(BARCODE)
    for site in sites:
        letters[site] = "A" if letters[site] != "A" else "C"
    return "".join(letters)


def test_a_shorter_read_of_a_learned_barcode_counts_as_learned():
    short = "N" * 60 + BARCODE[60:640] + "N" * 18
    rows = pd.DataFrame({"dna_barcode": [short, changed(300), changed(20), BARCODE], "split": "test"})
    learned = pd.DataFrame({"dna_barcode": [BARCODE], "split": "train"})
    kept = unlearned(rows, pd.concat([learned, rows]), "test")
    assert kept["dna_barcode"].tolist() == [changed(300), changed(20)]


def test_what_a_short_read_does_not_know_is_no_difference():
    short = "N" * 60 + BARCODE[60:]
    assert nearest_difference([short], [changed(20)])[0] == 0
    assert nearest_difference([short], [changed(100)])[0] == np.float32(1 / 598)


def test_the_nearest_learned_barcode_counts_and_one_that_shares_little_does_not():
    stub = "N" * 400 + BARCODE[400:]
    learned = [changed(*range(0, 660, 66)), changed(5, 6, 7), stub]
    found = nearest_difference([BARCODE, BARCODE], learned, rows=1)
    np.testing.assert_allclose(found, 3 / 658, atol=1e-6)


def test_whole_genera_are_held_out_where_that_is_asked_for():
    table = pd.DataFrame({"species": [f"Genus{n // 5} species{n}" for n in range(400)]})
    table["dna_barcode"] = [changed(n) for n in range(400)]
    none = assign_splits(table, unseen_species=0.0)
    assert "test_unseen" not in set(none) and {"train", "val", "test"} == set(none)
    genera = assign_splits(table, unseen_species=0.0, unseen_genera=0.3) == "test_unseen"
    by_genus = genera.groupby(table["species"].str.split().str[0]).mean()
    assert set(by_genus) == {0.0, 1.0} and 0.1 < by_genus.mean() < 0.5
