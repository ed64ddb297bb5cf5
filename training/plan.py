"""Print what a run will do, before it does it: rows, steps, hours, memory, disk, and what is missing.

    python -m training.plan --config training/configs/paper.yaml --measured runs/try \\
        data.metadata=FILE data.pictures=FOLDER

`--measured RUN` names a short trial of the same configuration on the same machines, made with `training.run
--max-steps 20 run=RUN`. Its samples per second give the hours, and its peak memory the memory. Without a
trial both stay open. Nothing is trained and no weights are loaded. BIOSCAN-5M's metadata is read once and
kept, as a run does. The exit code is 1 if something is missing.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch

from g2pdiff.errors import InputError
from training.configs.schema import Config, parse_arguments
from training.data import bioscan
from training.data.specimens import draw_specimens, load_table
from training.evaluation.results import read_results
from training.run import STAGES, is_wanted

HALF = 2  # bytes of a latent's number


@dataclass(frozen=True)
class StagePlan:
    """The work of a stage.

    Attributes:
        name: name of the stage.
        steps: optimiser steps; 0 if a part is taken as it is published.
        batch_size: samples per step, of all processes together.
        passes: how often every training specimen is seen; None if their number is not known.
        hours: at the measured throughput; None if it was not measured.
        memory_gb: measured peak memory of a process; None if it was not measured.
    """

    name: str
    steps: int
    batch_size: int
    passes: float | None
    hours: float | None
    memory_gb: float | None


@dataclass
class Plan:
    """What a run will do.

    Attributes:
        specimens: number of specimens by split; None where it is not known.
        latents_gb: size of the cached latents; None if it is not known.
        free_gb: free disk space where the run will lie.
        stages: the stages in their order.
        missing: what the run lacks, a sentence each.
    """

    specimens: dict[str, int | None]
    latents_gb: float | None
    free_gb: float
    stages: list[StagePlan]
    missing: list[str] = field(default_factory=list)


def count_specimens(config: Config, split: str) -> int:
    """Return the number of specimens that a run draws of a split.

    Raises:
        InputError: if the specimens cannot be read.
    """
    limit = config.data.per_species if split == "train" else 4
    if config.data.by_specimen and not config.data.bold:
        count = bioscan.count_rows(config.data, split, limit)
    else:
        count = len(draw_specimens(load_table(config.data), split, config.data, limit))
    return count if split == "train" else min(count, config.data.held_out)


def latent_numbers(config: Config) -> int | None:
    """Return the numbers in a latent; None if the base's autoencoder is not on this machine."""
    if not config.diffusion.base:
        model = {"patch_size": 8, "latent_channels": 16, **config.autoencoder.model}
        return model["latent_channels"] * (config.data.image_size // model["patch_size"]) ** 2
    file = Path(config.diffusion.base, "vae", "config.json")
    if not file.is_file():
        return None
    vae = json.loads(file.read_text())
    shrink = 2 ** (len(vae["block_out_channels"]) - 1)
    return vae["latent_channels"] * (config.data.image_size // shrink) ** 2


def find_missing(config: Config) -> list[str]:
    """Return what a run would stop for: files that are named and not there, a sentence each."""
    found, data = [], config.data
    try:
        data.require_source()
    except InputError as error:
        found.append(str(error))
    if data.metadata and not data.pictures:
        found.append("The pictures are not named: give data.pictures=FOLDER.")
    named = {
        "data.metadata": data.metadata,
        "data.pictures": data.pictures,
        "data.bold": data.bold,
        "data.table": data.table,
        "data.photographs": data.photographs,
        "clibd.settings.official": config.clibd.settings.get("official"),
        "diffusion.conditioner_init": config.diffusion.conditioner_init,
        "start_from": config.start_from,
    }
    found += [
        f"There is no {path}, which {name} names."
        for name, path in named.items()
        if path and not Path(path).exists()
    ]
    base = config.diffusion.base
    if base and not Path(base).is_dir():
        found.append(
            f"{base} is no folder here: give a copy with diffusion.base=FOLDER, or let the Hub deliver it."
        )
    return found


def make_plan(config: Config, measured: Path | None = None) -> Plan:
    """Return the plan of a configuration.

    Args:
        config: the configuration.
        measured: folder of a trial run, for throughput and memory.

    Raises:
        InputError: field `measured`, if the trial run has no results.
    """
    trial = read_results(measured) if measured else {}
    if measured and not trial:
        raise InputError(
            "measured", f"{measured} has no results: python -m training.run --max-steps 20 run={measured} ..."
        )
    missing = find_missing(config)
    specimens: dict[str, int | None] = dict.fromkeys(("train", "val"))
    try:
        specimens = {split: count_specimens(config, split) for split in specimens}
    except InputError as error:
        if not missing:
            missing.append(str(error))
    train, numbers = specimens["train"], latent_numbers(config)
    known = [count for count in specimens.values() if count is not None]
    latents = sum(known) * numbers * HALF / 1e9 if known and numbers else None
    place = Path(config.run).resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    if latents is not None and latents > free:
        missing.append(f"The latents need {latents:.0f} GB, and {place} has {free:.0f} GB free.")
    stages = [
        _stage_plan(config, name, train, trial.get(name, {})) for name in STAGES if is_wanted(config, name)
    ]
    return Plan(specimens, latents, free, stages, missing)


def _stage_plan(config: Config, name: str, specimens: int | None, measured: dict) -> StagePlan:
    training = getattr(config, name).training
    taken = (name == "autoencoder" and config.diffusion.base) or (
        name == "clibd" and config.clibd.settings.get("official")
    )
    steps = 0 if taken else training.steps
    samples, rate = steps * training.batch_size, measured.get("samples_per_second")
    return StagePlan(
        name,
        steps,
        training.batch_size,
        samples / specimens if specimens else None,
        samples / rate / 3600 if rate else (0.0 if taken else None),
        measured.get("peak_memory_gb"),
    )


def describe(plan: Plan) -> str:
    """Return a plan as text."""

    def shown(value: float | None, digits: int = 0) -> str:
        return "?" if value is None else f"{value:,.{digits}f}"

    lines = [f"Specimens: {', '.join(f'{name} {shown(count)}' for name, count in plan.specimens.items())}."]
    lines.append(
        f"Disk: latents {shown(plan.latents_gb, 1)} GB; {shown(plan.free_gb)} GB free where the run will lie."
    )
    devices = torch.cuda.device_count()
    lines.append(f"This machine: {devices} GPU{'s' * (devices != 1)}, {os.cpu_count()} CPU cores.")
    lines.append("")
    lines.append(f"{'stage':12} {'steps':>9} {'batch':>6} {'passes':>8} {'hours':>8} {'GB':>6}")
    lines += [
        f"{stage.name:12} {stage.steps:9,} {stage.batch_size:6,} {shown(stage.passes, 1):>8} "
        f"{shown(stage.hours, 1):>8} {shown(stage.memory_gb, 1):>6}"
        for stage in plan.stages
    ]
    hours = [stage.hours for stage in plan.stages]
    total = None if None in hours else math.fsum(hour for hour in hours if hour is not None)
    lines.append(f"{'together':12} {'':9} {'':6} {'':8} {shown(total, 1):>8}")
    if total is None:
        lines.append("Hours and memory marked ? were not measured: see --measured.")
    lines.append("")
    lines += plan.missing or ["Nothing is missing."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print a plan.

    Returns:
        0 if nothing is missing, 1 if something is, 2 after one sentence about bad input.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--measured", type=Path)
    given, rest = parser.parse_known_args(arguments)
    try:
        plan = make_plan(parse_arguments((__doc__ or "").partition("\n")[0], rest), given.measured)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(describe(plan))
    return 1 if plan.missing else 0


if __name__ == "__main__":
    sys.exit(main())
