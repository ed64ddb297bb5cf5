"""What is measured on a system's pictures, against cases whose answer is known beforehand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close
from torch.utils.tensorboard import SummaryWriter

from tests.tiny import BARCODE, tiny_components
from training.data.specimens import SpecimenSet
from training.evaluation.copies import Memory
from training.evaluation.figures import comparison_grid, prediction_grid, training_figure
from training.evaluation.measures import Measures, lead
from training.evaluation.sampling import Samples
from training.evaluation.worlds import OTHERS, World
from training.phenotype import PhenotypeEncoder

FAMILIES = ["Apidae", "Apidae", "Sphingidae", "Sphingidae"]
SIZE = 32


def striped(count, seed):
    """Return pictures (N, 3, H, W) that differ a lot: stripes of random colours."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, 3, 1, SIZE, generator=generator).expand(-1, -1, SIZE, -1).contiguous()


def specimen_set(images, families=FAMILIES, species="abcd", sequences=None):
    rows = {"family": families, "species": list(species), "dna_barcode": sequences or barcodes()}
    return SpecimenSet(pd.DataFrame(rows), (images * 255).round().byte().numpy())


def barcodes(count=4):
    return [BARCODE[: 90 * n] + "ACGT" * 15 + BARCODE[90 * n + 60 :] for n in range(count)]


def tiny_phenotype():
    torch.manual_seed(0)
    return PhenotypeEncoder(SIZE, (8, 8, 8, 16), (1, 1, 1, 1), 8).eval()


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
    references = specimen_set(
        truth[[0, 2]].repeat_interleave(6, 0),
        ["Apidae"] * 6 + ["Sphingidae"] * 6,
        ["a"] * 6 + ["x"] * 6,
        barcodes(1) * 6 + barcodes(6)[-1:] * 6,
    )
    individuals = truth[:, None].expand(-1, OTHERS, -1, -1, -1)
    world = World("test", rows, truth, individuals, references, references)
    memory = Memory(specimen_set(striped(4, seed=1)))
    return Measures(world, tiny_components()["clibd"], memory, tiny_phenotype())


def samples_of(measures, pictures):
    flat, shape = pictures.flatten(0, 1), pictures.shape[:2]
    vectors = measures.second.encoder.embed(flat).unflatten(0, shape)
    return Samples(measures.embed(flat).unflatten(0, shape), pictures, 4.0, vectors)


def test_the_true_pictures_score_as_ground_truth_and_random_pairs_as_random(measures):
    found = measures.system(samples_of(measures, measures.world.truth[:, None]))
    truth = measures.ground_truth()
    assert found["top"]["1"]["clibd_score"] == pytest.approx(truth["clibd_score"], abs=1e-6)
    assert found["top"]["1"]["relative"] == pytest.approx(1)
    assert found["retrieval"] == truth["retrieval"]
    assert found["fid"] == pytest.approx(0, abs=1e-6) and truth["fid"] == pytest.approx(0, abs=0.01)
    assert found["rms"]["value"] == pytest.approx(0, abs=1e-6)
    assert found["detail"]["ratio"] == pytest.approx(1)
    assert found["phenotype"]["top"]["1"]["score"] == pytest.approx(1, abs=1e-5)
    assert found["traits"]["hue_r2"] == pytest.approx(1)
    assert found["traits"]["hue_r2_interval"] == pytest.approx([1, 1])
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
    def right(rows):
        return measures.retrieval(measures.truth[rows])["family"].tolist()

    assert right([0, 0, 2, 2]) == [True] * 4
    assert right([0, 2, 2, 0]) == [True, False, True, False]
    assert right([2, 2, 0, 0]) == [False] * 4


def test_species_are_told_by_the_nearest_barcode(measures):
    # A picture whose embedding is its barcode's own tells its species; a neighbour's does not.
    assert measures.retrieval(measures.barcodes)["species"].all()
    assert not measures.retrieval(measures.barcodes.roll(1, 0))["species"].any()


def test_among_all_learned_species_the_own_one_has_the_own_barcode_alone(measures):
    # The references are of species a, with the barcode of the first specimen, and of x, with another one.
    assert measures.retrieval(measures.barcodes)["species_of_all"].all()
    of_x = measures.known_barcodes[-1].expand(4, -1)
    assert not measures.retrieval(of_x)["species_of_all"].any()
    told = measures.told(measures.barcodes[:, None])
    assert told["candidates"] == {"species": 4, "species_of_all": 5}
    assert told["species"] == 1 and told["intervals"]["species"][0] < 0.6  # four barcodes prove little


def test_copies_of_training_pictures_are_found_and_new_pictures_are_not(measures):
    copied = measures.memorisation(striped(4, seed=1)[:, None])
    assert copied["copies"] == 1 and copied["nearest"] < 0.01
    new = measures.memorisation(striped(4, seed=9)[:, None])
    assert new["nearest"] > 10 * copied["nearest"]
    assert copied["pictures"] == 4


def test_a_lead_is_the_paired_difference_of_best_of_k():
    rng = np.random.default_rng(0)
    second = rng.normal(size=(30, 7))
    ahead = lead(second + 0.25, second)
    assert list(ahead) == ["1", "5"]
    for row in ahead.values():
        assert row["difference"] == pytest.approx(0.25)
        assert row["interval"] == pytest.approx([0.25, 0.25])


def test_pairs_of_pictures_say_where_the_true_one_comes_from(measures, tmp_path):
    for others, words in ((measures.world.others, "above: simulated truth"), (None, "above: photograph")):
        comparison_grid(replace(measures.world, others=others), striped(3, seed=5), tmp_path / "pairs.svg")
        drawn = (tmp_path / "pairs.svg").read_text()
        assert f"{words}; below: prediction from the barcode" in drawn
        assert drawn.count("(Sphingidae)") == 1  # as many as there are pictures


def test_the_sheet_of_what_was_drawn_shows_no_truth(measures, tmp_path):
    black = replace(measures.world, truth=torch.zeros_like(measures.world.truth))
    for world, name in ((measures.world, "one"), (black, "two")):
        prediction_grid(world, striped(3, seed=5), tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_curves_are_drawn_of_the_stages_whose_logs_are_there(tmp_path):
    picture = tmp_path / "training.png"
    assert not training_figure(tmp_path, picture)  # trained elsewhere, and brought without its logs
    assert not picture.exists()
    with SummaryWriter(str(tmp_path / "diffusion" / "tensorboard")) as writer:
        for step in range(3):
            writer.add_scalar("loss", 1 / (step + 1), step)
    assert training_figure(tmp_path, picture)
    assert picture.stat().st_size > 1_000
