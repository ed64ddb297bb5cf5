"""The paper's configuration in miniature: Stable Diffusion's layout as a base, LoRA, the official CLIBD."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.utils import set_seed
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch.testing import assert_close

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from g2pdiff.models.clibd_official import OfficialCLIBD
from tests.tiny import BARCODE
from training import assemble, autoencoder, clibd, diffusion, run
from training.configs.schema import LoraSettings, command, load, parse_arguments
from training.data.miniature import small_settings
from training.data.specimens import load_specimens
from training.diffusion import DiffusionStage, adapted_unet, noise_schedule
from training.evaluation.figures import loss_curve
from training.evaluation.results import read_results
from training.stages.checkpoints import checkpoints
from training.stages.loop import fit
from training.stages.lora import add_adapter, fuse, load_adapted, load_base, save_adapter
from training.stages.parts import load_autoencoder, to_latents

PAPER = "training/configs/paper.yaml"
TARGETS = ["attn1.to_q", "attn1.to_k", "to_v", "to_out.0"]


@pytest.fixture(scope="module")
def overrides(tmp_path_factory):
    """Return the paper's configuration on two cores: small parts, few specimens."""
    return [
        *small_settings(tmp_path_factory.mktemp("paper")),
        "data.per_species=2",
        "diffusion.training.learning_rate=1.0",  # large enough for two steps to show
    ]


@pytest.fixture(scope="module")
def base(config):
    """Return a folder with Stable Diffusion 1.5's parts and settings, a few thousandths of its size."""
    return Path(config.diffusion.base)


@pytest.fixture(scope="module")
def config(overrides):
    return parse_arguments("x", ["--config", PAPER, "--max-steps", "2", *overrides])


@pytest.fixture(scope="module")
def checkpoint(config):
    return run.run(config)


def unet_output(unet):
    generator = torch.Generator().manual_seed(0)
    latents, context = (torch.randn(shape, generator=generator) for shape in ((2, 4, 8, 8), (2, 1, 32)))
    with torch.no_grad():
        return unet(latents, torch.tensor([10, 700]), encoder_hidden_states=context).sample


def test_the_papers_settings():
    config = load(PAPER)
    training = config.diffusion.training
    assert (training.steps, training.batch_size, training.learning_rate) == (100_000, 128, 1e-5)
    assert config.data.image_size == 256
    assert config.diffusion.conditioner["context"] == "pooled"
    assert config.diffusion.conditioner["max_tokens"] + 1 == 1024


def test_max_steps_caps_every_stage(config):
    stages = (config.autoencoder, config.clibd, config.diffusion, config.aligner)
    assert [stage.training.steps for stage in stages] == [2] * 4
    assert parse_arguments("x", ["--config", PAPER, "--max-steps", "10000000"]) == load(PAPER)


def test_the_run_ends_in_an_ordinary_checkpoint_that_draws(config, checkpoint):
    pipeline = load_pipeline(checkpoint)
    output = pipeline(BARCODE, 56.6, 11.3, num_inference_steps=2)
    assert output.images[0].size == (64, 64)
    assert isinstance(pipeline.vae, AutoencoderKL)
    assert isinstance(pipeline.clibd, OfficialCLIBD)
    measured = read_results(checkpoint.parent / "run")["clibd"]["threshold"]
    assert pipeline.clibd.config.threshold == pytest.approx(measured)
    assert pipeline.scheduler.config.prediction_type == "epsilon"
    assert pipeline.config.default_guidance_scale == 1.0
    assert not [
        name for name, _ in pipeline.unet.named_parameters() if "lora" in name or "base_layer" in name
    ]


def test_the_adapter_beside_its_base_and_the_served_unet_agree(base, config, checkpoint):
    adapter = checkpoint.parent / "run" / "diffusion" / "unet_lora"
    adapted = load_adapted(adapter, latent_size=8)
    served = assemble.build_pipeline(config).unet
    untouched = load_base(UNet2DConditionModel, str(base), "unet")
    assert_close(unet_output(adapted), unet_output(served), atol=1e-4, rtol=1e-4)
    assert (unet_output(served) - unet_output(untouched)).abs().max() > 1e-2
    assert json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)
    assert served.config.sample_size == 8
    assert not list((checkpoint.parent / "run" / "diffusion").glob("unet/*"))


def test_training_changes_adapter_and_conditioner(checkpoint):
    folder = checkpoint.parent / "run" / "diffusion"
    words = "embeddings.word_embeddings.weight"
    started = load_file(checkpoint.parent / "weights" / "barcodebert" / "model.safetensors")[words][2:]
    learned = load_file(folder / "conditioner" / "diffusion_pytorch_model.safetensors")[f"bert.{words}"][3:]
    assert (learned - started).abs().max() > 0.1
    adapter = load_file(folder / "unet_lora" / "pytorch_lora_weights.safetensors")
    ups = [tensor for name, tensor in adapter.items() if "lora_B" in name]
    assert len(ups) == 4 * 6  # in each of 4 transformer blocks all of attn1, and to_v and to_out of attn2
    assert all(tensor.abs().max() > 0 for tensor in ups)


def test_checkpoints_without_the_base_resume_to_the_same_curve(base, config, checkpoint, tmp_path):
    run = checkpoint.parent / "run"
    settings = dict(steps=6, save_every=2, log_every=1, learning_rate=1e-2)
    training = replace(config.diffusion.training, **settings)

    def stage(seed):
        set_seed(seed)
        return DiffusionStage(config, load_specimens(config.data, run), load_autoencoder(run), run / "data")

    whole, broken, resumed = stage(0), stage(0), stage(1)
    fit(whole, training, tmp_path / "whole")
    three = iter([broken.batch] * 3)
    broken.batch = lambda *size_and_generator: next(three)(*size_and_generator)  # noqa: PLW0108 - another at each call
    with pytest.raises(RuntimeError, match="StopIteration"):
        fit(broken, training, tmp_path / "broken")
    (first,) = checkpoints(tmp_path / "broken")
    assert all(
        ".lora_" in name for name in load_file(first / "model.safetensors") if name.startswith("unet.")
    )

    fit(resumed, training, tmp_path / "broken")
    assert loss_curve(tmp_path / "broken") == loss_curve(tmp_path / "whole")
    expected, found = whole.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())
    kept = {
        name.removeprefix("unet.").replace(".base_layer", ""): tensor
        for name, tensor in found.items()
        if name.startswith("unet.") and ".lora_" not in name
    }
    original = load_file(base / "unet" / "diffusion_pytorch_model.safetensors")
    assert kept.keys() == original.keys()
    assert all(torch.equal(kept[name], original[name]) for name in original)


def test_a_fresh_adapter_changes_nothing_and_only_it_learns(base, tmp_path):
    unet = load_base(UNet2DConditionModel, str(base), "unet")
    before = unet_output(unet)
    add_adapter(unet, LoraSettings(rank=2, alpha=2, targets=TARGETS), str(base))
    assert_close(unet_output(unet), before)
    assert all("lora" in name for name, p in unet.named_parameters() if p.requires_grad)
    for name, parameter in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    save_adapter(unet, tmp_path, str(base))
    after = unet_output(unet)
    assert (after - before).abs().max() > 1e-2
    assert_close(unet_output(load_adapted(tmp_path, 8)), after, atol=1e-5, rtol=1e-5)
    assert_close(unet_output(fuse(load_adapted(tmp_path, 8))), after, atol=1e-4, rtol=1e-4)


def test_the_schedule_is_the_bases(base, config):
    schedule = noise_schedule(config)
    assert_close(schedule.alphas_cumprod, load_base(PNDMScheduler, str(base), "scheduler").alphas_cumprod)
    assert (schedule.config.prediction_type, schedule.config.timestep_spacing) == ("epsilon", "leading")
    assert schedule.config.steps_offset == 1


def test_latents_are_scaled_as_stable_diffusion_expects(checkpoint):
    vae = load_autoencoder(checkpoint.parent / "run")
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert_close(to_latents(vae, images), 0.18215 * vae.encode(images).latent_dist.mean)


@pytest.mark.parametrize(
    ("stage", "override", "sentence"),
    [
        (autoencoder, "diffusion.base=/nowhere", "The base /nowhere gives no vae"),
        (autoencoder, "diffusion.base=somebody/some-model", "or a hub id that the network reaches"),
        (clibd, "clibd.settings.official=/nowhere.pth", "no file /nowhere.pth; download it"),
        (diffusion, "diffusion.conditioner_init=/nowhere.pt", "no file /nowhere.pt; download it"),
        (diffusion, "diffusion.lora.targets=[to_nothing]", "as diffusion.lora.targets says: to_nothing"),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(stage, override, sentence, overrides, checkpoint, capsys):
    assert command("A stage.", stage.train, ["--config", PAPER, *overrides, override]) == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error


def test_a_condition_of_another_width_is_refused(config):
    with pytest.raises(InputError, match="set diffusion.conditioner.hidden_size=32"):
        adapted_unet(config.diffusion, latent_shape=(4, 8, 8), width=64)


def test_a_damaged_base_is_refused(base, tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_bytes((base / "unet" / "config.json").read_bytes())
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match="gives no unet"):
        load_base(UNet2DConditionModel, str(tmp_path), "unet")
