"""The training configuration: dataclasses that are filled from a YAML file and `key=value` overrides.

`load("training/configs/test.yaml", ["diffusion.training.steps=10"])` returns a typed `Config`. An unknown key
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
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from g2pdiff.about import About
from g2pdiff.errors import InputError
from training.data.storage import writing_to


@dataclass
class DataConfig:
    """The specimens to learn from: simulated ones or photographs.

    Photographs show either the barcoded animals themselves (`metadata`, `hub` or `bold`), or other animals of
    their species (`photographs`).
    """

    table: str | None = None  # parquet or CSV in BIOSCAN-5M's columns; else barcodes evolve along a tree
    metadata: str | None = None  # BIOSCAN-5M's CSV, see training/data/bioscan.py
    pictures: str | None = None  # for `metadata`: folder with bioscan5m/images or the downloaded zips
    hub: str | None = None  # instead of both: a parquet data set, on the Hub or in a local folder
    photographs: str | None = None  # with `table`: pictures by species, see training/data/species_pictures.py
    bold: str | None = None  # folder of training.bold; its photographs show the barcoded animals
    package: str = "cropped_256"  # package of photographs; choose original_256 to measure body size
    unlabelled: bool = False  # learn from the pretrain split too; its specimens have no species name
    cache: str = "runs/cache"  # folder for files that are made once from metadata and zips
    simulated_species: int = 48  # without a table: number of species; with 0 a run needs a table
    simulated_per_species: int = 12  # and of barcodes per species
    image_size: int = 128  # pixels
    per_species: int = (
        24  # most training specimens per species, so that common species do not outweigh rare ones
    )
    held_out: int = 512  # validation specimens for thresholds and previews
    mutated_share: float = 0.2  # share of simulated training specimens with a mutated barcode
    max_mutation_rate: float = 0.5  # their mutation rates are uniform from 0 to this
    roaming_share: float = 0.25  # share of simulated training specimens at a random locality
    unseen_species: float = 0.1  # share of the species that are held out with all their barcodes
    unseen_genera: float = 0.0  # share of the genera that are held out with all their species
    seed: int = 0

    def __post_init__(self):
        given = [f"data.{name}" for name in ("table", "metadata", "hub", "bold") if getattr(self, name)]
        if len(given) > 1:
            raise InputError("data", f"Specimens come from one source: give {' or '.join(given)} alone.")
        if self.photographs and not self.table:
            raise InputError(
                "data", "Photographs by species need the barcodes of their species: give data.table=FILE."
            )

    def require_source(self) -> None:
        """Refuse a configuration that has no specimens to learn from.

        Raises:
            InputError: field `data`, if it names no source and simulates no species.
        """
        if not (self.table or self.by_specimen or self.simulated_species):
            raise InputError(
                "data",
                "This configuration names no specimens: give data.metadata=FILE and data.pictures=FOLDER, or "
                "data.hub=FOLDER-OR-ID, data.bold=FOLDER or data.table=FILE.",
            )

    @property
    def by_species(self) -> bool:
        """Whether photographs show the barcode's species, not the barcoded animal."""
        return bool(self.photographs)

    @property
    def by_specimen(self) -> bool:
        """Whether photographs show the barcoded animals themselves."""
        return bool(self.metadata or self.hub or self.bold)

    @property
    def photographed(self) -> bool:
        """Whether specimens are photographs of real animals."""
        return self.by_specimen or self.by_species


@dataclass
class TrainingConfig:
    """The optimisation of a stage."""

    steps: int = 1000
    batch_size: int = 64  # of all processes and pieces together
    accumulation: int = 1  # pieces per batch, one in memory at a time; contrastive losses see one piece
    learning_rate: float = 4e-4
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])  # Adam's betas
    warmup_steps: int = 100
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    ema_decay: float = 0.0  # 0 means no moving average
    ema_offload: bool = False  # keep the average in main memory, not on the GPU
    mixed_precision: str = "no"  # no, fp16 or bf16
    gradient_checkpointing: bool = False  # recompute activations: it saves memory and costs a third more time
    save_every: int = 500  # steps between checkpoints
    log_every: int = 20  # steps between TensorBoard entries
    feeders: int = 0  # threads that prepare batches, if a GPU waits for them; with 0 each is made when needed
    seed: int = 0

    def __post_init__(self):
        if self.mixed_precision == "False":  # YAML reads a bare `no` as False
            self.mixed_precision = "no"


@dataclass
class StageConfig:
    """A stage: the arguments of its model, its settings and its optimisation."""

    model: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass
class LoraSettings:
    """The low-rank adapter beside a base's frozen U-Net."""

    rank: int = 4
    alpha: int = 4  # the factor on the update is alpha / rank
    targets: list[str] = field(default_factory=lambda: ["to_q", "to_k", "to_v", "to_out.0"])  # layer names


@dataclass
class DiffusionConfig(StageConfig):
    """The diffusion stage: two models that are trained together, and a noise schedule."""

    base: str | None = None  # folder or hub id in diffusers' layout, for U-Net, autoencoder and schedule
    lora: LoraSettings = field(default_factory=LoraSettings)  # used with a base
    conditioner: dict[str, Any] = field(default_factory=dict)
    conditioner_init: str | None = None  # folder or file of BarcodeBERT to start the conditioner from
    tokenizer: dict[str, Any] = field(default_factory=lambda: {"k": 4, "stride": 4})
    scheduler: dict[str, Any] = field(default_factory=dict)


@dataclass
class AssembleConfig:
    """The finished checkpoint and its defaults."""

    checkpoint: str = "runs/default/checkpoint"  # folder to write
    default_steps: int = 25
    default_guidance_scale: float = 2.0
    default_alignment_scale: float = 1.0
    default_guidance_below: int = 1000
    max_shard_size: str = "9MB"
    note: str = ""  # a note for the model card about these weights
    about: dict[str, Any] = field(default_factory=dict)  # description for people, see g2pdiff/about.py
    examples: dict[str, str] = field(default_factory=dict)  # common names by species, for the app

    def __post_init__(self):
        About.check(self.about)


@dataclass
class ComparisonConfig:
    """The comparison of `training.reproduce`: its worlds, samples per barcode, and ablations."""

    barcodes: int = 32  # held-out barcodes per world, one per species
    samples: dict[str, int] = field(default_factory=lambda: {"test": 100, "test_unseen": 20})  # by world
    ablation_samples: int = 10  # in the first world
    alignment_scales: list[float] = field(default_factory=list)  # besides 0 and the checkpoint's default
    steps: list[int] = field(default_factory=list)  # besides the checkpoint's default
    variants: dict[str, list[str]] = field(default_factory=dict)  # overrides by name; drawn unaligned


@dataclass
class Config:
    """A whole training run."""

    run: str = "runs/default"  # folder for everything that the run writes
    start_from: str | None = None  # folder of a finished run; its weights are the stages' initial weights
    arguments: list[str] = field(default_factory=list, compare=False)  # of this configuration
    threads: int | None = None  # threads per process on a CPU; None means PyTorch's choice
    data: DataConfig = field(default_factory=DataConfig)
    autoencoder: StageConfig = field(default_factory=StageConfig)
    clibd: StageConfig = field(default_factory=StageConfig)
    conditioner: StageConfig = field(default_factory=lambda: StageConfig(training=TrainingConfig(steps=0)))
    phenotype: StageConfig = field(default_factory=lambda: StageConfig(training=TrainingConfig(steps=0)))
    decoder: StageConfig = field(default_factory=lambda: StageConfig(training=TrainingConfig(steps=0)))
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    aligner: StageConfig = field(default_factory=StageConfig)
    controlnet: StageConfig = field(default_factory=StageConfig)
    df_gan: StageConfig = field(default_factory=StageConfig)
    assemble: AssembleConfig = field(default_factory=AssembleConfig)
    comparison: ComparisonConfig = field(default_factory=ComparisonConfig)


def _read(path: Path) -> DictConfig:
    """Read a YAML file. Its values overwrite those of the file that its key `extends` names."""
    given = OmegaConf.load(path)
    assert isinstance(given, DictConfig)
    base = given.get("extends")
    if base is None:
        return given
    del given["extends"]
    merged = OmegaConf.merge(_read(path.parent / base), given)
    assert isinstance(merged, DictConfig)
    return merged


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML file and `key=value` overrides into a `Config`, which stores them as `arguments`.

    Raises:
        InputError: field `config`, if the file is missing, or a key or value does not fit.
    """
    if not Path(path).is_file():
        raise InputError("config", f"There is no configuration file {path}; training/configs holds some.")
    try:
        merged = OmegaConf.merge(
            OmegaConf.structured(Config), _read(Path(path)), OmegaConf.from_dotlist(list(overrides))
        )
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise InputError("config", f"The configuration {path} does not fit: {reason}") from error
    assert isinstance(config, Config)
    if config.arguments:
        raise InputError("config", f"The configuration {path} does not fit: arguments is no key to set.")
    config.arguments = ["--config", str(path), *overrides]
    return config


def parse_arguments(description: str | None, arguments: Sequence[str] | None = None) -> Config:
    """Parse the command line that every stage shares.

    `--config FILE [--table FILE] [--run FOLDER] [--max-steps N] [key=value ...]`
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", required=True, help="YAML file, see training/configs")
    parser.add_argument("--table", help="barcode table (parquet or CSV), short for data.table=FILE")
    parser.add_argument("--run", help="folder of the run, short for run=FOLDER")
    parser.add_argument("--max-steps", type=int, help="steps of a stage at most, to try a configuration")
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="such as diffusion.training.steps=10"
    )
    given = parser.parse_args(arguments)
    overrides = list(given.overrides)
    overrides += [f"data.table={given.table}"] if given.table else []
    overrides += [f"run={given.run}"] if given.run else []
    config = load(given.config, overrides)
    if given.max_steps is not None:
        config.arguments[2:2] = ["--max-steps", str(given.max_steps)]
        for stage in vars(config).values():
            if isinstance(stage, StageConfig):
                stage.training.steps = min(stage.training.steps, given.max_steps)
    return config


def join_processes() -> PartialState:
    """Join the other processes of `accelerate launch`. Every later `PartialState()` returns the same state.

    `PartialState` does not read by itself that the launcher asks for the CPU.
    """
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def command(
    description: str | None, action: Callable[[Config], object], arguments: Sequence[str] | None = None
) -> int:
    """Run a stage from the command line.

    Returns:
        The exit code: 0, or 2 after one sentence about bad input.
    """
    try:
        config = parse_arguments((description or "").partition("\n")[0], arguments)
        if config.threads:
            torch.set_num_threads(config.threads)
        join_processes()
        with writing_to(Path(config.run)):
            action(config)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0
