"""How long until a visitor sees something? `python -m tests.benchmarks.cold_start`

Starts `python app.py` as a user does and measures the seconds to the first page, then in Chromium, a second
after the page is ready, the seconds from a click on Run to the first picture, twice. Last it measures the
memory that the server holds, and holds once every checkpoint it serves has drawn. A checkpoint that is not
loaded by then counts. It prints the medians of several starts; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from tests.ui.chromium import CHROMIUM, FLAGS

APP = Path(__file__).parents[2] / "app.py"
PATIENCE_SECONDS = 120
QUIET_SECONDS = 1.0  # from the page to the click: nobody is faster
MEASURED = {
    "page_seconds": "start to first page",
    "preview_seconds": "Run to first preview",
    "again_seconds": "Run to first preview, again",
    "rss_mb": "memory of the server, MB",
    "all_rss_mb": "memory with every checkpoint, MB",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started(port: int) -> Iterator[subprocess.Popen]:
    """Return `python app.py` on a port."""
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False"}
    process = subprocess.Popen(
        [sys.executable, APP], env=environment, cwd=APP.parent, stdout=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def first_page(url: str, process: subprocess.Popen) -> None:
    """Wait until the server answers with the page."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            time.sleep(0.02)
    raise TimeoutError(f"No page at {url}.")


def first_preview(page: Page) -> float:
    """Return seconds from a click on Run until the run's first picture is on the page."""
    page.wait_for_selector("#explore-run:not([disabled])")
    # In the page itself: what the measuring costs does not count.
    return page.evaluate("""() => new Promise(resolve => {
      const shown = () => document.querySelector('#prediction img')?.src, before = shown();
      const began = performance.now();
      const look = () => {
        if (shown() && shown() !== before) resolve((performance.now() - began) / 1000);
        else requestAnimationFrame(look);
      };
      document.querySelector('#explore-run').click();
      look();
    })""")


def resident_mb(process: subprocess.Popen) -> float:
    """Return the memory that a process holds, in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def draw_with_others(page: Page) -> None:
    """Run once with every checkpoint but the one that is chosen."""
    if not page.is_visible("#checkpoint"):
        return
    page.click("#checkpoint input")
    names = page.get_by_role("option").all_inner_texts()
    page.keyboard.press("Escape")
    for name in names[1:]:
        page.fill("#checkpoint input", name.lstrip("✓ ").strip())
        page.keyboard.press("Enter")  # a click misses an option that moves while the server is busy
        page.wait_for_timeout(1000 * QUIET_SECONDS)
        page.click("#explore-run")
        page.wait_for_selector("#explore-stop:not([disabled])")
        page.wait_for_function("document.querySelector('#explore-status').innerText.includes('Done')")


def measure(browser) -> dict:
    """Return one start."""
    port = free_port()
    url, began = f"http://127.0.0.1:{port}", time.monotonic()
    with started(port) as process:
        first_page(url, process)
        page_seconds = time.monotonic() - began
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE_SECONDS)
        page.goto(url)
        page.wait_for_selector("#explore-run:not([disabled])")
        page.wait_for_timeout(1000 * QUIET_SECONDS)
        preview_seconds = first_preview(page)
        page.wait_for_function("document.querySelector('#explore-status').innerText.includes('Done')")
        again_seconds = first_preview(page)
        page.wait_for_function("document.querySelector('#explore-status').innerText.includes('Done')")
        rss_mb = resident_mb(process)
        draw_with_others(page)
        all_rss_mb = resident_mb(process)
        page.close()
    return {
        "page_seconds": page_seconds,
        "preview_seconds": preview_seconds,
        "again_seconds": again_seconds,
        "rss_mb": rss_mb,
        "all_rss_mb": all_rss_mb,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=3, help="of the app (%(default)s)")
    given = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        starts = [measure(browser) for _ in range(given.starts)]
        browser.close()
    result = {name: statistics.median(start[name] for start in starts) for name in MEASURED}
    for name, title in MEASURED.items():
        print(f"{title:<30} {result[name]:8.2f}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
