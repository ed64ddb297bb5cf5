import pytest

from g2pdiff.simulation import Simulator
from g2pdiff.simulation.barcodes import simulate_barcodes


@pytest.fixture(scope="session")
def simulator():
    return Simulator.default()


@pytest.fixture(scope="session")
def records():
    """Return two specimens of each of 80 invented species, 10 families."""
    return simulate_barcodes(80, 2, seed=5)


@pytest.fixture(scope="session")
def sequences(records):
    return [record["dna_barcode"] for record in records]
