"""Run all stages in order, and continue where an earlier run stopped.

python -m training.run --config training/configs/test.yaml
"""

from __future__ import annotations

from pathlib import Path

import torch

from training import aligner, assemble, autoencoder, clibd, diffusion
from training.config import Config, parse_arguments
from training.results import read_results

STAGES = {"autoencoder": autoencoder, "clibd": clibd, "diffusion": diffusion, "aligner": aligner}


def run(config: Config) -> Path:
    """Train what has not been trained yet, then assemble; return the checkpoint's folder."""
    if config.threads:
        torch.set_num_threads(config.threads)
    for name, stage in STAGES.items():
        if name not in read_results(Path(config.run)):
            stage.train(config)
    return assemble.assemble(config)


if __name__ == "__main__":
    print(run(parse_arguments(__doc__.splitlines()[0])))
