"""Mutation series: ever more mutated barcodes, all drawn from the same noise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby

import torch

from g2pdiff.analysis.morphometrics import appearance_drift, body_length
from g2pdiff.analysis.statistics import mean_interval
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import UNIFORM, MutationModel, mutate
from g2pdiff.errors import InputError
from g2pdiff.experiments.drawing import (
    BATCH,
    DEFAULT,
    Specimen,
    Turn,
    Update,
    check_count,
    check_total,
    draw,
    score_against,
)
from g2pdiff.experiments.request import Denoising
from g2pdiff.experiments.truth import true_pictures
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.validation import check_locality, check_rate, check_seed

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
        InputError: a value is not usable; while iterating, if the kind of mutation cannot reach a rate on
            this barcode, which `check_series` tells beforehand.
    """
    rates, replicates, seed = check_rates(rates), check_count("replicates", replicates), check_seed(seed)
    check_total("replicates", 1 + (len(rates) - 1) * replicates)
    place = check_locality(latitude, longitude)
    entries = [(0.0, 0), *((rate, replicate) for rate in rates[1:] for replicate in range(replicates))]
    return _mutations(pipe, barcode, entries, place, model, seed, denoising, turn)


def check_series(
    barcode: Barcode, rates: Sequence[float], replicates: int, model: MutationModel, seed: int
) -> None:
    """Raise `InputError` if a series has too many pictures, or a path cannot reach the highest rate.

    Args:
        barcode: the wild type.
        rates: of `check_rates`.
        replicates: paths of mutation.
        model: the kind of mutation.
        seed: of the first path.
    """
    check_total("replicates", 1 + (len(rates) - 1) * replicates)
    for replicate in range(replicates):
        path = check_seed(seed + replicate)
        try:
            mutate(barcode, rates[-1], path, model)
        except InputError as error:
            raise InputError("rates" if error.field == "mutation_rate" else error.field, str(error)) from None


def _mutations(pipe, barcode, entries, place, model, seed, denoising, turn) -> Iterator[Update]:
    wild_type = true_wild_type = None  # their pictures (1, 3, H, W), the first ones to be finished
    for start in range(0, len(entries), BATCH):
        # Mutants are made as they are needed: all those of a long series take seconds.
        part = entries[start : start + BATCH]
        mutants = [mutate(barcode, rate, seed + replicate, model) for rate, replicate in part]
        specimens = [Specimen(mutant, *place, seed) for mutant in mutants]
        with closing(draw(pipe, specimens, denoising, turn)) as updates:
            for update in updates:
                each = update.total // len(part)  # steps of a picture
                update.done, update.total = update.done + each * start, each * len(entries)
                if update.rows:
                    images = torch.stack([picture.image for picture in update.rows])
                    truth = true_pictures(pipe, specimens)
                    known = truth is not None
                    if start == 0:
                        wild_type, true_wild_type = images[:1], truth[:1] if known else None
                    columns = zip(
                        part,
                        update.rows,
                        score_against(pipe, images, barcode),
                        appearance_drift(images, wild_type).tolist(),
                        truth if known else [None] * len(part),
                        body_length(truth).tolist() if known else [None] * len(part),
                        appearance_drift(truth, true_wild_type).tolist() if known else [None] * len(part),
                        strict=True,
                    )
                    update.rows = [
                        MutationRow(
                            *entry,
                            picture.specimen.barcode,
                            picture.image,
                            score,
                            picture.body_length,
                            drift,
                            *true,
                        )
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
