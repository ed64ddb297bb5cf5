"""Specimens drawn a few at a time: what every experiment is made of.

The experiments are mutation series, latitude sweeps and paired runs, as generators of `Update`s. Every
experiment draws many pictures that differ in one thing, a few at a time, and hands over rows as they are
finished. Between them it says how far it has come, so that whoever iterates can show progress and stop at any
denoising step; what was handed over stays. It says so, too, whenever it asks in vain for its turn at a shared
model: waiting is left to whoever iterates. The command line, the endpoints and the app's tabs are thin layers
over these functions.

On a checkpoint that learned from simulated specimens the rows also hold the truth, measured on the
simulator's pictures in the same way as on the generated ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch

from g2pdiff.analysis.morphometrics import body_length
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.experiments.request import Denoising
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.validation import check_number, check_steps

BATCH = 8  # pictures drawn together: more are no faster on two cores, and delay whoever waits
MAXIMUM_PICTURES = 400  # of one experiment
DEFAULT = Denoising()


@dataclass(frozen=True)
class Specimen:
    """What one picture is drawn from."""

    barcode: Barcode
    latitude: float
    longitude: float
    seed: int


@dataclass(frozen=True)
class Picture:
    """A finished picture and what was measured on it."""

    specimen: Specimen
    image: torch.Tensor  # (3, H, W) in [0, 1]
    clibd_score: float | None  # against the specimen's own barcode; None without a CLIBD model
    body_length: float  # share of the picture's side


@dataclass
class Update:
    """How far an experiment has come: `done` of `total` picture steps, and the rows it has just finished."""

    done: int
    total: int
    rows: list = field(default_factory=list)


class Turn(Protocol):
    """The leave to draw, where several share a model: a context manager, entered once the turn has come."""

    def wait(self) -> bool:
        """Whether the turn has come, said at once; asked again until it has.

        Who drives the generator may wait in between.
        """

    def __enter__(self) -> None: ...

    def __exit__(self, *_) -> None:
        """Give the turn back."""


def draw(
    pipe: G2PDiffusionPipeline,
    specimens: Sequence[Specimen],
    denoising: Denoising = DEFAULT,
    turn: Turn | None = None,
) -> Iterator[Update]:
    """Draw the specimens, `BATCH` at a time.

    Args:
        pipe: the checkpoint.
        specimens: N specimens.
        denoising: settings of the run.
        turn: entered for every batch and left after it, so that others can draw in between.

    Yields:
        An `Update` for every denoising step, whose rows are `Picture`s in the order of `specimens`; and one
        that says nothing new whenever the turn has not come yet.
    """
    steps = check_steps(pipe.config.default_steps if denoising.steps is None else denoising.steps)
    done, total = 0, steps * len(specimens)
    for start in range(0, len(specimens), BATCH):
        part = specimens[start : start + BATCH]
        stream = pipe.stream(
            [specimen.barcode for specimen in part],
            [specimen.latitude for specimen in part],
            [specimen.longitude for specimen in part],
            seed=[specimen.seed for specimen in part],
            num_inference_steps=steps,
            guidance_scale=denoising.guidance_scale,
            alignment_scale=denoising.alignment_scale,
            previews=False,
        )
        while turn and not turn.wait():
            yield Update(done, total)
        with turn or nullcontext(), closing(stream):
            for step in stream:
                done += len(part)
                pictures = []
                if step.index == step.total:
                    scores = step.clibd_scores or [None] * len(part)
                    lengths = body_length(step.images).tolist()
                    pictures = [Picture(*row) for row in zip(part, step.images, scores, lengths, strict=True)]
                yield Update(done, total, pictures)


@torch.no_grad()
def score_against(
    pipe: G2PDiffusionPipeline, images: torch.Tensor, barcode: Barcode
) -> list[float] | list[None]:
    """CLIBDScores of N pictures (N, 3, H, W) with one barcode; N times None without a CLIBD model."""
    if pipe.clibd is None:
        return [None] * len(images)
    return pipe.clibd.score(images.to(pipe.device), pipe.clibd.embed_barcodes([barcode.sequence])).tolist()


def check_count(field: str, count: object) -> int:
    """How many pictures of a kind. Raises `InputError(field)`."""
    return int(check_number(field, count, 1, MAXIMUM_PICTURES, whole=True))


def check_total(field: str, pictures: int) -> None:
    """Raise `InputError(field)` if an experiment has too many pictures."""
    if pictures > MAXIMUM_PICTURES:
        raise InputError(
            field, f"That makes {pictures:,} pictures: choose fewer, {MAXIMUM_PICTURES} at most in one go."
        )
