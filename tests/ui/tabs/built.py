"""What the tests of tabs start from: a form as a visitor fills it, and a tab without a browser."""

import gradio as gr

from g2pdiff.models.checkpoint_names import named_checkpoints
from g2pdiff.ui.form import Form
from g2pdiff.ui.server.model import Models
from g2pdiff.ui.tab import RunTab
from tests.tiny import BARCODE

FORM = {
    "barcode": BARCODE,
    "latitude": 56.6,
    "longitude": 11.3,
    "mutation_rate": 0,
    "kind": "uniform",
    "transition_transversion_ratio": None,
    "no_new_stops": False,
    "region": "",
    "edits": "",
    "seed": 3,
    "steps": 2,
    "guidance_scale": None,
    "alignment_scale": None,
}


def build(kind: type[RunTab]) -> RunTab:
    """Return a tab beside a form."""
    with gr.Blocks():
        models = Models(named_checkpoints())
        return kind(models, Form(models))
