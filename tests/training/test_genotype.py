"""Fitting the genotype map to a table of the schema."""

import numpy as np
import pandas as pd
import pytest

from g2pdiff.errors import InputError
from g2pdiff.simulation import Simulator
from g2pdiff.simulation.barcodes import simulate_barcodes
from g2pdiff.simulation.genome import Genome
from training.genotype import fit, main, subsample


@pytest.fixture(scope="module")
def table():
    return pd.DataFrame(simulate_barcodes(40, 5, seed=1))


def test_subsample_keeps_rich_species_from_dominating(table):
    kept = subsample(table, per_species=2)
    assert kept.species.value_counts().eq(2).all()


def test_a_table_too_small_is_refused(table):
    with pytest.raises(InputError, match="more than 96"):
        fit(table.head(40))


def test_a_fit_is_repeatable_and_makes_a_working_simulator(table, tmp_path, monkeypatch):
    path = tmp_path / "genotype.npz"
    table.to_parquet(tmp_path / "table.parquet")
    monkeypatch.setattr("sys.argv", ["fit", "--table", str(tmp_path / "table.parquet"), "--out", str(path)])
    main()
    with np.load(path) as file:
        arrays = dict(file)
    again = fit(table)
    assert all(np.array_equal(arrays[name], again[name]) for name in again)
    simulator = Simulator(Genome.of(arrays))
    assert set(simulator.families) == set(table.family)
    traits = simulator.traits(table.dna_barcode.tolist(), table["coord-lat"].tolist())
    assert np.mean(np.array(traits.family) == table.family) >= 0.95
    assert traits.values.isfinite().all() and traits.scale.count_nonzero() > 50
