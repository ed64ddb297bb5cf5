"""The checkpoints that the environment names. Nothing heavy: the page comes up before a model is loaded."""

from __future__ import annotations

import os

from g2pdiff.built_in import list_checkpoints

ENVIRONMENT_VARIABLE = "G2PDIFF_CHECKPOINT"  # folders or hub ids, with commas between them


def named_checkpoints() -> tuple[str, ...]:
    """Return the folders and hub ids that `$G2PDIFF_CHECKPOINT` names, without repeats.

    Where it names none, these are the built-in checkpoints, the one learned from photographs first.
    """
    named = map(str.strip, os.environ.get(ENVIRONMENT_VARIABLE, "").split(","))
    return tuple(dict.fromkeys(filter(None, named))) or tuple(map(str, list_checkpoints()))
