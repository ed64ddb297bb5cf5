"""Drive the app on a checkpoint and save the README's screenshots: `python -m tests.benchmarks.screenshots`.

G2PDIFF_CHECKPOINT names another checkpoint than the built-in one, as it does for the app.
"""

import argparse
from pathlib import Path
from urllib.parse import parse_qs

from playwright.sync_api import Page, sync_playwright

from g2pdiff.built_in import ASSETS
from g2pdiff.ui.app import LAUNCH, build
from tests.ui.chromium import CHROMIUM, FLAGS

RUN_SECONDS = 600
DESKTOP = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}
DARK = DESKTOP | {"color_scheme": "dark"}
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
SIMULATED = "&checkpoint=checkpoint"  # whose truth and whose body lengths are known
VIEWS = {  # by name: the view's link, and the look
    "explore_light": ("tab=explore", DESKTOP),
    "simulated_light": (f"tab=explore{SIMULATED}", DESKTOP),
    "mutations_light": (f"tab=mutations{SIMULATED}", DESKTOP),
    "latitude_light": (f"tab=latitude{SIMULATED}", DESKTOP),
    "explore_dark": ("tab=explore", DARK),
    "explore_phone": ("tab=explore", PHONE),
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
        page.locator("#truth img, #known img").first.wait_for()
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
        for name, (link, options) in VIEWS.items():
            page = browser.new_context(**options).new_page()
            page.goto(f"{app.local_url}?{link}&{arguments.link.lstrip('?')}")
            tab = parse_qs(link)["tab"][0]
            run_to_the_end(page, tab)
            page.evaluate("if (innerWidth > 760) scrollTo(0, 0)")
            page.screenshot(path=arguments.out / f"{name}.png", full_page=tab != "explore")
            print(arguments.out / f"{name}.png")
        browser.close()
    app.close()


if __name__ == "__main__":
    main()
