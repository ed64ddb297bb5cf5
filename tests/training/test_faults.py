"""Training that is killed, or that cannot write: it goes on to the same curve, or says why in a sentence.

What is killed runs as a person runs it, in a process of its own, and is ended by SIGKILL.
"""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from training import autoencoder, diffusion
from training.config import command
from training.figures import loss_curve
from training.results import read_results

ROOT = Path(__file__).parents[2]
STEPS = 6
SMALL = [
    *("--config", "training/configs/test.yaml", "threads=1", "data.image_size=32"),
    *("data.simulated_species=12", "data.simulated_per_species=6", "data.per_species=4"),
    *(f"autoencoder.training.steps={STEPS}", "autoencoder.training.save_every=1"),
    *("autoencoder.training.log_every=1", "autoencoder.training.batch_size=4"),
]
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def start(run: Path) -> subprocess.Popen:
    program = [sys.executable, "-m", "training.autoencoder", *SMALL, "--run", str(run)]
    return subprocess.Popen(program, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)


def refusal(run: Path, capsys, action=autoencoder.train) -> str:
    """The sentence with which a command refuses; a progress bar may stand before and after it."""
    assert command("A stage.", action, [*SMALL, "--run", str(run)]) == 2
    return re.findall(r"(?:A|The) [a-z][^\r\n]*\.$", capsys.readouterr().err, re.MULTILINE)[-1]


def kill_when(process: subprocess.Popen, seen) -> None:
    """SIGKILL as soon as `seen()`; the process must still be at work then."""
    while not seen():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.0005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def weights(run: Path) -> dict[str, np.ndarray]:
    with safe_open(run / "autoencoder" / "model" / "diffusion_pytorch_model.safetensors", "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to."""
    run, threads = tmp_path_factory.mktemp("whole"), torch.get_num_threads()
    assert command("A stage.", autoencoder.train, [*SMALL, "--run", str(run)]) == 0
    yield run
    torch.set_num_threads(threads)


@pytest.fixture
def run(whole, tmp_path):
    """A run that has its pictures already."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "data").symlink_to(whole / "data")
    return folder


def test_killed_within_a_step_and_within_a_write_it_goes_on_to_the_same_curve(whole, run):
    stage = run / "autoencoder"
    kill_when(start(run), lambda: (stage / "checkpoint-00000002").exists())
    first = sorted(path.name for path in stage.glob("checkpoint-*"))

    # A later checkpoint is being written: its folder is there under another name.
    done = {int(name.split("-")[1]) for name in first}
    kill_when(
        start(run), lambda: any(int(p.name.split("-")[1]) not in done for p in stage.glob("partial-[0-9]*"))
    )
    for folder in stage.glob("checkpoint-*"):
        assert {file.name for file in folder.iterdir()} == {
            file.name for file in (whole / "autoencoder" / f"checkpoint-{STEPS:08d}").iterdir()
        }

    last = start(run)
    _, error = last.communicate(timeout=250)
    assert last.returncode == 0, error
    assert loss_curve(stage) == loss_curve(whole / "autoencoder")
    expected, found = weights(whole), weights(run)
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
    assert not list(stage.glob("partial-*"))
    results, undisturbed = (read_results(folder)["autoencoder"] for folder in (run, whole))
    assert results["steps"] == STEPS and results["psnr_db"] == undisturbed["psnr_db"]


def test_results_are_whole_whenever_the_writer_is_killed(tmp_path):
    program = (
        "from pathlib import Path; from training.results import record_result\n"
        f"for count in range(10**9): record_result(Path({str(tmp_path)!r}), 'stage', "
        "{'count': count, 'filling': ['x' * 1000] * 3000})"
    )
    for wait in (0, 0.007):
        process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL
        )
        results, partial = tmp_path / "results.json", tmp_path / "results.json.partial"
        while not (results.exists() and partial.exists()):  # written once, and being written again
            assert process.poll() is None
        time.sleep(wait)
        process.kill()
        process.wait()
        assert len(read_results(tmp_path)["stage"]["filling"]) == 3000


@pytest.fixture
def file_limit():
    """A function after which no file can grow beyond some bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("has_pictures", [False, True])
def test_a_full_disk_is_named(whole, run, file_limit, capsys, has_pictures):
    """Without the pictures they are the first that finds no room, else a training checkpoint is."""
    written = (whole / "autoencoder").glob("checkpoint-*/*") if has_pictures else whole.glob("data/*.npy")
    if not has_pictures:
        (run / "data").unlink()
    file_limit(max(file.stat().st_size for file in written) // 2)
    error = refusal(run, capsys)
    assert error.startswith(f"A file of the run {run} cannot be written")
    assert error.endswith("last checkpoint.")
    assert not list(run.glob("autoencoder/checkpoint-*"))
    assert has_pictures or not list(run.glob("data/*.npy"))


@pytest.mark.parametrize("place", ["{}/file/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys, place):
    (tmp_path / "file").touch()
    run = Path(place.format(tmp_path))
    error = refusal(run, capsys)
    assert error.startswith(f"The run's folder {run} cannot be written") and error.endswith("with --run.")


def cut(source: Path, target: Path) -> None:
    """Copy a folder as a copy that broke off would: its largest file lacks its end."""
    shutil.copytree(source, target)
    largest = max(target.iterdir(), key=lambda file: file.stat().st_size)
    os.truncate(largest, largest.stat().st_size - 50)


def test_a_damaged_checkpoint_is_named(whole, run, capsys):
    last = f"autoencoder/checkpoint-{STEPS - 1:08d}"
    cut(whole / last, run / last)
    error = refusal(run, capsys)
    assert error.startswith(f"The training checkpoint {run / last} is damaged") and error.endswith("--run.")


def test_a_damaged_model_of_an_earlier_stage_is_named(whole, run, capsys):
    cut(whole / "autoencoder" / "model", run / "autoencoder" / "model")
    error = refusal(run, capsys, diffusion.train)
    assert error.startswith(f"A model in {run} is damaged") and error.endswith("again.")
