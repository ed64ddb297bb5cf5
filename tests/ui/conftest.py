"""The app on a tiny real checkpoint, and a headless Chromium to drive it with."""

from types import SimpleNamespace

import pytest

from tests.tiny import tiny_pipeline
from tests.ui.chromium import CHROMIUM, FLAGS


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    tiny_pipeline().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def serve(tmp_path_factory):
    """Return a function that serves the app on a checkpoint folder and returns its address."""
    from g2pdiff.ui.app import LAUNCH, build

    pages = []
    # For as long as the apps run: Gradio makes components anew for a visitor, and each asks where files go.
    gradio = pytest.MonkeyPatch()
    gradio.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))

    def start(folder) -> str:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("G2PDIFF_CHECKPOINT", str(folder))
            page = build()
            page.launch(**LAUNCH, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
        pages.append(page)
        return page.local_url

    yield start
    for page in pages:
        page.close()
    gradio.undo()


@pytest.fixture(scope="session")
def app(serve, checkpoint) -> str:
    return serve(checkpoint)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Return a function that opens an address in a fresh profile; afterwards nothing may have gone wrong
    there."""
    seen = SimpleNamespace(away=[], errors=[])
    contexts = []

    def away(request):
        if request.url.startswith(("http", "ws")) and "//127.0.0.1" not in request.url:
            seen.away.append(request.url)

    def open_page(url, width=1280, height=900, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", away)
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.goto(url)
        page.frame_locator("#map iframe").locator(".leaflet-container").wait_for(state="attached")
        page.wait_for_function("document.querySelector('#chart .main-svg')")
        page.wait_for_function("document.querySelector('#readout .stripes, #readout .note')")
        page.wait_for_selector("#explore-run:not([disabled])", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert seen.away == []
    assert seen.errors == []
