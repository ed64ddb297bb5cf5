"""What diffusers holds its own pipelines to, on real tiny components.

The list is that of diffusers' pipeline tests: save and load, batch and single, dict and tuple, callbacks and
interruption, dtypes and devices, several pictures of one input, generators, optional parts, the encoding of
the condition by itself, and the progress bar.
"""

import inspect

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from diffusers import EulerDiscreteScheduler, HeunDiscreteScheduler, LMSDiscreteScheduler
from torch.testing import assert_close

from g2pdiff.batching import DrawingBatch
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.models.controlnet import BarcodeControlNet
from g2pdiff.pipeline import G2PDiffusionPipeline
from tests.tiny import BARCODE, tiny_components, tiny_pipeline

MUTANT = Barcode.parse(BARCODE).mutate(0.2)
PARTS = ("aligner", "clibd", "controlnet")
MODULES = ("vae", "conditioner", "unet", "aligner", "clibd", "controlnet")


def whole_pipeline() -> G2PDiffusionPipeline:
    """Return the with every part there is; the ControlNet has something to say."""
    controlnet = BarcodeControlNet.from_unet(
        tiny_components()["unet"], 16, hint_size=4, embedding_widths=(8, 8, 8, 8)
    )
    torch.manual_seed(1)
    for parameter in controlnet.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return tiny_pipeline(controlnet=controlnet.eval())


@pytest.fixture(scope="module")
def pipeline():
    return whole_pipeline()


def draw(pipeline, barcode=BARCODE, latitude=56.6, longitude=11.3, **arguments):
    return pipeline(
        barcode, latitude, longitude, **({"num_inference_steps": 3, "output_type": "pt"} | arguments)
    ).images


def test_the_call_takes_what_diffusers_users_look_for():
    names = set(inspect.signature(G2PDiffusionPipeline.stream).parameters)
    assert {"generator", "num_inference_steps", "guidance_scale"} <= names
    assert {"callback_on_step_end", "callback_on_step_end_tensor_inputs"} <= names
    assert {"output_type", "return_dict"} <= set(inspect.signature(G2PDiffusionPipeline.__call__).parameters)


def test_save_and_load_round_trips_with_every_part(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    loaded = G2PDiffusionPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert torch.equal(draw(loaded), draw(pipeline))


@pytest.mark.parametrize("part", PARTS)
def test_each_optional_part_may_be_missing_and_stays_missing(pipeline, part, tmp_path):
    without = G2PDiffusionPipeline(**(pipeline.components | {part: None}), image_size=32, default_steps=4)
    without.set_progress_bar_config(disable=True)
    without.save_pretrained(tmp_path)
    loaded = G2PDiffusionPipeline.from_pretrained(tmp_path)
    loaded.set_progress_bar_config(disable=True)
    assert getattr(loaded, part) is None
    assert all(getattr(loaded, other) is not None for other in PARTS if other != part)
    assert torch.equal(draw(loaded), draw(without))


def test_components_make_another_pipeline(pipeline):
    twin = G2PDiffusionPipeline(**pipeline.components)
    twin.set_progress_bar_config(disable=True)
    assert torch.equal(draw(twin), draw(pipeline))


@pytest.mark.parametrize("scheduler", ["ddpm", "dpm++"])
def test_a_batch_equals_single_runs_with_every_part(pipeline, scheduler):
    batch = draw(pipeline, [BARCODE, MUTANT], [10, -60], [20, 30], seed=[4, 5], scheduler=scheduler)
    single = [
        draw(pipeline, BARCODE, 10, 20, seed=4, scheduler=scheduler),
        draw(pipeline, MUTANT, -60, 30, seed=5, scheduler=scheduler),
    ]
    assert_close(batch, torch.cat(single), atol=1e-4, rtol=0)


def test_the_tuple_is_the_dict(pipeline):
    arguments = {"num_inference_steps": 2, "output_type": "pt", "seed": 3}
    output = pipeline(BARCODE, 0, 0, **arguments)
    images, scores = pipeline(BARCODE, 0, 0, return_dict=False, **arguments)
    assert torch.equal(output.images, images) and output.clibd_scores == scores
    assert output[0] is output.images


def test_pictures_of_one_barcode_follow_each_other_from_seed_to_seed(pipeline):
    arguments = {"num_inference_steps": 2, "output_type": "pt"}
    output = pipeline([BARCODE, MUTANT], 10, 20, seed=[4, 9], num_images_per_barcode=2, **arguments)
    assert len(output.images) == len(output.clibd_scores) == 4
    given = [(BARCODE, 4), (BARCODE, 5), (MUTANT, 9), (MUTANT, 10)]
    single = [pipeline(barcode, 10, 20, seed=seed, **arguments) for barcode, seed in given]
    assert_close(output.images, torch.cat([one.images for one in single]), atol=1e-4, rtol=0)
    assert output.clibd_scores == pytest.approx([one.clibd_scores[0] for one in single], abs=1e-4)


def test_after_the_largest_seed_comes_0(pipeline):
    last, first = draw(pipeline, seed=2**32 - 1, num_images_per_barcode=2)
    assert_close(last[None], draw(pipeline, seed=2**32 - 1), atol=1e-4, rtol=0)
    assert_close(first[None], draw(pipeline, seed=0), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scheduler", ["ddpm", "dpm++"])
def test_generators_stand_for_seeds(pipeline, scheduler):
    generators = [torch.Generator().manual_seed(seed) for seed in (4, 5)]
    given = draw(pipeline, [BARCODE, MUTANT], generator=generators, scheduler=scheduler)
    seeded = draw(pipeline, [BARCODE, MUTANT], seed=[4, 5], scheduler=scheduler)
    assert torch.equal(given, seeded)


def test_one_generator_serves_the_whole_batch_and_moves_on(pipeline):
    generator = torch.Generator().manual_seed(4)
    first = draw(pipeline, num_images_per_barcode=2, generator=generator)
    second = draw(pipeline, num_images_per_barcode=2, generator=generator)
    again = draw(pipeline, num_images_per_barcode=2, generator=torch.Generator().manual_seed(4))
    assert torch.equal(first, again)
    assert not torch.allclose(first[0], first[1], atol=1e-3)
    assert not torch.allclose(first, second, atol=1e-3)


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("num_images_per_barcode", {"num_images_per_barcode": 0}),
        ("num_images_per_barcode", {"num_images_per_barcode": 1.5}),
        ("generator", {"generator": [torch.Generator()] * 3}),
        ("callback_on_step_end_tensor_inputs", {"callback_on_step_end_tensor_inputs": ["prompt_embeds"]}),
    ],
)
def test_what_cannot_be_used_is_named(pipeline, field, arguments):
    with pytest.raises(InputError) as caught:
        pipeline.stream(BARCODE, 0, 0, **arguments)
    assert caught.value.field == field


def test_the_callback_is_given_what_it_asked_for_and_no_more(pipeline):
    seen = []

    def look(pipe, index, timestep, tensors):
        seen.append((pipe is pipeline, index, int(timestep), {name: t.shape for name, t in tensors.items()}))
        return {}

    plain = draw(pipeline)
    names = pipeline._callback_tensor_inputs
    assert torch.equal(
        draw(pipeline, callback_on_step_end=look, callback_on_step_end_tensor_inputs=names), plain
    )
    steps = list(pipeline.stream(BARCODE, 56.6, 11.3, num_inference_steps=3, callback_on_step_end=look))
    shapes = {"latents": (1, 4, 4, 4), "pooled": (1, 16), "context": (1, 166, 16)}
    assert seen[:3] == [(True, index, step.timestep, shapes) for index, step in enumerate(steps)]
    assert [set(tensors) for *_, tensors in seen[3:]] == [{"latents"}] * 3


def test_what_the_callback_returns_is_what_the_run_goes_on_with(pipeline):
    def zero_at_the_end(pipe, index, timestep, tensors):
        return {"latents": tensors["latents"] * (index < 2)}

    assert not draw(pipeline, output_type="latent", callback_on_step_end=zero_at_the_end).any()

    other = pipeline.encode_condition([MUTANT], torch.tensor([[-60.0, 30.0]]))

    def switch(pipe, index, timestep, tensors):
        return {"pooled": other.pooled, "context": other.context}

    switched = list(pipeline.stream(BARCODE, 56.6, 11.3, num_inference_steps=3, callback_on_step_end=switch))
    plain = list(pipeline.stream(BARCODE, 56.6, 11.3, num_inference_steps=3))
    assert torch.equal(switched[0].latents, plain[0].latents)
    assert not torch.allclose(switched[-1].latents, plain[-1].latents, atol=1e-4)


def test_a_callback_may_interrupt_the_run(pipeline):
    def interrupt(pipe, index, timestep, tensors):
        pipe._interrupt = index == 1
        return {}

    arguments = {"num_inference_steps": 4, "seed": 1}
    whole = list(pipeline.stream(BARCODE, 0, 0, **arguments))
    steps = list(pipeline.stream(BARCODE, 0, 0, callback_on_step_end=interrupt, previews=False, **arguments))
    assert pipeline.interrupt
    assert [(step.index, step.is_last) for step in steps] == [(1, False), (2, True)]
    assert torch.equal(steps[-1].latents, whole[1].latents)
    output = pipeline(BARCODE, 0, 0, callback_on_step_end=interrupt, output_type="pt", **arguments)
    assert torch.equal(output.images, steps[-1].images) and output.clibd_scores == steps[-1].clibd_scores
    assert len(list(pipeline.stream(BARCODE, 0, 0, **arguments))) == 4 and not pipeline.interrupt


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_draws_nearly_the_same_picture(pipeline, dtype):
    half = whole_pipeline().to(dtype)
    assert {getattr(half, name).dtype for name in MODULES} == {dtype}
    output = half(BARCODE, 56.6, 11.3, num_inference_steps=3, output_type="pt")
    assert output.images.dtype == torch.float32 and torch.isfinite(output.images).all()
    assert all(-1 <= score <= 1 for score in output.clibd_scores)
    assert (output.images - draw(pipeline)).abs().mean() < 0.02


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_pictures_of_another_size_than_clibd_sees(dtype):
    judge = tiny_components()["clibd"]
    images = torch.rand(2, 3, 48, 48)
    wanted = judge.score(images, judge.embed_barcodes([BARCODE, BARCODE]))
    half = judge.to(dtype)
    found = half.score(images, half.embed_barcodes([BARCODE, BARCODE]))
    assert found.dtype == dtype and (found.float() - wanted).abs().max() < 0.05


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_move_to_the_gpu_and_back_takes_every_part_along(pipeline):
    before = draw(pipeline)
    pipeline.to("cuda")
    assert {getattr(pipeline, name).device.type for name in MODULES} == {"cuda"}
    moved = draw(pipeline)
    pipeline.to("cpu")
    assert {getattr(pipeline, name).device.type for name in MODULES} == {"cpu"}
    assert_close(moved.cpu(), before, atol=1e-2, rtol=0)
    assert torch.equal(draw(pipeline), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_offloading_draws_the_same_picture():
    pipeline = tiny_pipeline()
    before = draw(pipeline)
    pipeline.enable_model_cpu_offload()
    assert_close(draw(pipeline).cpu(), before, atol=1e-2, rtol=0)


def test_the_condition_is_encoded_without_the_other_parts(pipeline):
    parts = dict.fromkeys(pipeline.components) | {
        name: getattr(pipeline, name) for name in ("tokenizer", "conditioner")
    }
    alone, place = G2PDiffusionPipeline(**parts), torch.tensor([[10.0, 20.0], [-60.0, 30.0]])
    barcodes = [Barcode.parse(BARCODE), MUTANT]
    condition, expected = (pipe.encode_condition(barcodes, place) for pipe in (alone, pipeline))
    assert torch.equal(condition.pooled, expected.pooled)
    assert torch.equal(condition.context, expected.context)


def test_the_progress_bar_counts_the_steps(pipeline, capsys):
    draw(pipeline)
    assert capsys.readouterr().err == ""
    pipeline.set_progress_bar_config(disable=False)
    try:
        draw(pipeline)
    finally:
        pipeline.set_progress_bar_config(disable=True)
    assert "3/3" in capsys.readouterr().err


def test_a_pipeline_in_half_precision_is_of_one_type_throughout(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    half = G2PDiffusionPipeline.from_pretrained(tmp_path, dtype=torch.bfloat16)
    half.set_progress_bar_config(disable=True)
    for name in MODULES:
        tensors = [*getattr(half, name).parameters(), *getattr(half, name).buffers()]
        assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.bfloat16}
    assert (draw(half) - draw(pipeline)).abs().mean() < 0.02


@pytest.mark.parametrize("size", ["5GB", "20KB"])
def test_a_variant_is_found_by_load_pipeline(pipeline, tmp_path, size):
    pipeline.save_pretrained(tmp_path, variant="fp16", max_shard_size=size)
    assert_close(draw(load_pipeline(tmp_path)), draw(pipeline), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", [EulerDiscreteScheduler, LMSDiscreteScheduler, HeunDiscreteScheduler])
def test_other_schedulers_are_refused_unless_the_call_names_one_of_ours(kind):
    pipeline = tiny_pipeline()
    before = draw(pipeline, scheduler="ddim")
    pipeline.scheduler = kind.from_config(pipeline.scheduler.config)
    with pytest.raises(
        InputError, match=f"scheduler is {kind.__name__}.*choose one of ddpm, ddim"
    ) as refused:
        pipeline.stream(BARCODE, 0, 0)
    assert refused.value.field == "scheduler"
    assert_close(draw(pipeline, scheduler="ddim"), before)


LETTERS = [BARCODE, MUTANT.sequence]


@pytest.mark.parametrize(
    "barcodes",
    [
        tuple(LETTERS),
        np.array(LETTERS),
        pd.Series(LETTERS),
        pd.Series(LETTERS, index=[5, 7]),
        pd.Index(LETTERS),
        [Seq(letters) for letters in LETTERS],
        [SeqRecord(Seq(letters), id="moth") for letters in LETTERS],
        (letters for letters in LETTERS),
        dict.fromkeys(LETTERS).keys(),
        pa.array(LETTERS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_columns_of_any_kind_are_many_values(barcodes):
    found = DrawingBatch.check(barcodes, 1, 2, 0, None, 1)
    assert [barcode.sequence for barcode in found.barcodes] == [Barcode.parse(x).sequence for x in LETTERS]


@pytest.mark.parametrize(
    "numbers",
    [
        (1, 2),
        range(1, 3),
        np.array([1, 2]),
        np.float32([1, 2]),
        torch.tensor([1, 2]),
        torch.tensor([1.0, 2.0]),
        pd.Series([1.0, 2.0]),
        pd.Series([1, 2], dtype="Int64"),
        ["1", "2"],
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_numbers_of_any_kind_are_many_values(numbers):
    found = DrawingBatch.check(BARCODE, numbers, numbers, numbers, None, 1)
    assert found.localities.tolist() == [[1, 1], [2, 2]]
    assert [generator.initial_seed() for generator in found.generators] == [1, 2]


@pytest.mark.parametrize("one", [3, 3.0, "3", np.int64(3), np.float64(3), torch.tensor(3), np.array(3)])
def test_a_number_of_any_kind_is_one_value(one):
    found = DrawingBatch.check(BARCODE, one, one, one, None, 1)
    assert found.localities.tolist() == [[3, 3]] and found.generators[0].initial_seed() == 3


@pytest.mark.parametrize(
    "barcode", [Seq(BARCODE), SeqRecord(Seq(BARCODE)), BARCODE.encode(), Barcode(BARCODE)]
)
def test_a_sequence_of_letters_is_one_value(barcode):
    assert [found.sequence for found in DrawingBatch.check(barcode, 1, 2, 0, None, 1).barcodes] == [BARCODE]


def test_a_column_without_values_is_refused():
    for field in ("barcode", "latitude", "seed"):
        given = {"barcode": BARCODE, "latitude": 1, "seed": 0} | {field: []}
        with pytest.raises(InputError) as refused:
            DrawingBatch.check(given["barcode"], given["latitude"], 2, given["seed"], None, 1)
        assert refused.value.field == field


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    pipeline = tiny_pipeline()
    next(pipeline.unet.parameters()).data[0] = torch.nan
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="not finite numbers .unet"):
        load_pipeline(tmp_path)
