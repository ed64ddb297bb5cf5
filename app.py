"""The app: a DNA barcode and a place on Earth in, a picture of the animal out, live in the browser.

`python app.py` serves it at http://127.0.0.1:7860, with `--mcp` as an MCP server too, whose tools are the
named endpoints. The environment variable G2PDIFF_CHECKPOINT names another checkpoint than the built-in one.
"""

import importlib
import threading

# While Gradio is imported here: the model then is there by the time that somebody presses Run.
threading.Thread(target=importlib.import_module, args=["torch"]).start()

from g2pdiff.ui.app import LAUNCH, build, read_flags  # noqa: E402

demo = build()

if __name__ == "__main__":
    demo.launch(**LAUNCH, **read_flags())
