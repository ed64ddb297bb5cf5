"""Drawing of specimens, a few at a time. All experiments use it.

An experiment is a generator of `Update`s. It draws many pictures that differ in one thing, a few at a time,
and yields rows as they are finished. Between them it yields its progress, so that the caller can show it and
stop at any denoising step; finished rows stay valid. Before every batch it pauses, so that a caller who
shares the model can let others draw.

With a checkpoint that learned from simulated specimens, the rows also hold the truth. It is measured on the
simulator's pictures in the same way as on the generated ones.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from g2pdiff.denoising import Denoising
from g2pdiff.dna.barcode import Barcode

if TYPE_CHECKING:
    import torch

    from g2pdiff.pipeline import G2PDiffusionPipeline

BATCH = 8  # pictures drawn together: more are not faster on two cores, and others wait longer


@dataclass(frozen=True)
class Specimen:
    """The input of one picture."""

    barcode: Barcode
    latitude: float
    longitude: float
    seed: int


@dataclass(frozen=True)
class Picture:
    """A finished picture and its measurements."""

    specimen: Specimen
    image: torch.Tensor  # (3, H, W) in [0, 1]
    clibd_score: float | None  # with the specimen's own barcode; None without a CLIBD model
    body_length: float  # relative to the side of the picture


@dataclass(frozen=True)
class Update:
    """The progress of an experiment.

    Attributes:
        done, total: denoising steps, summed over pictures.
        rows: rows that were finished with this update.
        pauses: whether a new batch comes next. The model is idle until the caller asks for the next update.
    """

    done: int
    total: int
    rows: list = field(default_factory=list)
    pauses: bool = False


def draw(
    pipe: G2PDiffusionPipeline, specimens: Sequence[Specimen], denoising: Denoising
) -> Generator[Update]:
    """Draw the specimens, `BATCH` at a time.

    Args:
        pipe: the checkpoint.
        specimens: N specimens.
        denoising: settings of the run.

    Yields:
        An `Update` with `pauses` before every batch, and one per denoising step. Their rows are `Picture`s in
        the order of `specimens`.
    """
    from g2pdiff.analysis.morphometrics import body_length

    steps = denoising.resolve(pipe.config).steps
    done, total = 0, steps * len(specimens)
    for start in range(0, len(specimens), BATCH):
        part = specimens[start : start + BATCH]
        yield Update(done, total, pauses=True)
        stream = pipe.stream(
            [specimen.barcode for specimen in part],
            [specimen.latitude for specimen in part],
            [specimen.longitude for specimen in part],
            seed=[specimen.seed for specimen in part],
            previews=False,
            **denoising.arguments,
        )
        with closing(stream):
            for step in stream:
                done += len(part)
                pictures = []
                if step.index == step.total:
                    assert step.images is not None  # the last step has pictures
                    scores = step.clibd_scores or [None] * len(part)
                    lengths = body_length(step.images).tolist()
                    pictures = [Picture(*row) for row in zip(part, step.images, scores, lengths, strict=True)]
                yield Update(done, total, pictures)


def score_against(
    pipe: G2PDiffusionPipeline, images: torch.Tensor, barcode: Barcode
) -> list[float] | list[None]:
    """Return the CLIBDScores of N pictures (N, 3, H, W) with one barcode; all None without a CLIBD model."""
    import torch

    if pipe.clibd is None:
        return [None] * len(images)
    with torch.no_grad():
        embedding = pipe.clibd.embed_barcodes([barcode.sequence])
        return pipe.clibd.score(images.to(pipe.device), embedding).tolist()
