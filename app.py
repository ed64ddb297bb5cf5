"""The app: a DNA barcode and a place on Earth in, a picture of the animal out, live in the browser.

`python app.py` serves it at http://127.0.0.1:7860, with `--mcp` as an MCP server too, whose tools are the
named endpoints. The environment variable G2PDIFF_CHECKPOINT names other checkpoints than the built-in ones.
"""

from g2pdiff.ui.launch import import_torch_meanwhile, read_flags

import_torch_meanwhile()

from g2pdiff.ui.app import LAUNCH, build  # noqa: E402

demo = build()

if __name__ == "__main__":
    demo.launch(**LAUNCH, **read_flags())
