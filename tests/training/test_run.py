"""Everything from made barcodes to a served checkpoint, in miniature."""

import json
from dataclasses import replace

import pytest

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from g2pdiff.references import References
from tests.tiny import BARCODE
from training import assemble, evaluate, run, sweep
from training.config import command, load
from training.results import read_results

QUICK = [f"{stage}.training.steps=6" for stage in ("autoencoder", "clibd", "diffusion", "aligner")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def config(folder):
    overrides = [f"run={folder}", f"assemble.checkpoint={folder / 'checkpoint'}", "threads=null"]
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
    assert set(results) == {"autoencoder", "clibd", "diffusion", "aligner"}
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


def test_evaluation_writes_its_table_and_figures(checkpoint, tmp_path, capsys):
    arguments = ["--checkpoint", str(checkpoint), "--split", "test", "--barcodes", "6", "--samples", "2"]
    arguments += ["--experiments", "1", "--steps", "2", "--out", str(tmp_path)]
    assert evaluate.main(arguments) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["barcodes"] == 6
    assert set(results["systems"]["g2pdiffusion"]["top"]) == {"1"}
    assert {"ground_truth", "random", "threshold", "overlap", "latitude", "mutations"} <= set(results)
    assert (tmp_path / "truth_and_prediction.png").stat().st_size > 10_000
    assert "CLIBDScore" in capsys.readouterr().out


def test_evaluation_refuses_a_missing_checkpoint(tmp_path, capsys):
    assert evaluate.main(["--checkpoint", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert "no checkpoint folder" in capsys.readouterr().err


def test_commands_refuse_what_they_cannot_use_in_one_sentence(tmp_path, capsys):
    good = ["--config", "training/configs/test.yaml", "--run", str(tmp_path)]
    for arguments, sentence in (
        ([*good, "--table", "/nowhere.parquet"], "no barcode table"),
        ([*good, "clibd.training.steps=many"], "does not fit"),
        (["--config", "nowhere.yaml"], "no configuration file"),
    ):
        assert command("A stage.", run.run, arguments) == 2
        error = capsys.readouterr().err
        assert sentence in error and "Traceback" not in error


def test_sweep_prints_a_row_for_every_combination(checkpoint, tmp_path, capsys):
    arguments = ["--checkpoint", str(checkpoint), "--barcodes", "3", "--steps", "2"]
    arguments += ["--guidance-scales", "1", "2", "--alignment-scales", "0", "5"]
    assert sweep.main([*arguments, "--out", str(tmp_path / "sweep.md")]) == 0
    assert (tmp_path / "sweep.md").read_text().count("\n| 2 | ") == 4
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 1 + 4 and "clibd_score" in lines[0]
