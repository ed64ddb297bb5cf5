"""Experiments as plain data: rows for JSON and CSV, a summary, named pictures and a contact sheet.

The endpoints and the command line both return these reports, so a script finds the same names in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from g2pdiff.analysis.statistics import Estimate
from g2pdiff.spreadsheets import write_csv

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

DIGITS = 5  # decimals of measurements: body lengths relative to the side of the picture, and cosines


class Row(Protocol):
    """A picture, and the simulated truth if there is one."""

    @property
    def replicate(self) -> int: ...

    @property
    def image(self) -> Tensor: ...

    @property
    def true_image(self) -> Tensor | None: ...


@dataclass(frozen=True)
class Sheet:
    """The layout of a contact sheet: its labels, and its pictures (3, H, W) or None for a gap."""

    rows: Sequence[str]
    columns: Sequence[str]
    pictures: Sequence[Sequence[Tensor | None]]

    def draw(self) -> Image.Image:
        """Return the contact sheet with the pictures at their own size."""
        from g2pdiff.experiments.sheet import contact_sheet
        from g2pdiff.outputs import to_pil

        pictures = {
            (row, column): to_pil(picture[None])[0]
            for row, pictures in enumerate(self.pictures)
            for column, picture in enumerate(pictures)
            if picture is not None
        }
        return contact_sheet(pictures, self.columns, self.rows)


@dataclass(frozen=True)
class Report:
    """The report of an experiment, complete or stopped, as plain data.

    Attributes:
        rows: one dict per picture, or per pair of a comparison; NaN is None.
        summary: numbers over all rows, and a verdict.
        stems: one file name per row, without its ending, such as `mutated10_replicate2`.
        pictures: the pictures (3, H, W) of each row by part, such as `prediction` and `truth`.
        sheet: all pictures in rows and columns.
    """

    rows: list[dict]
    summary: dict
    stems: list[str]
    pictures: list[dict[str, Tensor]]
    sheet: Sheet

    def save(self, folder: Path) -> None:
        """Write every picture, such as `mutated10_replicate2_truth.png`, `sheet.png` and `rows.csv`."""
        from g2pdiff.outputs import to_pil

        table = []
        for stem, parts, row in zip(self.stems, self.pictures, self.rows, strict=True):
            files = {part: f"{stem}_{part}.png" for part in parts}
            for part, picture in parts.items():
                to_pil(picture[None])[0].save(folder / files[part])
            lists = {name: " ".join(value) for name, value in row.items() if isinstance(value, list)}
            table.append(files | row | lists)
        self.sheet.draw().save(folder / "sheet.png")
        (folder / "rows.csv").write_bytes(write_csv(table))

    def write(self, path: Path) -> None:
        """Write the contact sheet."""
        self.sheet.draw().save(path)


def number(value: float | None) -> float | None:
    """Return a measurement for JSON: rounded, and None for NaN."""
    return None if value is None or math.isnan(value) else round(value, DIGITS) + 0.0  # no -0.0


def estimate(found: Estimate) -> dict[str, float | None]:
    """Return an estimate for JSON: `value`, `low` and `high`. Both ends are None if there are too few
    data."""
    return {name: number(value) for name, value in found._asdict().items()}


def parts_of(row: Row) -> dict[str, Tensor]:
    """Return the pictures of a row by part."""
    return {"prediction": row.image} | ({} if row.true_image is None else {"truth": row.true_image})


def replicates_of(rows: Sequence[Row]) -> list[int]:
    """Return the replicates that the rows have, in order."""
    return sorted({row.replicate for row in rows})
