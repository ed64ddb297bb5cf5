"""The whole comparison in miniature, from made barcodes to the paper's tables."""

import csv
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.simulation import Simulator
from tests.tiny import BARCODE
from training import reproduce
from training.assemble import build_pipeline
from training.configs.schema import DataConfig, load, parse_arguments
from training.data.specimens import load_table
from training.evaluation import tables
from training.evaluation.sampling import sample
from training.evaluation.systems import PipelineSystem
from training.evaluation.worlds import load_world

pytestmark = pytest.mark.timeout(900)  # the first test waits for every stage and four systems

SYSTEMS = {"g2pdiffusion", "stable_diffusion", "controlnet", "df_gan"}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduce")
    overrides = [f"run={folder}", f"assemble.checkpoint={folder / 'checkpoint'}", "threads=1"]
    return load("training/configs/test.yaml", overrides)


@pytest.fixture(scope="module")
def results(config):
    return reproduce.reproduce(config)


def comparison(config) -> Path:
    return Path(config.run) / "comparison"


def test_every_system_has_a_score_at_every_rank_in_both_worlds(results):
    ranked = {"test": ["1", "5", "10"], "test_unseen": ["1", "5"], "mutants": ["1"], "places": ["1"]}
    assert list(results) == list(ranked)
    for split, ranks in ranked.items():
        result = results[split]
        assert result["split"] == split
        assert set(result["systems"]) == SYSTEMS
        for system in result["systems"].values():
            assert list(system["top"]) == ranks
            scores = [row["clibd_score"] for row in system["top"].values()]
            assert scores == sorted(scores)
            for row in system["top"].values():
                assert row["interval"][0] <= row["clibd_score"] <= row["interval"][1]
                assert row["relative"] == pytest.approx(
                    row["clibd_score"] / result["ground_truth"]["clibd_score"]
                )
            assert {"diversity", "retrieval", "traits", "fid", "kid", "memorisation"} <= set(system)
        assert set(result["lead"]) == SYSTEMS - {"g2pdiffusion"}


def test_nulls_and_the_second_judge_stand_in_every_world(config, results):
    for split, result in results.items():
        assert set(result["nulls"]) == set(tables.NULLS) == set(result["lead_over_nulls"])
        for found in (*result["nulls"].values(), *result["systems"].values()):
            assert -1 <= found["phenotype"]["top"]["1"]["score"] <= 1
            assert (found["phenotype"]["told"] is None) == (split == "mutants")
        for lead in (*result["lead_over_nulls"].values(), *result["lead"].values()):
            for judge in ("clibd", "phenotype"):
                low, high = lead[judge]["1"]["interval"]
                assert low <= lead[judge]["1"]["difference"] <= high
        assert {"rms", "phenotype"} == set(result["nearer_than_nearest"])
        assert {"linear", "mlp"} == set(result["regressions"])
        floor = result["ground_truth"]
        assert floor["fid"] < result["systems"]["df_gan"]["fid"] and floor["kid"] is not None
        table = (comparison(config) / split / "table.md").read_text()
        for title in tables.NULLS.values():
            assert f"| {title} |" in table


def test_all_learned_for_the_same_number_of_steps(results):
    training = results["test"]["training"]
    steps = {training[name]["steps"] for name in ("diffusion", "controlnet", "df_gan")}
    assert len(steps) == 1 and steps.pop() > 10


def test_the_worlds_share_no_species_and_no_barcode(config, results):
    closed, opened = (
        load_world(config.data, split, 6, comparison(config) / "data").specimens
        for split in ("test", "test_unseen")
    )
    known = load_world(config.data, "test", 6, comparison(config) / "data").references.table
    assert set(closed["species"]) <= set(known["species"])
    assert not set(opened["species"]) & set(known["species"])
    assert not set(closed["dna_barcode"]) & set(known["dna_barcode"])


def test_ablations_stand_in_the_same_table(config, results):
    ablations = results["test"]["ablations"]
    assert {"as compared", "alignment scale 0", "alignment scale 10", "2 steps"} <= set(ablations)
    assert {"tokens, alignment scale 0", "no environment, alignment scale 0"} <= set(ablations)
    assert any(name.startswith("guidance rule as printed") for name in ablations)
    assert results["test_unseen"]["ablations"] == {}
    # What is the same system is the same picture, whatever it is called.
    unaligned = ablations["alignment scale 0"]["top"]["1"]
    table = (comparison(config) / "test" / "table.md").read_text()
    assert f"{unaligned['clibd_score']:.3f}" in table
    for name in ablations:
        assert f"| {name} |" in table


def test_tables_and_figures_are_written_in_every_form(config, results):
    for split in results:
        folder = comparison(config) / split
        assert json.loads((folder / "results.json").read_text())["systems"].keys() == SYSTEMS
        markdown, latex = (folder / "table.md").read_text(), (folder / "table.tex").read_text()
        for title in tables.TITLES.values():
            assert f"| {title} |" in markdown and f"{title} &" in latex
        assert "BIOSCAN-5M" in markdown and latex.count(r"\toprule") == 1
        for figure in ("systems", "density"):
            assert (folder / f"{figure}.png").stat().st_size > 5_000
        assert (folder / "density.svg").read_text().startswith("<?xml")  # lines alone are worth one
        assert not (folder / "systems.svg").exists()
    table = (comparison(config) / "test" / "table.md").read_text()
    assert "0.182 / 0.302 / 0.358 / 0.397 / 0.455 / 0.480" in table
    rows = list(csv.DictReader((comparison(config) / "test" / "table.csv").open(encoding="utf-8-sig")))
    for name, k, score in (("controlnet", "1", 0.107), ("df_gan", "10", 0.181)):
        printed = next(row for row in rows if row["name"] == name and row["k"] == k)
        assert float(printed["paper_clibd_score"]) == score
    assert (comparison(config) / "mutation_latitude.png").exists()
    assert not (comparison(config) / "mutation_latitude.svg").exists()


@pytest.mark.parametrize("name", ["stable_diffusion", "controlnet"])
def test_baselines_that_denoise_are_served_like_any_checkpoint(config, results, name):
    pipeline = load_pipeline(Path(config.run) / "served" / name)
    *_, last = pipeline.stream(BARCODE, 56.6, 11.3, num_inference_steps=2)
    assert last.image.size == (64, 64) and pipeline.aligner is None
    assert (pipeline.controlnet is not None) == (name == "controlnet")


def test_a_second_run_draws_nothing_again_and_a_lost_file_is_drawn_alike(config, results):
    samples = comparison(config) / "test" / "samples" / "g2pdiffusion"
    lost = samples / "00003.npz"
    before = {file: file.stat().st_mtime_ns for file in samples.glob("*.npz")}
    expected = dict(np.load(lost))
    lost.unlink()
    pipeline = build_pipeline(config)
    learned = reproduce.Learned.load(config, pipeline)
    again = reproduce.compare(config, "test", pipeline, reproduce.systems(config, pipeline), learned)
    for file, stamp in before.items():
        assert (file.stat().st_mtime_ns == stamp) == (file != lost)
    np.testing.assert_allclose(np.load(lost)["embeddings"], expected["embeddings"], atol=1e-5)
    assert again["systems"].keys() == results["test"]["systems"].keys()


def test_samples_under_other_settings_are_drawn_anew(config, results, tmp_path):
    pipeline = build_pipeline(config)
    world = load_world(config.data, "test", 2, comparison(config) / "data")

    def draw(steps):
        system = PipelineSystem(pipeline, {"num_inference_steps": steps})
        return sample(system, world, pipeline.clibd, 2, tmp_path / "samples", "tried").embeddings

    two = draw(2)
    assert torch.equal(draw(2), two)
    assert not torch.allclose(draw(3), two, atol=1e-4)


def test_variants_train_no_longer_than_they_may():
    arguments = ["--config", "training/configs/embedded_baselines.yaml", "--run", "here"]
    name = "400 training steps, token context"
    whole = reproduce.variant_config(parse_arguments("Whole.", arguments), name)
    assert whole.diffusion.training.steps == 400
    assert whole.diffusion.conditioner["context"] == "tokens"
    assert Path(whole.run) == Path("here/variants/400_training_steps,_token_context")
    tried = reproduce.variant_config(parse_arguments("Tried.", [*arguments, "--max-steps", "2"]), name)
    assert tried.diffusion.training.steps == 2
    assert replace(tried.diffusion, training=whole.diffusion.training) == whole.diffusion


def test_worlds_that_are_made_at_once_are_the_same(tmp_path):
    config = DataConfig(simulated_species=24, simulated_per_species=6, image_size=32)
    Simulator.default()  # which takes its time only once
    together = Barrier(2)

    def make(_):
        together.wait()
        return load_world(config, "test", 8, tmp_path / "data")

    with ThreadPoolExecutor(2) as threads:
        one, two = threads.map(make, range(2))
    assert len(one.truth) and torch.equal(one.truth, two.truth) and torch.equal(one.others, two.others)
    every = np.arange(len(one.references))
    assert torch.equal(one.references.images(every), two.references.images(every))


def test_a_seed_chooses_others_of_the_same_table(tmp_path):
    config = DataConfig(simulated_species=24, simulated_per_species=10, image_size=32)
    first, second = (load_world(config, "test", 8, tmp_path, seed).specimens for seed in (None, 1))
    known = set(load_table(config)["dna_barcode"])
    assert set(first["dna_barcode"]) != set(second["dna_barcode"])
    assert set(first["dna_barcode"]) | set(second["dna_barcode"]) <= known


def test_two_processes_draw_what_one_does(config, results, tmp_path):
    command = ["-m", "training.evaluate", "--checkpoint", config.assemble.checkpoint, "--split", "test"]
    command += ["--config", "training/configs/test.yaml", "--barcodes", "3", "--samples", "3", "--steps", "2"]
    command += ["--experiments", "0", "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "ACCELERATE_USE_CPU": "true"}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes=2"]
    launch += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    one, two = tmp_path / "one", tmp_path / "two"
    subprocess.run([sys.executable, *command, str(one)], check=True, env=environment)
    subprocess.run([*launch, *command, str(two)], check=True, env=environment)
    first, second = (json.loads((folder / "results.json").read_text()) for folder in (one, two))
    assert (first["processes"], second["processes"]) == (1, 2)
    assert first["systems"]["g2pdiffusion"]["top"] == second["systems"]["g2pdiffusion"]["top"]
    for file in (one / "samples" / "aligned").glob("*.npz"):
        same = np.load(two / "samples" / "aligned" / file.name)
        np.testing.assert_array_equal(np.load(file)["embeddings"], same["embeddings"])
