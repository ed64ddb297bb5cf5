"""Copies of training pictures are found, moved, mirrored or not; other pictures are not taken for copies."""

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from training.data.specimens import SpecimenSet
from training.evaluation.copies import Memory

SIZE = 128


def blobs(count, seed):
    """Return pictures with structure at every scale, as animals have: (N, 3, SIZE, SIZE)."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        F.interpolate(torch.rand(count, 3, n, n, generator=generator), SIZE, mode="bilinear") for n in (4, 16)
    ]
    return sum(layers) / 2


@pytest.fixture(scope="module")
def memory():
    learned = (blobs(40, seed=0) * 255).round().byte().numpy()
    return Memory(SpecimenSet(pd.DataFrame({"species": [f"species {n % 10}" for n in range(40)]}), learned))


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (0, -2), (2, 2)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_copy_that_was_moved_by_a_pixel_or_two_is_found(memory, shift, mirrored):
    images = memory.originals.images([3, 17]).roll(shift, (-2, -1))
    images = images.flip(-1) if mirrored else images
    assert (memory.distance(images) < memory.unrelated).all()


def test_a_new_picture_is_no_copy(memory):
    assert (memory.distance(blobs(8, seed=1)) > memory.unrelated).float().mean() > 0.8


def test_a_species_of_ones_own_can_be_left_out(memory):
    image, species = memory.originals.images([5]), memory.originals.table["species"].to_numpy()[[5]]
    assert memory.distance(image).item() < 0.01 < memory.distance(image, species).item()


def test_pictures_of_one_species_alone_have_no_measure():
    rows = pd.DataFrame({"species": ["one"] * 3})
    assert Memory(SpecimenSet(rows, (blobs(3, 0) * 255).byte().numpy())).unrelated == 0
