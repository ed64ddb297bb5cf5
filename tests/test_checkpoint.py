"""Loading checkpoints: whatever is wrong with a folder is said in one sentence."""

import json
import os
from importlib.util import find_spec

import pytest
import torch
from safetensors.torch import load_file, save_file

from g2pdiff.checkpoint import load_pipeline, resolve_checkpoint
from g2pdiff.errors import InputError
from g2pdiff.models.controlnet import BarcodeControlNet
from g2pdiff.models.saved import MOVED_MODULES
from tests.tiny import BARCODE, tiny_components, tiny_pipeline


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


def test_loads_what_was_saved_when_modules_had_other_names(tmp_path):
    unet = tiny_components()["unet"]
    controlnet = BarcodeControlNet.from_unet(unet, 16, hint_size=4, embedding_widths=(8, 8, 8, 8)).eval()
    saved = tiny_pipeline(controlnet=controlnet)
    saved.save_pretrained(tmp_path)
    old = {
        "aligner": ["g2pdiff.aligner", "LatentAligner"],
        "clibd": ["g2pdiff.clibd", "CLIBD"],
        "conditioner": ["g2pdiff.conditioner", "BarcodeConditioner"],
        "controlnet": ["g2pdiff.controlnet", "BarcodeControlNet"],
        "tokenizer": ["g2pdiff.tokenizer", "KmerTokenizer"],
        "vae": ["g2pdiff.autoencoder", "PatchAutoencoder"],
    }
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert all(index[part][1] == name and index[part][0] != module for part, (module, name) in old.items())
    change(tmp_path / "model_index.json", **old)
    images = [p(BARCODE, 0, 0, output_type="pt").images for p in (load_pipeline(tmp_path), saved)]
    assert torch.allclose(*images, atol=1e-4)


@pytest.mark.parametrize(("old", "now"), MOVED_MODULES.items())
def test_no_moved_module_is_left_under_its_old_name(old, now):
    assert find_spec(old) is None and find_spec(now) is not None


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


def change(path, **settings):
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize("file", ["unet/config.json", "aligner/config.json", "model_index.json"])
def test_a_setting_of_a_newer_version(folder, file):
    change(folder / file, sharpness=3, _diffusers_version="99.0.0")
    assert f"newer version: {file} has sharpness" in refusal(folder)


def test_a_part_of_a_newer_version(folder):
    change(folder / "model_index.json", upscaler=["g2pdiff.upscaler", "Upscaler"])
    assert "newer version: model_index.json has upscaler" in refusal(folder)


def test_a_class_that_is_not_there(folder):
    change(folder / "model_index.json", unet=["diffusers", "UNet9D"])
    assert "damaged or incomplete" in refusal(folder)


def test_a_list_of_shards_that_cannot_be_read(folder):
    (folder / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text("{")
    assert "cannot be read" in refusal(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "aligner", "conditioner", "clibd"])
@pytest.mark.parametrize(
    ("fault", "words"), [("shape", "damaged"), ("missing", "lacks the weights"), ("more", "has the weights")]
)
def test_weights_that_do_not_fit(tmp_path, part, fault, words):
    tiny_pipeline().save_pretrained(tmp_path)
    (file,) = (tmp_path / part).glob("*.safetensors")
    weights = load_file(file)
    name = next(name for name, tensor in weights.items() if tensor.ndim > 1)
    if fault == "shape":
        weights[name] = torch.zeros(3, 3)
    elif fault == "missing":
        del weights[name]
    else:
        weights["other.weight"] = torch.zeros(2)
    save_file(weights, file, {"format": "pt"})
    assert words in refusal(tmp_path)


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("aligner", {"latent_size": 8}, "the height of latents is 4 of the unet, 8 of the aligner"),
        ("aligner", {"latent_channels": 8}, "4 of the unet, 4 of the vae, 8 of the aligner"),
        ("aligner", {"condition_size": 32}, "16 of the conditioner, 16 of the unet, 32 of the aligner"),
    ],
)
def test_parts_of_different_models(tmp_path, part, changes, words):
    pipeline = tiny_pipeline()
    other = type(getattr(pipeline, part)).from_config(getattr(pipeline, part).config, **changes)
    tiny_pipeline(**{part: other}).save_pretrained(tmp_path)
    assert words in refusal(tmp_path)
