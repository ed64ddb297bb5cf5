"""Drive the app on a checkpoint and save the README's screenshots: `python -m tests.benchmarks.screenshots`.

G2PDIFF_CHECKPOINT names another checkpoint than the built-in one, as it does for the app.
"""

import argparse
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from g2pdiff.built_in import ASSETS
from g2pdiff.ui.app import LAUNCH, build
from tests.ui.chromium import CHROMIUM, FLAGS

RUN_SECONDS = 600
DESKTOP = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
VIEWS = {  # by tab and look
    "explore_light": DESKTOP,
    "mutations_light": DESKTOP,
    "latitude_light": DESKTOP,
    "explore_dark": DESKTOP | {"color_scheme": "dark"},
    "explore_phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}


def run_to_the_end(page: Page, tab: str) -> None:
    page.wait_for_selector("#readout .stripes")
    page.frame_locator("#map iframe").locator(".leaflet-container").wait_for()
    page.click(f"#{tab}-run:not([disabled])")
    page.wait_for_function(
        "tab => document.getElementById(`${tab}-status`).innerText.includes('Done')",
        arg=tab,
        timeout=1000 * RUN_SECONDS,
    )
    if tab == "explore":
        page.wait_for_selector("#truth img")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1000)  # for the last strokes of the chart and the progress bar


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--out", type=Path, default=ASSETS / "screenshots", help="folder (%(default)s)")
    parser.add_argument("--link", default="", help="query string of the view, as the app writes it")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    app = build()
    app.launch(**LAUNCH, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for name, options in VIEWS.items():
            page = browser.new_context(**options).new_page()
            tab = name.split("_")[0]
            page.goto(f"{app.local_url}?tab={tab}&{arguments.link.lstrip('?')}")
            run_to_the_end(page, tab)
            page.evaluate("if (innerWidth > 760) scrollTo(0, 0)")
            page.screenshot(path=arguments.out / f"{name}.png", full_page=tab != "explore")
            print(arguments.out / f"{name}.png")
        browser.close()
    app.close()


if __name__ == "__main__":
    main()
