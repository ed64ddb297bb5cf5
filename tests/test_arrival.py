"""The picture that a visitor finds before anything is drawn."""

import json

import numpy as np
from PIL import Image

from g2pdiff.arrival import FILE, Arrival, main
from g2pdiff.built_in import list_checkpoints
from g2pdiff.ui.widgets.examples import examples
from tests.tiny import tiny_pipeline


def test_the_first_example_is_drawn_saved_and_read(tmp_path):
    pipeline = tiny_pipeline()
    pipeline.save_pretrained(tmp_path)
    main([str(tmp_path)])
    found = Arrival.read(tmp_path)
    first = next(iter(examples().values()))
    assert (found.species, found.latitude, found.longitude) == (first.name, first.latitude, first.longitude)
    expected = pipeline(first.dna_barcode, first.latitude, first.longitude, seed=0)
    assert np.array_equal(np.asarray(found.picture), np.asarray(expected.images[0]))
    assert abs(found.clibd_score - expected.clibd_scores[0]) < 1e-4


def test_a_folder_without_one_or_with_a_damaged_one_has_none(tmp_path):
    assert Arrival.read(tmp_path) is None and Arrival.read("owner/name") is None
    for damaged in (b"", b"no picture"):
        (tmp_path / FILE).write_bytes(damaged)
        assert Arrival.read(tmp_path) is None
    Image.new("RGB", (4, 4)).save(tmp_path / FILE)
    assert Arrival.read(tmp_path) is None


def test_every_built_in_checkpoint_has_one_of_its_first_example():
    for folder in list_checkpoints():
        found = Arrival.read(folder)
        assert found.species == next(iter(examples(str(folder)).values())).name
        size = json.loads((folder / "model_index.json").read_text())["image_size"]
        assert found.picture.size == (size, size)
