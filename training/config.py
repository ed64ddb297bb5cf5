"""Training configuration: dataclasses, filled from a YAML file and from `key=value` overrides.

`load("training/configs/test.yaml", ["diffusion.training.steps=10"])` gives a typed `Config`; an unknown key
or a value of the wrong type is refused with one sentence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from g2pdiff.errors import InputError


@dataclass
class DataConfig:
    """Which specimens to learn from."""

    table: str | None = None  # parquet or CSV in BIOSCAN-5M's columns; None makes barcodes along a tree
    simulated_species: int = 48  # without a table: species to make
    simulated_per_species: int = 12  # and barcodes of each
    image_size: int = 128  # pixels
    per_species: int = (
        24  # training specimens of a species at most, so that common species do not drown rare ones
    )
    held_out: int = 512  # validation specimens to keep for thresholds and previews
    mutated_share: float = 0.2  # training specimens whose barcode is mutated before they are drawn
    max_mutation_rate: float = 0.5  # their rates are uniform up to this
    roaming_share: float = 0.25  # training specimens set down at a random place on Earth
    seed: int = 0


@dataclass
class TrainingConfig:
    """How a stage is optimised."""

    steps: int = 1000
    batch_size: int = 64  # over all processes
    learning_rate: float = 4e-4
    warmup_steps: int = 100
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    ema_decay: float = 0.0  # 0 keeps no moving average
    mixed_precision: str = "no"  # no, fp16 or bf16
    save_every: int = 500  # steps between checkpoints
    log_every: int = 20  # steps between lines in TensorBoard
    seed: int = 0


@dataclass
class StageConfig:
    """One stage: the models' own arguments, the stage's settings, and the optimisation."""

    model: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass
class DiffusionConfig(StageConfig):
    """The diffusion stage has two models, trained together, and a noise schedule."""

    conditioner: dict[str, Any] = field(default_factory=dict)
    tokenizer: dict[str, Any] = field(default_factory=lambda: {"k": 4, "stride": 4})
    scheduler: dict[str, Any] = field(default_factory=dict)


@dataclass
class AssembleConfig:
    """What the finished checkpoint does by default."""

    checkpoint: str = "runs/default/checkpoint"  # folder to write
    default_steps: int = 25
    default_guidance_scale: float = 2.0
    default_alignment_scale: float = 1.0
    max_shard_size: str = "9MB"
    note: str = ""  # for the model card: what the configuration does not tell of these weights


@dataclass
class Config:
    """A whole training run."""

    run: str = "runs/default"  # folder of everything the run writes
    threads: int | None = None  # of a process on CPU; None leaves PyTorch's choice
    data: DataConfig = field(default_factory=DataConfig)
    autoencoder: StageConfig = field(default_factory=StageConfig)
    clibd: StageConfig = field(default_factory=StageConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    aligner: StageConfig = field(default_factory=StageConfig)
    assemble: AssembleConfig = field(default_factory=AssembleConfig)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and `key=value` overrides into a `Config`.

    Raises:
        InputError: the file is missing, or a key or value does not fit.
    """
    if not Path(path).is_file():
        raise InputError("config", f"There is no configuration file {path}; training/configs holds some.")
    try:
        merged = OmegaConf.merge(
            OmegaConf.structured(Config), OmegaConf.load(path), OmegaConf.from_dotlist(list(overrides))
        )
        return OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise InputError("config", f"The configuration {path} does not fit: {reason}") from error


def parse_arguments(description: str, arguments: Sequence[str] | None = None) -> Config:
    """The command line every stage shares: `--config FILE [--table FILE] [--run FOLDER] [key=value ...]`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", required=True, help="YAML file, see training/configs")
    parser.add_argument("--table", help="barcode table (parquet or CSV), short for data.table=FILE")
    parser.add_argument("--run", help="folder of the run, short for run=FOLDER")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="such as diffusion.training.steps=10"
    )
    given = parser.parse_args(arguments)
    overrides = list(given.overrides)
    overrides += [f"data.table={given.table}"] if given.table else []
    overrides += [f"run={given.run}"] if given.run else []
    return load(given.config, overrides)


def command(
    description: str, action: Callable[[Config], object], arguments: Sequence[str] | None = None
) -> int:
    """Run a stage from the command line.

    Returns:
        The exit code: 0, or 2 after one sentence on what was wrong with what was given.
    """
    try:
        config = parse_arguments(description.splitlines()[0], arguments)
        if config.threads:
            torch.set_num_threads(config.threads)
        action(config)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
