"""Several checkpoints in one app: the selector, and what follows the one that is chosen."""

import os
import shutil
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from g2pdiff.built_in import list_checkpoints
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from g2pdiff.models.checkpoint_names import named_checkpoints
from g2pdiff.ui.server import model
from g2pdiff.ui.server.model import Models
from tests.tiny import BARCODE, tiny_pipeline

# What ZeroGPU asks of a program: a generator function to decorate, and plain values in and out, which cross
# to another process and back.
SPACES = """
import inspect, pickle
decorated = []
def GPU(run):
    assert inspect.isgeneratorfunction(run)
    decorated.append(run.__name__)
    def elsewhere(*args, **kwargs):
        args, kwargs = pickle.loads(pickle.dumps((args, kwargs)))
        for value in run(*args, **kwargs):
            yield pickle.loads(pickle.dumps(value))
    return elsewhere
"""
DRAW = """
import sys
import spaces
from g2pdiff.dna.barcode import Barcode
from g2pdiff.ui.server import model
from g2pdiff.ui.server.model import Models
assert spaces.decorated == ["_stream"]
pipe = Models((sys.argv[1],)).load().result()
for step in pipe.stream([Barcode.parse(sys.argv[2])], [1.0], [2.0], seed=[3]):
    assert step.latents.device.type == step.images.device.type == "cpu"
print(step.index, f"{step.images.double().sum():.6f}")
"""


@pytest.fixture(scope="module")
def photographed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographed")
    tiny_pipeline(truth=None, default_steps=3, default_guidance_scale=1.5).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def both(serve, checkpoint, photographed) -> str:
    return serve(f"{checkpoint}, {photographed}")


def wait(page, selector, text):
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector).innerText.includes(text)",
        arg=[selector, text],
    )


def test_the_environment_names_checkpoints_with_commas_between(monkeypatch):
    monkeypatch.setenv("G2PDIFF_CHECKPOINT", " a/b, folder,,a/b ")
    assert named_checkpoints() == ("a/b", "folder")
    for empty in ("", " , "):
        monkeypatch.setenv("G2PDIFF_CHECKPOINT", empty)
        assert named_checkpoints() == tuple(map(str, list_checkpoints()))


def test_a_checkpoint_is_loaded_once_when_asked_for_and_no_other_is(checkpoint, tmp_path):
    models = Models((str(checkpoint), str(tmp_path)))
    first = models.load()
    assert models.load(str(checkpoint)) is first
    assert first.result().config.image_size == 32
    with pytest.raises(InputError, match="no model_index"):
        models.load(str(tmp_path)).result()
    with pytest.raises(InputError, match="No checkpoint .* is served here"):
        models.load("/etc")


def test_a_checkpoint_that_could_not_be_loaded_is_tried_again(checkpoint, tmp_path, monkeypatch):
    folder = tmp_path / "late"
    monkeypatch.setattr("g2pdiff.ui.server.model.RETRY_SECONDS", 0.5)
    models = Models((str(folder),))
    failed = models.load()
    with pytest.raises(InputError):
        failed.result()
    assert models.load() is failed  # not at every click
    shutil.copytree(checkpoint, folder)
    time.sleep(0.6)
    assert models.load().result().config.image_size == 32
    assert models.load() is not failed


def test_endpoints_take_the_name_of_a_checkpoint(both, checkpoint, photographed):
    client = Client(both, verbose=False)
    asked = {"barcode": BARCODE, "latitude": 1, "longitude": 2, "api_name": "/generate"}
    assert client.predict(**asked)[1]["steps"] == 4
    assert client.predict(**asked, checkpoint=str(photographed))[1]["steps"] == 3
    with pytest.raises((AppError, ValueError), match="served here|not in the list|literal"):
        client.predict(**asked, checkpoint="elsewhere")


def test_the_page_follows_the_chosen_checkpoint(both, visit, photographed):
    page = visit(both)
    wait(page, "#title", "simulated specimens")
    page.click("#advanced button")
    page.wait_for_function("document.querySelector('#steps input')?.value === '4'")
    page.click("#checkpoint input")
    page.get_by_role("option", name=photographed.name).click()
    wait(page, "#title", "learned from photographs")
    page.wait_for_function("document.querySelector('#steps input').value === '3'")
    assert page.input_value("#guidance input") == "1.5"
    assert not page.is_visible("#truth-column")
    page.click("#explore-run")
    wait(page, "#explore-status", "Done: 3 steps")
    assert parse_qs(urlsplit(page.url).query)["checkpoint"] == [str(photographed)]

    again = visit(page.url)
    wait(again, "#title", "learned from photographs")
    assert again.input_value("#checkpoint input") == photographed.name


def test_what_is_typed_while_the_checkpoint_loads_stays(checkpoint, tmp_path, serve, visit, monkeypatch):
    typed, load = threading.Event(), model._load

    def load_late(name):
        assert typed.wait(30)
        return load(name)

    monkeypatch.setattr(model, "_load", load_late)
    page = visit(serve(shutil.copytree(checkpoint, tmp_path / "late")))
    page.click("#advanced button")
    page.fill("#steps input", "9")
    page.press("#steps input", "Tab")
    typed.set()
    page.wait_for_function("document.querySelector('#guidance input').value === '2'")
    assert page.input_value("#steps input") == "9"


def test_a_link_to_what_is_not_served_is_ignored_and_one_checkpoint_needs_no_selector(app, visit):
    page = visit(f"{app}?checkpoint=elsewhere&steps=2")
    wait(page, "#notice", "checkpoint was ignored")
    assert not page.is_visible("#checkpoint")
    page.click("#explore-run")
    wait(page, "#explore-status", "Done: 2 steps")
    assert "checkpoint" not in page.url


def test_a_run_crosses_to_the_gpu_of_zerogpu_and_back(photographed, tmp_path):
    (tmp_path / "spaces.py").write_text(SPACES)
    paths = f"{tmp_path}{os.pathsep}{os.getcwd()}"
    done = subprocess.run(
        [sys.executable, "-c", DRAW, str(photographed), BARCODE],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *_, step = load_pipeline(photographed).stream(BARCODE, 1, 2, seed=3)
    index, total = done.stdout.split()
    assert int(index) == step.index == 3
    assert float(total) == pytest.approx(step.images.double().sum().item(), rel=1e-4)
