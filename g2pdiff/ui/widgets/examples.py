"""The species a visitor can pick: consensus barcodes with a place where the species was collected."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from g2pdiff.built_in import EXAMPLES, list_checkpoints
from g2pdiff.dna.barcode import Barcode
from g2pdiff.spreadsheets import read_csv


@dataclass(frozen=True)
class Example:
    """A species to pick: its name, its locality and its barcode."""

    name: str
    common_name: str
    order: str
    family: str
    latitude: float
    longitude: float
    dna_barcode: str

    @property
    def label(self) -> str:
        return f"{self.name}, {self.common_name} ({self.order}: {self.family})"


@cache
def examples(checkpoint: str = "") -> dict[str, Example]:
    """Return examples by name, in the order of the table; the first is the one a new visitor finds.

    Args:
        checkpoint: folder of one; where it has no table of its own, it is the one that serves all.
    """
    own = Path(checkpoint, EXAMPLES.name)
    rows = read_csv((own if checkpoint and own.is_file() else EXAMPLES).read_bytes())
    found = {}
    for row in rows:
        latitude, longitude = float(row.pop("latitude")), float(row.pop("longitude"))
        found[row["name"]] = Example(**row, latitude=latitude, longitude=longitude)
    return found


def name_of(text: object, checkpoint: str = "") -> str | None:
    """Return the checkpoint's example whose barcode, letter for letter, is in the barcode box."""
    return next((row.name for row in examples(checkpoint).values() if row.dna_barcode == text), None)


@cache
def names() -> dict[str, str]:
    """Return species names by framed barcode, of all built-in tables."""
    tables = [examples(), *(examples(str(folder)) for folder in list_checkpoints())]
    return {Barcode.parse(row.dna_barcode).sequence: row.name for table in tables for row in table.values()}


def choices(checkpoint: str = "") -> list[tuple[str, str]]:
    """Return (label, name) pairs for a drop-down, relatives together."""
    rows = sorted(examples(checkpoint).values(), key=lambda row: (row.order, row.family, row.name))
    return [(row.label, row.name) for row in rows]
