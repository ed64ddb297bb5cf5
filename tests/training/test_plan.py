"""The plan of a run: what it counts, what it finds missing, and hours from a measured trial."""

import pytest

from g2pdiff.errors import InputError
from training import plan
from training.configs.schema import load
from training.data.miniature import small_settings
from training.data.specimens import load_specimens
from training.data.storage import write_json

PAPER, TEST = "training/configs/paper.yaml", "training/configs/test.yaml"


def test_the_papers_configuration_alone_lacks_its_data_and_its_judge(capsys):
    assert plan.main(["--config", PAPER]) == 1
    said = capsys.readouterr().out
    assert "names no specimens: give data.metadata=FILE and data.pictures=FOLDER" in said
    assert "best.pth, which clibd.settings.official names" in said
    assert "stable-diffusion-v1-5/stable-diffusion-v1-5 is no folder here" in said
    assert "diffusion      100,000    128" in said


def test_a_small_paper_run_lacks_nothing_and_its_counts_are_those_of_the_run(tmp_path, capsys):
    settings = small_settings(tmp_path)
    assert plan.main(["--config", PAPER, *settings]) == 0
    said = capsys.readouterr().out
    assert "Nothing is missing." in said and "were not measured" in said
    config = load(PAPER, settings)
    made = plan.make_plan(config)
    for split, count in made.specimens.items():
        assert count == len(load_specimens(config.data, tmp_path / "run", split))
    assert made.latents_gb == pytest.approx(sum(made.specimens.values()) * 4 * 8 * 8 * 2 / 1e9)
    autoencoder = made.stages[0]
    assert (autoencoder.name, autoencoder.steps, autoencoder.hours) == ("autoencoder", 0, 0.0)


def test_hours_and_memory_come_from_a_trial(tmp_path):
    config = load(TEST)
    rates = dict.fromkeys([stage.name for stage in plan.make_plan(config).stages], 2.0)
    trial = {name: {"samples_per_second": rate, "peak_memory_gb": 1.5} for name, rate in rates.items()}
    write_json(tmp_path / "results.json", trial)
    made = plan.make_plan(config, tmp_path)
    diffusion = next(stage for stage in made.stages if stage.name == "diffusion")
    assert diffusion.hours == pytest.approx(40 * 8 / 2 / 3600)
    assert diffusion.memory_gb == 1.5
    assert diffusion.passes == pytest.approx(40 * 8 / made.specimens["train"])
    total = sum(stage.hours for stage in made.stages)
    assert f"{total:,.1f}" in plan.describe(made).partition("together")[2]


def test_a_trial_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no results"):
        plan.make_plan(load(TEST), tmp_path)
