"""Consensus barcodes and localities of the app's examples."""

import pandas as pd
import pytest

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.framing import SITES
from tests.tiny import BARCODE
from training.examples import central_locality, consensus, make_examples


def test_consensus_takes_the_most_frequent_base_and_ignores_n():
    framed = ["A" + "N" * 657, "A" + "C" * 657, "G" + "N" * 657]
    assert consensus(framed) == "A" + "C" * 657
    assert consensus(["N" * SITES]) == "N" * SITES


def test_central_locality_is_a_real_record():
    records = pd.DataFrame({"coord-lat": [0.0, 10.0, 50.0, None], "coord-lon": [0.0, 12.0, 13.0, None]})
    assert central_locality(records) == (10.0, 12.0)


def test_examples_have_one_whole_barcode_for_each_species():
    common, rare = Barcode(BARCODE), Barcode(BARCODE).mutate(0.1, seed=1)
    rows = [("Musca common", common.mutate(0.02, seed)) for seed in range(11)]
    rows += [("Musca rare", rare.mutate(0.02, seed)) for seed in range(10)]
    rows += [("Musca rarest", rare)] * 9
    table = pd.DataFrame(
        {
            "species": name,
            "order": "Diptera",
            "family": "Muscidae",
            "coord-lat": 56.6,
            "coord-lon": 11.3,
            "dna_barcode": barcode.sequence[index % 2 :],
        }
        for index, (name, barcode) in enumerate(rows)
    )
    examples = make_examples(table, ("Musca rare", "Musca common"))
    assert list(examples) == ["name", "order", "family", "latitude", "longitude", "dna_barcode"]
    assert examples["name"].tolist() == ["Musca rare", "Musca common"]
    assert examples["dna_barcode"].tolist() == [rare.sequence, common.sequence]
    with pytest.raises(ValueError, match="Musca rarest has fewer than 10 records"):
        make_examples(table, ("Musca rarest",))
