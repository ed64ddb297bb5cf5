"""What if? Mutation series, latitude sweeps and paired runs, as generators of `Update`s.

Every experiment draws many pictures that differ in one thing, a few at a time, and hands over rows as they
are finished. Between them it says how far it has come, so that whoever iterates can show progress and stop at
any denoising step; what was handed over stays. The command line, the endpoints and the app's tabs are thin
layers over these functions.

On a checkpoint that learned from simulated specimens the rows also hold the truth, measured on the
simulator's pictures in the same way as on the generated ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from typing import Protocol

import numpy as np
import torch

from g2pdiff.checks import check_locality, check_number, check_rate, check_seed, check_steps
from g2pdiff.errors import InputError, quoted
from g2pdiff.genotype import Barcode
from g2pdiff.morphometrics import appearance_drift, body_length
from g2pdiff.mutation import UNIFORM, MutationModel, mutate
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.request import Denoising, Variant
from g2pdiff.simulation import Simulator
from g2pdiff.simulation.traits import PLANTED_SLOPE
from g2pdiff.statistics import Estimate, mean_interval, relative_slope

RATES = (0.0, 0.01, 0.05, 0.10, 0.20, 0.30, 0.50)
LATITUDES = tuple(range(-80, 81, 10))
LONGITUDES = tuple(range(-160, 161, 20))
REFERENCE_LATITUDE = 30.0  # degrees; slopes are relative to the length there
BATCH = 8  # pictures drawn together: more are no faster on two cores, and delay whoever waits
MAXIMUM_PICTURES = 400  # of one experiment
WAIT_SECONDS = 1.0  # while it waits for its turn, an experiment says so often that it is still there


@dataclass(frozen=True)
class Specimen:
    """What one picture is drawn from."""

    barcode: Barcode
    latitude: float
    longitude: float
    seed: int


DEFAULT = Denoising()


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
    """The leave to draw, where several share a model: a context manager that can be waited for in parts."""

    def wait(self, timeout: float) -> bool:
        """Whether the turn has come, waiting for so many seconds at most."""

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
        An `Update` for every denoising step; its rows are `Picture`s in the order of `specimens`.
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
        while turn and not turn.wait(WAIT_SECONDS):
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


@cache
def _simulator() -> Simulator:
    return Simulator.default()


def truth_of(pipe: G2PDiffusionPipeline) -> Simulator | None:
    """The simulator that knows the truth behind a checkpoint; None where nobody knows it."""
    return _simulator() if pipe.config.truth == "simulated" else None


def true_pictures(pipe: G2PDiffusionPipeline, specimens: Sequence[Specimen]) -> torch.Tensor | None:
    """What the simulator draws of the specimens (N, 3, H, W), evenly lit; None without a known truth."""
    simulator = truth_of(pipe)
    if simulator is None:
        return None
    sequences = [specimen.barcode.sequence for specimen in specimens]
    latitudes = [specimen.latitude for specimen in specimens]
    return simulator.specimens(sequences, latitudes, pipe.config.image_size)


def _check_count(field: str, count: object) -> int:
    return int(check_number(field, count, 1, MAXIMUM_PICTURES, whole=True))


def _check_total(field: str, pictures: int) -> None:
    if pictures > MAXIMUM_PICTURES:
        raise InputError(
            field, f"That makes {pictures:,} pictures: choose fewer, {MAXIMUM_PICTURES} at most in one go."
        )


# Mutations


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
    rates, replicates, seed = check_rates(rates), _check_count("replicates", replicates), check_seed(seed)
    latitude, longitude = check_locality(latitude, longitude)
    series = [(0.0, 0, barcode)] + [
        (rate, replicate, mutate(barcode, rate, check_seed(seed + replicate), model))
        for rate in rates[1:]
        for replicate in range(replicates)
    ]
    _check_total("replicates", len(series))
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


@torch.no_grad()
def score_against(
    pipe: G2PDiffusionPipeline, images: torch.Tensor, barcode: Barcode
) -> list[float] | list[None]:
    """CLIBDScores of N pictures (N, 3, H, W) with one barcode; N times None without a CLIBD model."""
    if pipe.clibd is None:
        return [None] * len(images)
    return pipe.clibd.score(images.to(pipe.device), pipe.clibd.embed_barcodes([barcode.sequence])).tolist()


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


# Latitude, and longitude as the null control


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
    if along not in ("latitude", "longitude"):
        raise InputError("along", f"Along must be latitude or longitude, not {quoted(along)}.")
    if not pipe.config.whole_frames:
        raise InputError(
            "checkpoint",
            "This checkpoint learned from crops in which every animal fills the picture, so body lengths say "
            "nothing: choose one that learned from whole frames.",
        )
    latitude, longitude = check_locality(latitude, longitude)
    if degrees is None:
        degrees = LATITUDES if along == "latitude" else LONGITUDES
    replicates, seed = _check_count("replicates", replicates), check_seed(seed)
    _check_total("replicates", replicates * len(degrees))
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
    # Rounded, lest the last bits of equal lengths be read as growth.
    slope = Estimate(*(round(end, 6) + 0.0 for end in relative_slope(lengths, tens)))
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


# Paired runs


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
    pairs, seed = _check_count("pairs", pairs), check_seed(seed)
    _check_total("pairs", 2 * pairs)
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
