"""BIOSCAN-5M's metadata: splits, groups, rows that are left out, and a million rows."""

import bz2
import csv
import gzip
import lzma
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from textwrap import dedent
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.errors import InputError
from g2pdiff.simulation.barcodes import simulate_barcodes
from tests.training.data.bioscan.files import PER_SPLIT, SIZE
from training.configs.schema import load
from training.data import bioscan
from training.data.miniature import HEADER, stored_path, write_metadata
from training.data.specimens import draw_rows, load_specimens, load_table, species_batches


def test_every_official_split_is_drawn_under_its_own_name(config, rows):
    for split in bioscan.SPLITS:
        drawn = bioscan.candidates(config, split, per_group=2)
        own = [row for row in rows if row["split"] == split]
        assert drawn["processid"].tolist() == [row["processid"] for row in own]
        assert drawn["place"].tolist() == [stored_path(row) for row in own]
        assert (drawn["dna_barcode"].str.len() == 658).all()
        assert drawn["coord-lat"].tolist() == [float(row["coord-lat"]) for row in own]
    assert bioscan.candidates(config, "train", per_group=1).groupby("species").size().tolist() == [1, 1, 1]


def test_the_table_for_evaluation_leaves_out_what_has_no_species_of_science(config):
    table = load_table(config)
    assert set(table["split"]) == set(bioscan.LABELLED)
    assert table["dna_barcode"].str.len().eq(658).all() and table["species"].notna().all()


def test_rows_without_a_species_are_grouped_by_bin_and_then_by_barcode(config, rows, tmp_path):
    pretrain = [dict(row) for row in rows if row["split"] == "pretrain"]
    pretrain[0]["dna_bin"] = pretrain[1]["dna_bin"] = ""
    pretrain[1]["dna_barcode"] = pretrain[0]["dna_barcode"]
    labelled = [row for row in rows if row["split"] == "train"]
    config = replace(
        config, metadata=str(write_metadata(tmp_path / "m.csv", pretrain + labelled)), unlabelled=True
    )
    specimens = load_specimens(config, tmp_path)
    table = specimens.table
    assert len(table) == 2 * PER_SPLIT and set(table["split"]) == {"train"}
    groups = species_batches(table)
    assert sorted(map(len, groups)) == [2] * PER_SPLIT
    by_id = table.set_index("processid")
    assert (
        by_id.loc[pretrain[0]["processid"], "species"] == by_id.loc[pretrain[1]["processid"], "dna_barcode"]
    )
    assert by_id.loc[pretrain[2]["processid"], "species"] == pretrain[2]["dna_bin"]
    batch = draw_rows(groups, PER_SPLIT, torch.Generator().manual_seed(0))
    assert specimens.images(batch).shape == (PER_SPLIT, 3, SIZE, SIZE)
    without = load_specimens(replace(config, unlabelled=False), tmp_path)
    assert set(without.table["processid"]) == {row["processid"] for row in labelled}


def test_rows_that_cannot_be_placed_or_are_no_coi_are_left_out(config, rows, tmp_path):
    some = [dict(row) for row in rows if row["split"] == "test"]
    some[0]["coord-lat"] = ""
    some[1]["dna_barcode"] = ""
    some[2]["dna_barcode"] = "ACGT" * 160
    config = replace(config, metadata=str(write_metadata(tmp_path / "m.csv", some)))
    assert bioscan.candidates(config, "test", 9)["processid"].tolist() == [r["processid"] for r in some[3:]]


def test_chunks_that_look_like_numbers_keep_their_names(config, rows, tmp_path):
    row = dict(rows[0])
    for chunk in ("07", "1e", "00", "7e1"):
        path = write_metadata(tmp_path / f"{chunk}.csv", [row | {"chunk": chunk}])
        drawn = bioscan.candidates(replace(config, metadata=str(path)), "pretrain", 1)
        assert drawn["place"].tolist() == [f"pretrain/{chunk}/{row['processid']}.jpg"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), per_group=st.integers(1, 4))
def test_drawing_takes_so_many_of_every_group_and_the_same_again(tmp_path_factory, seed, per_group):
    path = tmp_path_factory.getbasetemp() / "groups.arrow"
    if not path.exists():
        sizes = [1, 2, 3, 5, 8]
        group = np.repeat(np.arange(len(sizes)), sizes)
        table = pa.table(
            {
                "split_code": pa.array([1] * len(group), pa.int8()),
                "group_code": group,
                "row": np.arange(len(group)),
            }
        )
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=4)
    drawn = bioscan.choose_rows(path, ["train"], per_group, seed)
    edges = np.searchsorted([0, 1, 3, 6, 11], drawn["row"], side="right")
    assert np.bincount(edges)[1:].tolist() == [min(size, per_group) for size in (1, 2, 3, 5, 8)]
    assert drawn.equals(bioscan.choose_rows(path, ["train"], per_group, seed))
    assert len(bioscan.choose_rows(path, ["test"], per_group, seed)) == 0


MILLION = """
    import resource, sys
    from pathlib import Path
    from training.data import bioscan
    from training.configs.schema import DataConfig

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # MiB

    before = peak()
    config = DataConfig(metadata=sys.argv[1], cache=sys.argv[2], unlabelled=True)
    rows = bioscan.candidates(config, "train", per_group=1)
    arrow = bioscan.metadata_file(config)
    print(len(rows), rows["species"].nunique(), arrow.stat().st_size / 2**20, peak() - before)
"""


def test_a_million_rows_stay_out_of_memory(tmp_path):
    barcodes = [record["dna_barcode"][:200] for record in simulate_barcodes(200, 2, seed=0)]
    path, cache = tmp_path / "million.csv", tmp_path / "cache"
    with path.open("w") as file:
        file.write(",".join(HEADER) + "\n")
        for number in range(1_000_000):
            group = number % 20_000
            split, species = ("pretrain", "") if group % 10 else ("train", f"Genus species{group}")
            file.write(
                f"P{number}-20,S{number},Diptera,Arthropoda,Insecta,Diptera,Sciaridae,,,{species},BOLD:{group},"
                f"{barcodes[group % 400]},Peru,,{10 + group % 7},-84,1000,0.1,1.5,0,{split},,{group % 10}\n"
            )
    run = subprocess.run(
        [sys.executable, "-c", dedent(MILLION), str(path), str(cache)],
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=False,
    )
    for large in (path, *cache.iterdir()):
        large.unlink()
    assert run.returncode == 0, run.stderr
    drawn, groups, table, grown = map(float, run.stdout.split())
    assert drawn == groups == 20_000
    assert table > 750  # MiB that holding the table would take at the least
    assert grown < 450


def test_measured_columns_of_the_pictures_are_not_asked_for(config, rows, tmp_path):
    measured = ("image_measurement_value", "area_fraction", "scale_factor")
    path = tmp_path / "m.csv"
    with path.open("w", newline="") as file:
        names = [name for name in HEADER if name not in measured]
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    drawn = bioscan.candidates(replace(config, metadata=str(path)), "train", per_group=2)
    assert drawn["processid"].tolist() == [row["processid"] for row in rows if row["split"] == "train"]


def test_metadata_that_cannot_be_used_is_refused_in_one_sentence(config, rows, tmp_path):
    def candidates(path, split="train"):
        return bioscan.candidates(replace(config, metadata=str(path)), split, 1)

    with pytest.raises(InputError, match="no metadata file .*unpack"):
        candidates(tmp_path / "none.csv")
    (tmp_path / "short.csv").write_text("processid,species\na,b\n")
    with pytest.raises(InputError, match="short.csv lacks the column chunk"):
        candidates(tmp_path / "short.csv")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\xff" * 99)
    with pytest.raises(InputError, match="picture.csv lacks the column chunk"):
        candidates(tmp_path / "picture.csv")
    (tmp_path / "binary.csv").write_bytes(b"\x1f\x8b broken")
    with pytest.raises(InputError, match="cannot be read as BIOSCAN-5M's CSV"):
        candidates(tmp_path / "binary.csv")
    ragged = write_metadata(tmp_path / "ragged.csv", rows)
    ragged.write_text(ragged.read_text() + "one,two\n")
    with pytest.raises(InputError, match="cannot be read as BIOSCAN-5M's CSV"):
        candidates(ragged)
    with pytest.raises(InputError, match="no row with a COI barcode"):
        candidates(write_metadata(tmp_path / "empty.csv", []))
    with pytest.raises(InputError, match="a split dev, which is none"):
        candidates(write_metadata(tmp_path / "strange.csv", [rows[0] | {"split": "dev"}]))
    with pytest.raises(InputError, match="no row of the split val"):
        candidates(write_metadata(tmp_path / "one.csv", rows[:6]), "val")
    assert not list(Path(config.cache).glob("*.partial"))


@pytest.mark.parametrize(
    ("latitude", "reason"),
    [
        ("NA", "without coordinates"),
        ("nan", "without coordinates"),
        ("999", "with impossible or unreadable coordinates"),
        ("inf", "with impossible or unreadable coordinates"),
        ("somewhere", "with impossible or unreadable coordinates"),
    ],
)
def test_a_coordinate_that_is_none_leaves_its_row_out_and_is_said(
    config, rows, tmp_path, capsys, latitude, reason
):
    some = [dict(row) for row in rows if row["split"] == "test"]
    some[0]["coord-lat"] = latitude
    config = replace(config, metadata=str(write_metadata(tmp_path / "m.csv", some)))
    assert len(bioscan.candidates(config, "test", 9)) == PER_SPLIT - 1
    assert f"5 of 6 rows used; left out: 1 {reason}." in capsys.readouterr().err


PACKED = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "semicolons": lambda content: content.replace(b",", b";"),
    "utf-8-sig": lambda content: content.decode().encode("utf-8-sig"),
    "utf-16": lambda content: content.decode().encode("utf-16"),
    "cp1252": lambda content: content.replace(b"Arthropoda", b"Arthr\xf6poda"),
}


@pytest.mark.parametrize("kind", ["zip", "parquet", *PACKED])
def test_a_packed_csv_is_read_like_a_plain_one(config, tmp_path, kind):
    plain = bioscan.candidates(config, "test", 9)
    content = Path(config.metadata).read_bytes()
    path = tmp_path / f"m.csv.{kind}"
    if kind == "zip":
        with ZipFile(path, "w") as archive:
            archive.writestr("m.csv", content)
    elif kind == "parquet":
        pd.read_csv(BytesIO(content), dtype=str).to_parquet(path)
    else:
        path.write_bytes(PACKED[kind](content))
    packed = bioscan.candidates(replace(config, metadata=str(path)), "test", 9)
    assert packed.equals(plain)


def test_a_second_source_is_refused_and_not_ignored():
    with pytest.raises(InputError, match="give data.table or data.metadata alone"):
        load("training/configs/test.yaml", ["data.table=a.csv", "data.metadata=b.csv"])


def test_the_credit_names_holder_year_licence_and_changes():
    for part in ("CBG Photography Group", "CBG Robotic Imager", "2021", "CC BY 3.0", "Changes"):
        assert part in bioscan.ATTRIBUTION
