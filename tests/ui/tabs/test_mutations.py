"""The Mutations tab: its words, figures and links without a browser, then as a visitor meets it."""

import base64
import csv
import io
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from g2pdiff.analysis.statistics import Estimate
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import changes
from g2pdiff.errors import InputError
from g2pdiff.ui import link
from g2pdiff.ui.server.queue import Queue
from g2pdiff.ui.tab import Clock
from g2pdiff.ui.tabs.mutations import (
    MutationsTab,
    Series,
    downloads,
    drift_verdict,
    grid,
    parse_rates,
    reading,
    score_verdict,
)
from g2pdiff.ui.widgets.mutation_curves import curve_chart
from tests.tiny import BARCODE, tiny_pipeline
from tests.ui.tabs.built import FORM, build
from tests.ui.test_browser import boxes, overflow, wait

SHORT = "?tab=mutations&rates=10 50&replicates=2&steps=1"
LONG = "?tab=mutations&rates=1 2 3 4 5 6 7 8 9 10 11&replicates=10&steps=150"


@pytest.fixture(scope="module")
def tab():
    return build(MutationsTab)


def ask(tab, rates="10 50", replicates=2, **form) -> Series:
    return tab.check(FORM | form | {"rates": rates, "replicates": replicates})


@pytest.fixture(scope="module")
def drawn(tab):
    """Return the end of an experiment, with what it says."""
    series = ask(tab, edits="A1G")
    series.has_truth, series.threshold = True, 0.25
    for update in series.asked.start(tiny_pipeline()):
        series.add(update.rows)
    return series


def test_a_series_that_waits_for_its_next_batch_keeps_nobody_from_the_model(tab, monkeypatch):
    monkeypatch.setattr(Clock, "due", lambda clock: False)  # nothing is shown but what has to be
    queue = Queue(2)
    with queue.join("series") as ticket, queue.join("other") as other:
        updates = tab.stream(ask(tab, rates="10 20 50", replicates=3), tiny_pipeline(), ticket)
        next(updates)  # the empty grid
        assert ticket.is_called() and not other.is_called()
        next(updates)  # the first eight pictures, after which the model is the other's
        said = next(updates)  # comes back at once, so that the other's steps have the thread
        assert tab.status in said and other.is_called()
        with other:
            next(updates)
            assert ticket.is_waiting
        rest = list(updates)
    assert "<b>Done:</b> 10 pictures" in rest[-1][tab.status]


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=11, unique=True), st.sampled_from([" ", ", ", "%;"])
)
def test_rates_are_read_in_any_order_with_any_separator(tenths, separator):
    typed = separator.join(f"{tenth / 10:g}" for tenth in tenths)
    assert parse_rates(typed) == pytest.approx((0, *(tenth / 1000 for tenth in sorted(tenths))))


@given(st.text(max_size=30))
def test_whatever_is_typed_for_rates_is_read_or_refused(text):
    try:
        rates = parse_rates(text)
    except InputError as refused:
        assert refused.field == "rates"
    else:
        assert rates[0] == 0 and 2 <= len(rates) <= 12 and rates[-1] <= 0.5


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("rates", {"rates": "10 60"}),
        ("rates", {"rates": "ten"}),
        ("rates", {"rates": "0"}),
        ("rates", {"rates": "1 2 3 4 5 6 7 8 9 10 11 12"}),
        ("rates", {"rates": "50", "kind": "synonymous"}),
        ("replicates", {"replicates": 11}),
        ("replicates", {"replicates": None}),
        ("edits", {"edits": "T1A"}),
        ("latitude", {"latitude": 91}),
        ("seed", {"seed": 2**32 - 1}),
    ],
)
def test_a_bad_value_names_its_field(tab, field, values):
    with pytest.raises(InputError) as refused:
        ask(tab, **values)
    assert refused.value.field == field
    assert field in tab.inputs


def test_a_rate_out_of_reach_is_refused_with_the_highest_one(tab):
    with pytest.raises(InputError, match=r"at most 3\d\.\d%"):
        ask(tab, rates="50", kind="synonymous")
    assert ask(tab, rates="20", kind="synonymous").asked.kind == "synonymous"


def test_the_forms_own_rate_does_not_count_and_its_edits_make_the_wild_type(tab):
    series = ask(tab, rates="20", mutation_rate=50, kind="synonymous", edits="A1G")
    assert changes(Barcode.parse(BARCODE), series.asked.edited).bases == ("A1G",)
    assert "mutation_rate" not in series.settings and series.settings["edits"] == "A1G"


def test_a_link_is_read_and_fills_the_controls(tab):
    query = {"rates": "1 50%", "replicates": "4"}
    values, ignored = link.read(query, link.FORM | tab.checks)
    assert values == {"rates": "1 50%", "replicates": 4} and ignored == []
    assert {name: tab.restore(values)[component] for name, component in tab.fields.items()} == values
    _, ignored = link.read({"rates": "<b>", "replicates": "0"}, tab.checks)
    assert ["rates" in ignored[0], "replicates" in ignored[1]] == [True, True]


def test_the_grid_fills_up_from_low_rates_to_high(drawn):
    begun = replace(drawn, rows=[], cells=[])
    assert grid(begun).count("<i ") == 1 + 2 * 2 + 3 and "<img" not in grid(begun)
    begun.add(drawn.rows[:2])
    alts = re.findall('alt="(.*?)"', grid(begun))
    assert alts == [
        "Prediction, wild type",
        "Simulated truth, wild type",
        "Prediction, mutation rate 10 %, replicate 1",
        "Simulated truth, mutation rate 10 %, replicate 1",
    ]
    assert grid(drawn).count("<img") == 5 + 3
    assert re.findall(r"<b class=\"\w+\" .*?>(.*?)</b>", grid(drawn)) == [
        "0 %", "10 %", "50 %", "Replicate 1", "Replicate 2", "Simulated truth",
    ]  # fmt: skip
    assert "Simulated truth" not in grid(replace(begun, has_truth=False, cells=[]))


def test_a_picture_stands_where_its_rate_and_replicate_are(drawn):
    places = re.findall(r'<figure style="--rate:(\d);--row:(\d)">', grid(drawn))
    truth = {("2", "4"), ("3", "4"), ("4", "4")}
    assert set(places) == {("2", "2"), ("3", "2"), ("3", "3"), ("4", "2"), ("4", "3")} | truth


def test_a_picture_opens_everything_that_changed(drawn):
    found = changes(drawn.asked.edited, drawn.rows[-1].barcode)
    last = grid(drawn).split("<div id=")[-1]
    assert last.startswith('"mutant-2-1"')
    bases, acids = re.findall("<code>(.*?)</code>", last)
    assert tuple(bases.split()) == found.bases and len(found.bases) == 329
    assert tuple(acids.split()) == found.amino_acids
    assert f"329 bases and {len(found.amino_acids)} amino acids changed" in last


def curve(rate, **values) -> dict:
    """Return a point of the curves whose intervals are 0.1 wide; none at rate 0, where one picture is."""
    gap = float("nan") if rate == 0 else 0.05
    return {"rate": rate} | {name: Estimate(v, v - gap, v + gap) for name, v in values.items()}


CURVES = [
    curve(0, clibd_score=0.6, body_length=0.4, drift=0.0, true_body_length=0.5, true_drift=0.0),
    curve(0.1, clibd_score=0.3, body_length=0.5, drift=0.1, true_body_length=0.5, true_drift=0.3),
    curve(0.5, clibd_score=-0.2, body_length=0.6, drift=0.2, true_body_length=0.4, true_drift=0.2),
]


def test_the_charts_draw_means_within_bands_and_the_truth_beside_them():
    figure = curve_chart("body_length", CURVES, [], (0, 0.1, 0.5), 0.25)
    band, line = figure["data"][2:4]
    assert line["x"] == [0, 10, 50] and line["y"] == pytest.approx([40, 50, 60])
    assert band["y"][:3] == pytest.approx([40, 55, 65])  # rate 0 has no interval: its band is its value
    assert band["y"][:2:-1] == pytest.approx([40, 45, 55])
    assert figure["data"][1]["y"] == pytest.approx([50, 50, 40])
    assert figure["data"][1]["line"]["color"] and "color" not in line["line"]
    assert figure["layout"]["shapes"] == []


def test_the_score_has_a_threshold_and_no_truth(drawn):
    figure = curve_chart("clibd_score", CURVES, [], (0, 0.1, 0.5), 0.25)
    assert len(figure["data"]) == 3
    assert figure["layout"]["shapes"][0]["y0"] == 0.25
    dots = curve_chart("clibd_score", drawn.curves, drawn.rows, drawn.asked.rates, 0.25)["data"][-1]
    assert dots["x"] == [0, 10, 10, 50, 50] and dots["y"] == [row.clibd_score for row in drawn.rows]
    low = replace(drawn.rows[0], clibd_score=-0.7)
    figure = curve_chart("clibd_score", drawn.curves, [low], drawn.asked.rates, 0.25)
    assert figure["layout"]["yaxis"]["range"] == [-0.7, 1]


def test_without_a_clibd_model_the_scores_chart_is_empty():
    curves = [{name: value for name, value in curve.items() if name != "clibd_score"} for curve in CURVES]
    figure = curve_chart("clibd_score", curves, [], (0, 0.1, 0.5), None)
    assert figure["data"] == [] and figure["layout"]["shapes"] == []


@pytest.mark.parametrize(
    ("threshold", "says"),
    [
        (0.4, "From a mutation rate of 10 % on"),
        (0.1, "From a mutation rate of 50 % on"),
        (-0.3, "Even at 50 %"),
        (0.7, "cannot tell"),
    ],
)
def test_the_verdict_names_the_rate_at_which_the_score_is_lost(threshold, says):
    assert says in score_verdict(CURVES, threshold)


def test_a_score_that_comes_back_is_not_lost():
    curves = [curve(rate, clibd_score=s) for rate, s in ((0, 0.6), (0.01, 0.3), (0.1, 0.5), (0.5, 0.2))]
    assert "From a mutation rate of 50 % on" in score_verdict(curves, 0.4)


def test_drift_is_held_against_the_truths_by_rank():
    assert "correlation of 0.50" in drift_verdict(CURVES)[0]
    rising = [curve(rate, drift=rate, true_drift=rate**2) for rate in (0, 0.1, 0.5)]
    assert "correlation of 1.00" in drift_verdict(rising)[0]
    assert drift_verdict(CURVES[:2]) == []
    level = [curve(rate, drift=rate, true_drift=0.1) for rate in (0, 0.1, 0.5)]
    assert drift_verdict(level) == []


def test_the_reading_leaves_out_what_nobody_knows(drawn):
    assert "Spearman" in reading(drawn) and "success threshold of 0.25" in reading(drawn)
    assert reading(replace(drawn, threshold=None, has_truth=False)) == ""


def saved(html: str, kind: str) -> bytes:
    return base64.b64decode(re.search(rf"data:{re.escape(kind)};base64,([^\"]+)", html)[1])


def test_the_downloads_hold_rows_settings_and_pictures(drawn):
    html = downloads(drawn)
    assert "edited_seed3_mutations.csv" in html
    rows = list(csv.DictReader(io.StringIO(saved(html, "text/csv").decode("utf-8-sig"))))
    assert [float(row["rate"]) for row in rows] == [0, 0.1, 0.1, 0.5, 0.5]
    assert tuple(rows[1]["bases"].split()) == changes(drawn.asked.edited, drawn.rows[1].barcode).bases
    settings = json.loads(saved(html, "application/json"))
    assert settings["rates"] == [0, 0.1, 0.5] and settings["replicates"] == 2 and settings["seed"] == 3
    assert settings["rows"][2]["drift"]["value"] > 0
    sheet = Image.open(io.BytesIO(saved(html, "image/png")))
    assert min(sheet.size) > 3 * 32
    assert json.loads(sheet.text["Comment"])["experiment"] == "mutations"


# In a browser


def test_a_run_fills_the_grid_and_a_click_says_what_changed(app, visit):
    page = visit(app + SHORT)
    page.click("#mutations-run")
    wait(page, "#mutations-status", "Done: 5 pictures")
    wait(page, "#mutations-reading", "success threshold")
    assert page.locator("#mutations-grid img").count() == 8
    page.wait_for_function("document.querySelectorAll('#mutations-curves .main-svg').length >= 3")
    assert "success threshold" in page.inner_text("#mutations-clibd-score")
    assert page.locator("#mutations-download a").count() == 3
    details = page.locator("#mutant-1-0")
    assert not details.is_visible()
    page.locator("#mutations-grid button").nth(1).click()
    details.wait_for()
    assert "66 bases" in details.inner_text()
    page.keyboard.press("Escape")
    details.wait_for(state="hidden")
    first, second = page.evaluate("""() => [...document.querySelectorAll('.mutants button img')]
        .slice(1, 3).map(image => image.getBoundingClientRect().toJSON())""")
    assert first["x"] == second["x"] and first["y"] < second["y"]  # replicates of a rate in one column


def test_stop_keeps_the_grid_and_what_it_says(app, visit):
    page = visit(app + LONG)
    page.click("#mutations-run")
    page.wait_for_function("document.querySelectorAll('#mutations-grid button').length > 6")
    page.click("#mutations-stop")
    wait(page, "#mutations-status", "Stopped after")
    wait(page, "#mutations-reading", "success threshold")
    page.wait_for_timeout(500)  # what was on its way to the page when it was stopped
    wait(page, "#mutations-status", "Stopped after")
    kept = int(re.search(r"after (\d+) of 111", page.inner_text("#mutations-status"))[1])
    assert page.locator("#mutations-grid button").count() == kept < 111
    assert page.locator("#mutations-download a").count() == 3
    assert page.is_enabled("#mutations-run")


def test_a_link_reproduces_the_series_and_bad_rates_give_one_sentence(app, visit):
    page = visit(app + SHORT)
    page.fill("#mutations-rates input, #mutations-rates textarea", "<img src=x onerror=alert(1)>")
    page.click("#mutations-run")
    wait(page, "#mutations-status", "Mutation rates must be")
    assert page.locator("#mutations-status img").count() == 0
    page.fill("#mutations-rates input, #mutations-rates textarea", "5, 30%")
    page.fill("#mutations-replicates input", "1")
    page.click("#mutations-run")
    wait(page, "#mutations-status", "Done: 3 pictures")
    again = visit(page.url)
    again.wait_for_selector("#mutations-run")
    again.wait_for_function("document.querySelector('#mutations-replicates input').value === '1'")
    assert again.input_value("#mutations-rates input, #mutations-rates textarea") == "5, 30%"


def test_on_a_phone_the_rates_are_rows(app, visit):
    page = visit(app + SHORT, width=390, height=844, has_touch=True, is_mobile=True)
    page.click("#mutations-run")
    wait(page, "#mutations-status", "Done: 5 pictures")
    page.wait_for_selector("#mutations-grid img")
    assert overflow(page) <= 0
    first, second = page.evaluate("""() => [...document.querySelectorAll('.mutants button img')]
        .slice(1, 3).map(image => image.getBoundingClientRect().toJSON())""")
    assert first["y"] == second["y"] and first["x"] < second["x"] < 390
    (download,) = boxes(page, "mutations-download")
    assert download["right"] <= 390
