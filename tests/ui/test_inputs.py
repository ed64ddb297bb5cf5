"""What people type and paste into the form, in browsers of two languages."""

import pytest

from tests.ui.test_browser import wait

PLACES = [
    ("longitude", "11,3", "11,3", "11.3"),
    ("longitude", "\u221212.5", "\u221212.5", ""),
    ("longitude", "200", "200", "Longitude 200 is -160 within"),
    ("latitude", "33.9S", "33.9S", ""),
    ("latitude", "-33\u00b054'", "-33\u00b054'", ""),
    ("latitude", "5 6", "5 6", "may be degrees and minutes or two numbers"),
    ("latitude", "120", "120", "are latitude and longitude swapped?"),
    ("latitude", "1e1", "1e1", ""),
    ("latitude", "12 apples", "12 apples", "Latitude must be"),
]


@pytest.fixture(params=["de-DE", "en-US"])
def page(request, app, visit):
    page = visit(app + "?latitude=10&longitude=20&tab=compare&change=place", locale=request.param)
    page.wait_for_selector("#compare-run:not([disabled])", state="attached")
    return page


def give(page, name: str, text: str) -> None:
    box = page.locator(f"#{name} input")
    box.click()
    box.press("Control+a")
    page.keyboard.type(text) if len(text) < 5 else page.keyboard.insert_text(text)
    box.press("Tab")


def test_nothing_typed_is_altered_and_everything_is_told(page):
    for name, typed, shown, said in PLACES:
        give(page, "longitude", "20")
        give(page, "latitude", "10")
        page.wait_for_selector("#place-note .note", state="detached")
        give(page, name, typed)
        if said:
            wait(page, "#place-note", said)
        assert page.input_value(f"#{name} input") == shown
    page.click("#advanced button")
    for name, typed, said in (
        ("seed", "1,5", "Seed must be a whole number"),
        ("steps", "1e400", "Steps must be"),
        ("guidance", "1,500", "Guidance scale must be"),
        ("alignment", "two", "Alignment scale must be"),
    ):
        give(page, name, typed)
        wait(page, "#settings-note", said)
        assert page.input_value(f"#{name} input") == typed
        give(page, name, "2")
        page.wait_for_function(
            "said => !document.querySelector('#settings-note').innerText.includes(said)", arg=said
        )
    give(page, "guidance", "1,5")
    page.wait_for_selector("#settings-note .note", state="detached")


def test_a_place_pasted_into_one_field_fills_both(page):
    for name, pasted, found in (
        ("latitude", "56.6, 11.3", ["56.6", "11.3"]),
        ("longitude", "33.9 S, 18.4 E", ["-33.9", "18.4"]),
        ("latitude", "https://www.openstreetmap.org/#map=5/-12.5/100.25", ["-12.5", "100.25"]),
    ):
        for prefix in ("", "compare-other-"):
            give(page, prefix + name, pasted)
            page.wait_for_function(
                """([prefix, found]) => ['latitude', 'longitude'].every(
                    (name, i) => document.querySelector(`#${prefix}${name} input`).value === found[i])""",
                arg=[prefix, found],
            )
    give(page, "compare-other-latitude", "100")
    wait(page, "#compare-place-note", "Other latitude must be")


def test_a_run_right_after_pasting_is_at_the_place_that_was_pasted(app, visit):
    page = visit(app + "?latitude=10&longitude=20&steps=1", locale="de-DE")
    page.wait_for_selector("#explore-run:not([disabled])")
    page.fill("#latitude input", "56.6, 11.3")
    page.click("#explore-run")
    wait(page, "#explore-status", "Done")
    with page.expect_download() as download:
        page.click("a.download")
    assert "_56.60_11.30_" in download.value.suggested_filename
