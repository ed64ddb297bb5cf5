"""ControlNet with a barcode for a hint: silent before training, then all that the barcode has to say."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.models.controlnet import BarcodeControlNet
from tests.tiny import BARCODE, tiny_components, tiny_pipeline


def fresh_controlnet(unet) -> BarcodeControlNet:
    return BarcodeControlNet.from_unet(unet, 16, hint_size=4, embedding_widths=(4, 4, 8, 8)).eval()


@pytest.fixture
def trained():
    """Return a ControlNet that has something to say, as one that learned does."""
    torch.manual_seed(1)
    controlnet = fresh_controlnet(tiny_components()["unet"])
    for parameter in controlnet.parameters():
        nn.init.normal_(parameter, std=0.3)
    return controlnet


def draw(pipeline, barcode=BARCODE, **settings):
    return pipeline(barcode, 56.6, 11.3, output_type="latent", alignment_scale=0, **settings).images


@pytest.mark.parametrize("guidance_scale", [1.0, 2.0])
def test_at_step_0_it_equals_the_locked_model_without_a_condition(guidance_scale):
    pipeline = tiny_pipeline(controlnet=fresh_controlnet(tiny_components()["unet"]))
    # Classifier-free guidance of 0 is the unconditional prediction alone.
    base = draw(tiny_pipeline(), guidance_scale=0.0)
    assert_close(draw(pipeline, guidance_scale=guidance_scale), base, atol=1e-5, rtol=1e-5)


def test_barcode_and_place_come_by_the_hint_alone(trained):
    pipeline = tiny_pipeline(controlnet=trained)
    other = BARCODE[:300] + "A" * 60 + BARCODE[360:]
    assert not torch.allclose(draw(pipeline), draw(pipeline, other), atol=1e-4)
    nn.init.zeros_(trained.hint.weight)
    assert torch.equal(draw(pipeline), draw(pipeline, other))


def test_guidance_leads_away_from_the_locked_model(trained):
    pipeline = tiny_pipeline(controlnet=trained)
    base, once, twice = (
        draw(pipeline, guidance_scale=scale, num_inference_steps=1) for scale in (0.0, 1.0, 2.0)
    )
    assert_close(twice - base, 2 * (once - base), atol=1e-4, rtol=1e-3)


def test_it_is_served_like_any_checkpoint(trained, tmp_path):
    pipeline = tiny_pipeline(controlnet=trained)
    pipeline.save_pretrained(tmp_path)
    assert_close(draw(load_pipeline(tmp_path)), draw(pipeline), atol=1e-5, rtol=1e-5)
