"""The checkpoints that the environment names. This module is light: the first page must not wait for a
model."""

from __future__ import annotations

import os
from collections.abc import Sequence

from g2pdiff.about import keeps_size
from g2pdiff.built_in import list_checkpoints

ENVIRONMENT_VARIABLE = "G2PDIFF_CHECKPOINT"  # folders or hub ids, separated by commas


def named_checkpoints() -> tuple[str, ...]:
    """Return the folders and hub ids that `$G2PDIFF_CHECKPOINT` names, without repeats.

    If it names none, return the built-in checkpoints; the one that learned from photographs comes first.
    """
    named = map(str.strip, os.environ.get(ENVIRONMENT_VARIABLE, "").split(","))
    return tuple(dict.fromkeys(filter(None, named))) or tuple(map(str, list_checkpoints()))


def default_checkpoint(named: Sequence[str], needs_size: bool = False) -> str:
    """Return the checkpoint for callers who name none.

    Args:
        named: folders and hub ids; the first is the default.
        needs_size: whether body size is measured. Then the default is the first that keeps size, if any does.
    """
    fitting = [name for name in named if keeps_size(name)] if needs_size else []
    return (fitting or named)[0]
