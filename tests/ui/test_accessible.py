"""The page for everybody: axe-core's rules, the keyboard alone, alternative texts, and less motion."""

from axe_playwright_python.sync_playwright import Axe

from g2pdiff.ui.server.queue import QUEUE
from tests.ui.test_browser import wait

RUNS = ("explore", "mutations", "compare", "latitude", "bases", "batch")
SETTLED = "document.getAnimations().every(animation => animation.playState !== 'running')"
MOVING = """() => document.getAnimations()
    .filter(animation => animation.playState === 'running' && animation.effect.getTiming().iterations > 9)
    .map(animation => animation.effect.target.outerHTML)"""


def faults(page) -> list[str]:
    """Return what axe-core finds serious or critical on the page as it stands, and where."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{fault['id']}: {node['html'][:200]} {node['failureSummary']}"
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def faults_in_light_and_dark(page) -> list[str]:
    found = []
    for dark in (False, True):
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", dark)
        page.wait_for_function(SETTLED)
        found += faults(page)
    return found


def test_no_tab_has_a_serious_fault(app, visit):
    page = visit(app + "?steps=1&mutation_rate=0.1", color_scheme="light")
    for tab in RUNS:
        page.click(f"#{tab}-tab-button")
        page.click(f"#{tab}-run")
        wait(page, f"#{tab}-status", "Done")
        assert faults_in_light_and_dark(page) == [], tab
    page.click("#learn-tab-button")
    assert faults_in_light_and_dark(page) == [], "learn"


def test_pictures_map_and_charts_say_what_they_show(app, visit):
    page = visit(app + "?tab=mutations&steps=1&rates=20&replicates=1")
    page.click("#mutations-run")
    wait(page, "#mutations-status", "Done")
    pictures = page.eval_on_selector_all("#mutations-grid img", "all => all.map(one => one.alt)")
    assert (
        pictures[0] == "Prediction, wild type"
        and "Simulated truth, mutation rate 20 %, replicate 1" in pictures
    )
    charts = page.eval_on_selector_all(
        ".live-chart[role=img]", "all => all.map(one => one.getAttribute('aria-label'))"
    )
    assert len(charts) > 3 and all("hart of the" in said for said in charts)
    assert "choose a place" in page.get_attribute("#map iframe", "title")
    assert page.locator("#mutations-status [role=status]").count() == 1


def test_the_keyboard_alone_leads_from_barcode_to_picture(app, visit):
    page = visit(app)

    def tab_to(selector):
        for _ in range(60):
            if page.evaluate("selector => !!document.activeElement.closest(selector)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is out of reach")

    tab_to("#barcode")
    tab_to("#explore-run")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Enter")
    wait(page, "#explore-status", "Done")
    assert page.locator("#prediction img").get_attribute("alt") == "Prediction"
    tab_to("a.download")


def test_less_motion_is_respected(app, visit):
    page = visit(app, reduced_motion="reduce")
    with QUEUE.join("somebody else") as ticket, ticket:
        page.click("#explore-run")
        wait(page, "#explore-status", "Waiting in the queue")
        assert page.evaluate(MOVING) == []
        page.emulate_media(reduced_motion="no-preference")
        assert "width:30.0%" in page.evaluate(MOVING)[0]
    wait(page, "#explore-status", "Done")
