"""The species a visitor can pick: consensus barcodes with a place where the species was collected."""

import csv
from dataclasses import dataclass
from functools import cache

from g2pdiff.built_in import EXAMPLES
from g2pdiff.dna.barcode import Barcode


@dataclass(frozen=True)
class Example:
    name: str
    order: str
    family: str
    latitude: float
    longitude: float
    dna_barcode: str

    @property
    def label(self) -> str:
        return f"{self.name} ({self.order}: {self.family})"


@cache
def examples() -> dict[str, Example]:
    """Examples by name, in the order of the table; the first is the one a new visitor finds."""
    with EXAMPLES.open(encoding="utf-8", newline="") as table:
        rows = [
            Example(**row | {"latitude": float(row["latitude"]), "longitude": float(row["longitude"])})
            for row in csv.DictReader(table)
        ]
    return {row.name: row for row in rows}


def name_of(text: str) -> str | None:
    """The example whose barcode, letter for letter, is in the barcode box."""
    return next((row.name for row in examples().values() if row.dna_barcode == text), None)


@cache
def names() -> dict[str, str]:
    """Species names by framed barcode."""
    return {Barcode.parse(row.dna_barcode).sequence: row.name for row in examples().values()}


def choices() -> list[tuple[str, str]]:
    """(label, name) pairs for a drop-down, relatives together."""
    rows = sorted(examples().values(), key=lambda row: (row.order, row.family, row.name))
    return [(row.label, row.name) for row in rows]
