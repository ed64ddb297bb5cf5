"""G2PDiffusion: from a DNA barcode and a place on Earth to a picture of the animal.

The names below are imported when they are first used: importing PyTorch is slow, and reading a barcode does
not need it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from g2pdiff.checkpoint import load_pipeline
    from g2pdiff.dna.barcode import Barcode
    from g2pdiff.errors import InputError
    from g2pdiff.pipeline import G2PDiffusionPipeline

__version__ = "0.1.0"

_HOME = {
    "Barcode": "g2pdiff.dna.barcode",
    "G2PDiffusionPipeline": "g2pdiff.pipeline",
    "InputError": "g2pdiff.errors",
    "load_pipeline": "g2pdiff.checkpoint",
}

__all__ = ["Barcode", "G2PDiffusionPipeline", "InputError", "load_pipeline"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
