"""The specifications: one description of each experiment, from which everything else is made."""

import argparse
import json

import gradio as gr
import pytest
import torch
from pydantic import ValidationError

from g2pdiff.cli import build_parser, specification_of
from g2pdiff.dna.mutation import KINDS, mutate
from g2pdiff.errors import InputError
from g2pdiff.experiments.arguments import as_list
from g2pdiff.experiments.generate import Generate
from g2pdiff.experiments.latitude import LATITUDES, LONGITUDES, LatitudeSweep
from g2pdiff.experiments.mutations import RATES, Mutations
from g2pdiff.experiments.sheet import contact_sheet
from g2pdiff.experiments.specification import check_of, specifications
from g2pdiff.models.checkpoint_names import named_checkpoints
from g2pdiff.ui.app import TABS
from g2pdiff.ui.form import Form
from g2pdiff.ui.server.model import Models
from g2pdiff.ui.widgets.number_box import as_typed
from tests.tiny import BARCODE, tiny_pipeline

PLACE = {"latitude": 10, "longitude": 20}
GIVEN = {"barcode": BARCODE, **PLACE}
EXAMPLES = {
    "generate": GIVEN,
    "mutations": GIVEN,
    "compare": GIVEN | {"other_latitude": -10},
    "latitude": GIVEN,
    "bases": GIVEN,
    "batch": PLACE | {"fasta": f">x\n{BARCODE}"},
}
SPECIFICATIONS = specifications()
OFFERED = ("generate", "mutations", "compare", "latitude", "batch")  # to scripts


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline(truth=None)


def run(pipeline, verb, **values):
    """Return the report of an experiment that was run to its end."""
    asked = SPECIFICATIONS[verb](**values, steps=1)
    rows = [row for update in asked.start(pipeline) for row in update.rows]
    return asked.report(pipeline, rows)


def test_every_experiment_has_a_specification_and_a_tab():
    assert set(SPECIFICATIONS) == set(EXAMPLES)
    assert [tab.specification for tab in TABS] == list(SPECIFICATIONS.values())


def test_help_says_what_the_defaults_are():
    kind, rates, degrees = (
        SPECIFICATIONS[name].model_fields[field]
        for name, field in (("generate", "kind"), ("mutations", "rates"), ("latitude", "degrees"))
    )
    assert set(kind.annotation.__args__) == set(KINDS)
    assert len(RATES) == 7 and (RATES[0], RATES[-1]) == (0, 0.5)
    assert "seven rates from 0 to 0.5" in rates.description
    assert tuple(range(-80, 81, 20)) == LATITUDES and tuple(range(-160, 161, 40)) == LONGITUDES
    assert "every 20 from -80 to 80, or every 40 from -160 to 160" in degrees.description


@pytest.mark.parametrize("kind", SPECIFICATIONS.values(), ids=SPECIFICATIONS)
def test_arguments_are_described_in_a_line_and_checked_and_the_required_come_first(kind):
    fields = kind.arguments().values()
    assert list(kind.arguments()) and set(kind.arguments()) == set(kind.model_fields)
    assert all(field.description and "\n" not in field.description for field in fields)
    assert all(check_of(field) for field in fields)
    required = [field.is_required() for field in fields]
    assert required == sorted(required, reverse=True)


@pytest.mark.parametrize("name", OFFERED)
def test_command_line_and_endpoint_have_the_specifications_defaults(name):
    kind = SPECIFICATIONS[name]
    given = EXAMPLES[name]
    typed = [f"--{option.replace('_', '-')}={value}" for option, value in given.items()]
    asked = specification_of(build_parser().parse_args([name, *typed]))
    for argument, field in kind.arguments().items():
        if argument not in given and argument != "other_barcode":
            assert getattr(asked, argument) is field.default
        if not field.is_required():
            plain = json.loads(json.dumps(field.default))
            assert kind.schema_of(argument)["default"] == plain


def test_the_tabs_have_the_specifications_defaults():
    with gr.Blocks():
        models = Models(named_checkpoints())
        form = Form(models)
        tabs = {kind.name: kind(models, form) for kind in TABS}
    for argument, field in form.fields.items():
        if argument not in ("barcode", "latitude", "longitude"):  # an example's
            assert field.value in (Generate.default(argument), as_typed(Generate.default(argument)))
    series = tabs["mutations"].check({name: field.value for name, field in tabs["mutations"].inputs.items()})
    assert series.asked.rates == Mutations.default("rates")
    assert series.asked.replicates == Mutations.default("replicates")
    walk = tabs["latitude"].check({name: field.value for name, field in tabs["latitude"].inputs.items()})
    assert (walk.asked.along, walk.asked.replicates) == ("latitude", LatitudeSweep.default("replicates"))
    assert walk.asked.places == LATITUDES
    assert tabs["compare"].fields["pairs"].value == as_typed(SPECIFICATIONS["compare"].default("pairs"))


@pytest.mark.parametrize("name", SPECIFICATIONS)
def test_a_specification_comes_back_from_json(name):
    first = SPECIFICATIONS[name](**EXAMPLES[name], seed=3, steps=2)
    assert SPECIFICATIONS[name].model_validate_json(first.model_dump_json()) == first
    again = SPECIFICATIONS[name](**json.loads(json.dumps(first.settings)))
    assert again == first and again.settings == first.settings


@pytest.mark.parametrize("name", SPECIFICATIONS)
@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"colour": "red"}, "colour", 'There is no argument "colour" of'),
        ({"seed": "x"}, "seed", 'Seed must be a whole number between 0 and 4,294,967,295, not "x".'),
        ({"steps": [1]}, "steps", "Steps must be a whole number between 1 and 1,000"),
        ({"guidance_scale": {}}, "guidance_scale", "Guidance scale must be a number"),
        ({"latitude": "north"}, "latitude", "Latitude must be a number between -90 and 90 degrees"),
    ],
)
def test_an_unknown_or_ill_typed_value_gets_our_sentence(name, changes, field, sentence):
    with pytest.raises(InputError) as refused:
        SPECIFICATIONS[name](**EXAMPLES[name] | changes)
    assert refused.value.field == field
    assert str(refused.value).startswith(sentence) and str(refused.value).endswith(".")


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"no_new_stops": "maybe"}, "no_new_stops", 'No new stops must be true or false, not "maybe".'),
        ({"kind": 5}, "kind", "There is no mutation kind"),
        ({"region": {}}, "region", "The region must be two sites"),
        ({"seed": -1, "barcode": ""}, "barcode", "The barcode is empty"),  # the first argument comes first
    ],
)
def test_the_first_thing_that_is_wrong_is_said(changes, field, sentence):
    with pytest.raises(InputError) as refused:
        Generate(**GIVEN | changes)
    assert refused.value.field == field and str(refused.value).startswith(sentence)


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match="Longitude is missing: give a number") as refused:
        Generate(barcode=BARCODE, latitude=1)
    assert refused.value.field == "longitude"


def test_a_specification_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Generate(**GIVEN).seed = 1


def test_the_command_line_reads_what_is_given(tmp_path):
    file = tmp_path / "barcode.fasta"
    file.write_text(f">moth\n{BARCODE}\n")
    given = ["mutations", f"--barcode={file}", "--latitude=1", "--longitude=2", "--rates", "0.1", "0.2"]
    asked = specification_of(build_parser().parse_args([*given, "--no-new-stops", "--ts-tv-ratio=2"]))
    assert isinstance(asked, Mutations) and asked.barcode.name == "moth"
    assert (asked.rates, asked.no_new_stops, asked.transition_transversion_ratio) == ((0, 0.1, 0.2), True, 2)
    assert isinstance(build_parser(), argparse.ArgumentParser)


@pytest.mark.parametrize(
    ("verb", "values"),
    [
        ("mutations", GIVEN | {"rates": "0.2 0.1", "replicates": "3", "region": "20 - 90"}),
        ("latitude", {"barcode": BARCODE, "longitude": "5", "steps": "7", "mutation_rate": 0.1}),
        ("latitude", {"barcode": BARCODE, "latitude": 5, "along": "longitude", "degrees": [0, 9, 9]}),
        ("compare", GIVEN | {"other_latitude": "-5", "guidance_scale": 3, "edits": "T12G"}),
        ("compare", GIVEN | {"alignment_scale": 2, "other_alignment_scale": 0, "seed": 3}),
        ("batch", PLACE | {"fasta": f">x\n{BARCODE}", "alignment_scale": "0"}),
    ],
)
def test_settings_are_the_arguments_that_ask_for_the_same_again(verb, values):
    first = SPECIFICATIONS[verb](**values)
    assert list(first.settings) == list(first.arguments())
    assert SPECIFICATIONS[verb](**first.settings).settings == first.settings


def test_the_sides_of_a_comparison_differ_in_what_was_changed():
    asked = SPECIFICATIONS["compare"](**GIVEN, other_longitude=-30, other_guidance_scale=1, mutation_rate=0.1)
    first, second = asked.first, asked.second
    assert (first.longitude, second.longitude, first.latitude, second.latitude) == (20, -30, 10, 10)
    assert (first.denoising.guidance_scale, second.denoising.guidance_scale) == (None, 1)
    assert first.barcode.sequence == BARCODE and len(first.barcode.differences(second.barcode)) == 66


TELLING = GIVEN | {"seed": 3, "steps": 1, "guidance_scale": 3, "region": "200-400", "edits": "A1G"}
"""Arguments of which each shows in the picture."""


def drawn_alone(pipeline, barcode, latitude, longitude):
    values = {"seed": 3, "num_inference_steps": 1, "guidance_scale": 3, "output_type": "pt"}
    return pipeline(barcode, latitude, longitude, **values).images[0]


def test_a_mutation_series_starts_from_the_edited_barcode(pipeline):
    asked = Mutations(**TELLING, rates=[0.05], replicates=2)
    wild_type, first, second = (row for update in asked.start(pipeline) for row in update.rows)
    assert wild_type.barcode == asked.edited and wild_type.barcode.sequence == "G" + BARCODE[1:]
    assert first.barcode == mutate(asked.edited, 0.05, 3, asked.model)
    assert second.barcode == mutate(asked.edited, 0.05, 4, asked.model)
    alone = drawn_alone(pipeline, first.barcode, 10, 20)
    torch.testing.assert_close(first.image, alone, atol=1e-5, rtol=0)


def test_a_sweep_keeps_the_mutated_barcode(pipeline):
    asked = LatitudeSweep(**TELLING, mutation_rate=0.1, along="longitude", degrees=[-5, 5], replicates=1)
    west, east = (row for update in asked.start(pipeline) for row in update.rows)
    assert (west.latitude, west.longitude, east.longitude) == (10, -5, 5)
    assert len(asked.barcode.differences(asked.mutated)) > 1
    alone = drawn_alone(pipeline, asked.mutated, 10, 5)
    torch.testing.assert_close(east.image, alone, atol=1e-5, rtol=0)


def test_without_a_known_truth_there_are_no_true_columns(pipeline, tmp_path):
    report = run(pipeline, "mutations", **GIVEN, rates=[0.1], replicates=1)
    assert all(row["true_body_length"] is None for row in report.rows)
    assert set(report.summary["rows"][1]) == {"rate", "pictures", "clibd_score", "body_length", "drift"}
    report.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "mutated0_replicate0_prediction.png",
        "mutated10_replicate0_prediction.png",
        "rows.csv",
        "sheet.png",
    }
    swept = run(pipeline, "latitude", barcode=BARCODE, longitude=0, degrees=[0, 10, 20], replicates=1)
    assert swept.summary["planted"] is None and swept.summary["interval"]


def test_a_contact_sheet_has_its_pictures_where_the_labels_say(pipeline):
    report = run(pipeline, "latitude", barcode=BARCODE, longitude=0, degrees=[30, -20, 0], replicates=2)
    assert report.sheet.columns == ["-20°", "0°", "30°"]
    assert report.sheet.rows == ["prediction 0", "prediction 1"]
    by_place = {
        (row["degrees"], row["replicate"]): parts
        for row, parts in zip(report.rows, report.pictures, strict=True)
    }
    assert torch.equal(report.sheet.pictures[1][0], by_place[-20, 1]["prediction"])
    assert report.sheet.draw().size[0] > 3 * 32


def test_a_place_without_a_picture_stays_white():
    from PIL import Image

    sheet = contact_sheet(
        {(0, 0): Image.new("RGB", (20, 20)), (1, 1): Image.new("RGB", (20, 20))}, "ab", "cd"
    )
    width, height = sheet.size
    assert sheet.getpixel((width - 24, height - 24)) == (0, 0, 0)
    assert sheet.getpixel((width - 10, height - 40)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (None, None),
        ("", None),
        (" , ", None),
        ([], None),
        ("0.1", ["0.1"]),
        ("0,0.1; 0.3 0.5", ["0", "0.1", "0.3", "0.5"]),
        ([0, 0.1], [0, 0.1]),
    ],
)
def test_lists_come_as_json_or_as_text(value, items):
    assert as_list("rates", value) == items


@pytest.mark.parametrize("value", [0.1, True, {"from": 0}])
def test_what_is_no_list_is_refused(value):
    with pytest.raises(InputError, match="Rates must be a list") as refused:
        as_list("rates", value)
    assert refused.value.field == "rates"
