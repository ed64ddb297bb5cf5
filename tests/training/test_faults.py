"""Training that is killed, or that cannot write: it goes on to the same curve, or says why in a sentence.

What is killed is a process of its own, ended by SIGKILL at a chosen point.
"""

import itertools
import json
import multiprocessing
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
from diffusers import ConfigMixin
from safetensors.numpy import load_file
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tests.tiny import tiny_pipeline
from training import autoencoder, diffusion, evaluate, publish
from training.baselines import controlnet, df_gan
from training.configs.schema import command
from training.data.storage import whole_folder, write_json
from training.evaluation.figures import loss_curve
from training.evaluation.results import read_results
from training.run import STAGES as RUN_STAGES
from training.stages.checkpoints import Progress, checkpoints

ROOT = Path(__file__).parents[2]
STAGES = {
    **RUN_STAGES,
    "controlnet": controlnet,
    "df_gan": df_gan,
}
STEPS, SAVE_EVERY = 6, 2
SMALL = [
    *("--config", "training/configs/test.yaml", "threads=1", "data.image_size=32"),
    *("data.simulated_species=12", "data.simulated_per_species=6", "data.per_species=4"),
    "diffusion.conditioner.sketch_components=0",  # which takes seconds to fit
    *(f"{stage}.training.steps={STEPS}" for stage in STAGES),
    *(f"{stage}.training.save_every={SAVE_EVERY}" for stage in STAGES),
    *(f"{stage}.training.log_every=1" for stage in STAGES),
    *(f"{stage}.training.batch_size=4" for stage in STAGES),
]
TIMED = {"seconds", "samples_per_second", "peak_memory_gb"}  # differ from run to run

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__])  # what every process needs is imported once


def die(*_) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_within_a_step() -> None:
    """Return at the second step after a checkpoint: gradients are there, weights are as they were."""
    steps = itertools.count(1)
    register_optimizer_step_pre_hook(lambda *_: die() if next(steps) == SAVE_EVERY + 2 else None)


def die_within_a_checkpoint() -> None:
    """Return weights and the optimiser's state are written, the step count is not."""
    Progress.state_dict = die


def die_within_a_model() -> None:
    """Return the configuration is written, the weights are not."""
    written = ConfigMixin.save_config
    ConfigMixin.save_config = lambda model, folder, **settings: die(written(model, folder, **settings))


def live(stage: str, run: Path, prepare_death) -> None:
    """Return a training command, in a process of its own."""
    log = os.open(run / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if prepare_death:
        prepare_death()
    sys.exit(command("A stage.", STAGES[stage].train, [*SMALL, "--run", str(run)]))


def train(stage: str, run: Path, prepare_death=None) -> None:
    """Run a stage in another process to its end, or to the death that is prepared for it."""
    process = PROCESSES.Process(target=live, args=(stage, run, prepare_death))
    process.start()
    process.join()
    expected = -signal.SIGKILL if prepare_death else 0
    assert process.exitcode == expected, (run / "log").read_text()


def refusal(run: Path, capsys, action=autoencoder.train) -> str:
    """Say why a picture is not wanted; nothing where it is."""
    assert command("A stage.", action, [*SMALL, "--run", str(run)]) == 2
    return re.findall(r"(?:A|The) [a-z][^\r\n]*\.$", capsys.readouterr().err, re.MULTILINE)[-1]


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def weights(folder: Path) -> dict[str, np.ndarray]:
    """Return all weights of the models that a stage saved."""
    files = [file for file in folder.glob("*/*.safetensors") if not file.parent.match("checkpoint-*")]
    return {f"{file.parent.name}: {name}": value for file in files for name, value in load_file(file).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a run that nothing happened to."""
    run = tmp_path_factory.mktemp("whole")
    for stage in STAGES:
        train(stage, run)
    return run


@pytest.fixture
def run(whole, tmp_path):
    """Return a run that has its pictures already."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "data").symlink_to(whole / "data")
    return folder


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_wherever_it_is_goes_on_to_the_same_curve_and_models(whole, run, stage):
    for earlier in itertools.takewhile(lambda name: name != stage, STAGES):
        (run / earlier).symlink_to(whole / earlier)
    folder, undisturbed = run / stage, whole / stage
    files = names(checkpoints(undisturbed)[-1])

    train(stage, run, die_within_a_step)
    assert names(folder) == {"tensorboard", "checkpoint-00000002"}
    assert names(folder / "checkpoint-00000002") == files

    train(stage, run, die_within_a_checkpoint)
    assert names(folder) == {"tensorboard", "checkpoint-00000002", "partial-4"}
    assert {"model.safetensors", "optimizer.bin"} <= names(folder / "partial-4") < files

    train(stage, run, die_within_a_model)
    kept = {"tensorboard", "checkpoint-00000004", "checkpoint-00000006"}
    half = names(folder) - kept
    assert half and all(name.startswith("partial-") for name in half)
    assert stage not in read_results(run)

    train(stage, run)
    assert names(folder) == names(undisturbed) >= kept
    assert loss_curve(folder) == loss_curve(undisturbed)
    found, expected = weights(folder), weights(undisturbed)
    assert found.keys() == expected.keys() and len(expected) > 5
    assert all(np.array_equal(found[name], value) for name, value in expected.items())
    result, measured = (
        {name: value for name, value in read_results(one)[stage].items() if name not in TIMED}
        for one in (run, whole)
    )
    assert result == measured


def kill_while(being_written, program: str, wait: float) -> None:
    """Run a program that writes for ever, and kill it some seconds after it was seen writing."""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.DEVNULL)
    while not being_written():
        assert process.poll() is None
    time.sleep(wait)
    process.kill()
    process.wait()


@pytest.mark.parametrize("wait", [0, 0.007])
def test_results_are_whole_whenever_the_writer_is_killed(tmp_path, wait):
    program = (
        "from pathlib import Path; from training.evaluation.results import record_result\n"
        f"for count in range(10**9): record_result(Path({str(tmp_path)!r}), 'stage', "
        "{'count': count, 'filling': ['x' * 1000] * 3000})"
    )
    results, partial = tmp_path / "results.json", tmp_path / "partial-results.json"
    # Written once, and being written again.
    kill_while(lambda: results.exists() and partial.exists(), program, wait)
    assert len(read_results(tmp_path)["stage"]["filling"]) == 3000


@pytest.mark.parametrize("wait", [0, 0.002, 0.005, 0.011])
def test_a_folder_is_whole_whenever_its_writer_is_killed(tmp_path, wait):
    folder = tmp_path / "model"
    program = (
        "from pathlib import Path; from training.data.storage import whole_folder\n"
        "for count in range(10**9):\n"
        f"    with whole_folder(Path({str(folder)!r})) as partial:\n"
        "        for name in 'abc': (partial / name).write_text(f'{count:09d}' * 50_000)"
    )
    partial, old = tmp_path / "partial-model", tmp_path / "partial-old-model"
    kill_while(lambda: folder.exists() and partial.exists(), program, wait)
    # Between two renames the older one has lost its name and the newer one has none yet.
    found = folder if folder.exists() else old
    assert names(found) == set("abc")
    (text,) = {file.read_text() for file in found.iterdir()}
    assert len(text) == 9 * 50_000

    with whole_folder(folder) as again:
        (again / "d").touch()
    assert names(tmp_path) == {"model"} and names(folder) == {"d"}


def test_an_older_folder_stays_until_the_new_one_is_written(tmp_path):
    folder, link = tmp_path / "model", tmp_path / "link"
    with whole_folder(folder) as partial:
        (partial / "older").touch()
    with pytest.raises(KeyboardInterrupt), whole_folder(folder) as partial:
        (partial / "newer").touch()
        raise KeyboardInterrupt
    assert names(folder) == {"older"}
    link.symlink_to(folder)
    with whole_folder(link) as partial:
        (partial / "newer").touch()
    assert link.is_symlink() and names(folder) == {"newer"} and names(tmp_path) == {"model", "link"}


@pytest.fixture
def file_limit():
    """Return a function after which no file can grow beyond some bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("has_pictures", [False, True])
def test_a_full_disk_is_named(whole, run, file_limit, capsys, has_pictures):
    """Return the without the pictures they are the first that finds no room, else a training checkpoint
    is."""
    written = (whole / "autoencoder").glob("checkpoint-*/*") if has_pictures else whole.glob("data/*.npy")
    if not has_pictures:
        (run / "data").unlink()
    file_limit(max(file.stat().st_size for file in written) // 2)
    error = refusal(run, capsys)
    assert error.startswith(f"A file in {run} cannot be written")
    assert error.endswith("is not done again.")
    assert not list(run.glob("autoencoder/checkpoint-*"))
    assert has_pictures or not list(run.glob("data/*.npy"))


@pytest.mark.parametrize("place", ["{}/file/run", "/proc/run"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, capsys, place):
    (tmp_path / "file").touch()
    run = Path(place.format(tmp_path))
    error = refusal(run, capsys)
    assert error.startswith(f"The folder {run} cannot be written") and error.endswith("with --run.")


@pytest.mark.parametrize("command", [evaluate.main, publish.main])
def test_what_is_made_of_a_checkpoint_cannot_be_written_everywhere(command, tmp_path, capsys):
    tiny_pipeline().save_pretrained(tmp_path / "checkpoint")
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    assert command(["--checkpoint", str(tmp_path / "checkpoint"), "--out", str(out)]) == 2
    assert capsys.readouterr().err == (
        f"The folder {out} cannot be written (Not a directory): choose another with --out.\n"
    )


def test_figures_that_are_not_numbers_are_null(tmp_path):
    write_json(tmp_path / "figures.json", {"slope": float("nan"), "ends": [{"low": float("-inf")}, 1.5]})
    assert json.loads((tmp_path / "figures.json").read_text()) == {
        "slope": None,
        "ends": [{"low": None}, 1.5],
    }


def cut(source: Path, target: Path) -> None:
    """Copy a folder as a copy that broke off would: its largest file lacks its end."""
    shutil.copytree(source, target)
    largest = max(target.iterdir(), key=lambda file: file.stat().st_size)
    os.truncate(largest, largest.stat().st_size - 50)


def test_a_damaged_checkpoint_is_named(whole, run, capsys):
    last = f"autoencoder/checkpoint-{STEPS - SAVE_EVERY:08d}"
    cut(whole / last, run / last)
    error = refusal(run, capsys)
    assert error.startswith(f"The training checkpoint {run / last} is damaged") and error.endswith("--run.")


def test_a_damaged_model_of_an_earlier_stage_is_named(whole, run, capsys):
    cut(whole / "autoencoder" / "model", run / "autoencoder" / "model")
    error = refusal(run, capsys, diffusion.train)
    assert error.startswith(f"A model in {run} is damaged") and error.endswith("again.")
