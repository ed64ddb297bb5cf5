"""The conditioner stage, and what reads its mean latent."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.models.conditioner import BarcodeConditioner, Condition
from tests.tiny import BARCODE, tiny_components, tiny_pipeline
from training.conditioner import ConditionerStage, explained, mean_latents
from training.configs.schema import load
from training.data.specimens import SpecimenSet
from training.decoder import DecoderLoss
from training.diffusion import DiffusionLoss, cache_conditions
from training.phenotype import PhenotypeEncoder, SpeciesLoss
from training.stages.loop import fit
from training.stages.parts import start_weights

SHAPE = (4, 4, 4)


def conditioner() -> BarcodeConditioner:
    torch.manual_seed(0)
    return BarcodeConditioner(hidden_size=16, num_layers=1, num_heads=2, latent_shape=SHAPE).eval()


def unet_beside():
    """Return the tiny U-Net with room for a mean latent beside the noisy one."""
    unet = tiny_components()["unet"]
    return type(unet).from_config({**unet.config, "in_channels": 8}).eval()


def test_rows_of_conditions_are_chosen_joined_and_dropped_with_their_mean_latents():
    first, second = (
        Condition(torch.full((2, 3), x), torch.full((2, 1, 3), x), torch.full((2, *SHAPE), x))
        for x in (1.0, 2.0)
    )
    mixed = first.where(torch.tensor([True, False]), second)
    assert mixed.pooled[:, 0].tolist() == mixed.mean_latent[:, 0, 0, 0].tolist() == [1.0, 2.0]
    assert Condition.cat([first, second]).repeat(3)[[0, 11]].mean_latent[:, 0, 0, 0].tolist() == [1.0, 2.0]
    latents = torch.zeros(2, 4, 4, 4)
    assert first.beside(latents).shape == (2, 8, 4, 4)
    assert Condition(first.pooled, first.context).beside(latents) is latents


def test_an_empty_condition_has_the_middle_of_all_latents():
    model = conditioner()
    null = model.null(model(torch.full((2, 165), 5), torch.zeros(2, 3)))
    assert null.mean_latent.abs().sum() == 0
    assert null.mean_latent.shape == (2, *SHAPE)


def test_the_pipeline_hands_the_mean_latent_to_the_unet_and_drops_it_with_the_condition():
    unet, seen = unet_beside(), []
    unet.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    pipeline = tiny_pipeline(conditioner=conditioner(), unet=unet)
    pipeline(BARCODE, 10, 20, num_inference_steps=1, guidance_scale=2.0, guidance_below=1000)
    expected = pipeline.encode_condition([Barcode.parse(BARCODE)], torch.tensor([[10.0, 20.0]]))
    empty, given = seen[0][:, 4:]
    assert empty.abs().sum() == 0
    assert_close(given, expected.mean_latent[0])


def test_the_loss_drops_the_mean_latent_where_it_drops_the_condition():
    parts, unet, seen = tiny_components(), unet_beside(), []
    unet.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    loss = DiffusionLoss(conditioner(), unet, parts["scheduler"])
    condition = cache_conditions(loss.conditioner, torch.full((2, 165), 5), torch.zeros(2, 3))
    given = vars(condition.to(torch.float32))
    loss(
        torch.randn(2, *SHAPE),
        torch.randn(2, 2, *SHAPE),
        torch.tensor([[1, 500], [2, 900]]),
        torch.tensor([[True, False], [False, True]]),
        **given,
    )
    filled = seen[0][:, 4:].abs().sum((1, 2, 3)) > 0
    assert filled.tolist() == [False, True, True, False]


@pytest.fixture
def learnable(tmp_path):
    """Return two species that differ in barcode and picture, and a stage over them."""
    pictures = np.zeros((24, 3, 32, 32), np.uint8)
    pictures[::2, 0], pictures[1::2, 2] = 250, 200
    short = BARCODE[:120]  # the sketch's components then take no time
    table = pd.DataFrame(
        {"species": ["a", "b"] * 12, "dna_barcode": [short, short.replace("ATT", "GCC")] * 12}
    )
    table["coord-lat"], table["coord-lon"] = 10.0, 20.0
    table["order"], table["mutation_rate"] = "O", 0.0
    overrides = [f"run={tmp_path}", "diffusion.conditioner.hidden_size=16"]
    training = {"steps": 120, "batch_size": 8, "learning_rate": 5e-3}
    overrides += [f"conditioner.training.{name}={value}" for name, value in training.items()]
    config = load("training/configs/test.yaml", overrides)
    specimens = SpecimenSet(table, pictures)
    vae = tiny_components()["vae"]
    return config, specimens, ConditionerStage(config, specimens, vae, tmp_path)


def test_the_stage_learns_the_latents_and_says_what_each_part_knows(learnable, tmp_path):
    config, specimens, stage = learnable
    before = explained(stage, specimens, stage.latents)
    result = fit(stage, config.conditioner.training, tmp_path / "fit")
    after = explained(stage, specimens, stage.latents)
    assert result["steps"] == 120
    assert set(after) == {"both", "bert", "sketch"}
    assert after["both"] > 0.8 > before["both"]
    assert after["sketch"] > before["sketch"]
    found = mean_latents(stage.model.conditioner, stage.input_ids[:2], stage.localities[:2])["both"]
    assert_close(found, stage.model.conditioner(stage.input_ids[:2], stage.localities[:2]).mean_latent)


def test_a_run_starts_from_the_weights_of_another(learnable, tmp_path):
    config, _, stage = learnable
    stage.model.conditioner.save_pretrained(tmp_path / "other" / "conditioner" / "model")
    fresh = type(stage.model.conditioner).from_config(stage.model.conditioner.config)
    config.start_from = str(tmp_path / "other")
    start_weights(config, "conditioner/model", fresh)
    for name, tensor in stage.model.conditioner.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], tensor), name
    with pytest.raises(InputError, match="does not hold the weights") as refused:
        start_weights(config, "conditioner/model", conditioner())
    assert refused.value.field == "start_from"


def decoder_loss(adversarial: float) -> tuple[DecoderLoss, dict]:
    parts = tiny_components()
    loss = DecoderLoss(parts["vae"], unet_beside(), parts["scheduler"], adversarial, 3.0)
    torch.manual_seed(1)
    condition = conditioner()(torch.full((4, 165), 5), torch.zeros(4, 3))
    images = torch.rand(4, 3, 32, 32) * 2 - 1
    batch = {"images": images, "latents": parts["vae"].encode(images), "noise": torch.randn(4, *SHAPE)}
    return loss, batch | {"timesteps": torch.tensor([20, 399, 20, 399])} | vars(condition)


def test_the_decoder_learns_from_noisy_latents_and_the_unets_estimates():
    loss, batch = decoder_loss(0.0)
    condition = Condition(batch["pooled"], batch["context"], batch["mean_latent"])
    given = loss.disturbed(batch["latents"], batch["noise"], batch["timesteps"], condition)
    off = (given - batch["latents"]).square().mean((1, 2, 3))
    assert off[0] < off[1]  # more noise at the later timestep
    assert off[2] < off[3]  # a worse estimate, likewise
    loss(**{name: value.detach() for name, value in batch.items()}).backward()
    assert all(parameter.grad is None for parameter in loss.unet.parameters())
    assert loss.discriminator is None
    assert loss.vae.conv_out.weight.grad.abs().sum() > 0


def test_one_backward_pass_teaches_decoder_and_discriminator_opposite_things():
    loss, batch = decoder_loss(1.0)
    optimizer = torch.optim.SGD(loss.discriminator.parameters(), 0.05)
    batch = {name: value.detach() for name, value in batch.items()}
    decoded = loss.vae.decode(batch["latents"]).sample.detach()

    def gap() -> float:
        return (loss.discriminator(batch["images"]).mean() - loss.discriminator(decoded).mean()).item()

    before = gap()
    for _ in range(10):
        optimizer.zero_grad()
        loss(**batch).backward()
        optimizer.step()
    assert gap() > before


def test_the_phenotype_encoder_brings_pictures_of_a_species_together():
    torch.manual_seed(0)
    encoder = PhenotypeEncoder(image_size=32, widths=(8, 8, 16, 16), depths=(1, 1, 1, 1), embed_size=8)
    loss = SpeciesLoss(encoder, 3)
    colours = torch.tensor([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9]])
    species = torch.arange(3).repeat(4)
    images = colours[species][:, :, None, None].expand(-1, 3, 48, 48) + 0.05 * torch.randn(12, 3, 48, 48)
    optimizer = torch.optim.Adam(loss.parameters(), 3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss(images, species).backward()
        optimizer.step()
    vectors = encoder.eval().embed(images)
    assert_close(vectors.norm(dim=1), torch.ones(12))
    alike = vectors @ vectors.T
    same = species[:, None] == species[None]
    assert alike[same].mean() > alike[~same].mean() + 0.3
