"""Mutation series: ever more mutated barcodes, all drawn from the same noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby

import torch

from g2pdiff.checks import check_locality, check_rate, check_seed
from g2pdiff.experiments.drawing import (
    DEFAULT,
    Specimen,
    Turn,
    Update,
    check_count,
    check_total,
    draw,
    score_against,
)
from g2pdiff.experiments.truth import true_pictures
from g2pdiff.genotype import Barcode
from g2pdiff.morphometrics import appearance_drift, body_length
from g2pdiff.mutation import UNIFORM, MutationModel, mutate
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.request import Denoising
from g2pdiff.statistics import mean_interval

RATES = (0.0, 0.01, 0.05, 0.10, 0.20, 0.30, 0.50)


@dataclass(frozen=True)
class MutationRow:
    """One picture of a mutation series."""

    rate: float
    replicate: int
    barcode: Barcode  # mutated
    image: torch.Tensor  # (3, H, W) in [0, 1]
    clibd_score: float | None  # picture against the wild type's barcode
    body_length: float  # share of the picture's side
    drift: float  # appearance drift from the wild type's picture
    true_image: torch.Tensor | None  # of the simulated truth, where there is one; likewise the next two
    true_body_length: float | None
    true_drift: float | None


def check_rates(rates: Sequence[object]) -> tuple[float, ...]:
    """Distinct mutation rates in rising order, 0 among them. Raises `InputError("rates")`."""
    return tuple(sorted({0.0, *(check_rate("rates", rate) for rate in rates)}))


def mutations(
    pipe: G2PDiffusionPipeline,
    barcode: Barcode,
    latitude: float,
    longitude: float,
    *,
    rates: Sequence[float] = RATES,
    replicates: int = 4,
    model: MutationModel = UNIFORM,
    seed: int = 0,
    denoising: Denoising = DEFAULT,
    turn: Turn | None = None,
) -> Iterator[Update]:
    """Pictures of ever more mutated barcodes, all from the same noise.

    A replicate is one path of mutation: its higher rates keep the substitutions of the lower ones. Rate 0 is
    the wild type, drawn once; every other picture's drift is measured from it.

    Args:
        pipe: the checkpoint.
        barcode: the wild type.
        latitude, longitude: degrees.
        rates: shares of the known sites to substitute, 0 to 1.
        replicates: paths of mutation; path r has the mutation seed `seed + r`.
        model: the kind of mutation.
        seed: of the noise, and of the first path.
        denoising: settings of the run.
        turn: see `draw`.

    Yields:
        `Update`s whose rows are `MutationRow`s, lower rates first.

    Raises:
        InputError: a value is not usable, or the kind of mutation cannot reach a rate on this barcode.
    """
    rates, replicates, seed = check_rates(rates), check_count("replicates", replicates), check_seed(seed)
    latitude, longitude = check_locality(latitude, longitude)
    series = [(0.0, 0, barcode)] + [
        (rate, replicate, mutate(barcode, rate, check_seed(seed + replicate), model))
        for rate in rates[1:]
        for replicate in range(replicates)
    ]
    check_total("replicates", len(series))
    return _mutations(pipe, series, latitude, longitude, seed, denoising, turn)


def _mutations(pipe, series, latitude, longitude, seed, denoising, turn) -> Iterator[Update]:
    specimens = [Specimen(mutant, latitude, longitude, seed) for _, _, mutant in series]
    wild_type = true_wild_type = None  # their pictures (1, 3, H, W), the first ones to be finished
    finished = 0
    with closing(draw(pipe, specimens, denoising, turn)) as updates:
        for update in updates:
            if update.rows:
                entries = series[finished : finished + len(update.rows)]
                images = torch.stack([picture.image for picture in update.rows])
                truth = true_pictures(pipe, [picture.specimen for picture in update.rows])
                if finished == 0:
                    wild_type = images[:1]
                    true_wild_type = None if truth is None else truth[:1]
                finished += len(update.rows)
                scores = score_against(pipe, images, series[0][2])
                known = truth is not None
                columns = zip(
                    entries,
                    update.rows,
                    scores,
                    appearance_drift(images, wild_type).tolist(),
                    truth if known else [None] * len(entries),
                    body_length(truth).tolist() if known else [None] * len(entries),
                    appearance_drift(truth, true_wild_type).tolist() if known else [None] * len(entries),
                    strict=True,
                )
                update.rows = [
                    MutationRow(*entry, picture.image, score, picture.body_length, drift, *true)
                    for entry, picture, score, drift, *true in columns
                ]
            yield update


def mutation_curves(rows: Sequence[MutationRow]) -> list[dict]:
    """One dict a rate: `rate`, `pictures`, and an `Estimate` over replicates for every measurement there is.

    The measurements are `clibd_score`, `body_length`, `drift` and, with a truth, `true_body_length` and
    `true_drift`.
    """
    names = ("clibd_score", "body_length", "drift", "true_body_length", "true_drift")
    curves = []
    for rate, group in groupby(sorted(rows, key=lambda row: row.rate), key=lambda row: row.rate):
        group = list(group)
        columns = {name: [getattr(row, name) for row in group] for name in names}
        estimates = {n: mean_interval(values) for n, values in columns.items() if None not in values}
        curves.append({"rate": rate, "pictures": len(group)} | estimates)
    return curves
