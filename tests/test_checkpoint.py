"""Loading checkpoints: whatever is wrong with a folder is said in one sentence."""

import json
import os

import pytest
import torch

from g2pdiff.checkpoint import load_pipeline, resolve_checkpoint
from g2pdiff.errors import InputError
from tests.tiny import BARCODE, tiny_pipeline


@pytest.fixture
def folder(tmp_path):
    tiny_pipeline().save_pretrained(tmp_path, max_shard_size="10KB")
    return tmp_path


def refusal(source):
    with pytest.raises(InputError) as caught:
        load_pipeline(source)
    assert caught.value.field == "checkpoint"
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


def test_loads_what_was_saved_in_shards(folder):
    assert list(folder.glob("unet/*-of-*.safetensors"))
    loaded, saved = load_pipeline(folder), tiny_pipeline()
    images = [p(BARCODE, 0, 0, output_type="pt").images for p in (loaded, saved)]
    assert torch.allclose(*images, atol=1e-4)


def test_half_precision_weights_are_served_in_single_precision(tmp_path):
    tiny_pipeline().to(torch.float16).save_pretrained(tmp_path)
    loaded = load_pipeline(tmp_path)
    assert {p.dtype for p in loaded.unet.parameters()} == {torch.float32}
    assert {p.dtype for p in loaded.clibd.parameters()} == {torch.float32}


def test_environment_variable_names_the_default(folder, monkeypatch):
    monkeypatch.setenv("G2PDIFF_CHECKPOINT", str(folder))
    assert resolve_checkpoint() == folder


def test_missing_folder(tmp_path):
    assert "no checkpoint folder" in refusal(tmp_path / "nowhere")


def test_hub_id_without_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "fetched from the Hub" in refusal("somebody/some-model")


def test_folder_that_is_no_checkpoint(tmp_path):
    assert "no model_index.json" in refusal(tmp_path)


def test_unreadable_index(folder):
    (folder / "model_index.json").write_text("{")
    assert "cannot be read" in refusal(folder)


def test_another_kind_of_pipeline(folder):
    index = json.loads((folder / "model_index.json").read_text())
    index["_class_name"] = "StableDiffusionPipeline"
    (folder / "model_index.json").write_text(json.dumps(index))
    assert "StableDiffusionPipeline" in refusal(folder)


def test_missing_part(folder):
    os.rename(folder / "unet", folder / "elsewhere")
    assert "lacks the folder unet" in refusal(folder)


def test_missing_shard(folder):
    shard = sorted(folder.glob("unet/*-of-*.safetensors"))[0]
    shard.unlink()
    assert f"lacks unet/{shard.name}" in refusal(folder)


def test_truncated_shard(folder):
    shard = sorted(folder.glob("unet/*-of-*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    assert "damaged" in refusal(folder)
