"""Run all stages in order. An interrupted run continues where it stopped.

python -m training.run --config training/configs/test.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

from accelerate import PartialState

from training import aligner, assemble, autoencoder, clibd, conditioner, decoder, diffusion, phenotype
from training.configs.schema import Config, command
from training.evaluation.results import read_results

STAGES = {
    "autoencoder": autoencoder,
    "conditioner": conditioner,
    "clibd": clibd,
    "phenotype": phenotype,
    "diffusion": diffusion,
    "aligner": aligner,
    "decoder": decoder,
}
OPTIONAL = {"conditioner", "phenotype", "decoder"}  # skipped if the configuration gives them no steps


def is_wanted(config: Config, name: str) -> bool:
    """Return whether a configuration wants a stage."""
    return name not in OPTIONAL or getattr(config, name).training.steps > 0


def run(config: Config) -> Path:
    """Train the stages that are not trained yet, then assemble; return the checkpoint's folder.

    Raises:
        InputError: field `data`, before any stage starts, if the configuration names no specimens.
    """
    config.data.require_source()
    state, trained = PartialState(), read_results(Path(config.run))
    state.wait_for_everyone()
    for name, stage in STAGES.items():
        if is_wanted(config, name) and name not in trained:
            stage.train(config)
            state.wait_for_everyone()  # wait until the main process has saved the stage
    folder = Path(config.assemble.checkpoint)
    if state.is_main_process:
        assemble.assemble(config)
        print(f"The checkpoint is {folder}; G2PDIFF_CHECKPOINT={folder} python app.py serves it.")
    return folder


if __name__ == "__main__":
    sys.exit(command(__doc__, run))
