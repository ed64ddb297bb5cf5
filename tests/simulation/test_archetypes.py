"""The data files of traits, colours and body plans."""

import pytest
import torch

from g2pdiff.simulation.archetypes import COLOURS, INDEX, NAMES, TRAITS, load_archetypes
from g2pdiff.simulation.colour import hex_to_oklab, oklab_to_srgb, srgb_to_oklab


def test_every_trait_has_a_column_and_a_known_kind():
    assert len(NAMES) == len(TRAITS) + 3 * len(COLOURS) == len(set(NAMES))
    assert {trait.kind for trait in TRAITS} == {"size", "offset", "share", "switch"}
    assert all(trait.meaning for trait in (*TRAITS, *COLOURS))


def test_rows_inherit_from_their_base():
    plans = load_archetypes()
    family, group = plans.names.index("Nymphalidae"), plans.names.index("Satyrinae")
    assert plans.values[family, INDEX["club"]] == plans.values[group, INDEX["club"]]
    assert plans.values[family, INDEX["eyespot"]] < plans.values[group, INDEX["eyespot"]]


def test_a_genus_is_drawn_by_group_then_family_then_order():
    plans = load_archetypes()
    assert plans.names[plans.row("Erebia", "Nymphalidae", "Lepidoptera")] == "Satyrinae"
    assert plans.names[plans.row("Vanessa", "Nymphalidae", "Lepidoptera")] == "Nymphalidae"
    assert plans.names[plans.row("Cis", "Ciidae", "Coleoptera")] == "Coleoptera"
    with pytest.raises(KeyError, match="Odonata"):
        plans.row("Aeshna", "Aeshnidae", "Odonata")


def test_shares_are_shares_and_sizes_are_positive():
    values = load_archetypes().values
    for i, trait in enumerate(TRAITS):
        if trait.kind in ("share", "switch"):
            assert values[:, i].min() >= 0 and values[:, i].max() <= 1, trait.name
    assert values[:, INDEX["body_length"]].min() > 0.2


def test_oklab_round_trip():
    colours = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(oklab_to_srgb(srgb_to_oklab(colours)), colours, atol=1e-3, rtol=0)
    torch.testing.assert_close(hex_to_oklab("#ffffff"), torch.tensor([1.0, 0.0, 0.0]), atol=1e-3, rtol=0)
