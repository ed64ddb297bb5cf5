"""The pipeline's contract: streaming, seeds, batches, guidance, save and load, bad input."""

import doctest
from dataclasses import asdict

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch.testing import assert_close

from g2pdiff.denoising import ALIGNMENT_RULES, SCHEDULERS, Denoising, Resolved
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.guidance import RULES
from g2pdiff.pipeline import G2PDiffusionPipeline
from tests.tiny import BARCODE, tiny_components, tiny_pipeline

MUTANT = Barcode.parse(BARCODE).mutate(0.2)


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


def picture(pipeline, *place, **arguments):
    place = place or (BARCODE, 56.6, 11.3)
    return pipeline(*place, **({"num_inference_steps": 3, "output_type": "pt"} | arguments)).images


def test_stream_counts_its_steps_and_ends_where_call_ends(pipeline):
    steps = list(pipeline.stream(BARCODE, 56.6, 11.3, seed=3, num_inference_steps=4))
    assert [(s.index, s.total) for s in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [s.timestep for s in steps] == sorted((s.timestep for s in steps), reverse=True)
    assert steps[0].image.size == (32, 32)
    output = pipeline(BARCODE, 56.6, 11.3, seed=3, num_inference_steps=4)
    assert np.array_equal(np.asarray(output.images[0]), np.asarray(steps[-1].image))
    assert output.clibd_scores == steps[-1].clibd_scores


def test_each_step_tells_what_the_model_saw_and_how_noisy_it_was(pipeline):
    first, *others = pipeline.stream(BARCODE, 56.6, 11.3, seed=3, num_inference_steps=4)
    noise = pipeline.prepare_latents(1, torch.Generator().manual_seed(3), torch.device("cpu"))
    assert_close(first.noisy, noise)
    shares = [step.noise_share for step in (first, *others)]
    assert 1 >= shares[0] > 0.9 and shares == sorted(shares, reverse=True) and shares[-1] >= 0


def test_pictures_are_in_range_and_differ_along_the_stream(pipeline):
    images = [s.images for s in pipeline.stream(BARCODE, 0, 0, num_inference_steps=3)]
    assert all(i.min() >= 0 and i.max() <= 1 for i in images)
    assert not torch.equal(images[0], images[-1])


def test_closing_the_stream_stops_the_run(pipeline):
    calls = []
    hook = pipeline.unet.register_forward_hook(lambda *_: calls.append(1))
    stream = pipeline.stream(BARCODE, 0, 0, num_inference_steps=50)
    next(stream)
    next(stream)
    stream.close()
    hook.remove()
    assert len(calls) == 2


def test_bad_input_is_refused_before_the_first_step(pipeline):
    with pytest.raises(InputError):
        pipeline.stream("not a barcode", 0, 0)  # not even iterated over


def test_same_seed_same_picture_and_another_seed_another(pipeline):
    assert torch.equal(picture(pipeline, seed=1), picture(pipeline, seed=1))
    assert not torch.allclose(picture(pipeline, seed=1), picture(pipeline, seed=2), atol=1e-3)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_runs_and_repeats(pipeline, name):
    first, again = (picture(pipeline, scheduler=name, num_inference_steps=5) for _ in range(2))
    assert torch.isfinite(first).all()
    assert torch.equal(first, again)


def test_schedulers_agree_with_many_steps():
    """Return the DDIM and DPM-Solver++ solve one differential equation."""
    pipeline = tiny_pipeline(aligner=None)
    ddim = picture(pipeline, scheduler="ddim", num_inference_steps=200, guidance_scale=1)
    dpm = picture(pipeline, scheduler="dpm++", num_inference_steps=50, guidance_scale=1)
    assert_close(ddim, dpm, atol=0.05, rtol=0)


def test_a_batch_equals_single_runs(pipeline):
    batch = picture(pipeline, [BARCODE, MUTANT], [10, -60], [20, 30], seed=[4, 5])
    single = [picture(pipeline, BARCODE, 10, 20, seed=4), picture(pipeline, MUTANT, -60, 30, seed=5)]
    assert_close(batch, torch.cat(single), atol=1e-4, rtol=0)


def test_one_seed_gives_a_batch_one_noise(pipeline):
    twins = picture(pipeline, BARCODE, [10, 10], 20, seed=4)
    assert_close(twins[0], twins[1], atol=1e-5, rtol=0)


def test_barcode_place_and_scales_matter(pipeline):
    base = picture(pipeline)
    changed = {
        "barcode": picture(pipeline, MUTANT, 56.6, 11.3),
        "latitude": picture(pipeline, BARCODE, -56.6, 11.3),
        "longitude": picture(pipeline, BARCODE, 56.6, -100),
        "guidance_scale": picture(pipeline, guidance_scale=6),
        "alignment_scale": picture(pipeline, alignment_scale=50),
    }
    same = [name for name, image in changed.items() if torch.allclose(image, base, atol=1e-6)]
    assert not same


def test_guidance_acts_below_a_timestep(pipeline):
    def latents(**settings):
        stream = pipeline.stream(BARCODE, 56.6, 11.3, num_inference_steps=4, **settings)
        return [step.latents for step in stream]

    guided, unguided = latents(guidance_below=1000), latents(guidance_scale=1, alignment_scale=0)
    assert all(torch.equal(*pair) for pair in zip(latents(guidance_below=0), unguided, strict=True))
    assert all(torch.equal(*pair) for pair in zip(latents(), guided, strict=True))
    # The first of four steps is at 999.
    late = latents(guidance_below=999)
    assert torch.equal(late[0], unguided[0])
    assert not torch.allclose(late[-1], unguided[-1]) and not torch.allclose(late[-1], guided[-1])


def test_settings_are_completed_by_the_checkpoints_defaults(pipeline):
    config = pipeline.config
    assert Denoising().resolve(config) == Resolved(4, 2.0, 1.0, 1000, None, "corrected")
    given = Denoising(7, 0, 0, 0, "ddim", "literal")
    assert asdict(given.resolve(config)) == asdict(given)
    assert Denoising(steps="7").resolve(config).steps == 7
    assert set(ALIGNMENT_RULES) == set(RULES)


def test_every_setting_reaches_the_picture(pipeline):
    settings = Denoising(3, 3.0, 2.0, 900, "ddim", "literal").arguments
    drawn = picture(pipeline, **settings)
    assert torch.equal(picture(pipeline, **settings), drawn)
    for name in settings:
        changed = {"alignment_rule": "corrected"} if name == "alignment_rule" else {name: None}
        assert not torch.equal(picture(pipeline, **settings | changed), drawn), name


def test_the_predictions_of_both_kinds_are_understood():
    """Return a U-Net that predicts v is the same denoiser as one that predicts the matching noise."""
    velocity = tiny_pipeline(aligner=None)
    noise = tiny_pipeline(aligner=None, scheduler=tiny_components(prediction_type="epsilon")["scheduler"])
    gammas = velocity.scheduler.alphas_cumprod

    def as_noise(module, args, output):
        latents, timestep = args
        gamma = gammas[timestep]
        output.sample = gamma.sqrt() * output.sample + (1 - gamma).sqrt() * latents

    noise.unet.register_forward_hook(as_noise)
    expected = picture(velocity, guidance_scale=1)
    assert_close(picture(noise, guidance_scale=1), expected, atol=1e-5, rtol=0)


def test_save_and_load_round_trips_bit_for_bit(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    loaded = G2PDiffusionPipeline.from_pretrained(tmp_path)
    assert torch.equal(picture(loaded, seed=9), picture(pipeline, seed=9))
    for name in ("image_size", "default_steps", "truth", "default_alignment_scale"):
        assert loaded.config[name] == pipeline.config[name]
    for name, part in pipeline.components.items():
        if isinstance(part, torch.nn.Module):
            state = loaded.components[name].state_dict()
            assert all(torch.equal(state[key], value) for key, value in part.state_dict().items())


def test_optional_parts_may_be_missing(tmp_path):
    bare = tiny_pipeline(aligner=None, clibd=None)
    bare.save_pretrained(tmp_path)
    loaded = G2PDiffusionPipeline.from_pretrained(tmp_path)
    step = next(loaded.stream(BARCODE, 0, 0))
    assert step.clibd_scores is None and step.clibd_score is None
    assert loaded(BARCODE, 0, 0, num_inference_steps=1).clibd_scores is None


def test_without_previews_only_the_last_step_is_decoded_and_scored(pipeline):
    arguments = {"num_inference_steps": 3, "seed": 1}
    shown = list(pipeline.stream(BARCODE, 0, 0, **arguments))
    plain = list(pipeline.stream(BARCODE, 0, 0, previews=False, **arguments))
    assert [step.images is None for step in plain] == [True, True, False]
    assert [step.clibd_scores is None for step in plain] == [True, True, False]
    assert torch.equal(plain[-1].images, shown[-1].images)
    assert plain[-1].clibd_scores == shown[-1].clibd_scores
    latents = pipeline(BARCODE, 0, 0, output_type="latent", **arguments).images
    assert torch.equal(latents, plain[-1].latents)


def test_the_example_of_the_docstring_runs():
    (example,) = doctest.DocTestFinder(recurse=False).find(G2PDiffusionPipeline, globs={})
    assert len(example.examples) >= 5
    assert doctest.DocTestRunner().run(example).failed == 0


def test_an_unknown_output_type_is_refused(pipeline):
    with pytest.raises(InputError, match="choose pil or np or pt or latent"):
        pipeline(BARCODE, 0, 0, output_type="jpeg")


def test_output_types_show_one_picture(pipeline):
    pt = picture(pipeline)
    array = picture(pipeline, output_type="np")
    pil = picture(pipeline, output_type="pil")
    assert_close(torch.from_numpy(array).permute(0, 3, 1, 2), pt)
    assert np.abs(np.asarray(pil[0]) / 255 - array[0]).max() <= 0.5 / 255 + 1e-6
    images, scores = pipeline(BARCODE, 0, 0, num_inference_steps=1, return_dict=False)
    assert len(images) == len(scores) == 1


def test_a_stable_diffusion_autoencoder_fits():
    """Return `paper`-style parts: a KL autoencoder with its scaling factor, and a U-Net without class
    embedding."""
    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.5,
    ).eval()
    pipeline = tiny_pipeline(vae=vae)
    latents = torch.randn(1, 4, 4, 4)
    decoded = vae.decode(latents / 0.5).sample / 2 + 0.5
    assert_close(pipeline.decode(latents), decoded.clamp(0, 1).detach())


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("barcode", {"barcode": ""}),
        ("barcode", {"barcode": "MKVLAAGIVGLLLAQWERTY" * 15}),
        ("latitude", {"latitude": 91}),
        ("latitude", {"latitude": None}),
        ("longitude", {"longitude": "east"}),
        ("seed", {"seed": -1}),
        ("steps", {"num_inference_steps": 0}),
        ("guidance_scale", {"guidance_scale": -1}),
        ("alignment_scale", {"alignment_scale": "strong"}),
        ("guidance_below", {"guidance_below": 1001}),
        ("scheduler", {"scheduler": "euler"}),
        ("alignment_rule", {"alignment_rule": "printed"}),
        ("longitude", {"latitude": [1, 2, 3], "longitude": [1, 2]}),
    ],
)
def test_bad_values_name_their_field_in_one_sentence(pipeline, field, arguments):
    values = {"barcode": BARCODE, "latitude": 0, "longitude": 0} | arguments
    with pytest.raises(InputError) as caught:
        pipeline(**values)
    assert caught.value.field == field
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
