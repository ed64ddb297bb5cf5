"""Two processes: they see what one does, and a run that lost one of them continues where it was."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from accelerate.commands.config import load_config_from_file
from torch.testing import assert_close

from training import run
from training.configs.schema import load
from training.evaluation.figures import loss_curve
from training.stages.checkpoints import checkpoints

CONFIG = "training/configs/test.yaml"
STAGES = {
    "autoencoder": 3,
    "conditioner": 3,
    "clibd": 2,
    "phenotype": 1,
    "diffusion": 4,
    "aligner": 30,
    "decoder": 1,
}
PATIENCE = 600  # seconds


def overrides(folder: Path) -> list[str]:
    settings = [f"run={folder}", f"assemble.checkpoint={folder / 'checkpoint'}", "threads=null"]
    settings += ["data.simulated_per_species=6", "data.per_species=4", "data.held_out=16"]
    settings += ["diffusion.conditioner.sketch_components=0"]  # which takes seconds to fit
    for stage, steps in STAGES.items():
        settings += [f"{stage}.training.steps={steps}", f"{stage}.training.log_every=1"]
    return settings


def launch(module: str, folder: Path, *more: str) -> subprocess.Popen:
    """Start a stage on two processes of the CPU, as `accelerate launch` does."""
    launcher = ["accelerate.commands.launch", "--multi_gpu", "--num_processes=2", "--num_machines=1"]
    launcher += ["--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    return subprocess.Popen(
        [sys.executable, "-m", *launcher, "-m", module, "--config", CONFIG, *overrides(folder), *more],
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output(process: subprocess.Popen) -> str:
    """Return what a process said, once it has ended."""
    return process.communicate(timeout=PATIENCE)[0]


@pytest.fixture(scope="module")
def by_two(tmp_path_factory):
    """Return the folder of a whole run on two processes."""
    folder = tmp_path_factory.mktemp("two")
    process = launch("training.run", folder)
    said = output(process)
    assert process.returncode == 0, said[-3000:]
    assert said.count("The checkpoint is") == 1
    return folder


def test_two_processes_learn_what_one_does(by_two, tmp_path):
    config = load(CONFIG, overrides(tmp_path))
    run.run(config)
    for stage in (
        "autoencoder",
        "conditioner",
        "diffusion",
        "aligner",
    ):  # the CPU has no synchronised batch norm for CLIBD
        (several, losses), (single, expected) = (loss_curve(part / stage) for part in (by_two, tmp_path))
        assert list(several) == list(single) == list(range(1, STAGES[stage] + 1))
        assert_close(torch.tensor(losses), torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_a_run_that_lost_a_process_is_resumed(by_two, tmp_path):
    shutil.copytree(by_two, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "aligner")
    process = launch("training.aligner", tmp_path, "aligner.training.save_every=2")
    deadline = time.monotonic() + PATIENCE
    while not checkpoints(tmp_path / "aligner"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    (second,) = (
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if child.environ().get("RANK") == "1"
    )
    second.send_signal(signal.SIGKILL)
    output(process)
    assert process.returncode != 0
    reached = int(checkpoints(tmp_path / "aligner")[-1].name.removeprefix("checkpoint-"))
    assert 0 < reached < STAGES["aligner"]

    process = launch("training.aligner", tmp_path)
    said = output(process)
    assert process.returncode == 0, said[-3000:]
    steps, losses = loss_curve(tmp_path / "aligner")
    assert list(steps) == list(range(1, STAGES["aligner"] + 1))
    assert_close(torch.tensor(losses), torch.tensor(loss_curve(by_two / "aligner")[1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"), [("ddp", "MULTI_GPU"), ("fsdp", "FSDP"), ("deepspeed", "DEEPSPEED")]
)
def test_the_example_files_are_accelerates(name, kind):
    config = load_config_from_file(f"training/configs/accelerate/{name}.yaml")
    assert config.distributed_type == kind
    assert config.mixed_precision == "no"  # each stage says its own
