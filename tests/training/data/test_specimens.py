"""Splits and specimens: who is held out, what is drawn, what a batch may hold."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.simulation.barcodes import simulate_barcodes
from training.configs.schema import DataConfig
from training.data.specimens import (
    draw_rows,
    draw_specimens,
    load_rows,
    load_specimens,
    mask_tokens,
    prepare,
    read_table,
    species_batches,
)
from training.data.splits import assign_splits, split_of


@pytest.fixture(scope="module")
def table():
    return prepare(pd.DataFrame(simulate_barcodes(60, 12, seed=1)))


def test_splits_hold_no_barcode_and_no_unseen_species_in_common(table):
    by_split = {name: rows for name, rows in table.groupby("split")}
    assert set(by_split) == {"train", "val", "test", "test_unseen"}
    closed = ["train", "val", "test"]
    for a in closed:
        for b in closed:
            if a != b:
                assert not set(by_split[a]["dna_barcode"]) & set(by_split[b]["dna_barcode"])
        assert not set(by_split[a]["species"]) & set(by_split["test_unseen"]["species"])


def test_splits_depend_on_nothing_but_the_row(table):
    shuffled = table.drop(columns="split").sample(frac=1, random_state=3)
    assert assign_splits(shuffled).sort_index().equals(table["split"])


def test_a_table_may_bring_its_own_split(table):
    own = table.assign(split="pretrain")
    assert set(assign_splits(own)) == {"pretrain"}


@given(st.text(max_size=10), st.text("ACGT", max_size=10))
def test_split_is_a_function_of_species_and_barcode(species, barcode):
    assert split_of(species, barcode) == split_of(species, barcode)


def test_split_shares_are_about_what_they_say():
    names = [split_of(f"species {i % 500}", f"{i}") for i in range(5000)]
    shares = pd.Series(names).value_counts(normalize=True)
    assert shares["test_unseen"] == pytest.approx(0.1, abs=0.04)
    assert shares["test"] == pytest.approx(0.09, abs=0.02)
    assert shares["val"] == pytest.approx(0.027, abs=0.01)


def test_rows_unlike_coi_are_dropped(table):
    rows = table.drop(columns="split").head(4).copy()
    rows.loc[rows.index[0], "dna_barcode"] = "ACGT" * 160
    assert len(prepare(rows)) == 3


def test_training_specimens_are_mutated_and_moved_and_others_are_not(table):
    config = DataConfig(mutated_share=0.5, roaming_share=0.5, per_species=5)
    train = draw_specimens(table, "train", config, 5)
    assert train.groupby("species").size().max() <= 5
    assert (train["mutation_rate"] > 0).mean() == pytest.approx(0.5, abs=0.15)
    known = set(table["dna_barcode"])
    assert train["dna_barcode"][train["mutation_rate"] == 0].isin(known).all()
    assert not train["dna_barcode"][train["mutation_rate"] > 0.05].isin(known).any()
    test = draw_specimens(table, "test", config, 5)
    assert test["dna_barcode"].isin(table["dna_barcode"][table["split"] == "test"]).all()
    assert test["coord-lat"].isin(table["coord-lat"]).all()


def test_no_held_out_specimen_has_a_barcode_of_the_training_split(table):
    by_split = {name: rows for name, rows in table.groupby("split")}
    learned, tuned = (by_split[name]["dna_barcode"].iloc[-1] for name in ("train", "val"))
    # Species of the open world, each with a shared barcode in one row, and one with it in all.
    species = by_split["test_unseen"].groupby("species").groups.values()
    one_learned, one_tuned, all_learned = (list(rows) for rows in list(species)[:3])
    shared = table.copy()
    shared.loc[one_learned[:1] + all_learned, "dna_barcode"] = learned
    shared.loc[one_tuned[:1], "dna_barcode"] = tuned
    # A table's own splits may share barcodes in the closed world too.
    closed = {name: by_split[name].index[0] for name in ("val", "test")}
    shared.loc[list(closed.values()), "dna_barcode"] = learned

    config = DataConfig(mutated_share=0, roaming_share=0)
    train, val, test, unseen = (
        draw_specimens(shared, name, config, 99) for name in ("train", "val", "test", "test_unseen")
    )
    assert len(train) == len(by_split["train"]) and learned in set(train["dna_barcode"])
    assert len(val) == len(by_split["val"]) - 1 and len(test) == len(by_split["test"]) - 1
    assert len(unseen) == len(by_split["test_unseen"]) - 2 - len(all_learned)
    for held_out in (val, test, unseen):
        assert not set(held_out["dna_barcode"]) & set(train["dna_barcode"])
    assert not set(unseen["dna_barcode"]) & set(val["dna_barcode"])
    # A species is left out only where it has no other barcode.
    left_out = set(by_split["test_unseen"]["species"]) - set(unseen["species"])
    assert left_out == {table["species"][all_learned[0]]}


def test_specimens_are_drawn_once_and_the_same_again(tmp_path):
    config = DataConfig(simulated_species=20, simulated_per_species=4, per_species=1, image_size=32)
    first = load_specimens(config, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()}
    again = load_specimens(config, tmp_path)
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()}
    assert np.array_equal(first.pictures, again.pictures)
    other = load_specimens(config, tmp_path / "elsewhere")
    assert np.array_equal(first.pictures, other.pictures)
    images = first.images(np.array([0, 1]))
    assert images.shape == (2, 3, 32, 32) and images.min() >= 0 and images.max() <= 1


def test_rows_alone_are_those_of_the_specimens_and_cost_no_picture(tmp_path):
    config = DataConfig(simulated_species=20, simulated_per_species=4, per_species=1, image_size=32)
    rows = load_rows(config, tmp_path)
    assert not list((tmp_path / "data").glob("*.npy"))
    assert load_specimens(config, tmp_path).table.equals(rows)


def test_batches_hold_a_species_once(table):
    groups = species_batches(table)
    rows = draw_rows(groups, 30, torch.Generator().manual_seed(0))
    assert table["species"].iloc[rows].is_unique
    assert len(draw_rows(groups[:3], 7, torch.Generator().manual_seed(0))) == 7


def test_masking_hides_tokens_and_leaves_half_the_reads_whole():
    ids = torch.ones(2000, 165, dtype=torch.long)
    masked = mask_tokens(ids, 9, torch.Generator().manual_seed(0))
    hidden = masked == 9
    assert ((masked == 1) | hidden).all()
    assert (~hidden.any(1)).float().mean() == pytest.approx(0.5, abs=0.05)
    assert hidden[:, [0, -1]].float().mean() > 2 * hidden[:, 82].float().mean()  # reads end early, mostly


def test_tables_that_cannot_be_used_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(InputError, match="no barcode table"):
        read_table(tmp_path / "none.parquet")
    (tmp_path / "broken.parquet").write_text("PAR1, but not whole")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "broken.parquet")
    pd.DataFrame({"species": ["a"]}).to_csv(tmp_path / "short.csv")
    with pytest.raises(InputError, match="lacks the column processid"):
        read_table(tmp_path / "short.csv")


def test_csv_and_parquet_tables_read_alike(table, tmp_path):
    raw = table.drop(columns="split").head(20)
    raw.to_csv(tmp_path / "t.csv", index=False)
    raw.to_parquet(tmp_path / "t.parquet")
    a, b = read_table(tmp_path / "t.csv"), read_table(tmp_path / "t.parquet")
    assert a["dna_barcode"].tolist() == b["dna_barcode"].tolist()
    assert Barcode(a["dna_barcode"][0]).coverage > 600
