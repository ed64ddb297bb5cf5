"""The checkpoints that the repository ships: their size, and that butterflies are drawn as what they are."""

import pytest
import torch

from g2pdiff.built_in import PHOTOGRAPHED, list_checkpoints
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.ui.widgets.examples import examples

MEGABYTE = 1_000_000
BUTTERFLIES = next((folder for folder in list_checkpoints() if folder.name == PHOTOGRAPHED), None)
SPECIES = ("Aglais io", "Gonepteryx rhamni", "Papilio machaon", "Polyommatus icarus")


@pytest.mark.parametrize("folder", list_checkpoints(), ids=lambda folder: folder.name)
def test_files_are_small_enough_for_every_host(folder):
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    assert max(sizes) < 10 * MEGABYTE
    assert sum(sizes) <= 60 * MEGABYTE


@pytest.mark.skipif(BUTTERFLIES is None, reason="this clone has no butterflies")
def test_butterflies_are_drawn_as_their_own_species():
    pipe = load_pipeline(BUTTERFLIES)
    rows = [examples(str(BUTTERFLIES))[name] for name in SPECIES]
    pictures = []
    for row in rows:
        *_, last = pipe.stream(row.dna_barcode, row.latitude, row.longitude, seed=0)
        assert last.images[0].shape == (3, 256, 256)
        pictures.append(last.images[0])
    barcodes = pipe.clibd.embed_barcodes([row.dna_barcode for row in rows])
    scores = pipe.clibd.embed_images(torch.stack(pictures)) @ barcodes.T  # every picture, every barcode
    assert (scores.diag() > pipe.clibd.config.threshold).all()
    assert (scores.argmax(1) == torch.arange(len(rows))).all()
