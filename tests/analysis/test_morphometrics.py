"""Measurements against the simulated truth, on clean, noisy and blurred pictures."""

import pytest
import torch
import torch.nn.functional as F

from g2pdiff.analysis.morphometrics import body_length, dominant_hue, fill_holes, foreground
from g2pdiff.simulation import Simulator
from g2pdiff.simulation.archetypes import INDEX
from g2pdiff.simulation.barcodes import simulate_barcodes
from g2pdiff.simulation.rendering import render


@pytest.fixture(scope="module")
def simulator():
    return Simulator.default()


@pytest.fixture(scope="module")
def traits(simulator):
    records = simulate_barcodes(64, 1, seed=2)
    latitudes = torch.linspace(0, 80, 64)[torch.randperm(64, generator=torch.Generator().manual_seed(0))]
    return simulator.traits([record["dna_barcode"] for record in records], latitudes)


@pytest.fixture(scope="module")
def pictures(simulator, traits):
    return simulator.render(traits, 128, range(64))


def correlation(a, b):
    return torch.corrcoef(torch.stack([a, b]))[0, 1]


def noisy(pictures):
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    return (pictures + 0.03 * noise).clamp(0, 1)


def blurred(pictures):
    return F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)


@pytest.mark.parametrize("degrade", [lambda x: x, noisy, blurred], ids=["clean", "noisy", "blurred"])
def test_measured_length_is_the_true_one(pictures, traits, degrade):
    measured = body_length(degrade(pictures))
    assert correlation(measured, traits.body_length) > 0.97
    assert ((measured / traits.body_length).mean() - 1).abs() < 0.03


def test_a_snout_is_not_body(traits):
    lengths = []
    for beyond in (0.0, 0.12):
        values = traits.values[::3].clone()
        values[:, INDEX["rostrum_length"]] = values[:, INDEX["ovipositor_length"]] = beyond
        values[:, INDEX["rostrum_width"]] = 0.012
        lengths.append(body_length(render(values, 128)))
    assert ((lengths[1] / lengths[0] - 1).abs() < 0.05).float().mean() > 0.9


def test_the_cline_is_recovered_from_pictures(simulator):
    barcode = simulate_barcodes(1, 1, seed=9)[0]["dna_barcode"]
    latitudes = torch.arange(0, 81, 10).float()
    lengths = body_length(simulator.specimens([barcode] * 9, latitudes, 256, range(9)))
    steps = (latitudes - 30) / 10
    slope = ((steps - steps.mean()) * lengths).sum() / ((steps - steps.mean()) ** 2).sum()
    at_reference = lengths.mean() - slope * steps.mean()
    assert slope / at_reference == pytest.approx(simulator.planted_slope, abs=0.006)


def test_an_empty_picture_has_no_length_and_no_hue():
    paper = torch.full((2, 3, 64, 64), 0.9)
    assert torch.equal(body_length(paper), torch.zeros(2))
    torch.testing.assert_close(dominant_hue(paper), torch.zeros(2, 2), atol=1e-6, rtol=0)


def test_hue_follows_the_colour_of_the_specimen(simulator):
    records = simulate_barcodes(320, 1, seed=4)[::4]
    traits = simulator.traits([record["dna_barcode"] for record in records], [30.0] * len(records))
    traits = traits[traits.hue.norm(dim=1).topk(16).indices]
    measured = dominant_hue(simulator.render(traits, 128, range(16)))
    assert F.cosine_similarity(measured, traits.hue).median() > 0.95


def test_holes_are_filled_and_bays_are_not():
    mask = torch.zeros(1, 128, 128)
    mask[:, 20:100, 20:100] = 1
    mask[:, 40:60, 40:60] = 0  # enclosed
    mask[:, 70:90, 80:100] = 0  # open to the side
    filled = fill_holes(mask)
    assert filled[0, 42:58, 42:58].min() == 1
    assert filled[0, 72:88, 82:98].max() == 0


def test_a_shadow_is_not_specimen():
    picture = torch.full((1, 3, 64, 64), 0.93)
    picture[:, :, 20:40, 20:40] *= 0.78
    picture[:, :, 45:50, 45:50] = 0.2
    mask = foreground(picture)[0]
    assert mask[20:40, 20:40].max() < 0.2
    assert mask[46:49, 46:49].min() > 0.9
