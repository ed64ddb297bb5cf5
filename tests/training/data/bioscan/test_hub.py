"""BIOSCAN-5M streamed as parquet, as the Hub has it."""

import sys
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from g2pdiff.errors import InputError
from tests.training.data.bioscan.files import SIZE, parquet_copy
from training.configs.schema import DataConfig
from training.data.miniature import write_metadata
from training.data.specimens import load_specimens


def test_parquet_is_streamed_and_gives_what_the_files_give(config, root, rows, tmp_path):
    hub = DataConfig(hub=str(parquet_copy(root, rows, tmp_path / "hub")), image_size=SIZE, cache=config.cache)
    for split in ("train", "test_unseen"):
        a = load_specimens(config, tmp_path / "files", split)
        b = load_specimens(hub, tmp_path / "streamed", split)
        assert a.table.equals(b.table)
        every = np.arange(len(a))
        assert len(a) and torch.equal(a.images(every), b.images(every))
    kept = next((tmp_path / "streamed" / "data").glob("train-*.zip"))
    with ZipFile(kept) as archive:
        assert {name.split("/")[3] for name in archive.namelist()} == {"train"}  # no more than was drawn


def test_what_cannot_be_streamed_is_said_in_one_sentence(root, rows, tmp_path, monkeypatch):
    def load(source, **settings):
        config = DataConfig(hub=str(source), cache=str(tmp_path / "cache"), **settings)
        return load_specimens(config, Path(config.cache))

    with pytest.raises(
        InputError, match="^no-such/data-set-of-insects cannot be streamed .* a network and the id"
    ):
        load("no-such/data-set-of-insects")
    with monkeypatch.context() as patch, pytest.raises(InputError, match="pip install -r"):
        patch.setitem(sys.modules, "datasets", None)
        load("bioscan-ml/BIOSCAN-5M")
    pq.write_table(pa.table({"processid": ["a"]}), tmp_path / "train.parquet")
    with pytest.raises(InputError, match="lacks the column chunk"):
        load(tmp_path)
    (tmp_path / "text").mkdir()
    write_metadata(tmp_path / "text" / "train.csv", rows)
    with pytest.raises(
        InputError, match="is not parquet: give a folder of parquet files with data.hub, or a CSV"
    ):
        load(tmp_path / "text")
    copy = parquet_copy(root, rows, tmp_path / "hub")
    path = copy / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(path)
    empty = pa.array([None] * len(table), table.schema.field("image").type)
    pq.write_table(table.set_column(table.schema.get_field_index("image"), "image", empty), path)
    with pytest.raises(InputError, match="has no picture of TRAIN0-22"):
        load(copy)
    moved = table.set_column(table.schema.get_field_index("coord-lat"), "coord-lat", table["country"])
    pq.write_table(moved, path)
    with pytest.raises(InputError, match="no row of the split train"):
        load(f"{copy}/")


@pytest.mark.parametrize("column", ["binary", "large_binary", "struct"])
def test_pictures_on_the_hub_may_be_bytes_alone(config, root, rows, tmp_path, column):
    copy = parquet_copy(root, rows, tmp_path / "hub")
    for path in copy.rglob("*.parquet"):
        table = pq.read_table(path)
        images = [image["bytes"] for image in table["image"].to_pylist()]
        kind = {"binary": pa.binary(), "large_binary": pa.large_binary()}.get(column)
        if kind:
            table = table.set_column(table.schema.get_field_index("image"), "image", pa.array(images, kind))
        pq.write_table(table, path)
    streamed = replace(config, metadata=None, pictures=None, hub=str(copy))
    a, b = load_specimens(config, tmp_path / "a"), load_specimens(streamed, tmp_path / "b")
    assert np.array_equal(a.images(np.arange(len(a))), b.images(np.arange(len(b))))
