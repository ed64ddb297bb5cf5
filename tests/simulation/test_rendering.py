"""Pictures: deterministic, the same alone and in a batch, nothing cut off, nuisance apart from DNA."""

import pytest
import torch

from g2pdiff.analysis.morphometrics import foreground
from g2pdiff.simulation.rendering import paint


@pytest.fixture(scope="module")
def traits(simulator, sequences):
    return simulator.traits(sequences[:48:2], [40.0] * 24)


def test_shape_range_and_repeatability(simulator, traits):
    pictures = simulator.render(traits, 64, range(24))
    assert pictures.shape == (24, 3, 64, 64)
    assert pictures.min() >= 0 and pictures.max() <= 1
    assert torch.equal(pictures, simulator.render(traits, 64, range(24)))
    assert simulator.render(traits[:0], 64, []).shape == (0, 3, 64, 64)


def test_a_batch_is_the_same_as_each_alone(simulator, sequences):
    # different orders in one batch: some parts are drawn for some rows only
    barcodes = sequences[::16]
    together = simulator.specimens(barcodes, [40.0] * len(barcodes), 64, range(len(barcodes)))
    for i, barcode in enumerate(barcodes):
        alone = simulator.specimens([barcode], [40.0], 64, [i])
        torch.testing.assert_close(alone[0], together[i], atol=2e-3, rtol=0)


def test_a_seed_changes_pose_light_and_paper_alone(simulator, traits):
    plain, again = simulator.render(traits, 64), simulator.render(traits, 64)
    posed, other = simulator.render(traits, 64, range(24)), simulator.render(traits, 64, range(100, 124))
    assert torch.equal(plain, again)
    same_specimen = (posed - other).square().mean()
    same_seed = (
        simulator.render(traits, 64, [0] * 24) - simulator.render(traits, 64, [0] * 24).roll(1, 0)
    ).square()
    assert 0 < same_specimen < same_seed.mean()


def test_seeds_do_not_read_the_barcode(simulator, traits):
    corner = simulator.render(traits, 64, [3] * 24)[:, :, :2, :2]  # paper, lit by the seed alone
    assert torch.equal(corner, corner[:1].expand_as(corner))


def test_the_plain_specimen_is_symmetric(simulator, traits):
    mask = foreground(simulator.render(traits, 64)) > 0.5
    assert (mask == mask.flip(2)).float().mean() > 0.97  # light and shadow are not


@pytest.mark.parametrize("latitude", [30.0, 90.0])
def test_nothing_is_cut_off(simulator, sequences, latitude):
    traits = simulator.traits(sequences, [latitude] * len(sequences))
    alpha = paint(traits.values, 64)[:, 3]
    rim = torch.stack([alpha[:, :2].amax((1, 2)), alpha[:, -2:].amax((1, 2)), alpha[:, :, -2:].amax((1, 2))])
    assert rim.max() < 0.2
    mask = foreground(simulator.render(traits, 64, range(len(traits))))
    rim = torch.cat([mask[:, :1].flatten(1), mask[:, -1:].flatten(1), mask[:, :, 0], mask[:, :, -1]], 1)
    assert rim.max() < 0.3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_what_the_cpu_draws(simulator, sequences):
    barcodes = sequences[::16]
    numbers = range(len(barcodes))
    cpu = simulator.specimens(barcodes, [40.0] * len(barcodes), 64, numbers)
    gpu = simulator.to("cuda").specimens(barcodes, [40.0] * len(barcodes), 64, numbers)
    torch.testing.assert_close(gpu.cpu(), cpu, atol=1e-2, rtol=0)
