"""Paired runs: two variants drawn from the same noises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import torch

from g2pdiff.analysis.morphometrics import appearance_drift
from g2pdiff.analysis.statistics import Estimate, mean_interval
from g2pdiff.experiments.drawing import (
    BATCH,
    Picture,
    Specimen,
    Turn,
    Update,
    check_count,
    check_total,
    draw,
    score_against,
)
from g2pdiff.experiments.request import Variant
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.validation import check_locality, check_seed


@dataclass(frozen=True)
class PairRow:
    """Two pictures from the same noise. Both are scored against the first side's barcode."""

    seed: int
    images: tuple[torch.Tensor, torch.Tensor]  # (3, H, W) each, in [0, 1]
    clibd_scores: tuple[float, float] | None  # None without a CLIBD model
    body_lengths: tuple[float, float]
    drift: float  # appearance drift between them


def compare(
    pipe: G2PDiffusionPipeline,
    first: Variant,
    second: Variant,
    *,
    pairs: int = 6,
    seed: int = 0,
    turn: Turn | None = None,
) -> Iterator[Update]:
    """Draw two variants from the same noises.

    Args:
        pipe: the checkpoint.
        first, second: what is compared; they should differ in one thing.
        pairs: noises; pair p has the seed `seed + p`.
        seed: of the first noise.
        turn: see `draw`.

    Yields:
        `Update`s whose rows are `PairRow`s.

    Raises:
        InputError: a value is not usable.
    """
    pairs, seed = check_count("pairs", pairs), check_seed(seed)
    check_total("pairs", 2 * pairs)
    seeds = [check_seed(seed + pair) for pair in range(pairs)]
    for side in (first, second):
        check_locality(side.latitude, side.longitude)
    return _compare(pipe, first, second, seeds, turn)


def _compare(pipe, first, second, seeds, turn) -> Iterator[Update]:
    default, half = pipe.config.default_steps, BATCH // 2
    steps = [default if side.denoising.steps is None else side.denoising.steps for side in (first, second)]
    done, total = 0, sum(steps) * len(seeds)
    for start in range(0, len(seeds), half):
        pictures = []
        for side in (first, second):
            specimens = [
                Specimen(side.barcode, side.latitude, side.longitude, seed)
                for seed in seeds[start : start + half]
            ]
            before = done
            with closing(draw(pipe, specimens, side.denoising, turn)) as updates:
                for update in updates:
                    done = before + update.done
                    yield Update(done, total)
            pictures.append(update.rows)  # half a batch is finished by its last step
        yield Update(done, total, _pair(pipe, first, *pictures))


def _pair(pipe, first: Variant, ones: list[Picture], others: list[Picture]) -> list[PairRow]:
    images = [torch.stack([picture.image for picture in side]) for side in (ones, others)]
    scores = [score_against(pipe, side, first.barcode) for side in images]
    drifts = appearance_drift(images[0], images[1]).tolist()
    return [
        PairRow(
            one.specimen.seed,
            (one.image, other.image),
            None if None in pair else pair,
            (one.body_length, other.body_length),
            drift,
        )
        for one, other, pair, drift in zip(ones, others, zip(*scores, strict=True), drifts, strict=True)
    ]


def differences(rows: Sequence[PairRow]) -> dict[str, Estimate]:
    """Mean difference, second minus first: of `body_length`, and of `clibd_score` where there is one."""
    values = {"body_length": [second - first for first, second in (row.body_lengths for row in rows)]}
    scored = [row.clibd_scores for row in rows if row.clibd_scores]
    if scored:
        values["clibd_score"] = [second - first for first, second in scored]
    return {name: mean_interval(column) for name, column in values.items()}
