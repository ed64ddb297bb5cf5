"""The genotype map: missing sites are marginalised, weights are weights, fields are smooth."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.simulation.genome import SITES, Genome, one_hot

GENOME = Genome.load()


def test_one_hot_leaves_missing_sites_empty():
    hot = one_hot(["ACGTN" + "N" * (SITES - 5)])
    assert torch.equal(hot[0, :4], torch.eye(4))
    assert hot.sum() == 4


def test_unframed_barcodes_are_refused():
    with pytest.raises(ValueError, match="658"):
        GENOME.project(["ACGT"])


def test_nothing_known_is_the_mean():
    assert torch.equal(GENOME.project(["N" * SITES]), torch.zeros(1, len(GENOME.variance)))


def test_a_short_barcode_stays_near_its_full_one(sequences):
    one_a_family = sequences[::16]
    full = GENOME.project(one_a_family)
    short = GENOME.project([s[:500] + "N" * (SITES - 500) for s in one_a_family])
    assert torch.equal(torch.cdist(short, full).argmin(1), torch.arange(len(full)))


def test_projection_of_a_batch_is_that_of_each(sequences):
    mixed = [sequences[0], "N" * 100 + sequences[1][100:], sequences[2][:600] + "N" * 58]
    together = GENOME.project(mixed)
    apart = torch.cat([GENOME.project([s]) for s in mixed])
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text("ACGTN", min_size=SITES, max_size=SITES), min_size=1, max_size=3))
def test_any_barcode_has_weights_and_fields(barcodes):
    coordinates = GENOME.project(barcodes)
    weights = GENOME.membership(coordinates)
    assert weights.min() >= 0
    torch.testing.assert_close(weights.sum(1), torch.ones(len(barcodes)))
    assert GENOME.species_fields(coordinates).isfinite().all()


def test_a_known_genus_is_recognised():
    weights = GENOME.membership(GENOME.means)
    assert (weights.argmax(1) == torch.arange(len(GENOME.genera))).float().mean() > 0.99
