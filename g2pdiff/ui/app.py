"""The page: what it says first, its tabs, and how it is launched."""

import gradio as gr

from g2pdiff.ui.api import generate_endpoint
from g2pdiff.ui.explore import MODEL_QUEUE, Explore
from g2pdiff.ui.messages import html
from g2pdiff.ui.model import load_in_background
from g2pdiff.ui.theme import STYLESHEET, theme

TITLE = """
<h1>G2PDiffusion</h1>
<p>From a DNA barcode and a place on Earth to a picture of the animal, drawn step by step.</p>
<p class="simulated">The built-in model learned from simulated specimens: colours and patterns are invented,
not the real animal's.</p>
"""

WAITING_RUNS = 16
CACHE_SECONDS = 3600  # streamed pictures are deleted from the server's cache after this

LAUNCH = {
    "theme": theme(),
    "css_paths": STYLESHEET,
    "footer_links": ["api", "settings"],
    "run_history": False,
    "ssr_mode": False,
}


def build() -> gr.Blocks:
    """The app. The checkpoint starts to load at once, in the background."""
    model = load_in_background()
    with gr.Blocks(
        title="G2PDiffusion", analytics_enabled=False, delete_cache=(CACHE_SECONDS, CACHE_SECONDS)
    ) as page:
        html(TITLE, elem_id="title")
        with gr.Tab("Explore", id="explore"):
            explore = Explore(model)
        explore.connect_page(page)
        generate_endpoint(model, **MODEL_QUEUE)
    return page.queue(max_size=WAITING_RUNS)
