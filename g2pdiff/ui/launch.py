"""Starting the app from a command line. Gradio and PyTorch are imported late, so that help comes at once."""

import argparse
import importlib
import importlib.util
import sys
import threading
from collections.abc import Sequence


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the app's own options to a parser."""
    parser.add_argument(
        "--mcp", action="store_true", help="serve the endpoints as the tools of an MCP server too"
    )


def launch_options(flags: argparse.Namespace) -> dict:
    """Return the arguments of Gradio's `launch` that flags stand for.

    Raises:
        SystemExit: a flag needs a package that is not installed.
    """
    if flags.mcp and importlib.util.find_spec("mcp") is None:
        sys.exit('--mcp needs the package mcp: python -m pip install "gradio[mcp]".')
    return {"mcp_server": True} if flags.mcp else {}


def read_flags(argv: Sequence[str] | None = None) -> dict:
    """Return `launch_options` of a command line of nothing but the app's own options."""
    parser = argparse.ArgumentParser(description="Serve the app.")
    add_flags(parser)
    return launch_options(parser.parse_args(argv))


def import_torch_meanwhile() -> None:
    """Import PyTorch while Gradio is imported: the model is then there when somebody presses Run."""
    threading.Thread(target=importlib.import_module, args=["torch"]).start()


def serve(flags: argparse.Namespace) -> None:
    """Serve the app until it is interrupted."""
    options = launch_options(flags)
    import_torch_meanwhile()
    from g2pdiff.ui.app import LAUNCH, build

    build().launch(**LAUNCH, **options)
