"""Fetched photographs become specimens for training."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from g2pdiff.errors import InputError
from tests.training.data.bold.exports import fetch
from tests.training.data.bold.server import jpeg
from training.configs.schema import DataConfig
from training.data.specimens import load_specimens, load_table


def test_photographs_are_read_with_their_own_barcodes(server, export, tmp_path):
    rows, path, out = export
    turned = Image.open(BytesIO(jpeg(1)))
    exif = turned.getexif()
    exif[0x0112] = 6
    content = BytesIO()
    turned.save(content, "JPEG", exif=exif)
    server.replies["/pics/1.jpg"] = content.getvalue()
    assert fetch(rows, path, out) == 0
    config = DataConfig(bold=str(out), image_size=32, mutated_share=1.0, roaming_share=1.0)
    every = load_table(config)
    assert len(every) == 12 and every["dna_barcode"].str.len().eq(658).all()
    by_split = {name: load_specimens(config, tmp_path / "run", name) for name in set(every["split"])}
    for split, specimens in by_split.items():
        assert set(specimens.table["split"]) == {split}
        images = specimens.images(np.arange(len(specimens)))
        for row, image in zip(specimens.table.itertuples(), images, strict=True):
            number = int(row.processid[4:8])
            animal = np.asarray(Image.open(BytesIO(server.replies[f"/pics/{number}.jpg"])))[20, 20]
            assert np.abs(image[:, 16, 16].numpy() * 255 - animal).max() < 12
            padded = image[:, :, 0].std(dim=1).max() < 0.02  # a picture on its side is padded left and right
            assert padded or number != 1
    assert not any("mutation_rate" in s.table and s.table["mutation_rate"].any() for s in by_split.values())


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_folder_without_pictures_is_said(tmp_path, content):
    if content is not None:
        (tmp_path / "specimens.csv").write_text(content)
    with pytest.raises(InputError, match="training.bold") as told:
        load_table(DataConfig(bold=str(tmp_path)))
    assert told.value.field == "bold"
