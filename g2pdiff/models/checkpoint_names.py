"""The checkpoints that the environment names. Nothing heavy: the page comes up before a model is loaded."""

from __future__ import annotations

import os
from collections.abc import Sequence

from g2pdiff.about import keeps_size
from g2pdiff.built_in import list_checkpoints

ENVIRONMENT_VARIABLE = "G2PDIFF_CHECKPOINT"  # folders or hub ids, with commas between them


def named_checkpoints() -> tuple[str, ...]:
    """Return the folders and hub ids that `$G2PDIFF_CHECKPOINT` names, without repeats.

    Where it names none, these are the built-in checkpoints, the one learned from photographs first.
    """
    named = map(str.strip, os.environ.get(ENVIRONMENT_VARIABLE, "").split(","))
    return tuple(dict.fromkeys(filter(None, named))) or tuple(map(str, list_checkpoints()))


def default_checkpoint(named: Sequence[str], needs_size: bool = False) -> str:
    """Return the checkpoint that serves who names none.

    Args:
        named: folders and hub ids, the first of which is the usual one.
        needs_size: whether body size is to be measured: then it is the first that keeps size, if any does.
    """
    fitting = [name for name in named if keeps_size(name)] if needs_size else []
    return (fitting or named)[0]
