"""The experiments as scripts ask for them, and the table of their arguments."""

import inspect

import pytest
import torch

from g2pdiff.dna.mutation import KINDS, mutate
from g2pdiff.errors import InputError
from g2pdiff.experiments.arguments import BATCH, COMPARE, GENERATE, LATITUDE_SWEEP, MUTATIONS, Required
from g2pdiff.experiments.clines import LATITUDES, LONGITUDES
from g2pdiff.experiments.mutation_series import RATES
from g2pdiff.experiments.request import Request, as_list
from g2pdiff.experiments.sheet import contact_sheet
from g2pdiff.experiments.verbs import EXPERIMENTS, start_mutations, start_sweep
from tests.tiny import BARCODE, tiny_pipeline

PLACE = {"latitude": 10, "longitude": 20}
GIVEN = {"barcode": BARCODE, **PLACE}


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline(truth=None)


def run(pipeline, verb, **values):
    """The report of an experiment that was run to its end."""
    asked = EXPERIMENTS[verb](**values, steps=1)
    rows = [row for update in asked.start(pipeline) for row in update.rows]
    return asked.report(pipeline, rows)


def test_the_table_says_what_the_defaults_are():
    options = {argument.name: argument for verb in (MUTATIONS, LATITUDE_SWEEP) for argument in verb.arguments}
    assert set(options["kind"].kind.__args__) == set(KINDS)
    assert len(RATES) == 7 and (RATES[0], RATES[-1]) == (0, 0.5)
    assert "0 to 0.5 in seven steps" in options["rates"].about
    assert tuple(range(-80, 81, 10)) == LATITUDES and tuple(range(-160, 161, 20)) == LONGITUDES
    assert "every 10 from -80 to 80, or every 20 from -160 to 160" in options["degrees"].about


@pytest.mark.parametrize("verb", [GENERATE, MUTATIONS, LATITUDE_SWEEP, COMPARE, BATCH])
def test_arguments_are_described_in_a_line_and_the_required_come_first(verb):
    assert all(argument.about and "\n" not in argument.about for argument in verb.arguments)
    required = [argument.default is Required for argument in verb.arguments]
    assert required == sorted(required, reverse=True)


def test_generate_takes_the_arguments_of_a_request():
    assert {argument.name for argument in GENERATE.arguments} == set(
        inspect.signature(Request.check).parameters
    )


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
    first = EXPERIMENTS[verb](**values)
    assert list(first.settings) == [argument.name for argument in first.verb.arguments]
    assert EXPERIMENTS[verb](**first.settings).settings == first.settings


def test_the_sides_of_a_comparison_differ_in_what_was_changed():
    asked = EXPERIMENTS["compare"](**GIVEN, other_longitude=-30, other_guidance_scale=1, mutation_rate=0.1)
    first, second = asked.first, asked.second
    assert (first.longitude, second.longitude, first.latitude, second.latitude) == (20, -30, 10, 10)
    assert (first.denoising.guidance_scale, second.denoising.guidance_scale) == (None, 1)
    assert first.barcode.sequence == BARCODE and len(first.barcode.differences(second.barcode)) == 66


@pytest.fixture(scope="module")
def request_():
    """One whose every value tells."""
    return Request.check(
        BARCODE, 10, 20, mutation_rate=0.1, seed=3, steps=1, guidance_scale=3, region="200-400", edits="A1G"
    )


def drawn_alone(pipeline, request, **changes):
    return pipeline(**request.arguments | changes, output_type="pt").images[0]


def test_a_mutation_series_starts_from_the_edited_barcode(pipeline, request_):
    updates = start_mutations(pipeline, request_, [0.05], 2)
    wild_type, first, second = (row for update in updates for row in update.rows)
    assert wild_type.barcode == request_.edited and wild_type.barcode.sequence == "G" + BARCODE[1:]
    assert first.barcode == mutate(request_.edited, 0.05, 3, request_.model)
    assert second.barcode == mutate(request_.edited, 0.05, 4, request_.model)
    alone = drawn_alone(pipeline, request_, barcode=first.barcode)
    torch.testing.assert_close(first.image, alone, atol=1e-5, rtol=0)


def test_a_sweep_keeps_the_mutated_barcode(pipeline, request_):
    updates = start_sweep(pipeline, request_, "longitude", [-5, 5], 1)
    west, east = (row for update in updates for row in update.rows)
    assert (west.latitude, west.longitude, east.longitude) == (10, -5, 5)
    alone = drawn_alone(pipeline, request_, longitude=5)
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
