"""Sweeps along latitude, or along longitude as the null control, and their slopes of body length."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from g2pdiff.analysis.statistics import Estimate, relative_slope, slope_over_groups
from g2pdiff.errors import InputError
from g2pdiff.experiments.arguments import (
    Check,
    Count,
    OptionalCoordinate,
    as_list,
    choice,
)
from g2pdiff.experiments.drawing import Picture, Specimen, Update, draw
from g2pdiff.experiments.report import Report, Sheet, parts_of, replicates_of
from g2pdiff.experiments.report import number as rounded
from g2pdiff.experiments.specification import Experiment, MutantSpecification, check_total
from g2pdiff.experiments.truth import has_truth, true_pictures
from g2pdiff.validation import check_number, check_seed

if TYPE_CHECKING:
    import torch

    from g2pdiff.pipeline import G2PDiffusionPipeline

LATITUDES = tuple(float(degrees) for degrees in range(-80, 81, 20))
LONGITUDES = tuple(float(degrees) for degrees in range(-160, 161, 40))
LIMITS = {"latitude": 90, "longitude": 180}

FEWEST_NOISES = 3  # replicates for an interval over the noises
MEANINGFUL = 1.0  # smallest slope that counts as a change, in per cent per 10 degrees: a fifth of the planted
TINY = 0.05  # per cent per 10 degrees: it would be printed as 0.0


def _read_degrees(field: str, value: object) -> tuple[float, ...] | None:
    """Read distinct degrees in the given order; None if there are none."""
    given = as_list(field, value)
    if given is None:
        return None
    limit = LIMITS["longitude"]
    return tuple(dict.fromkeys(check_number(field, degrees, -limit, limit, "degrees") for degrees in given))


class LatitudeSweep(Experiment, MutantSpecification):
    """One barcode drawn along a meridian, or along a parallel as the null control.

    Replicate r has the noise of `seed + r` at every locality. The rows are `SweepRow`s, from the first
    locality to the last.
    """

    name: ClassVar[str] = "latitude"
    position: ClassVar[int] = 4
    about: ClassVar[str] = (
        "Draw one barcode from pole to pole from the same noise, and measure the slope of body length "
        "(Bergmann's rule); along longitude it is the null control."
    )
    needs_size: ClassVar[bool] = True
    returns: ClassVar[str] = (
        "a contact sheet; rows, one per picture; summary with slope_percent_per_10_degrees, its 95 % "
        "interval and what that is over, the planted slope and the verdict; settings"
    )

    latitude: OptionalCoordinate = Field(
        None, description="degrees north, -90 to 90; not needed along latitude"
    )
    longitude: OptionalCoordinate = Field(
        None, description="degrees east, -180 to 180; not needed along longitude"
    )
    along: Annotated[Literal["latitude", "longitude"], choice("latitude", "longitude")] = Field(
        "latitude", description="what changes: latitude, or longitude as the null control"
    )
    degrees: Annotated[tuple[float, ...] | None, Check(_read_degrees, is_list=True)] = Field(
        None,
        description="degrees to draw at; if empty, every 20 from -80 to 80, or every 40 from -160 to 160",
    )
    replicates: Count = Field(
        5, description="number of noises per locality; from 3 on, the interval is over the noises"
    )

    @model_validator(mode="after")
    def _check_localities(self) -> Self:
        fixed = "longitude" if self.along == "latitude" else "latitude"
        check_number(fixed, getattr(self, fixed), -LIMITS[fixed], LIMITS[fixed], "degrees")
        limit = LIMITS[self.along]
        for degrees in self.places:
            check_number("degrees", degrees, -limit, limit, "degrees")
        check_total("replicates", self.wanted)
        check_seed(self.seed + self.replicates - 1)
        return self

    @property
    def places(self) -> tuple[float, ...]:
        """The latitudes of the sweep, or the longitudes along a parallel, in degrees."""
        if self.degrees is None:
            return LATITUDES if self.along == "latitude" else LONGITUDES
        return self.degrees

    @property
    def wanted(self) -> int:
        return len(self.places) * self.replicates

    def locality(self, degrees: float) -> tuple[float, float]:
        """Return latitude and longitude of one point of the sweep."""
        latitude, longitude = (
            (degrees, self.longitude) if self.along == "latitude" else (self.latitude, degrees)
        )
        assert latitude is not None and longitude is not None  # the coordinate that stays is checked already
        return latitude, longitude

    def start(self, pipe: G2PDiffusionPipeline) -> Generator[Update]:
        if not pipe.config.whole_frames:
            raise InputError(
                "checkpoint",
                "This checkpoint learned from pictures that every animal fills, so lengths mean nothing: "
                "choose one that keeps size, such as the simulated insects.",
            )
        return self._draw(pipe)

    def _draw(self, pipe: G2PDiffusionPipeline) -> Generator[Update]:
        specimens = [
            Specimen(self.mutated, *self.locality(degrees), self.seed + replicate)
            for degrees in self.places
            for replicate in range(self.replicates)
        ]
        with closing(draw(pipe, specimens, self.denoising)) as updates:
            for update in updates:
                yield replace(update, rows=self._measure(pipe, update.rows) if update.rows else [])

    def _measure(self, pipe: G2PDiffusionPipeline, pictures: Sequence[Picture]) -> list[SweepRow]:
        from g2pdiff.analysis.morphometrics import body_length

        truth = true_pictures(pipe, [picture.specimen for picture in pictures])
        true: list[dict] = [{}] * len(pictures)
        if truth is not None:
            lengths = body_length(truth)
            true = [
                {"true_image": truth[index], "true_body_length": lengths[index].item()}
                for index in range(len(pictures))
            ]
        return [
            SweepRow(
                along=self.along,
                degrees=getattr(picture.specimen, self.along),
                replicate=picture.specimen.seed - self.seed,
                latitude=picture.specimen.latitude,
                longitude=picture.specimen.longitude,
                image=picture.image,
                clibd_score=picture.clibd_score,
                body_length=picture.body_length,
                **true[index],
            )
            for index, picture in enumerate(pictures)
        ]

    def report(self, pipe: G2PDiffusionPipeline, rows: Sequence[SweepRow]) -> Report:
        return sweep_report(rows, planted=has_truth(pipe))


@dataclass(frozen=True)
class SweepRow:
    """One picture of a sweep."""

    along: str  # `latitude` or `longitude`
    degrees: float  # degrees of that coordinate
    replicate: int
    latitude: float
    longitude: float
    image: torch.Tensor  # (3, H, W) in [0, 1]
    clibd_score: float | None
    body_length: float  # share of the picture's side
    true_image: torch.Tensor | None = None  # of the simulated truth, if there is one, as is the next
    true_body_length: float | None = None


@dataclass(frozen=True)
class Cline:
    """The growth of body length along a sweep."""

    along: str
    slope: Estimate  # per 10 degrees, in per cent of the length at the reference
    noises: int  # complete replicates that the interval is over; 0 if it is the scatter round one line
    planted: float | None  # slope of the simulated truth; None if it is not known
    verdict: str  # one sentence


def tens_of_degrees(along: str, degrees: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the regressor of a sweep (N,): the distance from the reference in tens of degrees.

    Along latitude it is |latitude| - `REFERENCE_LATITUDE`: both hemispheres count alike.
    """
    from g2pdiff.simulation.traits import REFERENCE_LATITUDE

    position = np.asarray(degrees, dtype=float)
    return ((np.abs(position) - REFERENCE_LATITUDE) if along == "latitude" else position) / 10


def relative_lengths(rows: Sequence[SweepRow]) -> np.ndarray:
    """Return body lengths (N,) relative to the mean of their replicate, so that replicates are comparable."""
    means = {
        replicate: np.mean([row.body_length for row in rows if row.replicate == replicate])
        for replicate in {row.replicate for row in rows}
    }
    return np.array([row.body_length / max(means[row.replicate], 1e-3) for row in rows])


def cline(rows: Sequence[SweepRow], planted: bool) -> Cline | None:
    """Return the slope of body length along a sweep, and its verdict.

    With `FEWEST_NOISES` replicates or more, each noise has a slope of its own, and the interval is over the
    noises. With fewer it is the scatter round one line, which is narrower than what another noise changes.

    Return None for fewer than three localities, or if no body can be measured.

    Args:
        rows: of one sweep.
        planted: whether the simulated truth with its planted slope stands behind the checkpoint.
    """
    from g2pdiff.simulation.traits import PLANTED_SLOPE

    degrees = [row.degrees for row in rows]
    along = rows[0].along if rows else "latitude"
    tens = tens_of_degrees(along, degrees)
    lengths = relative_lengths(rows)
    if len(set(tens)) < 3 or not lengths.any():
        return None
    replicates = np.array([row.replicate for row in rows])
    complete = [
        r for r in set(replicates.tolist()) if _has_slope(tens[replicates == r], lengths[replicates == r])
    ]
    if len(complete) >= FEWEST_NOISES:
        kept = np.isin(replicates, complete)
        found = slope_over_groups(lengths[kept], tens[kept], replicates[kept].tolist())
    else:
        # A replicate's lengths are relative to their mean, which costs one degree of freedom per replicate.
        complete, found = [], relative_slope(lengths, tens, replicates.tolist())
    # Rounded: otherwise the last bits of equal lengths would count as growth.
    slope = Estimate(*(round(end, 6) + 0.0 for end in found))
    truth = (100 * PLANTED_SLOPE if along == "latitude" else 0.0) if planted else None
    return Cline(along, slope, len(complete), truth, _verdict(along, slope, len(complete)))


def _has_slope(tens: np.ndarray, lengths: np.ndarray) -> bool:
    """Return whether one replicate has a slope of its own: three localities, and bodies to measure."""
    return len(set(tens)) >= 3 and bool(lengths.all())


def interval_name(noises: int) -> str:
    """Return what an interval of a slope is over."""
    return f"95 % interval over {noises} noises" if noises else "scatter round the line"


def _verdict(along: str, slope: Estimate, noises: int) -> str:
    measured = (
        f"{slope.value:+.1f} % per 10 degrees ({interval_name(noises)} {slope.low:+.1f} to {slope.high:+.1f})"
    )
    if max(abs(end) for end in slope) < TINY:
        measured = f"less than {TINY:g} % per 10 degrees"
    is_small = max(-slope.low, slope.high) < MEANINGFUL
    if along == "longitude":
        if is_small:
            return f"Null control passed: along longitude, body length has no meaningful change, {measured}."
        if slope.low <= 0 <= slope.high:
            return f"Null control passed: along longitude, a change of body length may be chance, {measured}."
        return (
            f"Null control failed: body length changes along longitude, {measured}, where nothing should; "
            "trust a slope along latitude only if it is much larger."
        )
    if is_small:
        return (
            f"Bergmann's rule does not show: body length has no meaningful change with latitude, {measured}."
        )
    if slope.low > 0:
        return f"Bergmann's rule shows: bodies grow towards the poles, {measured}."
    if slope.high < 0:
        return f"The opposite of Bergmann's rule shows: bodies shrink towards the poles, {measured}."
    return (
        f"The data do not tell whether Bergmann's rule shows: {measured}. More replicates or more latitudes "
        "narrow the interval."
    )


def sweep_report(rows: Sequence[SweepRow], planted: bool) -> Report:
    """Return the report of a sweep.

    Its summary has `slope_percent_per_10_degrees`, the slope's 95 % `interval`, what it is over
    (`interval_over`), the `planted` slope and a `verdict`; all but the verdict are None if there are too few
    localities for a slope.

    Args:
        rows: of one sweep.
        planted: whether the simulated truth with its planted slope stands behind the checkpoint.
    """
    found = cline(rows, planted)
    along = rows[0].along
    parts = [parts_of(row) for row in rows]
    by_locality = {(row.degrees, row.replicate): part for row, part in zip(rows, parts, strict=True)}
    degrees = sorted({row.degrees for row in rows})
    # The truth has no noise: one strip of it is enough.
    strips = [(part, r) for part in parts[0] for r in replicates_of(rows) if part == "prediction" or r == 0]
    return Report(
        [
            {
                "along": along,
                "degrees": row.degrees,
                "replicate": row.replicate,
                "latitude": row.latitude,
                "longitude": row.longitude,
                "clibd_score": rounded(row.clibd_score),
                "body_length": rounded(row.body_length),
                "true_body_length": rounded(row.true_body_length),
            }
            for row in rows
        ],
        {
            "along": along,
            "slope_percent_per_10_degrees": rounded(found.slope.value) if found else None,
            "interval": [rounded(found.slope.low), rounded(found.slope.high)] if found else None,
            "interval_over": interval_name(found.noises) if found else None,
            "planted": rounded(found.planted) if found else None,
            "verdict": found.verdict if found else f"Too few localities for a slope along {along}.",
        },
        [f"{along}{row.degrees:g}_replicate{row.replicate}" for row in rows],
        parts,
        Sheet(
            [f"{part} {r}" if part == "prediction" else part for part, r in strips],
            [f"{degree:g}°" for degree in degrees],
            [[by_locality.get((degree, r), {}).get(part) for degree in degrees] for part, r in strips],
        ),
    )
