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
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from g2pdiff.about import About
from g2pdiff.errors import InputError
from training.data.storage import writing_to


@dataclass
class DataConfig:
    """Which specimens to learn from: simulated ones, or photographs.

    Photographs show the barcoded animals themselves (`metadata`, `hub` or `bold`), or their
    species (`photographs`).
    """

    table: str | None = None  # parquet or CSV in BIOSCAN-5M's columns; None makes barcodes along a tree
    metadata: str | None = None  # BIOSCAN-5M's CSV, see training/data/bioscan.py
    pictures: str | None = None  # with it: folder that holds bioscan5m/images or the zips as downloaded
    hub: str | None = None  # in place of both: a parquet data set on the Hub, or a local folder of parquet
    photographs: str | None = None  # beside `table`: pictures by species, see training/species_pictures.py
    bold: str | None = None  # folder of training.bold, whose photographs show the barcoded animals
    package: str = "cropped_256"  # of photographs; to measure body size choose original_256
    unlabelled: bool = False  # learn from the pretrain split too, whose specimens have no species name
    cache: str = "runs/cache"  # folder for what is made once of metadata and zips
    simulated_species: int = 48  # without a table: species to make
    simulated_per_species: int = 12  # and barcodes of each
    image_size: int = 128  # pixels
    per_species: int = (
        24  # training specimens of a species at most, so that common species do not drown rare ones
    )
    held_out: int = 512  # validation specimens to keep for thresholds and previews
    mutated_share: float = 0.2  # simulated training specimens whose barcode is mutated before they are drawn
    max_mutation_rate: float = 0.5  # their rates are uniform up to this
    roaming_share: float = 0.25  # simulated training specimens set down at a random place on Earth
    unseen_species: float = 0.1  # share of the species that are held out whole
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

    @property
    def by_species(self) -> bool:
        """Whether photographs show the species of a barcode, not the barcoded animal."""
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
    """How a stage is optimised."""

    steps: int = 1000
    batch_size: int = 64  # over all processes and pieces
    accumulation: int = 1  # pieces of a batch, one at a time in memory; contrastive losses see a piece each
    learning_rate: float = 4e-4
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])  # of Adam
    warmup_steps: int = 100
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    ema_decay: float = 0.0  # 0 keeps no moving average
    ema_offload: bool = False  # keep it in the machine's memory in place of the GPU's
    mixed_precision: str = "no"  # no, fp16 or bf16
    gradient_checkpointing: bool = False  # recompute activations: less memory, a third more time
    save_every: int = 500  # steps between checkpoints
    log_every: int = 20  # steps between lines in TensorBoard
    feeders: int = 0  # threads that make batches ahead, for a GPU that waits for them; 0 makes each when due
    seed: int = 0

    def __post_init__(self):
        if self.mixed_precision == "False":  # how YAML reads a bare `no`
            self.mixed_precision = "no"


@dataclass
class StageConfig:
    """One stage: the models' own arguments, the stage's settings, and the optimisation."""

    model: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    training: TrainingConfig = field(default_factory=TrainingConfig)


@dataclass
class LoraSettings:
    """The low-rank adapter beside a base's frozen U-Net."""

    rank: int = 4
    alpha: int = 4  # the update is scaled by alpha / rank
    targets: list[str] = field(default_factory=lambda: ["to_q", "to_k", "to_v", "to_out.0"])  # ends of names


@dataclass
class DiffusionConfig(StageConfig):
    """The diffusion stage has two models, trained together, and a noise schedule."""

    base: str | None = None  # folder or hub id in diffusers' layout, for U-Net, autoencoder and schedule
    lora: LoraSettings = field(default_factory=LoraSettings)  # with a base
    conditioner: dict[str, Any] = field(default_factory=dict)
    conditioner_init: str | None = None  # BarcodeBERT's folder or file, which the conditioner starts from
    tokenizer: dict[str, Any] = field(default_factory=lambda: {"k": 4, "stride": 4})
    scheduler: dict[str, Any] = field(default_factory=dict)


@dataclass
class AssembleConfig:
    """What the finished checkpoint does by default."""

    checkpoint: str = "runs/default/checkpoint"  # folder to write
    default_steps: int = 25
    default_guidance_scale: float = 2.0
    default_alignment_scale: float = 1.0
    default_guidance_below: int = 1000
    max_shard_size: str = "9MB"
    note: str = ""  # for the model card: what the configuration does not tell of these weights
    about: dict[str, Any] = field(default_factory=dict)  # what people are told, see g2pdiff/about.py
    examples: dict[str, str] = field(default_factory=dict)  # species a visitor can pick: their common names

    def __post_init__(self):
        About.check(self.about)


@dataclass
class ComparisonConfig:
    """What `training.reproduce` compares, and how often it draws."""

    barcodes: int = 32  # held-out barcodes of a world, one per species
    samples: dict[str, int] = field(default_factory=lambda: {"test": 100, "test_unseen": 20})  # by split
    ablation_samples: int = 10  # of a barcode, in the first of these splits
    alignment_scales: list[float] = field(default_factory=list)  # beside 0 and the checkpoint's default
    steps: list[int] = field(default_factory=list)  # beside the checkpoint's default
    variants: dict[str, list[str]] = field(default_factory=dict)  # name to overrides; trained, then unaligned


@dataclass
class Config:
    """A whole training run."""

    run: str = "runs/default"  # folder of everything the run writes
    start_from: str | None = None  # folder of a finished run whose weights the stages start from
    arguments: list[str] = field(default_factory=list, compare=False)  # it was read from
    threads: int | None = None  # of a process on CPU; None leaves PyTorch's choice
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
    """Read a YAML file, laid over the one that its key `extends` names."""
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
    """Read a YAML file and `key=value` overrides into a `Config`, which keeps them as its `arguments`.

    Raises:
        InputError: the file is missing, or a key or value does not fit.
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
    """Join the other processes of `accelerate launch`; every later `PartialState()` is the same one.

    It does not read from the environment itself that the launcher asks for the CPU.
    """
    return PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU"))


def command(
    description: str | None, action: Callable[[Config], object], arguments: Sequence[str] | None = None
) -> int:
    """Run a stage from the command line.

    Returns:
        The exit code: 0, or 2 after one sentence on what was wrong with what was given.
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
