"""Mutation series: more and more mutated barcodes, all drawn from the same noise."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

from pydantic import Field, WithJsonSchema, model_validator

from g2pdiff.analysis.statistics import Estimate, mean_interval
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import changes, mutate
from g2pdiff.errors import InputError
from g2pdiff.experiments.arguments import Check, Count, as_list
from g2pdiff.experiments.drawing import BATCH, Picture, Specimen, Update, draw, score_against
from g2pdiff.experiments.report import Report, Sheet, estimate, number, parts_of, replicates_of
from g2pdiff.experiments.specification import Experiment, SpecimenSpecification, check_total
from g2pdiff.experiments.truth import true_pictures
from g2pdiff.validation import check_rate, check_seed

if TYPE_CHECKING:
    import torch

    from g2pdiff.pipeline import G2PDiffusionPipeline

RATES = (0.0, 0.01, 0.05, 0.10, 0.20, 0.30, 0.50)


def _read_rates(field: str, value: object) -> tuple[float, ...]:
    """Read distinct mutation rates in rising order, including 0; `RATES` if there are none."""
    given = as_list(field, value) or RATES
    return tuple(sorted({0.0, *(check_rate(field, rate) for rate in given)}))


class Mutations(Experiment, SpecimenSpecification):
    """More and more mutated barcodes, all drawn from the same noise.

    A replicate is one path of mutation: its higher rates keep the substitutions of the lower ones. Rate 0 is
    the wild type. It is drawn once, and the drift of all other pictures is measured from it. Path r has the
    mutation seed `seed + r`; the noise has `seed`. The rows are `MutationRow`s, lower rates first.
    """

    name: ClassVar[str] = "mutations"
    position: ClassVar[int] = 2
    about: ClassVar[str] = "Draw more and more mutated barcodes from the same noise, and measure the changes."
    returns: ClassVar[str] = (
        "a contact sheet; rows, one per picture; summary with rows, one per rate; settings"
    )

    rates: Annotated[
        tuple[float, ...],
        Check(_read_rates, is_list=True),
        WithJsonSchema({"anyOf": [{"items": {"type": "number"}, "type": "array"}, {"type": "null"}]}),
    ] = Field(
        RATES,
        description="shares of the known sites to substitute, 0 to 1; if empty, seven rates from 0 to 0.5",
    )
    replicates: Count = Field(3, description="number of paths of mutation, for the intervals")

    @model_validator(mode="after")
    def _check_paths(self) -> Self:
        """Refuse a series with too many pictures, or a path that cannot reach the highest rate."""
        check_total("replicates", self.wanted)
        for replicate in range(self.replicates):
            path = check_seed(self.seed + replicate)
            try:
                mutate(self.edited, self.rates[-1], path, self.model)
            except InputError as error:
                field = "rates" if error.field == "mutation_rate" else error.field
                raise InputError(field, str(error)) from None
        return self

    @property
    def wanted(self) -> int:
        return 1 + (len(self.rates) - 1) * self.replicates

    def start(self, pipe: G2PDiffusionPipeline) -> Generator[Update]:
        entries = [(rate, path) for rate in self.rates[1:] for path in range(self.replicates)]
        entries.insert(0, (0.0, 0))
        wild_type = None  # the first finished picture
        for start in range(0, len(entries), BATCH):
            # Mutants are made when they are needed: making all of a long series takes seconds.
            part = entries[start : start + BATCH]
            mutants = [mutate(self.edited, rate, self.seed + path, self.model) for rate, path in part]
            specimens = [Specimen(mutant, self.latitude, self.longitude, self.seed) for mutant in mutants]
            with closing(draw(pipe, specimens, self.denoising)) as updates:
                for update in updates:
                    steps = update.total // len(part)  # of a picture
                    rows = self._measure(pipe, part, update.rows, wild_type) if update.rows else []
                    if rows and wild_type is None:
                        wild_type = rows[0]
                    done = update.done + steps * start
                    yield replace(update, done=done, total=steps * len(entries), rows=rows)

    def _measure(
        self,
        pipe: G2PDiffusionPipeline,
        entries: Sequence[tuple[float, int]],
        pictures: Sequence[Picture],
        wild_type: MutationRow | None,
    ) -> list[MutationRow]:
        """Return the rows of a batch of pictures, given their rates and replicates. The first picture of the
        series is the wild type."""
        import torch

        from g2pdiff.analysis.morphometrics import appearance_drift, body_length

        images = torch.stack([picture.image for picture in pictures])
        scores = score_against(pipe, images, self.edited)
        drifts = appearance_drift(images, images[:1] if wild_type is None else wild_type.image[None])
        truth = true_pictures(pipe, [picture.specimen for picture in pictures])
        true: list[dict] = [{}] * len(pictures)
        if truth is not None:
            first = truth[0] if wild_type is None else wild_type.true_image
            assert first is not None  # the wild type has a truth if its mutants have one
            true_wild_type = first[None]
            true_drifts, lengths = appearance_drift(truth, true_wild_type), body_length(truth)
            true = [
                {
                    "true_image": truth[index],
                    "true_body_length": lengths[index].item(),
                    "true_drift": true_drifts[index].item(),
                }
                for index in range(len(pictures))
            ]
        return [
            MutationRow(
                *entries[index],
                barcode=picture.specimen.barcode,
                image=picture.image,
                clibd_score=scores[index],
                body_length=picture.body_length,
                drift=drifts[index].item(),
                **true[index],
            )
            for index, picture in enumerate(pictures)
        ]

    def report(self, pipe: G2PDiffusionPipeline, rows: Sequence[MutationRow]) -> Report:
        """Return the report; `summary["rows"]` has one row per rate."""
        return mutation_report(rows, self.edited)


@dataclass(frozen=True)
class MutationRow:
    """One picture of a mutation series."""

    rate: float
    replicate: int
    barcode: Barcode  # the mutated one
    image: torch.Tensor  # (3, H, W) in [0, 1]
    clibd_score: float | None  # of the picture with the wild type's barcode
    body_length: float  # relative to the side of the picture
    drift: float  # appearance drift from the wild type's picture
    true_image: torch.Tensor | None = None  # of the simulated truth, if there is one, as is the next
    true_body_length: float | None = None
    true_drift: float | None = None


def mutation_curves(rows: Sequence[MutationRow]) -> list[dict]:
    """Return one dict per rate: `rate`, `pictures`, and an `Estimate` over replicates per measurement.

    The measurements are `clibd_score`, `body_length`, `drift` and, with a truth, `true_body_length` and
    `true_drift`.
    """
    names = ("clibd_score", "body_length", "drift", "true_body_length", "true_drift")
    curves = []
    for rate, same in groupby(sorted(rows, key=lambda row: row.rate), key=lambda row: row.rate):
        group = list(same)
        columns = {name: [getattr(row, name) for row in group] for name in names}
        estimates = {n: mean_interval(values) for n, values in columns.items() if None not in values}
        curves.append({"rate": rate, "pictures": len(group)} | estimates)
    return curves


def mutation_report(rows: Sequence[MutationRow], wild_type: Barcode) -> Report:
    """Return the report of a mutation series; `summary["rows"]` has one row per rate."""
    plain = []
    for row in rows:
        changed = changes(wild_type, row.barcode)
        plain.append(
            {
                "rate": row.rate,
                "replicate": row.replicate,
                "clibd_score": number(row.clibd_score),
                "body_length": number(row.body_length),
                "drift": number(row.drift),
                "true_body_length": number(row.true_body_length),
                "true_drift": number(row.true_drift),
                "changed_bases": len(changed.bases),
                "changed_amino_acids": len(changed.amino_acids),
                "new_stops": len(changed.new_stops),
                "bases": list(changed.bases),
                "amino_acids": list(changed.amino_acids),
            }
        )
    curves: list[dict] = [
        {name: estimate(value) if isinstance(value, Estimate) else value for name, value in curve.items()}
        for curve in mutation_curves(rows)
    ]
    parts = [parts_of(row) for row in rows]
    by_cell = {(row.rate, row.replicate): part for row, part in zip(rows, parts, strict=True)}
    rates = [curve["rate"] for curve in curves]
    columns = [(part, replicate) for part in parts[0] for replicate in replicates_of(rows)]
    return Report(
        plain,
        {"rows": curves},
        [f"mutated{100 * row.rate:g}_replicate{row.replicate}" for row in rows],
        parts,
        Sheet(
            [f"{100 * rate:g} %" for rate in rates],
            [f"{part} {replicate}" for part, replicate in columns],
            [[by_cell.get((rate, r), {}).get(part) for part, r in columns] for rate in rates],
        ),
    )
