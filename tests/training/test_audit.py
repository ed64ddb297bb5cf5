"""The leak audit finds what is planted, and nothing else."""

import json

import pandas as pd
import pytest

from g2pdiff.dna.barcode import Barcode
from g2pdiff.simulation.barcodes import simulate_barcodes
from training.audit import audit, main


@pytest.fixture(scope="module")
def table():
    """Return a table whose test split has one leak of each kind, beside barcodes of other species."""
    rows = pd.DataFrame(simulate_barcodes(8, 3, seed=1))
    rows["processid"] = [f"R{row}" for row in range(len(rows))]
    species = rows["species"].unique()
    rows["split"] = rows["species"].map(dict.fromkeys(species[:5], "train")).fillna("test_unseen")
    whole = rows.loc[0, "dna_barcode"]
    planted = {
        "exact": whole,
        "contained": "N" * 300 + whole[300:520] + "N" * 138,
        "near": Barcode(rows.loc[4, "dna_barcode"]).mutate(5 / 658, seed=2).sequence,
    }
    leaks = [
        {**rows.loc[0].to_dict(), "dna_barcode": barcode, "processid": kind, "split": "test"}
        for kind, barcode in planted.items()
    ]
    far = rows[rows["split"] == "test_unseen"].iloc[:2].assign(split="test", processid=["far1", "far2"])
    return pd.concat([rows, pd.DataFrame(leaks), far], ignore_index=True)


def test_every_planted_leak_is_found(table):
    found = audit(table)["test"]
    assert found["records"] == {kind: [kind] for kind in ("exact", "contained", "near")}
    assert (found["barcodes"], found["exact"], found["contained"], found["near"]) == (5, 1, 1, 1)
    # A read of a third of the region is left out of evaluations only if it shares half of the sites.
    assert found["kept"]["exact"] == 0 and found["kept"]["near"] == 1


def test_whole_species_that_are_held_out_leak_nothing(table):
    found = audit(table)["test_unseen"]
    assert found["barcodes"] > 3 and found["exact"] == found["contained"] == 0


def test_the_command_prints_counts_and_writes_the_records(table, tmp_path, capsys):
    file = tmp_path / "barcodes.csv"
    table.assign(dna_barcode=table["dna_barcode"].str.strip("N")).to_csv(file, index=False)
    assert main(["--table", str(file), "--out", str(tmp_path / "leaks.json")]) == 0
    assert "| test | 5 | 1 | 1 | 1 |" in capsys.readouterr().out
    assert json.loads((tmp_path / "leaks.json").read_text())["test"]["records"]["exact"] == ["exact"]
    assert main(["--table", str(tmp_path / "none.csv")]) == 2
