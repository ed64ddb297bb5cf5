"""The site profile is found again from records that start anywhere."""

import numpy as np
import pandas as pd
import pytest

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.framing import SITES, frame, site_profile
from training.folmer import estimate_profile, fit_profile, is_open_frame


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Return records of made-up species that differ by a tenth of their sites from the consensus of
    insects."""
    root = "".join("ACGT"[base] for base in site_profile().argmax(axis=1))
    generator = np.random.default_rng(0)
    rows = []
    for species in range(12):
        ancestor = Barcode(root).mutate(0.1, species)
        for record in range(10 + species):
            sequence = ancestor.mutate(0.02, record).sequence
            start = int(generator.integers(0, 60)) if record % 2 else 0
            rows.append(
                {
                    "species": f"species {species}",
                    "dna_barcode": sequence[start:],
                    "start": start,
                }
            )
    return pd.DataFrame(rows)


def test_fitted_profile_frames_the_records_that_made_it(table, monkeypatch):
    # Random substitutions make stop codons, which the records of a real table do not have.
    monkeypatch.setattr("training.folmer.STOP_CODONS", ())
    profile = fit_profile(table)
    assert profile.shape == (SITES, 4)
    np.testing.assert_allclose(profile.sum(axis=1), 1)
    _, offsets, scores = frame(table["dna_barcode"].tolist(), profile)
    assert offsets.tolist() == table["start"].tolist()
    assert scores.min() > 0.8


def test_every_species_weighs_the_same_in_the_profile():
    framed = ["A" * SITES] * 9 + ["C" * SITES]
    profile = estimate_profile(framed, pd.Series(["common"] * 9 + ["rare"]))
    np.testing.assert_allclose(profile[:, 0], profile[:, 1])
    assert (profile[:, 0] > profile[:, 2]).all()


def test_open_frames():
    assert is_open_frame("TAA" + "C" * 655)
    assert not is_open_frame("CTAA" + "C" * 654)
