"""Experiments as plain data: rows for JSON and CSV, a summary, named pictures and a contact sheet.

The endpoints and the command line both hand out what is made here, so that a script finds the same names
whichever of them it asks.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor

from g2pdiff.analysis.statistics import Estimate
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import changes
from g2pdiff.experiments.clines import SweepRow, cline
from g2pdiff.experiments.mutation_series import MutationRow, mutation_curves
from g2pdiff.experiments.pairs import PairRow, differences
from g2pdiff.experiments.sheet import contact_sheet
from g2pdiff.outputs import to_pil

DIGITS = 5  # decimals of measurements: bodies are shares of a picture's side, scores are cosines
SIDES = ("first", "second")  # of a comparison


@dataclass(frozen=True)
class Sheet:
    """The layout of a contact sheet: its labels, and pictures (3, H, W), None where one is missing."""

    rows: Sequence[str]
    columns: Sequence[str]
    pictures: Sequence[Sequence[Tensor | None]]

    def draw(self) -> Image.Image:
        """The pictures at their own size."""
        pictures = {
            (row, column): to_pil(picture[None])[0]
            for row, pictures in enumerate(self.pictures)
            for column, picture in enumerate(pictures)
            if picture is not None
        }
        return contact_sheet(pictures, self.columns, self.rows)


@dataclass(frozen=True)
class Report:
    """An experiment as far as it has come, as plain data.

    Attributes:
        rows: one dict a picture, or a pair of a comparison; NaN is None.
        summary: the figures over all rows, and what they say.
        stems: a file name without ending for each row, such as `mutated10_replicate2`.
        pictures: for each row its pictures (3, H, W) by their part, such as `prediction` and `truth`.
        sheet: all pictures in rows and columns.
    """

    rows: list[dict]
    summary: dict
    stems: list[str]
    pictures: list[dict[str, Tensor]]
    sheet: Sheet

    def save(self, folder: Path) -> None:
        """Write every picture, such as `mutated10_replicate2_truth.png`, `sheet.png` and `rows.csv`."""
        table = []
        for stem, parts, row in zip(self.stems, self.pictures, self.rows, strict=True):
            files = {part: f"{stem}_{part}.png" for part in parts}
            for part, picture in parts.items():
                to_pil(picture[None])[0].save(folder / files[part])
            lists = {name: " ".join(value) for name, value in row.items() if isinstance(value, list)}
            table.append(files | row | lists)
        self.sheet.draw().save(folder / "sheet.png")
        with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, table[0])
            writer.writeheader()
            writer.writerows(table)


def number(value: float | None) -> float | None:
    """A measurement for JSON: rounded, and None for not-a-number."""
    return None if value is None or math.isnan(value) else round(value, DIGITS) + 0.0  # no -0.0


def estimate(found: Estimate) -> dict[str, float | None]:
    """An estimate for JSON: `value`, and `low` and `high`, which are None where the data are too few."""
    return {name: number(value) for name, value in found._asdict().items()}


def mutation_report(rows: Sequence[MutationRow], wild_type: Barcode) -> Report:
    """Report of a mutation series; `summary["rows"]` has one a rate."""
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
    curves = [
        {name: estimate(value) if isinstance(value, Estimate) else value for name, value in curve.items()}
        for curve in mutation_curves(rows)
    ]
    parts = [_parts(row) for row in rows]
    by_place = {(row.rate, row.replicate): part for row, part in zip(rows, parts, strict=True)}
    rates = [curve["rate"] for curve in curves]
    columns = [(part, replicate) for part in parts[0] for replicate in _replicates(rows)]
    return Report(
        plain,
        {"rows": curves},
        [f"mutated{100 * row.rate:g}_replicate{row.replicate}" for row in rows],
        parts,
        Sheet(
            [f"{100 * rate:g} %" for rate in rates],
            [f"{part} {replicate}" for part, replicate in columns],
            [[by_place.get((rate, r), {}).get(part) for part, r in columns] for rate in rates],
        ),
    )


def sweep_report(rows: Sequence[SweepRow], planted: bool) -> Report:
    """Report of a sweep.

    Its summary has `slope_percent_per_10_degrees`, the slope's 95 % `interval`, the `planted` slope and a
    `verdict`; all but the verdict are None where there are too few places for a slope.

    Args:
        rows: of one sweep.
        planted: whether the simulated truth with its planted slope stands behind the checkpoint.
    """
    found = cline(rows, planted)
    along = rows[0].along
    parts = [_parts(row) for row in rows]
    by_place = {(row.degrees, row.replicate): part for row, part in zip(rows, parts, strict=True)}
    degrees = sorted({row.degrees for row in rows})
    # The truth knows no noise: one strip of it is enough.
    strips = [(part, r) for part in parts[0] for r in _replicates(rows) if part == "prediction" or r == 0]
    return Report(
        [
            {
                "along": along,
                "degrees": row.degrees,
                "replicate": row.replicate,
                "latitude": row.latitude,
                "longitude": row.longitude,
                "clibd_score": number(row.clibd_score),
                "body_length": number(row.body_length),
                "true_body_length": number(row.true_body_length),
            }
            for row in rows
        ],
        {
            "along": along,
            "slope_percent_per_10_degrees": found and number(found.slope.value),
            "interval": found and [number(found.slope.low), number(found.slope.high)],
            "planted": found and number(found.planted),
            "verdict": found.verdict if found else f"Too few places for a slope along {along}.",
        },
        [f"{along}{row.degrees:g}_replicate{row.replicate}" for row in rows],
        parts,
        Sheet(
            [f"{part} {r}" if part == "prediction" else part for part, r in strips],
            [f"{degree:g}°" for degree in degrees],
            [[by_place.get((degree, r), {}).get(part) for degree in degrees] for part, r in strips],
        ),
    )


def comparison_report(rows: Sequence[PairRow]) -> Report:
    """Report of paired runs; `summary["differences"]` are means over the pairs, second minus first."""
    parts = [dict(zip(SIDES, row.images, strict=True)) for row in rows]
    return Report(
        [
            {"seed": row.seed, "drift": number(row.drift)}
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
    return {f"{side}_{name}": number(value) for side, value in zip(SIDES, values, strict=True)}


def _parts(row: MutationRow | SweepRow) -> dict[str, Tensor]:
    """The pictures of a row by their part."""
    return {"prediction": row.image} | ({} if row.true_image is None else {"truth": row.true_image})


def _replicates(rows: Sequence[MutationRow | SweepRow]) -> list[int]:
    return sorted({row.replicate for row in rows})
