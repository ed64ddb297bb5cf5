"""The app as a visitor meets it, in headless Chromium; `visit` asserts that no request leaves the machine."""

import re

import pytest
from PIL import Image

from g2pdiff.ui.tabs.explore import ExploreTab
from tests.tiny import BARCODE, tiny_pipeline

LONG = "?steps=1000"  # with the tiny checkpoint, long enough to be stopped


def wait(page, selector, text):
    page.wait_for_function(
        "([selector, text]) => document.querySelector(selector).innerText.includes(text)",
        arg=[selector, text],
    )


def number(page, name) -> float:
    return float(page.input_value(f"#{name} input"))


def pin(page) -> list[float]:
    """Return where the map's pin stands."""
    return page.evaluate("""() => {
        const inner = document.querySelector('#map iframe').contentWindow;
        const place = inner[Object.keys(inner).find(name => name.startsWith('circle_marker'))].getLatLng();
        return [place.lat, place.lng]; }""")


def type_into(page, selector, text):
    page.click(selector)
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)


def boxes(page, *names) -> list[dict]:
    """Return where elements stand, all at one moment: the page may be scrolling."""
    return page.evaluate(
        "names => names.map(name => document.getElementById(name).getBoundingClientRect().toJSON())",
        list(names),
    )


def overflow(page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - innerWidth")


def test_a_first_visitor_can_run_at_once(app, visit, tmp_path):
    page = visit(app)
    assert "learned from simulated specimens" in page.inner_text("#title")
    assert page.locator("#explore-run").bounding_box()["y"] + 40 < 900
    page.click("#explore-run")
    wait(page, "#explore-status", "Done: 4 steps")
    assert "CLIBDScore" in page.inner_text("#explore-status")
    page.wait_for_selector("#prediction img")
    page.wait_for_selector("#truth img")
    prediction, truth = boxes(page, "prediction", "truth")
    assert prediction["y"] == truth["y"] and prediction["width"] == truth["width"] > 300
    assert "not a photograph" in page.inner_text("#truth-column")
    assert "success threshold" in page.inner_text("#chart")
    # The steps of the run, forwards and back, from what the page has.
    replay = page.locator("#replay input[type=range]")
    assert replay.input_value() == "3" and "Step 4 of 4" in page.inner_text("#replay .replay-said")
    last = page.get_attribute("#replay .seen", "src")
    replay.press("Home")
    wait(page, "#replay .replay-said", "Step 1 of 4 · 100% noise · CLIBDScore")
    assert page.get_attribute("#replay .seen", "src") != last
    replay.press("End")
    assert page.get_attribute("#replay .seen", "src") == last
    with page.expect_download() as download:
        page.click("a.download")
    assert re.fullmatch(r"[A-Z][a-z]+-[a-z]+_[-\d.]+_[-\d.]+_seed0\.png", download.value.suggested_filename)
    download.value.save_as(tmp_path / "picture.png")
    assert Image.open(tmp_path / "picture.png").size == (32, 32)


def test_results_of_what_the_form_said_before_are_dimmed(app, visit):
    page = visit(app + "?seed=1&steps=1")
    page.click("#explore-run")
    wait(page, "#explore-status", "Done: 1 step")
    wait(page, "#caption", f"at {abs(round(number(page, 'latitude'), 2)):g}°N")
    home = page.input_value("#latitude input")
    assert not page.is_visible("#explore-outcome .stale-note")  # filled defaults are no change
    page.fill("#latitude input", "10")
    page.wait_for_selector("#explore-outcome.stale .stale-note", state="visible")
    page.fill("#latitude input", home)
    page.wait_for_selector("#explore-outcome:not(.stale)")
    page.click("#advanced button")
    page.click("#another-seed")
    page.wait_for_selector("#explore-outcome.stale")
    assert page.input_value("#seed input") != "1"
    page.click("#explore-copy")
    wait(page, "#explore-copy", "Link copied")
    wait(page, "#explore-copy", "Copy link to this view")
    page.focus("#explore-status .term")
    tip = "getComputedStyle(document.querySelector('#explore-status .term'), '::after').content"
    assert "cosine" in page.evaluate(tip)
    described = page.get_attribute("#explore-status .term", "aria-describedby")
    assert "cosine" in page.text_content(f"#{described}")


def test_an_example_fills_barcode_and_place(app, visit):
    page = visit(app)
    page.click("#picker input")
    page.get_by_role("option", name="Aedes aegypti").click()
    page.wait_for_function(
        "text => !document.querySelector('#barcode textarea').value.startsWith(text)", arg="TACATT"
    )
    wait(page, "#readout", "658 letters")
    assert pin(page) == pytest.approx([number(page, "latitude"), number(page, "longitude")])
    type_into(page, "#barcode textarea", BARCODE[40:])
    wait(page, "#readout", "starts at site 41")
    page.wait_for_function("document.querySelector('#picker input').value === ''")


def test_map_and_fields_follow_each_other(app, visit):
    page = visit(app)
    box = page.locator("#map iframe").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.7)
    page.wait_for_function("document.querySelector('#latitude input').value < 0")
    assert pin(page) == pytest.approx([number(page, "latitude"), number(page, "longitude")])
    page.fill("#latitude input", "61.5")
    page.wait_for_function("""() => {
        const inner = document.querySelector('#map iframe').contentWindow;
        const name = Object.keys(inner).find(name => name.startsWith('circle_marker'));
        return inner[name].getLatLng().lat === 61.5; }""")
    page.fill("#latitude input", "95")
    wait(page, "#place-note", "Latitude must be")
    assert pin(page)[0] == 61.5


def test_the_mutation_rate_says_what_it_changes(app, visit):
    page = visit(app)
    page.fill("#mutation input[type=number]", "10")
    page.keyboard.press("Tab")
    wait(page, "#mutation-note", "66 of 658 known bases")


def test_stop_keeps_picture_scores_and_form(app, visit):
    page = visit(app + LONG)
    page.fill("#longitude input", "-70")
    page.click("#explore-run")
    wait(page, "#explore-status", "Step ")
    assert page.is_disabled("#explore-run")
    page.click("#explore-stop")
    wait(page, "#explore-status", "Stopped at step")
    page.wait_for_timeout(500)  # steps of the tiny model that were on their way to the page
    step = re.search(r"step (\d+) of 1000", page.inner_text("#explore-status")).group(1)
    page.wait_for_timeout(500)
    assert f"step {step} of 1000" in page.inner_text("#explore-status")
    assert page.is_visible("#prediction img") and page.is_visible("a.download")
    assert number(page, "longitude") == -70
    assert page.is_enabled("#explore-run") and page.is_disabled("#explore-stop")
    page.click("#advanced button")
    page.fill("#steps input", "3")
    page.click("#explore-run")
    wait(page, "#explore-status", "Done: 3 steps")


def test_a_bad_barcode_gives_one_sentence_and_stays(app, visit):
    page = visit(app)
    for typed, sentence in (
        ("", "barcode is empty"),
        ("MKVLAAGIVGLCYWF" * 20, "protein"),
        ("<img src=x onerror=alert(1)>", "DNA"),
    ):
        page.fill("#barcode textarea", typed)
        wait(page, "#readout", sentence)
        page.click("#explore-run")
        wait(page, "#explore-status", sentence)
        assert page.input_value("#barcode textarea") == typed
        assert page.is_enabled("#explore-run")
        assert page.locator("#readout img").count() == 0
    page.fill("#barcode textarea", BARCODE)
    page.click("#explore-run")
    wait(page, "#explore-status", "Done")


def test_a_bad_setting_gives_one_sentence_and_stays(app, visit):
    page = visit(app)
    page.click("#advanced button")
    page.fill("#steps input", "0")
    wait(page, "#settings-note", "Steps must be")
    page.click("#explore-run")
    wait(page, "#explore-status", "Steps must be")
    assert page.input_value("#steps input") == "0"


def test_a_link_reproduces_the_view(app, visit):
    page = visit(app)
    page.fill("#latitude input", "-12.5")
    page.fill("#mutation input[type=number]", "20")
    page.keyboard.press("Tab")
    page.click("#advanced button")
    page.fill("#seed input", "7")
    page.fill("#steps input", "3")
    page.click("#explore-run")
    wait(page, "#explore-status", "Done")
    again = visit(page.url)
    wait(again, "#mutation-note", "132 of 658")
    assert number(again, "latitude") == -12.5 and pin(again)[0] == -12.5
    again.click("#advanced button")
    assert [number(again, name) for name in ("seed", "steps")] == [7, 3]
    assert again.input_value("#picker input").startswith("Papilio machaon")


def test_a_link_with_nonsense_says_so(app, visit):
    page = visit(app + "?latitude=400&seed=<b>x</b>&longitude=10")
    wait(page, "#notice", "The link's latitude was ignored")
    wait(page, "#notice", "<b>x</b>")
    assert number(page, "longitude") == 10


def test_dark_page_has_dark_map_and_light_chart_text(app, visit):
    page = visit(app, color_scheme="dark")
    page.wait_for_function("document.body.classList.contains('dark')")
    luminance = """selector => {
        const style = getComputedStyle(document.querySelector(selector));
        return style.fill.match(/[\\d.]+/g).slice(0, 3).reduce((sum, c) => sum + +c, 0) / 765; }"""
    assert page.evaluate(luminance, "#chart .xtick text") > 0.6
    truth = page.evaluate("getComputedStyle(document.querySelector('#chart')).getPropertyValue('--truth')")
    drawn = page.evaluate("document.querySelector('#chart .live-chart').layout.shapes[0].line.color")
    assert drawn == truth == "#e08a1e"
    map_body = page.frame_locator("#map iframe").locator("body")
    assert map_body.evaluate("body => body.classList.contains('dark')")


@pytest.mark.parametrize(
    "size", [{"width": 1280, "height": 720}, {"width": 390, "height": 844}, {"width": 667, "height": 375}]
)
def test_the_whole_picture_is_on_the_whole_screen(app, visit, size):
    page = visit(app + "?tab=bases&steps=1", **size)
    for tab, picture in (("bases", "bases-picture"), ("explore", "prediction")):
        page.click(f"#{tab}-tab-button")
        page.click(f"#{tab}-run")
        wait(page, f"#{tab}-status", "Done")
        page.hover(f"#{picture} img")
        page.click(f"#{picture} [aria-label='Fullscreen']")
        page.wait_for_selector(f"#{picture}.fullscreen")
        shown = page.locator(f"#{picture} img").bounding_box()
        assert shown["x"] >= 0 and shown["x"] + shown["width"] <= size["width"], tab
        assert shown["y"] >= 0 and shown["y"] + shown["height"] <= size["height"], tab
        assert min(shown["width"], shown["height"]) > 0.8 * min(size.values()), tab
        lowest = [shown["x"] + shown["width"] / 2, shown["y"] + shown["height"] - 3]
        assert page.evaluate("([x, y]) => document.elementFromPoint(x, y).tagName", lowest) == "IMG", tab
        page.keyboard.press("Escape")
        page.wait_for_selector(f"#{picture}:not(.fullscreen)")
        square = page.locator(f"#{picture}").bounding_box()
        assert square["width"] == pytest.approx(square["height"], abs=1), tab


def test_a_phone_has_one_column_and_run_within_reach(app, visit):
    page = visit(app, width=390, height=844, has_touch=True, is_mobile=True)
    assert overflow(page) <= 0
    run = page.locator("#explore-run").bounding_box()
    assert run["y"] + run["height"] <= 844
    page.click("#explore-run")
    wait(page, "#explore-status", "Done")
    page.wait_for_selector("#truth img")
    prediction, truth = boxes(page, "prediction", "truth")
    assert prediction["y"] == truth["y"] and prediction["x"] + prediction["width"] <= truth["x"]
    assert overflow(page) <= 0
    page.wait_for_function("""() => {
        const top = document.getElementById('prediction').getBoundingClientRect().top;
        return top >= 0 && top < innerHeight; }""")


def test_a_bad_checkpoint_is_said_on_the_page(serve, visit, tmp_path):
    page = visit(serve(tmp_path))
    wait(page, "#notice", "model_index.json")
    page.click("#explore-run")
    wait(page, "#explore-status", "model_index.json")
    assert page.is_enabled("#explore-run")


def test_a_run_that_breaks_off_is_not_taken_for_stopped(app, visit, monkeypatch, caplog):
    def run_out(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(ExploreTab, "stream", run_out)
    page = visit(app)
    page.click("#explore-run")
    wait(page, "#explore-status", "The run broke off: please try again.")
    assert page.is_enabled("#explore-run") and page.is_disabled("#explore-stop")
    assert "out of memory" in caplog.text


def test_visitors_wait_for_each_other_and_can_leave(app, visit):
    first, second = visit(app + LONG), visit(app)
    first.click("#explore-run")
    wait(first, "#explore-status", "Step ")
    second.click("#explore-run")
    wait(second, "#explore-status", "Waiting in the queue")
    second.click("#explore-stop")
    wait(second, "#explore-status", "Stopped before the first step")
    second.click("#explore-run")
    wait(second, "#explore-status", "Waiting in the queue")
    first.close()
    wait(second, "#explore-status", "Done")


def test_a_checkpoint_without_score_and_truth(serve, visit, tmp_path):
    tiny_pipeline(clibd=None, aligner=None, truth=None).save_pretrained(tmp_path)
    page = visit(serve(tmp_path))
    page.wait_for_selector("#truth-column", state="hidden")
    page.click("#explore-run")
    wait(page, "#explore-status", "no CLIBD model")
    assert page.is_hidden("#truth-column")
