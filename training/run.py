"""Run all stages in order, and continue where an earlier run stopped.

python -m training.run --config training/configs/test.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

from training import aligner, assemble, autoencoder, clibd, diffusion
from training.config import Config, command
from training.results import read_results

STAGES = {"autoencoder": autoencoder, "clibd": clibd, "diffusion": diffusion, "aligner": aligner}


def run(config: Config) -> Path:
    """Train what has not been trained yet, then assemble; return the checkpoint's folder."""
    for name, stage in STAGES.items():
        if name not in read_results(Path(config.run)):
            stage.train(config)
    folder = assemble.assemble(config)
    print(f"The checkpoint is {folder}; G2PDIFF_CHECKPOINT={folder} python app.py serves it.")
    return folder


if __name__ == "__main__":
    sys.exit(command(__doc__, run))
