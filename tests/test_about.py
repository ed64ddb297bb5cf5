"""What a checkpoint says of itself, and the names of the built-in ones."""

import json

import pytest

from g2pdiff.about import About, is_simulated
from g2pdiff.built_in import ASSETS, list_checkpoints, short_name
from g2pdiff.checkpoint import load_pipeline, resolve_checkpoint
from g2pdiff.errors import InputError
from tests.tiny import tiny_pipeline
from training.configs.schema import load

CONFIGS = {"butterflies": "butterflies", "checkpoint": "embedded_256"}


def test_what_is_saved_is_read_and_a_folder_that_says_nothing_is_its_own_name(tmp_path):
    about = About("Flies", description="It learned from flies.", credit="Pictures: A. Person.")
    about.save(tmp_path)
    assert About.read(tmp_path) == about
    other = tmp_path / "other"
    other.mkdir()
    assert About.read(other) == About(name="other")
    assert About.read("owner/name") == About(name="owner/name")


@pytest.mark.parametrize("text", ["{", "[]", '{"nom": "Flies"}', '{"name": 3}'])
def test_a_damaged_file_is_refused_in_a_sentence(tmp_path, text):
    tiny_pipeline().save_pretrained(tmp_path)
    (tmp_path / "about.json").write_text(text)
    for read in (About.read, load_pipeline):
        with pytest.raises(InputError, match=r"about\.json cannot be read") as refused:
            read(tmp_path)
        assert refused.value.field == "checkpoint"


def test_a_configuration_that_tells_something_unknown_is_refused():
    with pytest.raises(InputError, match="choose name or description"):
        load("training/configs/test.yaml", ["assemble.about.nom=Flies"])


def test_built_in_checkpoints_say_what_their_configurations_say():
    for folder in list_checkpoints():
        config = load(f"training/configs/{CONFIGS[folder.name]}.yaml")
        assert About.read(folder) == About.check(config.assemble.about)
        assert (ASSETS.parent / config.assemble.checkpoint) == folder


def test_a_built_in_checkpoint_goes_by_its_short_name(tmp_path):
    folder = list_checkpoints()[-1]
    assert short_name(folder) == folder.name
    assert resolve_checkpoint(folder.name) == folder
    assert short_name(tmp_path) == str(tmp_path)
    assert short_name("owner/name") == "owner/name"


def test_whether_a_truth_is_known_is_read_without_the_weights(tmp_path):
    index = tmp_path / "model_index.json"
    for truth, known in (("simulated", True), (None, False)):
        index.write_text(json.dumps({"truth": truth}))
        assert is_simulated(tmp_path) is known
    index.write_text("{")
    assert not is_simulated(tmp_path) and not is_simulated("owner/name")
