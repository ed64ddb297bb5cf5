"""Worlds beside the closed and the open one, and the nulls and regressions that are measured in them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import UNet2DConditionModel

from g2pdiff.denoising import Denoising
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.models.conditioner import BarcodeConditioner
from tests.tiny import tiny_pipeline
from training.configs.schema import DataConfig
from training.data.specimens import load_specimens, load_table
from training.data.splits import nearest_difference
from training.evaluation.library import load_library
from training.evaluation.likeness import SecondJudge, detail, nearer
from training.evaluation.nulls import MeanLatent, MeanPicture, NearestBarcode, RandomPicture, null_systems
from training.evaluation.regression import Regressions
from training.evaluation.sampling import Samples
from training.evaluation.systems import PartlyDeaf, PipelineSystem
from training.evaluation.worlds import FAR, MOVED, load_world
from training.phenotype import PhenotypeEncoder

CONFIG = DataConfig(simulated_species=24, simulated_per_species=10, image_size=32, per_species=6)


@pytest.fixture(scope="module")
def table():
    return load_table(CONFIG)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture(scope="module")
def closed(table, folder):
    return load_world(CONFIG, "test", 6, folder, table=table)


@pytest.fixture(scope="module")
def library(table, closed):
    return load_library(CONFIG, table, closed.references, None)


def sketching_pipeline():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_layers": 1, "num_heads": 2, "context": "pooled", "sketch_components": 8}
    conditioner = BarcodeConditioner(**sizes, latent_shape=(4, 4, 4)).eval()
    # Projections at random: principal components take half a minute.
    conditioner.sketch.mean.fill_(0.25)
    conditioner.sketch.components.copy_(0.05 * torch.randn(conditioner.sketch.components.shape))
    with_mean = tiny_pipeline().unet.config | {"in_channels": 8}  # the mean latent beside the noisy one
    return tiny_pipeline(conditioner=conditioner, unet=UNet2DConditionModel.from_config(with_mean).eval())


def test_far_barcodes_differ_from_every_learned_one(table, folder):
    test = table["split"] == "test"
    apart = [Barcode(text).mutate(0.02).sequence for text in table.loc[test, "dna_barcode"][::2]]
    table = table.copy()  # whose held-out barcodes, as they are, differ from a learned one by a base or two
    table.loc[table.index[test][::2], "dna_barcode"] = apart
    far = load_world(CONFIG, "far", 50, folder, table=table).specimens
    assert set(far["dna_barcode"]) <= set(apart)
    learned = table.loc[table["split"].isin(["train", "val"]), "dna_barcode"].tolist()
    assert (nearest_difference(far["dna_barcode"].tolist(), learned) >= FAR).all()
    assert set(far["split"]) == {"test"} and far["species"].is_unique


def test_mutants_are_the_closed_worlds_barcodes_changed_and_the_truth_with_them(table, folder, closed):
    world = load_world(CONFIG, "mutants", 6, folder, table=table)
    before, after = closed.specimens["dna_barcode"], world.specimens["dna_barcode"]
    changed = [
        np.mean([a != b for a, b in zip(*pair, strict=True)]) for pair in zip(before, after, strict=True)
    ]
    assert changed == pytest.approx(world.specimens["mutation_rate"].tolist(), abs=0.002)
    assert min(changed) >= 0.049 and max(changed) <= 0.301
    assert (closed.truth - world.truth).square().mean((1, 2, 3)).min() > 1e-4


def test_places_are_the_closed_worlds_barcodes_at_other_latitudes(table, folder, closed):
    world = load_world(CONFIG, "places", 6, folder, table=table)
    assert world.specimens["dna_barcode"].tolist() == closed.specimens["dna_barcode"].tolist()
    apart = world.specimens["coord-lat"].abs() - closed.specimens["coord-lat"].abs()
    assert (apart.abs() >= MOVED).all() and world.specimens["coord-lat"].abs().max() <= 80
    assert not torch.equal(closed.truth, world.truth)


def test_what_nobody_photographed_is_refused_and_an_empty_world_too(table, folder):
    with pytest.raises(InputError, match="simulated") as refused:
        load_world(DataConfig(metadata="m.csv"), "mutants", 2, folder, table=table)
    assert refused.value.field == "split"
    with pytest.raises(InputError, match="no held-out specimen"):
        load_world(CONFIG, "far", 2, folder, table=table[table["split"] == "train"])


def test_the_gallery_has_every_species_and_no_truth(table, folder, closed):
    assert closed.gallery is closed.references
    opened = load_world(CONFIG, "test_unseen", 3, folder, table=table)
    names = opened.gallery.table["species"]
    assert set(opened.specimens["species"]) <= set(names) and names.is_unique
    pictures = opened.gallery.images(np.arange(len(names))).flatten(1)
    assert torch.cdist(opened.truth.flatten(1), pictures).min() > 0


def test_a_library_is_what_the_run_learned_from(table, library, closed, tmp_path):
    with_run = load_library(CONFIG, table, closed.references, tmp_path)
    learned = load_specimens(CONFIG, tmp_path)
    pd.testing.assert_frame_equal(library.specimens.table, learned.table)
    rows = np.array([0, 7])
    assert torch.equal(library.specimens.images(rows), with_run.specimens.images(rows))
    assert library.originals is None and len(with_run.originals) == len(learned)


def test_the_nearest_barcode_is_found_by_shared_sites_and_the_seed_breaks_ties(library):
    barcodes = library.specimens.table["dna_barcode"]
    ties = np.flatnonzero(barcodes.duplicated(keep=False))
    row = int(ties[0]) if len(ties) else 0
    half = "N" * 200 + barcodes[row][200:]
    found = library.nearest(half)
    assert row in found
    assert nearest_difference([half], barcodes.iloc[found].tolist())[0] == 0
    assert row in library.nearest(barcodes[row]) and len(library.nearest("N" * 658)) == len(barcodes)
    drawn = NearestBarcode(library).draw(pd.Series({"dna_barcode": "N" * 658}), [0, 1, len(barcodes)])
    assert torch.equal(drawn[0], drawn[2]) and not torch.equal(drawn[0], drawn[1])


def test_mean_pictures_are_of_the_species_or_of_the_next_group_that_has_any(library):
    specimen = library.specimens.table.iloc[0]
    own = np.flatnonzero(library.specimens.table["species"] == specimen["species"])
    mean = MeanPicture(library, "species").draw(specimen, [0, 1])
    torch.testing.assert_close(mean, library.specimens.images(own).mean(0).expand(2, -1, -1, -1))
    stranger = specimen.copy()
    stranger["species"] = "Nobody nowhere"
    assert set(library.specimens.table.iloc[library.group(stranger, "species")]["genus"]) == {
        specimen["genus"]
    }
    stranger[["genus", "family"]] = "Nobody"
    assert len(library.group(stranger, "species")) == len(library.specimens)


def test_random_pictures_are_training_pictures_and_the_same_again(library, closed):
    drawn = RandomPicture(library).draw(closed.specimens.iloc[0], [0, 1, 2])
    assert torch.equal(drawn, RandomPicture(library).draw(closed.specimens.iloc[0], [0, 1, 2]))
    every = library.specimens.images(np.arange(len(library.specimens))).flatten(1)
    assert torch.cdist(drawn.flatten(1), every).amin(1).max() < 1e-2


def test_the_mean_latent_is_a_null_where_there_is_one(library, closed):
    assert "mean_latent" not in null_systems(tiny_pipeline(), library)
    pipeline = sketching_pipeline()
    assert "mean_latent" in null_systems(pipeline, library)
    one, two = MeanLatent(pipeline).draw(closed.specimens.iloc[0], [0, 1])
    assert torch.equal(one, two) and one.shape == (3, 32, 32)


def test_a_deaf_part_hears_another_barcode_and_the_rest_the_right_one(closed):
    pipeline, specimen = sketching_pipeline(), closed.specimens.iloc[0]
    settings = {"num_inference_steps": 2, "alignment_scale": 0.0}
    whole = PipelineSystem(pipeline, settings).draw(specimen, [0, 1])
    denoising = Denoising(2, alignment_scale=0.0)
    # BERT on a random barcode, where the only one there is to draw is the right one, changes nothing.
    same = PartlyDeaf(pipeline, "bert", [specimen["dna_barcode"]], denoising).draw(specimen, [0, 1])
    torch.testing.assert_close(same, whole, atol=1e-5, rtol=0)
    others = closed.specimens["dna_barcode"].tolist()[1:]
    for part in ("bert", "sketch"):
        deaf = PartlyDeaf(pipeline, part, others, denoising).draw(specimen, [0, 1])
        assert (deaf - whole).abs().max() > 1e-4
    ids = pipeline.tokenizer.ids(["N" * 658])
    assert pipeline.conditioner.sketch.principal(ids).abs().max() == 0


def test_regressions_tell_the_traits_of_barcodes_that_they_learned_from(closed, library):
    pipeline = sketching_pipeline()
    learned = Regressions(pipeline, library)
    known = replace(closed, specimens=library.specimens.table.iloc[:40])
    found = learned.measure(known)
    for kind in ("linear", "mlp"):
        for name in ("body_length_r2", "hue_r2"):
            low, high = found[kind][f"{name}_interval"]
            assert low <= found[kind][name] <= high + 0.05
    assert found["mlp"]["hue_r2"] > 0.8 and found["mlp"]["hue_r2"] > found["linear"]["hue_r2"]


@pytest.fixture(scope="module")
def judge(closed):
    torch.manual_seed(0)
    return SecondJudge(PhenotypeEncoder(32, (8, 8, 8, 16), (1, 1, 1, 1), 8).eval(), closed)


def samples_of(judge, pictures):
    vectors = judge.encoder.embed(pictures.flatten(0, 1)).unflatten(0, pictures.shape[:2])
    return Samples(torch.zeros(*pictures.shape[:2], 4), pictures, 1.0, vectors)


def test_the_second_judge_compares_with_the_true_picture(judge, closed):
    true = samples_of(judge, closed.truth[:, None])
    assert judge.scores(true.phenotype) == pytest.approx(1, abs=1e-5)
    moved = samples_of(judge, closed.truth.roll(1, 0)[:, None])
    assert judge.scores(moved.phenotype).mean() < 1 - 1e-4
    # Of several photographs of a species the most alike one counts.
    several = replace(closed, likenesses=[torch.stack([1 - one, one]) for one in closed.truth])
    assert SecondJudge(judge.encoder, several).scores(true.phenotype) == pytest.approx(1, abs=1e-5)


def test_the_second_judge_tells_species_among_the_gallerys(judge, closed):
    names = closed.gallery.table["species"].tolist()
    own = np.array([names.index(name) for name in closed.specimens["species"]])
    told = judge.told(judge.gallery[own][:, None])
    assert told["species"]["share"] == told["family"]["share"] == 1
    assert told["candidates"] == len(names)
    assert sum(row["barcodes"] for row in told["by_family"].values()) == len(own)
    wrong = judge.told(judge.gallery[(own + 1) % len(names)][:, None])
    assert wrong["species"]["share"] == 0
    mutants = SecondJudge(judge.encoder, replace(closed, split="mutants"))
    assert mutants.told(judge.gallery[own][:, None]) is None


def test_nearer_counts_pictures_that_beat_the_looked_up_one(judge, closed):
    shuffled = samples_of(judge, closed.truth.roll(1, 0)[:, None])
    half = closed.truth.clone()
    half[3:] = closed.truth.roll(2, 0)[3:]
    found = nearer(samples_of(judge, half[:, None]), shuffled, closed, judge)
    assert found["rms"]["share"] >= 0.5 and found["rms"]["barcodes"] == 6
    same = nearer(shuffled, shuffled, closed, judge)
    assert same["rms"]["share"] == same["phenotype"]["share"] == 0  # a tie is not nearer


def test_fine_detail_sees_blur_and_crackle(closed):
    padded = torch.nn.functional.pad(closed.truth, [1] * 4, mode="replicate")
    blurred = torch.nn.functional.avg_pool2d(padded, 3, 1)
    crackling = (closed.truth + 0.1 * torch.randn(closed.truth.shape)).clamp(0, 1)
    assert (detail(blurred) < detail(closed.truth)).all()
    assert (detail(crackling) > detail(closed.truth)).all()
