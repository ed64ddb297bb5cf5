"""The checkpoints that the environment names. Nothing heavy: the page comes up before a model is loaded."""

from __future__ import annotations

import os
from pathlib import Path

DEFAULT_CHECKPOINT = Path(__file__).resolve().parents[2] / "assets" / "checkpoint"
ENVIRONMENT_VARIABLE = "G2PDIFF_CHECKPOINT"  # folders or hub ids, with commas between them


def named_checkpoints() -> tuple[str, ...]:
    """Folders and hub ids that `$G2PDIFF_CHECKPOINT` names, without repeats; else the embedded checkpoint."""
    named = map(str.strip, os.environ.get(ENVIRONMENT_VARIABLE, "").split(","))
    return tuple(dict.fromkeys(filter(None, named))) or (str(DEFAULT_CHECKPOINT),)
