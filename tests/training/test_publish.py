"""Publishing: folders for the Hub are complete, valid and served; what is missing is said in a sentence."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard, SpaceCard

from g2pdiff.about import About
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from tests.tiny import BARCODE, tiny_pipeline
from training import publish

CARD = """---
license: apache-2.0
tags: [biology]
---
# A model

## Do not use it for

Anything.

## Training data

None.

## Figures

None.
"""

# A Space is started with what lies in its folder, and nothing else of this repository.
BUILD = """
import sys
from pathlib import Path
import app
import g2pdiff
import gradio
assert Path(g2pdiff.__file__).is_relative_to(Path.cwd()), g2pdiff.__file__
page = next(block for block in app.demo.blocks.values() if block.elem_id == "title")
print("built", isinstance(app.demo, gradio.Blocks), "simulated" in page.value)
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_pipeline().save_pretrained(folder)
    (folder / "README.md").write_text(CARD)
    (folder / "notes.txt").write_text("not to be published")
    return folder


def refusal(capsys, *arguments) -> str:
    assert publish.main(list(map(str, arguments))) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and said.endswith(".\n") and "Traceback" not in said
    return said


def run_in(folder, code, **environment) -> str:
    """Return what a program says that runs in a folder, without this repository."""
    given = {name: value for name, value in os.environ.items() if name != "G2PDIFF_CHECKPOINT"}
    given |= {"PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=given,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_published_model_loads_and_its_card_is_valid(checkpoint, tmp_path, capsys):
    arguments = ["--checkpoint", str(checkpoint), "--out", str(tmp_path), "--repo", "owner/name"]
    assert publish.main([*arguments, "--license", "openrail"]) == 0
    model = tmp_path / "model"
    assert json.loads(capsys.readouterr().out) == {"model": str(model)}
    assert load_pipeline(model)(BARCODE, 1, 2, num_inference_steps=1).images[0].size == (32, 32)
    card = ModelCard.load(model / "README.md")
    assert card.data.license == "openrail" and card.data.tags == ["biology"]
    assert 'load_pipeline("owner/name")' in card.text and "## Do not use it for" in card.text
    assert not (model / "notes.txt").exists()
    assert (checkpoint / "README.md").read_text() == CARD


def test_a_space_carries_its_checkpoint_and_starts(checkpoint, tmp_path):
    assert (
        publish.main(["--checkpoint", str(checkpoint), "--out", str(tmp_path), "--space", "owner/demo"]) == 0
    )
    space = tmp_path / "space"
    settings = SpaceCard.load(space / "README.md").data
    assert settings.sdk == "gradio" and settings.license == "apache-2.0" and settings.app_file == "app.py"
    assert f"gradio=={settings.sdk_version}" in (space / "requirements.txt").read_text()
    assert (space / "assets" / "checkpoint" / "model_index.json").is_file()
    assert "built True True" in run_in(space, BUILD)


def test_a_space_serves_every_built_in_checkpoint_and_a_model_carries_its_terms(
    checkpoint, tmp_path, monkeypatch
):
    built_in = tmp_path / "assets"
    for name, truth in (("butterflies", None), ("checkpoint", "simulated")):
        tiny_pipeline(truth=truth).save_pretrained(built_in / name)
        (built_in / name / "README.md").write_text(CARD)
    About("Butterflies", credit="Photographs: A. Person.", licence="Apache 2.0.").save(
        built_in / "butterflies"
    )
    (built_in / "butterflies" / "examples.csv").write_text("name\n")
    folders = tuple(built_in / name for name in ("butterflies", "checkpoint"))
    for module in ("training.publish", "g2pdiff.models.checkpoint_names"):
        monkeypatch.setattr(f"{module}.list_checkpoints", lambda: folders)
    monkeypatch.delenv("G2PDIFF_CHECKPOINT", raising=False)
    assert publish.main(["--out", str(tmp_path / "out"), "--space", "owner/demo"]) == 0
    model, space = tmp_path / "out" / "model", tmp_path / "out" / "space"
    assert "A. Person" in (model / "NOTICE").read_text() and (model / "examples.csv").is_file()
    assert (model / "LICENSE").read_text().lstrip().startswith("Apache License")
    text = (space / "README.md").read_text()
    assert "A. Person" in text and "[Butterflies](assets/butterflies/README.md)" in text
    assert (space / "NOTICE").read_text() == (publish.ROOT / "NOTICE").read_text()
    listed = "from g2pdiff.models.checkpoint_names import named_checkpoints; print(named_checkpoints())"
    served = run_in(space, listed)
    assert served.index("assets/butterflies") < served.index("assets/checkpoint")


def test_a_space_of_a_model_on_the_hub_names_it(checkpoint, tmp_path):
    folders = publish.publish(checkpoint, tmp_path, repo="owner/name", space="owner/demo")
    settings = SpaceCard.load(f"{folders['space']}/README.md").data
    assert settings.app_file == "space.py"
    assert settings.models == settings.preload_from_hub == ["owner/name"]
    space = tmp_path / "space"
    assert not (space / "assets" / "checkpoint").exists()
    (space / "app.py").write_text("import os\nprint(__name__, os.environ['G2PDIFF_CHECKPOINT'])")
    assert run_in(space, "import runpy; runpy.run_path('space.py', run_name='__main__')") == (
        "__main__ owner/name\n"
    )


def test_what_was_published_before_is_replaced(checkpoint, tmp_path):
    for repo in (None, "owner/name"):
        folders = publish.publish(checkpoint, tmp_path, repo=repo, space="owner/demo")
        for name in ("model", "space"):
            assert folders[name] == str(tmp_path / name)
            (tmp_path / name / "stale.txt").touch()
    publish.publish(checkpoint, tmp_path, space="owner/demo")
    assert not list(tmp_path.glob("*/stale.txt")) and not (tmp_path / "space" / "space.py").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"model", "space"}


def test_a_published_model_is_published_again_elsewhere_with_one_usage(checkpoint, tmp_path):
    publish.publish(checkpoint, tmp_path / "one", repo="owner/one")
    publish.publish(tmp_path / "one" / "model", tmp_path / "two", repo="owner/two")
    card = (tmp_path / "two" / "model" / "README.md").read_text()
    assert card.count("## How to use it") == 1 and "owner/two" in card and "owner/one" not in card


def test_a_space_is_made_from_a_clone_alone(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(publish, "ROOT", tmp_path / "site-packages")
    said = refusal(capsys, "--checkpoint", checkpoint, "--out", tmp_path / "out", "--space", "owner/demo")
    assert said.startswith("A Space is made from a clone") and not (tmp_path / "out" / "model").exists()


def everything(folder) -> dict:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_checkpoint_is_not_published_onto_itself(checkpoint, tmp_path, capsys):
    publish.publish(checkpoint, tmp_path, space="owner/demo")
    (tmp_path / "link").symlink_to(tmp_path)
    model, carried = tmp_path / "model", tmp_path / "space" / "assets" / "checkpoint"
    before = everything(tmp_path)
    for source, out in ((model, tmp_path), (tmp_path / "link" / "model", tmp_path), (carried, tmp_path)):
        said = refusal(capsys, "--checkpoint", source, "--out", out, "--space", "owner/demo")
        assert "checkpoint that is to be published lies in" in said
        assert everything(tmp_path) == before


@pytest.mark.parametrize("kind", ["model", "space"])
@pytest.mark.parametrize(
    "files", [{"thesis.tex": ""}, {"README.md": "# Mine"}, {"model_index.json": "{}", "app.py": ""}]
)
def test_a_folder_that_publishing_did_not_write_is_left_alone(checkpoint, tmp_path, capsys, kind, files):
    (tmp_path / kind).mkdir()
    for name, text in files.items():
        (tmp_path / kind / name).write_text(text)
    before = everything(tmp_path)
    said = refusal(capsys, "--checkpoint", checkpoint, "--out", tmp_path, "--space", "owner/demo")
    assert f"{tmp_path / kind} holds something else" in said
    assert everything(tmp_path) == before


def test_no_folder_takes_the_place_of_a_file_or_of_this_program(checkpoint, tmp_path, monkeypatch):
    (tmp_path / "model").write_text("a file")
    with pytest.raises(InputError, match="holds something else") as refused:
        publish.publish(checkpoint, tmp_path)
    assert refused.value.field == "out" and (tmp_path / "model").read_text() == "a file"
    program = tmp_path / "clone" / "space"  # laid out as a Space itself
    program.mkdir(parents=True)
    monkeypatch.setattr(publish, "ROOT", program)
    with pytest.raises(InputError, match="This program lies in"):
        publish.publish(checkpoint, tmp_path / "clone", space="owner/demo")


def test_what_was_published_stays_until_the_next_is_whole(checkpoint, tmp_path):
    publish.publish(checkpoint, tmp_path / "out")
    before = everything(tmp_path)
    half = tmp_path / "half"
    shutil.copytree(checkpoint, half)
    (half / "unet" / "lost.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError):
        publish.publish(half, tmp_path / "out")
    assert everything(tmp_path / "out" / "model").items() <= before.items()
    publish.publish(checkpoint, tmp_path / "out")
    assert everything(tmp_path / "out") == before


def test_what_cannot_be_published_is_said_in_a_sentence(checkpoint, tmp_path, capsys, monkeypatch):
    out = ["--out", tmp_path / "out"]
    good = ["--checkpoint", checkpoint, *out]
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "no checkpoint folder" in refusal(capsys, "--checkpoint", tmp_path / "none", *out)
    assert "no hub id" in refusal(capsys, *good, "--repo", "name")
    assert "no hub id" in refusal(capsys, *good, "--space", "owner/a b")
    assert "where to push to" in refusal(capsys, *good, "--push")
    assert "token" in refusal(capsys, *good, "--repo", "owner/name", "--push")
    monkeypatch.setattr(publish, "SPACE_BYTES", 1000)
    assert "too much for a Space" in refusal(capsys, *good, "--space", "owner/demo")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "has no model card"),
        (CARD.replace("license: apache-2.0\n", ""), "names no licence"),
        (CARD.replace("license: apache-2.0", "license: [a"), "not valid YAML"),
        (CARD.replace("## Training data", "## Data"), "lacks the section Training data"),
    ],
)
def test_a_card_without_what_it_must_say_is_refused(checkpoint, tmp_path, capsys, text, sentence):
    card = checkpoint / "README.md"
    try:
        card.unlink() if text is None else card.write_text(text)
        assert sentence in refusal(capsys, "--checkpoint", checkpoint, "--out", tmp_path)
    finally:
        card.write_text(CARD)


def test_a_push_without_the_network_leaves_the_folder(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_notatoken")
    said = refusal(capsys, "--checkpoint", checkpoint, "--out", tmp_path, "--repo", "owner/name", "--push")
    assert "did not take owner/name" in said
    assert load_pipeline(tmp_path / "model").config.image_size == 32
