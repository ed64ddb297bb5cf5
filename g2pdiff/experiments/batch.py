"""A batch: the records of a file are read one by one, drawn from the same noise, and packed as a ZIP.

A record that cannot be read stays in the batch with a sentence that says why; it does not stop the others. A
FASTA header may name the locality of its animal, see `g2pdiff.dna.headers`, and so may the columns of a
table, see `g2pdiff.dna.formats`.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from pydantic import Field, model_validator

from g2pdiff.dna.barcode import Barcode, shorten
from g2pdiff.dna.records import Entry, read_entries
from g2pdiff.errors import InputError
from g2pdiff.experiments.arguments import Check, OptionalCoordinate, text_of
from g2pdiff.experiments.drawing import Picture, Specimen, Update, draw
from g2pdiff.experiments.report import number
from g2pdiff.experiments.specification import DrawingSpecification, Experiment
from g2pdiff.spreadsheets import write_csv
from g2pdiff.validation import check_locality

if TYPE_CHECKING:
    import torch

    from g2pdiff.pipeline import G2PDiffusionPipeline

MAXIMUM_RECORDS = 100
MAXIMUM_CHARACTERS = 1_000_000
NAME_LENGTH = 40  # characters of a record's name in the file name of its picture

RESULTS = "results.csv"
OWN_COLUMNS = ("index", "name", "latitude", "longitude", "notes", "warnings", "error", "file")


class Batch(Experiment, DrawingSpecification):
    """Every record of FASTA, of a GenBank file or of a table, drawn from the same noise.

    Its rows are `BatchRow`s in the order of the readable records.
    """

    name: ClassVar[str] = "batch"
    position: ClassVar[int] = 6
    about: ClassVar[str] = (
        "Draw each record of FASTA, of a GenBank file or of a table, at most 100, from the same noise; a "
        "header may say lat=56.6 lon=11.3, and a table its coordinates."
    )
    returns: ClassVar[str] = (
        "a ZIP of the pictures and results.csv; rows, one per record, with the error of those that cannot be "
        "read; summary with the counts; settings"
    )
    file: ClassVar[str] = "batch.zip"
    file_label: ClassVar[str] = "archive"

    fasta: Annotated[str, Check(lambda field, value: text_of(value), file="FASTA")] = Field(
        description="FASTA, GenBank or table text of up to 100 records of 200 to 2,000 letters"
    )
    latitude: OptionalCoordinate = Field(
        None, description="degrees north, -90 to 90, of records without a locality"
    )
    longitude: OptionalCoordinate = Field(
        None, description="degrees east, -180 to 180, of records without a locality"
    )

    @cached_property
    def records(self) -> Records:
        """The records, including those that cannot be read."""
        return read_records(self.fasta, self.latitude, self.longitude)

    @model_validator(mode="after")
    def _check_records(self) -> Self:
        _ = self.records
        return self

    @property
    def notes(self) -> list[str]:
        return [*super().notes, *self.records.remarks]

    @property
    def readable(self) -> list[Record]:
        """The records that can be read, which are drawn."""
        return [record for record in self.records if record.barcode]

    @property
    def wanted(self) -> int:
        return len(self.readable)

    def start(self, pipe: G2PDiffusionPipeline) -> Generator[Update]:
        specimens = [
            Specimen(record.barcode, record.latitude, record.longitude, self.seed)
            for record in self.readable
            if record.barcode
        ]
        drawn = 0
        with closing(draw(pipe, specimens, self.denoising)) as updates:
            for update in updates:
                records = self.readable[drawn : drawn + len(update.rows)]
                drawn += len(records)
                rows = [_row(record, picture) for record, picture in zip(records, update.rows, strict=True)]
                yield replace(update, rows=rows)

    def report(self, pipe: G2PDiffusionPipeline, rows: Sequence[BatchRow]) -> BatchReport:
        drawn = {row.index: row for row in rows}
        unreadable = len(self.records) - self.wanted
        return BatchReport(
            [record_row(record, drawn.get(record.index)) for record in self.records],
            {"records": len(self.records), "drawn": len(rows), "unreadable": unreadable},
            archive(rows, self.records),
        )


@dataclass(frozen=True)
class BatchReport:
    """The report of a batch, complete or stopped.

    Attributes:
        rows: one dict per record, whether it was drawn or not.
        summary: the numbers of `records`, of `drawn` and of `unreadable` ones.
        archive: ZIP of the pictures and the table.
    """

    rows: list[dict]
    summary: dict
    archive: bytes

    def save(self, folder: Path) -> None:
        """Write the pictures and `results.csv`."""
        with ZipFile(BytesIO(self.archive)) as file:
            file.extractall(folder)

    def write(self, path: Path) -> None:
        """Write the archive."""
        path.write_bytes(self.archive)


@dataclass(frozen=True)
class Record:
    """One record of a FASTA text.

    Attributes:
        index: 1, 2, ... in the order of the text.
        name: header without the locality, in one line, cut at 200 characters; may be empty.
        latitude, longitude: degrees; those of the header if they are usable.
        barcode: None if the record cannot be read.
        error: sentence that says why it cannot be read; empty if it can.
        notes: sentences about how the record's locality was read.
        warnings: sentences that say why a locality in the record was ignored.
        identifiers: the cells that identify the row for the table's owner, by column.
    """

    index: int
    name: str
    latitude: float
    longitude: float
    barcode: Barcode | None
    error: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    identifiers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchRow:
    """The finished picture of a record."""

    index: int  # of the record
    record: Record
    image: torch.Tensor  # (3, H, W) in [0, 1]
    clibd_score: float | None  # None without a CLIBD model
    body_length: float  # relative to the side of the picture


class Records(list[Record]):
    """The records of a text, with remarks.

    Attributes:
        remarks: sentences about the text as a whole.
    """

    remarks: tuple[str, ...] = ()


def read_records(text: str | None, latitude: object, longitude: object) -> Records:
    """Return the records of a text, 1 to 100: FASTA, a table, or a GenBank file.

    Args:
        text: FASTA, or one of the formats of `g2pdiff.dna.formats`; None counts as empty.
        latitude, longitude: degrees, for records without a locality of their own. None if all have one.

    Raises:
        InputError: field `fasta`, if the text is empty, too long or of another format, has too many records,
            or no readable one; field `latitude` or `longitude`, if one cannot be read, or is missing though a
            record needs it.
    """
    is_given = latitude is not None or longitude is not None
    locality = check_locality(latitude, longitude) if is_given else None
    text = (text or "").replace("\ufeff", "")
    if len(text) > MAXIMUM_CHARACTERS:
        raise InputError(
            "fasta",
            f"The FASTA text has {len(text):,} characters: split it into texts of up to "
            f"{MAXIMUM_CHARACTERS:,}.",
        )
    if not text.strip():
        raise InputError(
            "fasta", "The FASTA text is empty: give records, a header that begins with > above each sequence."
        )
    entries = read_entries(text, "fasta", MAXIMUM_RECORDS)
    records = Records()
    for index, entry in enumerate(entries, start=1):
        place, notes = locality, ()
        if entry.locality:
            place, notes = (entry.locality.latitude, entry.locality.longitude), entry.locality.notes
        # A locality that is missing is told as one that cannot be read.
        records.append(_as_record(index, entry, place or check_locality(latitude, longitude), notes))
    records.remarks = entries.remarks
    if not any(record.barcode for record in records):
        raise InputError(
            "fasta",
            f"None of the records can be read ({len(records)} in all); what is wrong with the first: "
            f"{records[0].error}",
        )
    return records


def _as_record(index: int, entry: Entry, locality: tuple[float, float], notes: tuple[str, ...]) -> Record:
    """Return a record with its barcode, or with the reason why it cannot be read."""
    name = shorten(entry.name)
    barcode, error = None, ""
    try:
        barcode = Barcode.of(name, entry.letters)
    except InputError as wrong:
        error = str(wrong)
    warnings = (entry.warning,) if entry.warning else ()
    return Record(index, name, *locality, barcode, error, notes, warnings, entry.identifiers)


def _row(record: Record, picture: Picture) -> BatchRow:
    return BatchRow(record.index, record, picture.image, picture.clibd_score, picture.body_length)


def file_name(record: Record) -> str:
    """Return a file name such as `001_moth-1.png`, with only the letters and digits of the record's name."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", record.name)[:NAME_LENGTH].strip("-")
    return f"{record.index:03d}_{name or 'record'}.png"


def archive(rows: Sequence[BatchRow], records: Sequence[Record]) -> bytes:
    """Pack the rows' pictures and `results.csv` into a ZIP. Equal rows give equal bytes."""
    file = BytesIO()
    with ZipFile(file, "w") as folder:
        for row in rows:
            folder.writestr(ZipInfo(file_name(row.record)), _png(row.image))
        folder.writestr(ZipInfo(RESULTS), results(rows, records), ZIP_DEFLATED)
    return file.getvalue()


def results(rows: Sequence[BatchRow], records: Sequence[Record]) -> bytes:
    """Write CSV with one line per record. Measurements and file are empty if it was not drawn.

    The owner's identifiers come first. A drawn picture is a prediction, never an occurrence: no column says
    that an animal was there.
    """
    drawn = {row.index: row for row in rows}
    lines = [record_row(record, drawn.get(record.index)) for record in records]
    for line in lines:
        line |= {name: " ".join(line[name]) for name in ("notes", "warnings")}
    return write_csv(lines)


def record_row(record: Record, row: BatchRow | None) -> dict:
    """Return a record, and its picture if it was drawn, as plain data."""
    barcode = record.barcode
    return {
        **{name: cell for name, cell in record.identifiers.items() if name not in OWN_COLUMNS},
        "index": record.index,
        "name": record.name,
        "latitude": record.latitude,
        "longitude": record.longitude,
        "clibd_score": number(row.clibd_score) if row else None,
        "body_length": number(row.body_length) if row else None,
        "notes": [*record.notes, *(barcode.notes if barcode else ())],
        "warnings": [*record.warnings, *(barcode.warnings if barcode else ())],
        "error": record.error,
        "file": file_name(record) if row else None,
    }


def _png(image: torch.Tensor) -> bytes:
    """Encode a picture (3, H, W) in [0, 1] as PNG."""
    from g2pdiff.outputs import to_pil

    file = BytesIO()
    to_pil(image[None])[0].save(file, "PNG")
    return file.getvalue()
