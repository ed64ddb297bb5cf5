"""Rehearse a paper-scale run in minutes, before a cluster is booked.

    python -m training.rehearse --out runs/rehearsal

makes a small BIOSCAN-5M, Stable Diffusion and official CLIBD (`training.data.miniature`), prints the plan,
and runs `training/configs/paper.yaml` on two processes. It kills them in the diffusion stage, resumes with
the same command, and lets the checkpoint draw a picture. It proves the path, not the model: the weights are
random, and every stage has few steps. The exit code is 0 if all of it worked.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from training import plan
from training.configs.schema import load
from training.data.miniature import small_settings
from training.data.storage import discard, writing_to
from training.evaluation.results import read_results
from training.stages.checkpoints import checkpoints

PAPER = "training/configs/paper.yaml"
STEPS = ["diffusion.training.steps=40", "diffusion.training.save_every=5", "aligner.training.steps=4"]
BARCODE = "ACGT" * 164 + "AC"


def launch(settings: Sequence[str], processes: int) -> subprocess.Popen:
    """Start `training.run` on some processes of this machine's CPU, in a process group of its own."""
    launcher = ["-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={processes}"]
    launcher += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "training.run", "--config", PAPER, *settings],
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def kill_when_saved(process: subprocess.Popen, stage: Path) -> int:
    """Kill all processes of a run as soon as a stage has a checkpoint; return the checkpoint's step.

    Raises:
        RuntimeError: if the run ends before.
    """
    while not (found := checkpoints(stage)):
        if process.poll() is not None:
            raise RuntimeError(
                f"The run ended with {process.returncode} before {stage.name} had a checkpoint."
            )
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return int(found[-1].name.removeprefix("checkpoint-"))


def rehearse(folder: Path, processes: int = 2) -> None:
    """Run the rehearsal in a folder, which is made anew.

    Raises:
        RuntimeError: if a part of it does not work.
    """
    if folder.exists():
        discard(folder)
    folder.mkdir(parents=True)
    settings = [*small_settings(folder), *STEPS]
    config = load(PAPER, settings)
    print(plan.describe(plan.make_plan(config)), flush=True)
    run = Path(config.run)
    reached = kill_when_saved(launch(settings, processes), run / "diffusion")
    if "diffusion" in read_results(run):
        raise RuntimeError("The diffusion stage was finished before it could be killed.")
    print(
        f"The run was killed at step {reached} of the diffusion stage; the same command goes on.", flush=True
    )
    if code := launch(settings, processes).wait():
        raise RuntimeError(f"The resumed run ended with {code}.")
    picture = load_pipeline(config.assemble.checkpoint)(BARCODE, 56.6, 11.3, num_inference_steps=2)
    picture.images[0].save(folder / "picture.png")
    print(plan.describe(plan.make_plan(config, run)))
    print(f"The rehearsal worked: {config.assemble.checkpoint} drew {folder / 'picture.png'}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rehearsal.

    Returns:
        0 if all of it worked, 1 if a part did not, 2 after one sentence about bad input.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/rehearsal"), help="folder, made anew")
    parser.add_argument("--processes", type=int, default=2, help="processes on this machine's CPU")
    given = parser.parse_args(arguments)
    try:
        with writing_to(given.out.resolve().parent, "out"):
            rehearse(given.out, given.processes)
    except (InputError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
