"""BIOSCAN-5M's pictures, from folders and from zips as downloaded."""

from dataclasses import replace
from zipfile import ZIP_DEFLATED, ZIP_STORED

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from g2pdiff.errors import InputError
from tests.training.data.bioscan.files import PER_SPLIT, SIZE, zip_pictures
from training.data.miniature import stored_path
from training.data.pictures import square
from training.data.specimens import load_specimens


def test_pictures_come_whole_from_their_chunked_folders(config, root, rows, tmp_path):
    specimens = load_specimens(config, tmp_path)
    assert len(specimens) == PER_SPLIT == len(specimens.pictures)
    images = specimens.images(np.arange(len(specimens)))
    for image, where in zip(images, specimens.table["place"], strict=True):
        assert where.count("/") == 2  # split, chunk, file
        with Image.open(root / "bioscan5m" / "images" / "cropped_256" / where) as picture:
            assert torch.equal(image, torch.from_numpy(square(picture, SIZE).copy()).float() / 255)
    assert specimens.images([0, 0]).shape == (2, 3, SIZE, SIZE)


def test_photographs_are_neither_mutated_nor_moved(config, rows, tmp_path):
    table = load_specimens(replace(config, mutated_share=1.0, roaming_share=1.0), tmp_path).table
    assert (table["mutation_rate"] == 0).all()
    found = {row["processid"]: float(row["coord-lat"]) for row in rows}
    assert table["coord-lat"].tolist() == [found[name] for name in table["processid"]]


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
def test_zips_as_downloaded_give_the_same_pictures(config, root, rows, tmp_path, method):
    evaluated = [row for row in rows if row["split"] not in ("pretrain", "train")]
    for name, some in {"pretrain.01": rows[:3], "pretrain.02": rows[3:6], "train": rows[6:12]}.items():
        zip_pictures(root, some, tmp_path / f"BIOSCAN_5M_cropped_256_{name}.zip", method)
    zip_pictures(root, evaluated, tmp_path / "BIOSCAN_5M_cropped_256_eval.zip", method)
    zip_pictures(root, [], tmp_path / "BIOSCAN_5M_original_256_eval.zip")
    config = replace(config, unlabelled=True)
    zipped = replace(config, pictures=str(tmp_path))
    for split in ("train", "val", "test_unseen"):
        a, b = (
            load_specimens(config, tmp_path / "run", split),
            load_specimens(zipped, tmp_path / "run", split),
        )
        every = np.arange(len(a))
        assert len(a) and torch.equal(a.images(every), b.images(every))


def test_zipped_pictures_are_the_same_in_workers(config, root, rows, tmp_path):
    zip_pictures(root, rows, tmp_path / "BIOSCAN_5M_cropped_256.zip")
    specimens = load_specimens(replace(config, pictures=str(tmp_path)), tmp_path)

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return len(specimens)

        def __getitem__(self, row):
            return specimens.images([row])[0]

    loaded = torch.cat(list(DataLoader(Pictures(), batch_size=2, num_workers=2)))
    assert torch.equal(loaded, specimens.images(np.arange(len(specimens))))


def test_pictures_that_are_missing_or_broken_are_named(config, root, rows, tmp_path):
    train = [row for row in rows if row["split"] == "train"]

    def images(**settings):
        specimens = load_specimens(replace(config, **settings), tmp_path)
        return specimens.images(np.arange(len(specimens)))

    with pytest.raises(InputError, match="data.pictures=FOLDER"):
        images(pictures=None)
    with pytest.raises(InputError, match="no original_256 pictures in .*BIOSCAN_5M_original_256"):
        images(package="original_256")
    with pytest.raises(InputError, match="choose one of cropped_256, original_256"):
        images(package="cropped256")
    path = tmp_path / "BIOSCAN_5M_cropped_256_train.zip"
    zip_pictures(root, train[1:], path)
    with pytest.raises(InputError, match=f"no cropped_256 picture {stored_path(train[0])} in .*_train.zip"):
        images(pictures=str(tmp_path))
    zip_pictures(root, train, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="_train.zip is not a complete zip file"):
        images(pictures=str(tmp_path))
    path.write_bytes(whole.replace(b"\xff\xd8\xff", b"\0\0\0"))
    with pytest.raises(InputError, match="train/.*.jpg cannot be decoded"):
        images(pictures=str(tmp_path))
    zip_pictures(root, train, path, ZIP_DEFLATED)
    whole = bytearray(path.read_bytes())
    whole[100:5000] = bytes(4900)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="train/.*.jpg .*is broken"):
        images(pictures=str(tmp_path))


def test_a_picture_that_ends_too_early_is_named(config, root, rows, tmp_path):
    for row in rows:
        path = tmp_path / "images" / "cropped_256" / stored_path(row)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = (root / "bioscan5m" / "images" / "cropped_256" / stored_path(row)).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    specimens = load_specimens(replace(config, pictures=str(tmp_path)), tmp_path)
    with pytest.raises(InputError, match="train/.*.jpg cannot be decoded"):
        specimens.images([0])
