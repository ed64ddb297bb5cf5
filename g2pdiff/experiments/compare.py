"""Paired runs: two sides drawn from the same noises."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, PlainSerializer, WithJsonSchema, model_validator

from g2pdiff.analysis.statistics import Estimate, mean_interval
from g2pdiff.denoising import Denoising
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.experiments.arguments import (
    Check,
    Count,
    OptionalCoordinate,
    Scale,
    read_barcode,
    text_of,
)
from g2pdiff.experiments.drawing import BATCH, Picture, Specimen, Update, draw, score_against
from g2pdiff.experiments.report import Report, Sheet, estimate
from g2pdiff.experiments.report import number as rounded
from g2pdiff.experiments.specification import Experiment, MutantSpecification, check_total
from g2pdiff.validation import check_seed

if TYPE_CHECKING:
    import torch

    from g2pdiff.pipeline import G2PDiffusionPipeline

SIDES = ("first", "second")
_SAME = "if empty, that of the first side"


def _read_other_barcode(field: str, value: object) -> Barcode | None:
    """Read the second side's barcode; None if the text is empty."""
    if not isinstance(value, Barcode) and not text_of(value).strip():
        return None
    try:
        return read_barcode(field, value)
    except InputError as error:
        raise InputError(field, f"Of the other barcode: {error}") from None


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    barcode: Barcode
    latitude: float
    longitude: float
    denoising: Denoising = field(default_factory=Denoising)


class Compare(Experiment, MutantSpecification):
    """A barcode at a locality, and the same with something changed, drawn from the same noises.

    Edits and mutations apply to the second side. Pair p has the noise of `seed + p`. The rows are `PairRow`s.
    """

    name: ClassVar[str] = "compare"
    position: ClassVar[int] = 3
    about: ClassVar[str] = (
        "Draw two sides from the same noises: a barcode at a locality, and the same with something changed, "
        "such as mutations, the locality or a scale."
    )
    returns: ClassVar[str] = (
        "a contact sheet; rows, one per pair; summary with the mean differences, second minus first, and "
        "their 95 % intervals; settings"
    )
    pictures_per_row: ClassVar[int] = 2

    other_barcode: Annotated[
        Barcode | None,
        Check(_read_other_barcode, file="barcode"),
        PlainSerializer(lambda barcode: barcode.sequence if barcode else "", return_type=str),
        WithJsonSchema({"type": "string"}),
    ] = Field("", validate_default=True, description=f"COI sequence of the second side; {_SAME}")
    other_latitude: OptionalCoordinate = Field(None, description=f"degrees north of the second side; {_SAME}")
    other_longitude: OptionalCoordinate = Field(None, description=f"degrees east of the second side; {_SAME}")
    other_guidance_scale: Scale = Field(None, description=f"guidance scale of the second side; {_SAME}")
    other_alignment_scale: Scale = Field(None, description=f"alignment scale of the second side; {_SAME}")
    pairs: Count = Field(4, description="number of noises, for the interval")

    @property
    def original(self) -> Barcode:
        return self.barcode if self.other_barcode is None else self.other_barcode

    @property
    def first(self) -> Side:
        """The specimen as it was given."""
        return Side(self.barcode, self.latitude, self.longitude, self.denoising)

    @property
    def second(self) -> Side:
        """The specimen with the changes."""

        def other(name: str) -> float:
            changed = getattr(self, f"other_{name}")
            return getattr(self, name) if changed is None else changed

        denoising = Denoising(self.steps, other("guidance_scale"), other("alignment_scale"))
        return Side(self.mutated, other("latitude"), other("longitude"), denoising)

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        if self.first == self.second:
            raise InputError(
                "compare",
                "Both sides are the same: change the second one's barcode, locality, mutations or scales.",
            )
        check_total("pairs", self.wanted)
        check_seed(self.seed + self.pairs - 1)
        return self

    @property
    def wanted(self) -> int:
        return 2 * self.pairs

    @property
    def notes(self) -> list[str]:
        other = [] if self.other_barcode is None else [*self.original.notes, *self.original.warnings]
        return list(dict.fromkeys(super().notes + other))

    def start(self, pipe: G2PDiffusionPipeline) -> Generator[Update]:
        half = BATCH // 2
        sides = (self.first, self.second)
        seeds = range(self.seed, self.seed + self.pairs)
        done, total = 0, sum(side.denoising.resolve(pipe.config).steps for side in sides) * self.pairs
        for start in range(0, self.pairs, half):
            pictures = []
            for side in sides:
                specimens = [
                    Specimen(side.barcode, side.latitude, side.longitude, seed)
                    for seed in seeds[start : start + half]
                ]
                before = done
                with closing(draw(pipe, specimens, side.denoising)) as updates:
                    for update in updates:
                        done = before + update.done
                        if update.rows:  # the pictures come with a side's last step
                            pictures.append(update.rows)
                        rows = _pair(pipe, self.first, *pictures) if update.rows and side is sides[1] else []
                        yield Update(done, total, rows, update.pauses)

    def report(self, pipe: G2PDiffusionPipeline, rows: Sequence[PairRow]) -> Report:
        return comparison_report(rows)


@dataclass(frozen=True)
class PairRow:
    """Two pictures from the same noise. Both are scored against the first side's barcode."""

    seed: int
    images: tuple[torch.Tensor, torch.Tensor]  # (3, H, W) each, in [0, 1]
    clibd_scores: tuple[float, float] | None  # None without a CLIBD model
    body_lengths: tuple[float, float]
    drift: float  # appearance drift between the two


def _pair(
    pipe: G2PDiffusionPipeline, first: Side, ones: list[Picture], others: list[Picture]
) -> list[PairRow]:
    import torch

    from g2pdiff.analysis.morphometrics import appearance_drift

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
    """Return mean differences, second minus first, of `body_length`, and of `clibd_score` if there is one."""
    values = {"body_length": [second - first for first, second in (row.body_lengths for row in rows)]}
    scored = [row.clibd_scores for row in rows if row.clibd_scores]
    if scored:
        values["clibd_score"] = [second - first for first, second in scored]
    return {name: mean_interval(column) for name, column in values.items()}


def comparison_report(rows: Sequence[PairRow]) -> Report:
    """Return the report of paired runs; `summary["differences"]` has the means, second minus first."""
    parts: list[dict[str, torch.Tensor]] = [dict(zip(SIDES, row.images, strict=True)) for row in rows]
    return Report(
        [
            {"seed": row.seed, "drift": rounded(row.drift)}
            | _sides("clibd_score", row.clibd_scores or (None, None))
            | _sides("body_length", row.body_lengths)
            for row in rows
        ],
        {"differences": {name: estimate(found) for name, found in differences(rows).items()}},
        [f"seed{row.seed}" for row in rows],
        parts,
        Sheet([f"seed {row.seed}" for row in rows], SIDES, [list(part.values()) for part in parts]),
    )


def _sides(name: str, values: tuple[float | None, float | None]) -> dict[str, float | None]:
    return {f"{side}_{name}": rounded(value) for side, value in zip(SIDES, values, strict=True)}
