"""Sweeps along latitude, and along longitude as the null control, and the slope of body length on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import torch

from g2pdiff.analysis.morphometrics import body_length
from g2pdiff.analysis.statistics import Estimate, relative_slope
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.experiments.drawing import DEFAULT, Specimen, Turn, Update, check_count, check_total, draw
from g2pdiff.experiments.request import Denoising
from g2pdiff.experiments.truth import true_pictures
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.simulation.traits import PLANTED_SLOPE, REFERENCE_LATITUDE
from g2pdiff.validation import check_choice, check_locality, check_seed

LATITUDES = tuple(range(-80, 81, 10))
LONGITUDES = tuple(range(-160, 161, 20))


@dataclass(frozen=True)
class SweepRow:
    """One picture of a sweep."""

    along: str  # `latitude` or `longitude`
    degrees: float  # along it
    replicate: int
    latitude: float
    longitude: float
    image: torch.Tensor  # (3, H, W) in [0, 1]
    clibd_score: float | None
    body_length: float  # share of the picture's side
    true_image: torch.Tensor | None  # of the simulated truth, where there is one; likewise the next
    true_body_length: float | None


@dataclass(frozen=True)
class Cline:
    """How body length grows along a sweep."""

    along: str
    slope: Estimate  # per cent of the length at the reference, per 10 degrees
    planted: float | None  # the same of the simulated truth; None where nobody knows it
    verdict: str  # one sentence


def sweep(
    pipe: G2PDiffusionPipeline,
    barcode: Barcode,
    latitude: float,
    longitude: float,
    *,
    along: str = "latitude",
    degrees: Sequence[float] | None = None,
    replicates: int = 2,
    seed: int = 0,
    denoising: Denoising = DEFAULT,
    turn: Turn | None = None,
) -> Iterator[Update]:
    """Pictures of one barcode along a meridian, or along a parallel as the null control.

    Args:
        pipe: the checkpoint.
        barcode: fixed throughout.
        latitude, longitude: degrees; the one that is not swept stays.
        along: `"latitude"` or `"longitude"`.
        degrees: where to draw; by default `LATITUDES` or `LONGITUDES`, pole to pole or round the world.
        replicates: noises; replicate r has the seed `seed + r`, the same at every place.
        seed: of the first noise.
        denoising: settings of the run.
        turn: see `draw`.

    Yields:
        `Update`s whose rows are `SweepRow`s, from the first of `degrees` to the last.

    Raises:
        InputError: a value is not usable, or the checkpoint's pictures do not keep an animal's size.
    """
    check_choice("along", along, ("latitude", "longitude"))
    if not pipe.config.whole_frames:
        raise InputError(
            "checkpoint",
            "This checkpoint learned from crops in which every animal fills the picture, so body lengths say "
            "nothing: choose one that learned from whole frames.",
        )
    latitude, longitude = check_locality(latitude, longitude)
    if degrees is None:
        degrees = LATITUDES if along == "latitude" else LONGITUDES
    replicates, seed = check_count("replicates", replicates), check_seed(seed)
    check_total("replicates", replicates * len(degrees))
    specimens = []
    for degree in degrees:
        place = check_locality(degree, longitude) if along == "latitude" else check_locality(latitude, degree)
        specimens += [Specimen(barcode, *place, check_seed(seed + r)) for r in range(replicates)]
    return _sweep(pipe, specimens, along, seed, denoising, turn)


def _sweep(pipe, specimens, along, seed, denoising, turn) -> Iterator[Update]:
    with closing(draw(pipe, specimens, denoising, turn)) as updates:
        for update in updates:
            if update.rows:
                truth = true_pictures(pipe, [picture.specimen for picture in update.rows])
                known = truth is not None
                lengths = body_length(truth).tolist() if known else [None] * len(update.rows)
                update.rows = [
                    SweepRow(
                        along,
                        getattr(picture.specimen, along),
                        picture.specimen.seed - seed,
                        picture.specimen.latitude,
                        picture.specimen.longitude,
                        picture.image,
                        picture.clibd_score,
                        picture.body_length,
                        true_image,
                        length,
                    )
                    for picture, true_image, length in zip(
                        update.rows, truth if known else [None] * len(lengths), lengths, strict=True
                    )
                ]
            yield update


def tens_of_degrees(along: str, degrees: Sequence[float]) -> np.ndarray:
    """The regressor of a sweep (N,): distance from the reference in tens of degrees.

    Along latitude that is |latitude| from `REFERENCE_LATITUDE`, as both hemispheres count alike.
    """
    degrees = np.asarray(degrees, dtype=float)
    return ((np.abs(degrees) - REFERENCE_LATITUDE) if along == "latitude" else degrees) / 10


def relative_lengths(rows: Sequence[SweepRow]) -> np.ndarray:
    """Body lengths (N,) relative to the mean of the row's own replicate, so that replicates compare."""
    means = {
        replicate: np.mean([row.body_length for row in rows if row.replicate == replicate])
        for replicate in {row.replicate for row in rows}
    }
    return np.array([row.body_length / max(means[row.replicate], 1e-3) for row in rows])


def cline(rows: Sequence[SweepRow], planted: bool) -> Cline | None:
    """The slope of body length along a sweep, and what it says.

    None for fewer than three places, or where no body can be measured.

    Args:
        rows: of one sweep.
        planted: whether the simulated truth with its planted slope stands behind the checkpoint.
    """
    degrees = [row.degrees for row in rows]
    along = rows[0].along if rows else "latitude"
    tens = tens_of_degrees(along, degrees)
    lengths = relative_lengths(rows)
    if len(set(tens)) < 3 or not lengths.any():
        return None
    # A replicate's lengths are relative to their own mean, which takes a degree of freedom each.
    found = relative_slope(lengths, tens, [row.replicate for row in rows])
    # Rounded, lest the last bits of equal lengths be read as growth.
    slope = Estimate(*(round(end, 6) + 0.0 for end in found))
    truth = (100 * PLANTED_SLOPE if along == "latitude" else 0.0) if planted else None
    return Cline(along, slope, truth, _verdict(along, slope))


TELLING = 1.0
"""Per cent per 10 degrees: an interval that holds 0 and lies within this of it says that nothing is there."""


def _verdict(along: str, slope: Estimate) -> str:
    measured = f"{slope.value:+.1f} % per 10 degrees (95 % interval {slope.low:+.1f} to {slope.high:+.1f})"
    if along == "longitude":
        if slope.low <= 0 <= slope.high:
            return f"Null control passed: along longitude, body length does not change ({measured})."
        return (
            f"Null control failed: body length changes along longitude ({measured}), where nothing should; "
            "trust a slope along latitude only if it is much larger."
        )
    if slope.low > 0:
        return f"Bergmann's rule shows: bodies grow towards the poles, {measured}."
    if slope.high < 0:
        return f"The opposite of Bergmann's rule shows: bodies shrink towards the poles, {measured}."
    if max(-slope.low, slope.high) < TELLING:
        return f"Bergmann's rule does not show: body length hardly changes with latitude, {measured}."
    return (
        f"It cannot be told whether Bergmann's rule shows: {measured}. More replicates or more latitudes "
        "narrow the interval."
    )
