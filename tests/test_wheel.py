"""The wheel, installed in an environment of its own and used from another folder than the repository."""

import csv
import json
import os
import site
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import g2pdiff
from g2pdiff.built_in import EXAMPLES, list_checkpoints
from g2pdiff.ui.widgets.theme import css

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a program prints that knows nothing of the repository."""
    hidden = ("PYTHONPATH", "G2PDIFF_CHECKPOINT")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Return the wheel that `pip install .` builds."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", folder]
    run(sys.executable, "-m", "pip", "wheel", *options, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def programs(wheel, tmp_path_factory) -> Path:
    """Return the folder of programs of an environment with the wheel, and with this one's packages behind
    it."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "tests_environment.pth").write_text("\n".join(site.getsitepackages()))
    python = folder / "bin" / "python"
    options = ["--no-deps", "--no-index", "--no-compile"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel, cwd=folder)
    return python.parent


def test_the_wheel_holds_the_code_and_every_built_in_checkpoint_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for checkpoint in list_checkpoints():
        files = {path.relative_to(ROOT) for path in checkpoint.rglob("*") if path.is_file()}
        assert {f"g2pdiff/{file.as_posix()}" for file in files} <= names
    assert {"g2pdiff/py.typed", "training/py.typed", "g2pdiff/assets/examples.csv"} <= names
    assert {"g2pdiff", "training", f"g2pdiffusion-{g2pdiff.__version__}.dist-info"} == {
        name.partition("/")[0] for name in names
    }
    assert not [name for name in names if "screenshots" in name or "assets/results" in name]


def test_generate_draws_with_the_built_in_checkpoint_from_any_folder(programs, tmp_path):
    with EXAMPLES.open(newline="") as table:
        example = next(csv.DictReader(table))
    (tmp_path / "barcode.fasta").write_text(f">{example['name']}\n{example['dna_barcode']}\n")
    place = [f"--latitude={example['latitude']}", f"--longitude={example['longitude']}"]
    command = [programs / "g2pdiffusion", "generate", "--barcode=barcode.fasta", *place, "--steps=2"]
    result = json.loads(run(*command, cwd=tmp_path))
    assert Path(result["checkpoint"]).is_relative_to(programs.parent)
    assert result["name"] == example["name"] and result["clibd_score"] > 0.2
    assert Image.open(tmp_path / "picture.png").width >= 128


def test_the_app_is_served_with_its_stylesheet(programs, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings = {
        "GRADIO_SERVER_PORT": port,
        "GRADIO_TEMP_DIR": str(tmp_path),
        "GRADIO_ANALYTICS_ENABLED": "False",
    }
    command, quiet = [programs / "g2pdiffusion", "app"], subprocess.DEVNULL
    with subprocess.Popen(command, cwd=tmp_path, env=os.environ | settings, stdout=quiet) as app:
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(address, app)
            with urllib.request.urlopen(f"{address}/config") as answer:
                config = json.load(answer)
        finally:
            app.terminate()
    assert config["title"] == "G2PDiffusion"
    assert css() in config["css"]


def wait_for(address: str, app: subprocess.Popen, seconds: float = 120) -> None:
    """Wait until a server that was just started answers."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(address).close()
            return
        except OSError:
            assert app.poll() is None and time.monotonic() < deadline
            time.sleep(0.2)


def test_training_comes_with_its_settings(programs, tmp_path):
    code = (
        "from training.configs import schema; from pathlib import Path; "
        "print(sorted(path.name for path in Path(schema.__file__).parent.glob('*.yaml')))"
    )
    assert "embedded.yaml" in run(programs / "python", "-c", code, cwd=tmp_path)
