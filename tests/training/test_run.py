"""Everything from made barcodes to a served checkpoint, in miniature."""

import json
import os
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from g2pdiff.analysis.references import References
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from g2pdiff.simulation.barcodes import simulate_barcodes
from tests.tiny import BARCODE
from tests.training.data.test_species_pictures import picture
from training import assemble, evaluate, run, tune_sampling
from training.configs.schema import DataConfig, command, load, parse_arguments
from training.data.specimens import load_specimens, load_table
from training.evaluation.results import read_results
from training.release import model_card

SEED = 3
QUICK = [f"{stage}.training.steps=4" for stage in run.STAGES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def config(folder):
    overrides = [f"run={folder}", f"assemble.checkpoint={folder / 'checkpoint'}", "threads=null"]
    overrides += [f"data.seed={SEED}"]
    return load("training/configs/test.yaml", overrides + QUICK)


@pytest.fixture(scope="module")
def checkpoint(config):
    return run.run(config)


def test_the_run_ends_in_a_checkpoint_that_draws(checkpoint):
    pipeline = load_pipeline(checkpoint)
    output = pipeline(BARCODE, 56.6, 11.3, num_inference_steps=2)
    assert output.images[0].size == (64, 64)
    assert pipeline.config.truth == "simulated"
    assert pipeline.aligner.bank.abs().sum() > 0
    assert len(References.load(checkpoint)) > 10
    assert max(path.stat().st_size for path in checkpoint.rglob("*.safetensors")) < 10_000_000


def test_every_stage_records_its_figures_and_the_threshold_is_stored(config, checkpoint, folder):
    results = read_results(folder)
    assert set(results) == set(run.STAGES)
    assert set(results["conditioner"]["held_out_r2"]) == {"both", "bert", "sketch"}
    assert results["autoencoder"]["psnr_db"] > 15
    assert load_pipeline(checkpoint).clibd.config.threshold == pytest.approx(results["clibd"]["threshold"])


def test_a_second_run_trains_nothing(config, checkpoint, folder):
    before = (folder / "results.json").stat().st_mtime_ns
    stray = checkpoint / "unet" / "diffusion_pytorch_model-00009.safetensors"
    stray.touch()  # of a checkpoint with more shards
    assert run.run(config) == checkpoint
    assert (folder / "results.json").stat().st_mtime_ns == before
    assert not stray.exists() and not list(folder.glob("partial-*"))


def test_a_checkpoint_takes_the_place_of_nothing_else(config, checkpoint, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(InputError, match="something else than a checkpoint") as refused:
        assemble.assemble(replace(config, assemble=replace(config.assemble, checkpoint=str(tmp_path))))
    assert refused.value.field == "checkpoint"
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_the_model_card_says_what_it_must(checkpoint):
    card = (checkpoint / "README.md").read_text()
    for words in ("simulated", "Do not use it for", "Identifying", "apache-2.0", "validation specimens"):
        assert words in card
    assert "$" not in card
    assert (checkpoint / "figures" / "training.png").stat().st_size > 5_000
    assert "![training curves](figures/training.png)" in card
    assert f"min of {os.cpu_count()} CPU cores" in card
    assert "equals a training one at all sites\nthat both know are left out" in card
    assert "The task is easy by construction" in card


def test_the_card_of_photographs_by_species_says_what_they_can_show_and_whose_they_are(config, tmp_path):
    records = pd.DataFrame(simulate_barcodes(3, 20, seed=1))
    records.to_parquet(tmp_path / "table.parquet")
    for name in records["species"].unique():
        (tmp_path / "pictures" / name).mkdir(parents=True)
        (tmp_path / "pictures" / name / "1.png").write_bytes(picture((200, 60, 40)))
    data = DataConfig(
        table=str(tmp_path / "table.parquet"),
        photographs=str(tmp_path / "pictures"),
        image_size=32,
        unseen_species=0.0,
    )
    about = {"credit": "Photographs: A. Person.", "licence": "Apache 2.0.", "barcodes": "Barcodes: BOLD."}
    run = tmp_path / "run"
    shutil.copytree(config.run, run, ignore=shutil.ignore_patterns("checkpoint"))
    given = replace(config, run=str(run), data=data, assemble=replace(config.assemble, about=about))
    model_card.write_model_card(given, tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert (
        "learned from 3 photographs" in card and "a look-up of the nearest barcode would do that too" in card
    )
    terms = card.partition("## Credit and licence")[2]
    for words in about.values():
        assert words in terms
    assert "simulated" not in card.partition("## Training\n")[0] and "$" not in card


def test_the_model_card_gives_the_command_that_repeats_the_run(config, checkpoint, folder):
    command = re.search("`python -m training.run (.*)` repeats it", (checkpoint / "README.md").read_text())
    again = parse_arguments("x", shlex.split(command[1]))
    elsewhere = {"run": config.run, "assemble": config.assemble, "arguments": config.arguments}
    assert replace(again, **elsewhere) == config
    assert str(folder) not in command[1] and "TABLE" not in command[1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--table", "/mine/t.csv", "--max-steps", "2"], "--table TABLE --max-steps 2"),
        (["data.metadata=/mine/m.csv", "data.pictures=/mine"], "data.metadata=FILE data.pictures=FOLDER"),
        (["data.hub=owner/name", "assemble.note=It's done."], "data.hub=owner/name"),
    ],
)
def test_paths_of_the_run_are_placeholders_on_the_card(given, said, monkeypatch, tmp_path):
    root = Path.cwd()
    monkeypatch.chdir(tmp_path)
    file = root / "training" / "configs" / "paper.yaml"
    config = parse_arguments("x", ["--config", str(file), *given])
    assert model_card.repeat(config) == f"python -m training.run --config training/configs/paper.yaml {said}"


@pytest.mark.parametrize("experiments", [1, 0])
def test_the_model_card_links_what_an_evaluation_made_and_says_how(config, checkpoint, tmp_path, experiments):
    def evaluated(out, *arguments) -> str:
        assert evaluate.main([*map(str, arguments), "--out", str(out)]) == 0
        return (out / "table.md").read_text()

    run = tmp_path / "run"
    shutil.copytree(config.run, run, ignore=shutil.ignore_patterns("checkpoint"))
    (tmp_path / "card").mkdir()
    (run / "evaluation").mkdir()
    for figure in ("mutations.png", "sweeps.png"):  # of an evaluation before this one
        (run / "evaluation" / figure).touch()
    file = tmp_path / "data.yaml"
    file.write_text(f"extends: {Path('training/configs/test.yaml').resolve()}\ndata: {{seed: {SEED}}}\n")
    paths = {"CHECKPOINT": checkpoint, "RUN": run}
    given = ["--checkpoint", checkpoint, "--config", file, "--run", run, "--barcodes", 3, "--samples", 1]
    given += ["--steps", 2, "--guidance-scale", 1.5, "--alignment-scale", 0.5, "--experiments", experiments]
    first = evaluated(run / "evaluation", *given)
    model_card.write_model_card(replace(config, run=str(run)), tmp_path / "card")

    card = (tmp_path / "card" / "README.md").read_text()
    links = set(re.findall(r"\]\((figures/.*?)\)", card))
    made = {"training", "truth_and_prediction", "density"}
    made |= {"mutations", "sweeps"} if experiments else set()
    assert links == {f"figures/{name}.png" for name in made}
    assert all((tmp_path / "card" / link).stat().st_size > 1_000 for link in links)

    if not experiments:
        command = re.search("`python -m training.evaluate (.*) --out OUT`", card)
        again = evaluated(tmp_path / "again", *(paths.get(word, word) for word in shlex.split(command[1])))
        assert again == first


def test_evaluation_writes_its_table_and_figures(checkpoint, tmp_path, capsys):
    arguments = ["--checkpoint", str(checkpoint), "--split", "test", "--barcodes", "2", "--samples", "2"]
    arguments += ["--experiments", "3", "--steps", "2", "--out", str(tmp_path)]
    assert evaluate.main(arguments) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["barcodes"] == results["experiments"] == 2  # there are no more barcodes to experiment on
    assert len(results["latitude"]["relative_length"]) == len(results["latitude"]["degrees"])
    assert set(results["systems"]["g2pdiffusion"]["top"]) == {"1"}
    assert {"ground_truth", "random", "threshold", "overlap", "latitude", "mutations"} <= set(results)
    assert {"nearest_barcode", "species_mean", "mean_latent"} <= set(results["nulls"])
    assert set(results["parts"]) == {"BERT on a random barcode", "sketch on the mean barcode"}
    assert results["systems"]["g2pdiffusion"]["phenotype"] is None  # no second judge was named
    assert (tmp_path / "truth_and_prediction.png").stat().st_size > 10_000
    assert "CLIBDScore" in capsys.readouterr().out


def test_pictures_without_a_scale_are_evaluated_but_for_their_lengths(checkpoint, tmp_path, capsys):
    cropped = shutil.copytree(checkpoint, tmp_path / "cropped")
    index = json.loads((cropped / "model_index.json").read_text())
    index |= {"whole_frames": False, "truth": None}
    (cropped / "model_index.json").write_text(json.dumps(index))
    arguments = ["--checkpoint", str(cropped), "--barcodes", "3", "--samples", "1", "--steps", "1"]
    assert evaluate.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["experiments"] == 0 and not {"latitude", "longitude", "mutations"} & set(results)
    assert results["systems"]["g2pdiffusion"]["top"]
    assert "every animal fills the picture" in capsys.readouterr().err


@pytest.mark.parametrize("seed", [None, 1])
def test_copies_are_looked_for_in_what_the_run_learned_from(checkpoint, folder, tmp_path, seed):
    file = tmp_path / "data.yaml"
    file.write_text(f"extends: {Path('training/configs/test.yaml').resolve()}\ndata: {{seed: {SEED}}}\n")
    arguments = ["--checkpoint", str(checkpoint), "--config", str(file), "--run", str(folder)]
    arguments += ["--barcodes", "3", "--samples", "1", "--steps", "1", "--experiments", "0"]
    arguments += [] if seed is None else ["--seed", str(seed)]
    before = sorted((folder / "data").iterdir())
    assert evaluate.main([*arguments, "--out", str(tmp_path / "out")]) == 0
    assert sorted((folder / "data").iterdir()) == before  # nothing is drawn
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    system = results["systems"]["g2pdiffusion"]
    assert system["memorisation"]["pictures"] == len(load_specimens(load(file).data, folder))
    assert system["phenotype"]["top"]["1"]["score"] <= 1  # by the run's own second judge
    assert results["settings"]["seed"] == (SEED if seed is None else seed)


def test_evaluation_refuses_a_missing_checkpoint(tmp_path, capsys):
    assert evaluate.main(["--checkpoint", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert "no checkpoint folder" in capsys.readouterr().err


def test_commands_refuse_what_they_cannot_use_in_one_sentence(tmp_path, capsys):
    good = ["--config", "training/configs/test.yaml", "--run", str(tmp_path)]
    for arguments, sentence in (
        ([*good, "--table", "/nowhere.parquet"], "no barcode table"),
        ([*good, "--table", "tests"], "is a folder"),
        ([*good, "clibd.training.steps=many"], "does not fit"),
        (["--config", "nowhere.yaml"], "no configuration file"),
    ):
        assert command("A stage.", run.run, arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error and "Traceback" not in error


def test_sweep_prints_a_row_for_every_combination(checkpoint, tmp_path, capsys):
    arguments = ["--checkpoint", str(checkpoint), "--barcodes", "3", "--steps", "2"]
    arguments += ["--guidance-scales", "1", "2", "--alignment-scales", "0", "5"]
    assert tune_sampling.main([*arguments, "--out", str(tmp_path / "sweep.md")]) == 0
    assert (tmp_path / "sweep.md").read_text().count("\n| 2 | ") == 4
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 1 + 4 and "clibd_score" in lines[0]


def test_an_evaluation_takes_changes_of_its_configuration_and_says_what_it_cannot_use(
    checkpoint, folder, tmp_path, capsys
):
    given = ["--checkpoint", str(checkpoint), "--config", "training/configs/test.yaml", f"data.seed={SEED}"]
    quick = [
        "--barcodes",
        "2",
        "--samples",
        "1",
        "--steps",
        "1",
        "--experiments",
        "0",
        "--out",
        str(tmp_path),
    ]
    judge = ["--phenotype", str(folder / "phenotype" / "model")]
    assert evaluate.main([*given, *judge, *quick]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["settings"]["seed"] == SEED
    assert results["systems"]["g2pdiffusion"]["phenotype"]["told"]["candidates"] > 2
    capsys.readouterr()
    for arguments, sentence in (
        ([*given[:2], "data.seed=1"], "give one with --config"),
        ([*given, "data.sed=1"], "does not fit"),
        ([*given, "--phenotype", str(tmp_path)], "no phenotype encoder"),
    ):
        assert evaluate.main([*arguments, *quick]) == 2
        assert sentence in capsys.readouterr().err


def test_photographs_by_species_are_evaluated_with_all_photographs_of_a_species(
    config, checkpoint, folder, tmp_path
):
    table = load_table(config.data)
    species = sorted(table["species"].unique())
    colours = np.random.default_rng(0).integers(0, 255, (2 * len(species), 3)).tolist()
    photographs = [picture(tuple(colour)) for colour in colours]
    pd.DataFrame({"species": 2 * species, "picture": photographs}).to_parquet(
        tmp_path / "photographs.parquet"
    )
    table.drop(columns="split").to_parquet(tmp_path / "barcodes.parquet")
    unscaled = shutil.copytree(checkpoint, tmp_path / "unscaled")
    index = json.loads((unscaled / "model_index.json").read_text()) | {"whole_frames": False, "truth": None}
    (unscaled / "model_index.json").write_text(json.dumps(index))
    data = ["--config", "training/configs/test.yaml", f"data.table={tmp_path / 'barcodes.parquet'}"]
    data += [f"data.photographs={tmp_path / 'photographs.parquet'}"]
    data += ["--phenotype", str(folder / "phenotype" / "model")]
    quick = ["--barcodes", "3", "--samples", "1", "--steps", "1"]
    for split in ("test", "test_unseen"):
        out = tmp_path / split
        arguments = ["--checkpoint", str(unscaled), *data, *quick, "--split", split, "--out", str(out)]
        assert evaluate.main(arguments) == 0
        results = json.loads((out / "results.json").read_text())
        system, truth = results["systems"]["g2pdiffusion"], results["ground_truth"]
        assert system["traits"] is None and truth["fid"] is None and results["regressions"] is None
        assert truth["phenotype"] is None  # the true photographs are those that it looks the species up in
        assert 0 < system["memorisation"]["pictures"] <= len(photographs)
        told = system["phenotype"]["told"]
        assert (
            told["candidates"] <= len(species) and sum(x["barcodes"] for x in told["by_family"].values()) == 3
        )
        # What a look-up finds in the closed world is the photograph itself.
        nearest = results["nulls"]["nearest_barcode"]
        assert (nearest["phenotype"]["top"]["1"]["score"] > 0.999) == (split == "test")
        assert (out / "drawn.png").stat().st_size > 5_000
        assert "by family" in (out / "table.md").read_text()
    assert evaluate.main([*arguments[:-3], "mutants", "--out", str(tmp_path / "mutants")]) == 2
