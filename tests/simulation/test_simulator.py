"""The planted function: clines, response to mutation, body plans."""

import numpy as np
import pytest
import torch

from g2pdiff.simulation import Simulator
from g2pdiff.simulation.archetypes import INDEX

LATITUDES = torch.tensor([0.0, 30.0, -30.0, 50.0, -50.0, 80.0])


def mutate(sequence, rate, seed):
    rng = np.random.default_rng(seed)
    letters = np.array(list(sequence))
    sites = rng.permutation(len(letters))[: round(rate * len(letters))]
    letters[sites] = [rng.choice([base for base in "ACGT" if base != letters[site]]) for site in sites]
    return "".join(letters)


@pytest.fixture(scope="module")
def species(sequences):
    return sequences[::2]


def test_the_family_is_that_of_the_barcode(simulator, records, sequences):
    traits = simulator.traits(sequences, [30.0] * len(sequences))
    agreement = [a == record["family"] for a, record in zip(traits.family, records, strict=True)]
    assert np.mean(agreement) >= 0.95
    assert set(traits.family) <= set(simulator.families)
    torch.testing.assert_close(traits.weights.sum(1), torch.ones(len(traits)))


def test_body_length_carries_the_planted_slope_exactly(simulator, species):
    for barcode in species[:10]:
        length = simulator.traits([barcode] * len(LATITUDES), LATITUDES).body_length
        expected = 1 + 0.05 * (LATITUDES.abs() - 30) / 10
        torch.testing.assert_close(length / length[1], expected, atol=1e-5, rtol=0)


def test_the_null_control_has_no_cline(species):
    length = Simulator.default(planted_slope=0.0).traits([species[0]] * len(LATITUDES), LATITUDES).body_length
    torch.testing.assert_close(length, length[:1].expand(len(LATITUDES)), atol=1e-6, rtol=0)


def test_latitude_changes_length_and_lightness_alone(simulator, species):
    low, high = simulator.traits(species, [10.0] * 80), simulator.traits(species, [60.0] * 80)
    same = [name for name in low.names if not name.endswith(".L") and name != "body_length"]
    columns = [INDEX[name] for name in same if name in INDEX]
    assert torch.equal(low.values[:, columns], high.values[:, columns])
    assert (low.thorax_colour[:, 0] > high.thorax_colour[:, 0]).all()


def test_drift_grows_with_the_mutation_rate(simulator, species):
    rates = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
    origin = simulator.traits(species, [30.0] * 80)
    drift = []
    for rate in rates:
        mutants = [mutate(barcode, rate, seed) for seed, barcode in enumerate(species)]
        drift.append(simulator.traits(mutants, [30.0] * 80).drift(origin).mean().item())
    assert drift[0] == 0
    assert drift == sorted(drift)
    assert drift[1] < 0.25 * drift[-1]  # a mutation in a hundred is a small step, not another animal


def test_relatives_look_alike(simulator, records, sequences):
    traits = simulator.traits(sequences, [30.0] * len(sequences))
    specimens = traits[0::2].drift(traits[1::2]).mean()
    congeners = traits[0:8:2].drift(traits[2:10:2])[:3].mean()
    strangers = traits.drift(traits[torch.arange(len(traits)).roll(16)]).mean()
    assert specimens < congeners < strangers


def test_wings_and_wing_cases_are_present_or_absent(simulator, sequences):
    barcodes = [mutate(barcode, 0.45, seed) for seed, barcode in enumerate(sequences)]
    traits = simulator.traits(barcodes, [30.0] * len(barcodes))
    assert set(traits.wings.tolist()) | set(traits.elytra.tolist()) == {0.0, 1.0}
    assert not (traits.wings * traits.elytra).any()


def test_traits_by_name(simulator, sequences):
    traits = simulator.traits(sequences[:6], [30.0] * 6)
    assert traits.body_length.shape == (6,)
    assert traits.forewing_colour.shape == (6, 3)
    assert traits.hue.shape == (6, 2)
    assert len(traits[:2]) == 2
    with pytest.raises(AttributeError, match="antlers"):
        _ = traits.antlers


def test_bodies_stay_within_the_picture(simulator, sequences):
    assert simulator.traits(sequences, [90.0] * len(sequences)).body_length.max() < 0.8
