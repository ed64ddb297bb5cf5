"""The Compare tab: its words, figures and links without a browser, then as a visitor meets it."""

import base64
import csv
import io
import json
import re
from dataclasses import replace

import pytest
import torch
from PIL import Image

from g2pdiff.analysis.statistics import mean_interval
from g2pdiff.errors import InputError
from g2pdiff.experiments.compare import Compare as AsScript
from g2pdiff.experiments.compare import PairRow
from g2pdiff.ui import link
from g2pdiff.ui.tabs.compare import (
    CompareTab,
    Comparison,
    difference_picture,
    downloads,
    grid,
    verdict,
    verdicts,
)
from g2pdiff.ui.widgets.pair_charts import difference_chart
from tests.tiny import BARCODE, tiny_pipeline
from tests.ui.tabs.built import FORM, build
from tests.ui.test_browser import boxes, number, overflow, wait

FILLED = FORM | {"guidance_scale": 2.0, "alignment_scale": 1.0}
SHORT = "?tab=compare&pairs=2&steps=1"
LONG = "?tab=compare&pairs=40&steps=100"


@pytest.fixture(scope="module")
def tab():
    return build(CompareTab)


def ask(tab, change="alignment", pairs=2, other_latitude=0, other_longitude=11.3, **form) -> Comparison:
    own = {"change": change, "pairs": pairs}
    own |= {"other_latitude": other_latitude, "other_longitude": other_longitude}
    return tab.check(FILLED | form | own)


@pytest.fixture(scope="module")
def drawn(tab):
    """Return the end of an experiment, with what it says."""
    comparison, pipe = ask(tab, "place"), tiny_pipeline()
    comparison.settle(pipe)
    for update in comparison.asked.start(pipe):
        comparison.add(update.rows)
    return comparison


def test_sides_differ_in_what_was_chosen_and_in_nothing_else(tab):
    first, second = ask(tab, "alignment").variants
    assert (first.denoising.alignment_scale, second.denoising.alignment_scale) == (0, 1)
    assert replace(first, denoising=second.denoising) == second
    first, second = ask(tab, "guidance").variants
    assert (first.denoising.guidance_scale, second.denoising.guidance_scale) == (1, 2)
    assert replace(first, denoising=second.denoising) == second
    first, second = ask(tab, "place", other_latitude=-10, other_longitude=20).variants
    assert (first.latitude, second.latitude, second.longitude) == (56.6, -10, 20)
    assert replace(first, latitude=-10, longitude=20) == second


def test_the_mutant_is_what_the_forms_edits_and_rate_make_of_the_barcode_as_typed(tab):
    comparison = ask(tab, "mutant", mutation_rate=10, edits="A1G")
    first, second = comparison.variants
    assert first.barcode.sequence == BARCODE
    assert second.barcode == comparison.form.mutated and len(first.barcode.differences(second.barcode)) >= 66
    assert replace(first, barcode=second.barcode) == second
    mutated = ask(tab, "place", mutation_rate=10)
    assert {side.barcode for side in mutated.variants} == {mutated.form.mutated}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("alignment_scale", {"change": "alignment", "alignment_scale": 0}),
        ("guidance_scale", {"change": "guidance", "guidance_scale": 1}),
        ("mutation_rate", {"change": "mutant"}),
        ("other_latitude", {"change": "place", "other_latitude": 56.6}),
    ],
)
def test_equal_sides_are_refused_in_one_sentence(tab, field, values):
    with pytest.raises(InputError, match="Both sides would be equal: ") as refused:
        ask(tab, **values)
    assert refused.value.field == field
    assert field in tab.inputs


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("change", {"change": "altitude"}),
        ("pairs", {"pairs": 0}),
        ("pairs", {"pairs": 41}),
        ("other_latitude", {"change": "place", "other_latitude": 91}),
        ("other_longitude", {"change": "place", "other_longitude": None}),
        ("barcode", {"barcode": ""}),
        ("seed", {"seed": 2**32 - 1}),
    ],
)
def test_a_bad_value_names_its_field(tab, field, values):
    with pytest.raises(InputError) as refused:
        ask(tab, **values)
    assert refused.value.field == field
    assert field in tab.inputs


def test_what_is_left_to_the_checkpoint_is_settled_before_sides_are_compared(tab):
    comparison = ask(tab, "guidance", guidance_scale=None, steps=None)
    comparison.settle(tiny_pipeline())
    assert comparison.form.denoising.guidance_scale == 2 and comparison.form.denoising.steps == 4
    assert comparison.sides == ("Guidance off", "Guidance on (2)")
    with pytest.raises(InputError, match="would be equal"):
        ask(tab, "guidance", guidance_scale=None).settle(tiny_pipeline(default_guidance_scale=1.0))


def test_alignment_needs_an_aligner(tab):
    with pytest.raises(InputError, match="no aligner"):
        ask(tab, "alignment").settle(tiny_pipeline(aligner=None))


def test_a_link_is_read_and_fills_the_controls(tab):
    query = {"change": "place", "pairs": "3", "other_latitude": "-60", "other_longitude": "5"}
    values, ignored = link.read(query, link.FORM | tab.checks)
    assert values == {"change": "place", "pairs": 3, "other_latitude": -60, "other_longitude": 5}
    assert ignored == []
    assert {name: tab.restore(values)[component] for name, component in tab.fields.items()} == values
    _, ignored = link.read({"change": "<b>", "other_latitude": "91"}, tab.checks)
    assert len(ignored) == 2


def test_the_grid_has_a_row_for_every_pair_and_fills_up(drawn):
    begun = replace(drawn, rows=[], cells=[])
    assert grid(begun).count("<i>") == 6
    begun.add(drawn.rows[:1])
    assert re.findall('alt="(.*?)"', grid(begun)) == [
        "56.6°N 11.3°E, seed 3",
        "0° 11.3°E, seed 3",
        "Difference, seed 3",
    ]
    assert re.findall(r"<b>Seed (\d)</b>", grid(begun)) == ["3", "4"]
    first, second = drawn.rows[0].clibd_scores
    assert f"{first:.3f} → {second:.3f} <b>{second - first:+.3f}</b>" in grid(drawn)
    assert grid(drawn).count("<img") == 6


def pair(first, second, seed=0) -> PairRow:
    images = torch.full((3, 8, 8), 0.5), torch.full((3, 8, 8), 0.6)
    return PairRow(seed, images, (first, second), (0.5, 0.4), 0.1)


def test_a_difference_picture_is_black_where_pictures_are_equal():
    row = pair(0.1, 0.2)
    torch.testing.assert_close(difference_picture(row), torch.full((3, 8, 8), 0.3))
    swapped = replace(row, images=row.images[::-1])
    torch.testing.assert_close(difference_picture(swapped), difference_picture(row))
    assert difference_picture(replace(row, images=row.images[:1] * 2)).max() == 0


def test_the_chart_draws_pairs_around_their_mean_within_its_interval():
    values = [-0.01, 0.02, 0.03]
    found = mean_interval(values)
    figure = difference_chart("clibd_score", values, found, 4)
    band, mean, dots = figure["data"]
    assert dots["x"] == [1, 2, 3] and dots["y"] == pytest.approx(values)
    assert set(mean["y"]) == {found.value} and set(band["y"]) == {found.low, found.high}
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < found.low < 0 < found.high < high
    assert f"mean {found.value:+.3f}" in figure["layout"]["title"]["text"]
    assert figure["layout"]["xaxis"]["range"] == [0.5, 4.5]


def test_the_chart_of_one_pair_has_no_band_and_that_of_none_no_data():
    figure = difference_chart("body_length", [0.1], mean_interval([0.1]), 2)
    assert [trace["mode"] for trace in figure["data"]] == ["lines", "markers"]
    assert figure["data"][1]["y"] == pytest.approx([10])  # per cent
    level = difference_chart("body_length", [0.0, 0.0], mean_interval([0.0, 0.0]), 2)
    low, high = level["layout"]["yaxis"]["range"]
    assert low < 0 < high
    assert difference_chart("clibd_score", [], None, 2)["data"] == []


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ([0.10, 0.11, 0.12], "excludes 0"),
        ([-0.10, -0.11, -0.12], "excludes 0"),
        ([-0.1, 0.0, 0.2], "includes 0"),
        ([0.0, 0.0], "includes 0"),
        ([0.1], "an interval needs two pairs"),
    ],
)
def test_the_verdict_says_whether_the_interval_excludes_0(values, says):
    said = verdict("clibd_score", mean_interval(values), len(values), ("Wild type", "Mutant"))
    assert said.startswith(f"Mutant minus wild type: CLIBDScore {sum(values) / len(values):+.3f}")
    assert says in said


def test_body_length_is_said_first_of_places_and_alone_without_scores(drawn):
    assert ["body length" in said for said in verdicts(drawn)] == [True, False]
    assert ["body length" in said for said in verdicts(replace(drawn, change="guidance"))] == [False, True]
    unscored = replace(drawn, rows=[replace(row, clibd_scores=None) for row in drawn.rows], cells=[])
    assert len(verdicts(unscored)) == 1
    unscored.add(unscored.rows[:1])
    assert "CLIBDScore" not in grid(unscored)


@pytest.mark.parametrize("change", ["alignment", "guidance", "mutant", "place"])
def test_a_script_compares_the_same_with_the_downloaded_settings(tab, change):
    comparison = ask(tab, change, mutation_rate=20, edits="A1G")
    settings = dict(comparison.settings)
    assert (settings.pop("experiment"), settings.pop("change")) == ("compare", change)
    asked = AsScript(**settings)
    comparison.settle(tiny_pipeline())
    assert asked == comparison.asked
    for side, same in zip((asked.first, asked.second), comparison.variants, strict=True):
        assert side.barcode.sequence == same.barcode.sequence
        assert (side.latitude, side.longitude, side.denoising) == (
            same.latitude, same.longitude, same.denoising,
        )  # fmt: skip
    assert asked.pairs == 2


def saved(html: str, kind: str) -> bytes:
    return base64.b64decode(re.search(rf"data:{re.escape(kind)};base64,([^\"]+)", html)[1])


def test_the_downloads_hold_rows_settings_and_pictures(drawn):
    html = downloads(drawn)
    assert "seed3_compare-place.csv" in html
    rows = list(csv.DictReader(io.StringIO(saved(html, "text/csv").decode("utf-8-sig"))))
    assert [row["seed"] for row in rows] == ["3", "4"]
    assert float(rows[1]["second_clibd_score"]) == pytest.approx(drawn.rows[1].clibd_scores[1], abs=1e-4)
    settings = json.loads(saved(html, "application/json"))
    assert settings["other_latitude"] == 0 and settings["steps"] == 2 and settings["pairs"] == 2
    assert set(settings["differences"]) == {"clibd_score", "body_length"}
    sheet = Image.open(io.BytesIO(saved(html, "image/png")))
    assert sheet.width > 3 * 32 and sheet.height > 2 * 32
    assert json.loads(sheet.text["Comment"])["change"] == "place"


# In a browser


def test_a_run_shows_pairs_differences_and_a_verdict(app, visit):
    page = visit(app + SHORT)
    page.click("#compare-run")
    wait(page, "#compare-status", "Done: 4 pictures")
    wait(page, "#compare-reading", "The 95 % interval")
    assert page.locator("#compare-pairs-grid img").count() == 6
    page.wait_for_function("document.querySelectorAll('#compare-charts .main-svg').length >= 2")
    assert "mean" in page.inner_text("#compare-clibd-score")
    assert page.locator("#compare-download a").count() == 3
    page.get_by_label("Barcode: wild type, mutant").check()
    page.click("#compare-run")
    wait(page, "#compare-status", "Both sides would be equal")
    assert page.locator("#compare-pairs-grid img").count() == 6


def test_stop_keeps_the_pairs_that_are_done(app, visit):
    page = visit(app + LONG)
    page.click("#compare-run")
    page.wait_for_function("document.querySelectorAll('#compare-pairs-grid img').length > 6")
    page.click("#compare-stop")
    wait(page, "#compare-status", "Stopped after")
    wait(page, "#compare-reading", "The 95 % interval")
    page.wait_for_timeout(500)  # what was on its way to the page when it was stopped
    wait(page, "#compare-status", "Stopped after")
    kept = int(re.search(r"after (\d+) of 80", page.inner_text("#compare-status"))[1])
    assert page.locator("#compare-pairs-grid img").count() == kept / 2 * 3
    assert page.locator("#compare-download a").count() == 3
    assert page.is_enabled("#compare-run")


def test_a_link_reproduces_a_comparison_of_places_on_a_phone(app, visit):
    page = visit(app + SHORT, width=390, height=844, has_touch=True, is_mobile=True)
    assert page.locator("#compare-other-latitude").count() == 0
    page.get_by_label("Place: this one, another").check()
    page.fill("#compare-other-latitude input", "-100")
    page.click("#compare-run")
    wait(page, "#compare-status", "Other latitude must be")
    page.fill("#compare-other-latitude input", "-60")
    page.click("#compare-run")
    wait(page, "#compare-status", "Done: 4 pictures")
    wait(page, "#compare-pairs-grid", "60°S")
    assert overflow(page) <= 0
    (download,) = boxes(page, "compare-download")
    assert download["right"] <= 390
    again = visit(page.url)
    again.wait_for_selector("#compare-other-latitude input")
    again.wait_for_function("document.querySelector('#compare-other-latitude input').value === '-60'")
    assert again.get_by_label("Place: this one, another").is_checked()
    assert number(again, "compare-pairs") == 2
