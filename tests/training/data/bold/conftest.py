"""A server on this machine that stands for BOLD, and an export whose addresses lead to it."""

import pytest

from g2pdiff.simulation.barcodes import simulate_barcodes
from tests.training.data.bold.server import combined_row, jpeg, serving


@pytest.fixture(scope="module")
def records():
    return simulate_barcodes(6, 3, seed=4)


@pytest.fixture
def server(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving() as running:
        yield running


@pytest.fixture
def export(server, records, tmp_path):
    """Return twelve records with a picture each."""
    rows = []
    for number, record in enumerate(records[:12]):
        server.replies[f"/pics/{number}.jpg"] = jpeg(number)
        rows.append(combined_row(record, number, f"{server.address}/pics/{number}.jpg"))
    return rows, tmp_path / "export.tsv", tmp_path / "bold"
