"""The steps of a finished run, to go through forwards and back without the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from g2pdiff.ui.widgets.pictures import pil, thumbnail

if TYPE_CHECKING:
    from torch import Tensor

    from g2pdiff.outputs import DenoisingStep
    from g2pdiff.pipeline import G2PDiffusionPipeline

MOST = 30  # steps shown of a longer run, the first and the last among them

TEXT = (
    '<p class="note"><b>Step by step</b>: move the slider from noise to animal. At each step the model sees '
    "the noisy picture, guesses the clean one, and goes a part of the way.</p>"
)


@dataclass(frozen=True)
class Moment:
    """One step of a run over one picture."""

    index: int  # 1 .. total
    noisy: Tensor  # (1, C, h, w), see `DenoisingStep`
    latents: Tensor
    noise_share: float
    clibd_score: float | None

    @classmethod
    def of(cls, step: DenoisingStep) -> Moment:
        """Return what a step's replay needs."""
        return cls(step.index, step.noisy, step.latents, step.noise_share, step.clibd_score)


def replay(pipe: G2PDiffusionPipeline, moments: Sequence[Moment]) -> str:
    """Return a run's steps as HTML with a slider, which `js/replay.js` moves; empty without a step.

    Both pictures come from the fast decoder, but for the last guess, which is the result.
    """
    if not moments:
        return ""
    import torch

    last = len(moments) - 1
    chosen = (
        sorted({round(last * place / (MOST - 1)) for place in range(MOST)})
        if last >= MOST
        else range(last + 1)
    )
    shown = [moments[index] for index in chosen]
    seen = pipe.decode(torch.cat([moment.noisy for moment in shown]), preview=True)
    guessed = pipe.decode(torch.cat([moment.latents for moment in shown]), preview=True)
    guessed[-1:] = pipe.decode(shown[-1].latents)
    frames = [
        {
            "seen": thumbnail(pil(noisy)),
            "guessed": thumbnail(pil(clean)),
            "said": _said(moment, moments[-1].index),
        }
        for moment, noisy, clean in zip(shown, seen, guessed, strict=True)
    ]
    figures = "".join(
        f'<figure><img class="{name}" src="{frames[-1][name]}" alt="{title}">'
        f"<figcaption>{title}</figcaption></figure>"
        for name, title in (("seen", "What the model sees"), ("guessed", "What it guesses"))
    )
    return (
        f'<div class="replay" data-frames="{escape(json.dumps(frames))}">{TEXT}'
        f'<div class="replay-pictures">{figures}</div>'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="{len(frames) - 1}" '
        f'aria-label="Denoising step"><p class="note replay-said">{frames[-1]["said"]}</p></div>'
    )


def _said(moment: Moment, total: int) -> str:
    score = "" if moment.clibd_score is None else f" · CLIBDScore of the guess {moment.clibd_score:.3f}"
    return f"Step {moment.index} of {total} · {moment.noise_share:.0%} noise{score}"
