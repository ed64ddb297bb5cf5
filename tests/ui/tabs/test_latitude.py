"""The Latitude tab: its words, figures and links without a browser, then as a visitor meets it."""

import base64
import csv
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from g2pdiff.errors import InputError
from g2pdiff.experiments.latitude import LatitudeSweep, SweepRow
from g2pdiff.ui import link
from g2pdiff.ui.messages import compass
from g2pdiff.ui.tabs.latitude import LatitudeTab, Walk, downloads, film, reading
from g2pdiff.ui.widgets.cline_chart import cline_chart
from tests.tiny import BARCODE, tiny_pipeline
from tests.ui.tabs.built import FORM, build
from tests.ui.test_browser import boxes, number, overflow, pin, wait

SHORT = "?tab=latitude&places=5&pictures_per_place=1&steps=1"
LONG = "?tab=latitude&places=33&pictures_per_place=6&steps=30"


@pytest.fixture(scope="module")
def tab():
    return build(LatitudeTab)


def ask(tab, along="latitude", start=-80, end=80, places=5, pictures_per_place=1, form=FORM) -> Walk:
    own = {"along": along, "start": start, "end": end}
    return tab.check(form | own | {"places": places, "pictures_per_place": pictures_per_place})


@pytest.fixture(scope="module")
def walked(tab):
    """Return a walk of two noises that has come to its end on a tiny pipeline."""
    walk = ask(tab, places=5, pictures_per_place=2)
    walk.has_truth = True
    for update in walk.asked.start(tiny_pipeline()):
        walk.add(update.rows)
    return walk


def grown(slope: float, along="latitude", noise=0.0, true_slope=0.05) -> list[SweepRow]:
    """Return rows of a sweep, without pictures, on which body length grows by a share for every 10
    degrees."""
    random = np.random.default_rng(0)
    degrees = range(-80, 81, 10)

    def length(size, slope, degree):
        return size * (1 + slope * ((abs(degree) - 30) / 10 if along == "latitude" else degree / 10))

    return [
        SweepRow(
            along,
            degree,
            replicate,
            0,
            0,
            None,
            None,
            length(0.4 + 0.1 * replicate, slope, degree) * (1 + noise * random.normal()),
            None,
            length(0.5, true_slope, degree),
        )
        for degree in degrees
        for replicate in range(2)
    ]


def test_a_walk_leads_from_south_to_north_whichever_end_is_named_first(tab):
    assert ask(tab).asked.places == (-80, -40, 0, 40, 80)
    assert ask(tab, start=60, end=-20).asked.places == (-20, 0, 20, 40, 60)
    assert ask(tab, "longitude", -160, 160).asked.places == (-160, -80, 0, 80, 160)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("along", {"along": "altitude"}),
        ("start", {"start": -91}),
        ("start", {"along": "longitude", "start": -181}),
        ("end", {"end": None}),
        ("end", {"start": 10, "end": 10}),
        ("places", {"places": 4}),
        ("pictures_per_place", {"pictures_per_place": 7}),
        ("latitude", {"form": FORM | {"latitude": 91}}),
        ("seed", {"pictures_per_place": 2, "form": FORM | {"seed": 2**32 - 1}}),
    ],
)
def test_a_bad_value_names_its_field(tab, field, values):
    with pytest.raises(InputError) as refused:
        ask(tab, **values)
    assert refused.value.field == field
    assert field in tab.inputs


def test_a_link_is_read_and_fills_the_controls(tab):
    query = {"along": "longitude", "places": "9", "pictures_per_place": "2", "end": "400"}
    values, ignored = link.read(query, link.FORM | tab.checks)
    assert values == {"along": "longitude", "places": 9, "pictures_per_place": 2}
    assert len(ignored) == 1 and "End must be" in ignored[0]
    restored = {name: tab.restore(values)[component] for name, component in tab.fields.items()}
    assert restored == {
        "along": "longitude", "start": -160, "end": 160, "places": 9, "pictures_per_place": 2,
    }  # fmt: skip
    assert tab.restore({})[tab.fields["end"]] == 80


@settings(deadline=None, max_examples=60)
@given(share=st.floats(0, 1))
def test_the_pin_stays_on_the_walk(share):
    degrees = (-40.0, 0.0, 40.0)
    given = {"barcode": BARCODE, "latitude": 56.6, "longitude": 11.3, "degrees": degrees}
    latitude, longitude = Walk(LatitudeSweep(**given)).place(share)
    assert longitude == 11.3 and latitude == degrees[min(int(3 * share), 2)]
    assert Walk(LatitudeSweep(**given, along="longitude")).place(share) == [56.6, latitude]


def test_places_are_named_as_on_a_map():
    assert [compass("latitude", degree) for degree in (-80.0, 0, 12.5)] == ["80°S", "0°", "12.5°N"]
    assert [compass("longitude", degree) for degree in (-20, 0.0, 160)] == ["20°W", "0°", "160°E"]


def test_the_film_has_a_column_for_every_place_and_fills_up(walked):
    columns = re.findall(r"<li>(.*?)</li>", film(walked))
    assert [re.search("<b>(.*?)</b>", column)[1] for column in columns] == [
        "80°S", "40°S", "0°", "40°N", "80°N",
    ]  # fmt: skip
    for column in columns:
        assert re.findall('alt="(.*?) at', column) == ["Prediction", "Prediction", "Simulated truth"]
    begun = replace(walked, rows=[], cells={})
    begun.add(walked.rows[:2])
    columns = re.findall(r"<li>(.*?)</li>", film(begun))
    assert [column.count("<img") for column in columns] == [3, 0, 0, 0, 0]
    assert [column.count("<i>") for column in columns] == [0, 3, 3, 3, 3]


def traces(figure) -> dict[str, dict]:
    """Return the traces of a chart by what they are drawn with."""
    return {
        trace.get("marker", {}).get("symbol") or trace.get("line", {}).get("dash") or trace["mode"]: trace
        for trace in figure["data"]
    }


def test_the_chart_draws_points_on_the_lines_that_they_were_made_from():
    rows = grown(0.08, true_slope=0.05)
    drawn = traces(cline_chart(rows, "latitude", range(-80, 81, 10), has_truth=True))
    for marks, dash in (("circle", "lines"), ("diamond-open", "dash")):
        points, line = drawn[marks], drawn[dash]
        at_ends = [dict(zip(points["x"], points["y"], strict=True))[end] for end in (0, 80)]
        assert line["x"] == [0, 80]
        assert line["y"] == pytest.approx(at_ends, abs=1e-6)
    assert set(drawn["triangle-down"]["text"]) == {f"{degree}°S" for degree in range(10, 81, 10)}
    assert len(drawn["circle"]["x"]) == 2 * 9 and len(drawn["diamond-open"]["x"]) == 17


def test_the_chart_says_both_slopes_and_keeps_their_labels_apart():
    for slope, above in ((0.08, "measured"), (0.01, "planted")):
        figure = cline_chart(grown(slope, noise=0.01), "latitude", range(-80, 81, 10), has_truth=True)
        labels = {label["yanchor"]: label["text"] for label in figure["layout"]["annotations"]}
        assert above in labels["bottom"]
        assert any("planted<br>+5 %" in text for text in labels.values())


def test_the_fan_of_the_interval_holds_the_line():
    figure = cline_chart(grown(0.08, noise=0.05), "latitude", range(-80, 81, 10), has_truth=False)
    drawn = traces(figure)
    (low_first, low_last, high_last, high_first), (first, last) = drawn["none"]["y"], drawn["lines"]["y"]
    assert high_first < first < low_first and low_last < last < high_last
    bottom, top = figure["layout"]["yaxis"]["range"]
    assert bottom < high_first and top > high_last
    assert "diamond-open" not in drawn and "dash" not in drawn


def test_the_control_has_one_kind_of_points_and_a_level_truth():
    figure = cline_chart(grown(0, "longitude", true_slope=0), "longitude", range(-80, 81, 10), has_truth=True)
    drawn = traces(figure)
    assert "triangle-down" not in drawn and min(drawn["circle"]["x"]) == -80
    assert drawn["dash"]["y"] == [100, 100]
    assert figure["layout"]["xaxis"]["title"]["text"] == "longitude"


def test_two_places_make_points_but_no_line():
    rows = [row for row in grown(0.05) if row.degrees in (0, 80)]
    assert set(traces(cline_chart(rows, "latitude", (0, 80), has_truth=False))) == {"circle", "triangle-down"}
    empty = cline_chart([], "latitude", (35, 70), has_truth=True)
    assert empty["data"] == [] and empty["layout"]["xaxis"]["range"] == pytest.approx([32.9, 72.1])
    across = cline_chart([], "latitude", (-80, 80), has_truth=True)
    assert across["layout"]["xaxis"]["range"] == pytest.approx([-4.8, 84.8])


@pytest.mark.parametrize(("slope", "sentence"), [(0.04, "1.0 % below it"), (0.1, "5.0 % above it")])
def test_the_reading_holds_the_slope_against_the_planted_one(walked, slope, sentence):
    text = reading(replace(walked, rows=grown(slope)))
    assert "Bergmann's rule shows" in text and "scatter round the line" in text
    assert "Planted in them: +5 %" in text
    assert sentence in text and "nothing about real animals" in text


def test_the_reading_without_a_truth_or_with_too_few_places(walked):
    text = reading(replace(walked, rows=grown(0.05, noise=0.01), has_truth=False))
    assert "Planted" not in text and "not on animals" in text
    text = reading(replace(walked, rows=walked.rows[:2]))
    assert "Too few localities" in text and "Planted" not in text


def saved(html: str, kind: str) -> bytes:
    return base64.b64decode(re.search(rf"data:{re.escape(kind)};base64,([^\"]+)", html)[1])


def test_the_downloads_hold_rows_settings_film_and_sheet(walked):
    html = downloads(walked)
    rows = list(csv.DictReader(io.StringIO(saved(html, "text/csv").decode("utf-8-sig"))))
    assert [float(row["degrees"]) for row in rows] == [-80, -80, -40, -40, 0, 0, 40, 40, 80, 80]
    assert float(rows[3]["body_length"]) == pytest.approx(walked.rows[3].body_length, abs=1e-4)
    kept = json.loads(saved(html, "application/json"))
    assert kept["along"] == "latitude" and kept["degrees"] == [-80, -40, 0, 40, 80]
    assert kept["replicates"] == 2 and kept["seed"] == 3 and kept["steps"] == 2
    assert kept["planted"] == pytest.approx(5)
    animation = Image.open(io.BytesIO(saved(html, "image/gif")))
    assert animation.n_frames == 5 and animation.height > 32
    sheet = Image.open(io.BytesIO(saved(html, "image/png")))
    assert sheet.width > 5 * 32 and sheet.height > 3 * 32
    assert json.loads(sheet.text["Comment"])["along"] == "latitude"


# In a browser


def wait_for_pin(page, there):
    """Wait until the latitude of the map's pin is one that is waited for."""
    for _ in range(300):
        if there(pin(page)[0]):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"the pin stayed at {pin(page)}")


def test_a_run_fills_the_film_and_brings_the_pin_back(app, visit):
    # Long enough to see the pin on its way: it is in the south for half of the run.
    page = visit(app + "?tab=latitude&places=9&pictures_per_place=1&steps=150")
    home = pin(page)
    page.click("#latitude-run")
    wait_for_pin(page, lambda latitude: latitude < 0)
    assert number(page, "latitude") == pytest.approx(home[0])
    wait(page, "#latitude-status", "Done: 9 pictures")
    wait(page, "#latitude-reading", "per 10 degrees")
    assert "planted" in page.inner_text("#latitude-chart")
    assert page.locator("#latitude-film img").count() == 18
    assert page.locator("#latitude-download a").count() == 4
    wait_for_pin(page, lambda latitude: latitude == home[0])
    assert pin(page) == home


def test_stop_keeps_what_is_done_and_says_what_can_be_said(app, visit):
    page = visit(app + LONG)
    home = pin(page)
    page.click("#latitude-run")
    page.wait_for_function("document.querySelectorAll('#latitude-film img').length > 6")
    page.click("#latitude-stop")
    wait(page, "#latitude-status", "Stopped after")
    page.wait_for_function("document.querySelector('#latitude-reading .verdict')")
    wait_for_pin(page, lambda latitude: latitude == home[0])
    kept = int(re.search(r"after (\d+) of 198", page.inner_text("#latitude-status"))[1])
    assert page.locator("#latitude-film img:not([alt*=truth])").count() == kept
    assert page.locator("#latitude-download a").count() == 4
    assert pin(page) == home
    assert page.is_enabled("#latitude-run")


def test_a_link_reproduces_the_walk_and_a_bad_end_gives_one_sentence(app, visit):
    page = visit(app + SHORT)
    page.get_by_label("longitude (null control)").check()
    page.wait_for_function("document.querySelector('#latitude-end input').value === '160'")
    page.fill("#latitude-end input", "400")
    page.click("#latitude-run")
    wait(page, "#latitude-status", "End must be")
    assert page.input_value("#latitude-end input") == "400"
    page.fill("#latitude-end input", "100")
    page.click("#latitude-run")
    wait(page, "#latitude-status", "Done: 5 pictures")
    wait(page, "#latitude-reading", "longitude")
    again = visit(page.url)
    again.wait_for_selector("#latitude-run")
    again.wait_for_function("document.querySelector('#latitude-start input').value === '-160'")
    assert again.get_by_label("longitude (null control)").is_checked()
    assert number(again, "latitude-end") == 100
    assert again.input_value("#latitude-places input[type=number]") == "5"


def test_on_a_phone_the_film_scrolls_in_its_own_box(app, visit):
    page = visit(
        app + "?tab=latitude&steps=1&places=9&pictures_per_place=1",
        width=390,
        height=844,
        has_touch=True,
        is_mobile=True,
    )
    page.click("#latitude-run")
    wait(page, "#latitude-status", "Done: 9 pictures")
    page.wait_for_selector("#latitude-film img")
    assert overflow(page) <= 0
    assert page.evaluate("""() => {
        const film = document.querySelector('#latitude-film .film');
        return film.scrollWidth > film.clientWidth && film.clientWidth <= innerWidth; }""")
    (download,) = boxes(page, "latitude-download")
    assert download["right"] <= 390
