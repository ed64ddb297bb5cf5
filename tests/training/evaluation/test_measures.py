"""What is measured on a system's pictures, against cases whose answer is known beforehand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from tests.tiny import BARCODE, tiny_components
from training.data.specimens import SpecimenSet
from training.evaluation.figures import comparison_grid
from training.evaluation.measures import THUMBNAIL, Measures, lead, thumbnails
from training.evaluation.sampling import Samples
from training.evaluation.worlds import World

FAMILIES = ["Apidae", "Apidae", "Sphingidae", "Sphingidae"]
SIZE = 32


def striped(count, seed):
    """Pictures (N, 3, H, W) that differ a lot: stripes of random colours."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 1, SIZE, generator=generator).expand(-1, -1, SIZE, -1).contiguous()


def specimen_set(images, families=FAMILIES):
    return SpecimenSet(pd.DataFrame({"family": families}), (images * 255).round().byte().numpy())


def barcodes(count=4):
    return [BARCODE[: 90 * n] + "ACGT" * 15 + BARCODE[90 * n + 60 :] for n in range(count)]


@pytest.fixture(scope="module")
def measures():
    truth = striped(4, seed=0)
    rows = pd.DataFrame(
        {
            "dna_barcode": barcodes(),
            "family": FAMILIES,
            "coord-lat": 0.0,
            "coord-lon": 0.0,
            "species": list("abcd"),
        }
    )
    references = specimen_set(truth[[0, 2]].repeat_interleave(6, 0), ["Apidae"] * 6 + ["Sphingidae"] * 6)
    world = World("test", rows, truth, truth[:, None], references)
    return Measures(world, tiny_components()["clibd"], thumbnails(specimen_set(striped(4, seed=1))))


def samples_of(measures, pictures):
    return Samples(measures.embed(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2]), pictures, 4.0)


def test_the_true_pictures_score_as_ground_truth_and_random_pairs_as_random(measures):
    found = measures.system(samples_of(measures, measures.world.truth[:, None]))
    truth = measures.ground_truth()
    assert found["top"]["1"]["clibd_score"] == pytest.approx(truth["clibd_score"], abs=1e-6)
    assert found["top"]["1"]["relative"] == pytest.approx(1)
    assert found["retrieval"] == truth["retrieval"]
    assert found["fid"] == pytest.approx(0, abs=1e-6)
    assert measures.random()["clibd_score"] == pytest.approx(measures.shuffled_scores.mean())
    assert found["seconds_per_picture"] == 1.0


def test_scores_are_cosines_of_a_picture_with_its_own_barcode(measures):
    pictures = striped(4, seed=3)[:, None]
    judge = measures.judge
    with torch.no_grad():
        expected = [
            float(judge.embed_images(pictures[n]) @ judge.embed_barcodes([sequence]).T)
            for n, sequence in enumerate(barcodes())
        ]
    assert_close(
        measures.scores(samples_of(measures, pictures))[:, 0], np.float32(expected), atol=1e-5, rtol=0
    )


def test_ranks_stop_at_the_number_of_samples(measures):
    top = measures.ranked(np.linspace(-1, 1, 4 * 12).reshape(4, 12))
    assert list(top) == ["1", "5", "10"]
    assert top["1"]["clibd_score"] < top["5"]["clibd_score"] < top["10"]["clibd_score"]


def test_families_are_told_by_the_nearest_references(measures):
    assert measures.retrieval(measures.truth[[0, 0, 2, 2]])["family"] == 1
    assert measures.retrieval(measures.truth[[0, 2, 2, 0]])["family"] == 0.5
    assert measures.retrieval(measures.truth[[2, 2, 0, 0]])["family"] == 0


def test_species_are_told_by_the_nearest_barcode(measures):
    # A picture whose embedding is its barcode's own tells its species; a neighbour's does not.
    assert measures.retrieval(measures.barcodes)["species"] == 1
    assert measures.retrieval(measures.barcodes.roll(1, 0))["species"] == 0


def test_copies_of_training_pictures_are_found_and_new_pictures_are_not(measures):
    copied = measures.memorisation(striped(4, seed=1)[:, None])
    assert copied["copies"] == 1 and copied["nearest"] < 0.01
    new = measures.memorisation(striped(4, seed=9)[:, None])
    assert new["nearest"] > 10 * copied["nearest"]
    assert measures.memory.shape == (4, 3 * THUMBNAIL**2)


def test_a_lead_is_the_paired_difference_of_best_of_k():
    rng = np.random.default_rng(0)
    second = rng.normal(size=(30, 7))
    ahead = lead(second + 0.25, second)
    assert list(ahead) == ["1", "5"]
    for row in ahead.values():
        assert row["difference"] == pytest.approx(0.25)
        assert row["interval"] == pytest.approx([0.25, 0.25])


def test_pairs_of_pictures_say_where_the_true_one_comes_from(measures, tmp_path):
    for others, words in ((measures.world.others, "left: simulated truth"), (None, "left: photograph")):
        comparison_grid(replace(measures.world, others=others), striped(3, seed=5), tmp_path / "pairs.svg")
        drawn = (tmp_path / "pairs.svg").read_text()
        assert f"{words}; right: prediction from the barcode" in drawn
        assert "c (Sphingidae)" in drawn and "d (Sphingidae)" not in drawn  # as many as there are pictures
