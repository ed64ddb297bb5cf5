"""Configurations: typed, overridable, and strict about what they do not know."""

from pathlib import Path

import pytest

from g2pdiff.errors import InputError
from training.configs.schema import load, parse_arguments

CONFIGS = ("training/configs/embedded.yaml", "training/configs/test.yaml")
STAGED = sorted(Path("training/configs").glob("*.yaml"))


@pytest.mark.parametrize("path", STAGED, ids=str)
def test_shipped_configurations_load(path):
    config = load(path)
    assert config.diffusion.training.steps > 0
    assert config.diffusion.base or config.diffusion.model["block_out_channels"]


def test_overrides_and_shorthands():
    config = parse_arguments(
        "x", ["--config", CONFIGS[1], "--table", "t.parquet", "--run", "r", "clibd.training.steps=7"]
    )
    assert (config.data.table, config.run, config.clibd.training.steps) == ("t.parquet", "r", 7)


def test_a_configuration_keeps_the_arguments_that_gave_it():
    config = parse_arguments("x", ["--config", CONFIGS[1], "--run", "r", "--max-steps", "2", "threads=1"])
    assert config.arguments == ["--config", CONFIGS[1], "--max-steps", "2", "threads=1", "run=r"]
    again = parse_arguments("x", config.arguments)
    assert again == config and again.clibd.training.steps == 2
    with pytest.raises(InputError, match="does not fit: arguments is no key"):
        load(CONFIGS[1], ["arguments=[--config]"])


@pytest.mark.parametrize(
    "override", ["diffusion.training.stepz=3", "diffusion.training.steps=many", "data.seed=[1]"]
)
def test_unknown_keys_and_wrong_types_are_refused(override):
    with pytest.raises(InputError, match="does not fit") as caught:
        load(CONFIGS[1], [override])
    assert "\n" not in str(caught.value)


def test_missing_file():
    with pytest.raises(InputError, match="no configuration file"):
        load("nowhere.yaml")
