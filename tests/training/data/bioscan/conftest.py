"""A small BIOSCAN-5M: its rows, its folder and the configuration that names them."""

import pytest

from g2pdiff.simulation.barcodes import simulate_barcodes
from tests.training.data.bioscan.files import PER_SPLIT, SIZE, jpeg
from training.configs.schema import DataConfig
from training.data import bioscan
from training.data.miniature import csv_rows, stored_path, write_metadata


@pytest.fixture(scope="module")
def rows():
    records = simulate_barcodes(len(bioscan.SPLITS) * PER_SPLIT // 2, 2, seed=5)
    parts = [records[i * PER_SPLIT : (i + 1) * PER_SPLIT] for i in range(len(bioscan.SPLITS))]
    return [row for split, part in zip(bioscan.SPLITS, parts, strict=True) for row in csv_rows(split, part)]


@pytest.fixture(scope="module")
def root(rows, tmp_path_factory):
    """Return the data set unpacked, as `bioscan_dataset` and the zips leave it."""
    root = tmp_path_factory.mktemp("bioscan")
    write_metadata(root / "bioscan5m" / "metadata" / "csv" / "BIOSCAN_5M_Insect_Dataset_metadata.csv", rows)
    for seed, row in enumerate(rows):
        path = root / "bioscan5m" / "images" / "cropped_256" / stored_path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(seed))
    return root


@pytest.fixture
def config(root, tmp_path):
    return DataConfig(
        metadata=str(root / "bioscan5m" / "metadata" / "csv" / "BIOSCAN_5M_Insect_Dataset_metadata.csv"),
        pictures=str(root),
        image_size=SIZE,
        cache=str(tmp_path / "cache"),
    )
