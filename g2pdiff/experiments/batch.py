"""A FASTA file as a batch: its records are read one by one, drawn from the same noise, and packed as a ZIP.

A record that cannot be read keeps its place in the batch, with the sentence that says why, and does not stop
the others. A header may name the place its animal was found at, in decimal degrees:

    >moth 1 lat=56.6 lon=11.3
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import islice
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import torch
from Bio.SeqIO.FastaIO import SimpleFastaParser

from g2pdiff.dna.barcode import Barcode, shorten
from g2pdiff.errors import InputError
from g2pdiff.experiments.drawing import DEFAULT, Specimen, Turn, Update, draw
from g2pdiff.experiments.report import number
from g2pdiff.experiments.request import Denoising
from g2pdiff.outputs import to_pil
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.validation import check_locality, check_seed

MAXIMUM_RECORDS = 100
MAXIMUM_CHARACTERS = 1_000_000
NAME_LENGTH = 40  # characters of a record's name in the name of its picture

RESULTS = "results.csv"

# A comma ends a value unless a digit follows: 56,6 is no number here, and is not to be read as 56.
_PLACE = re.compile(r"(?i)(?<![^\s|;,])(lat|lon)=((?:[^\s|;,]|,(?=\d))*)[|;,]?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Record:
    """One record of a FASTA text.

    Attributes:
        index: 1, 2, ... in the order of the text.
        name: header without the place, in one line, cut at 200 characters; may be empty.
        latitude, longitude: degrees; those of the header where they are usable.
        barcode: None where the record cannot be read.
        error: why it cannot be read, a sentence; empty where it can.
        notes: what is to be said of the header's place, a sentence each.
    """

    index: int
    name: str
    latitude: float
    longitude: float
    barcode: Barcode | None
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class BatchRow:
    """A record's finished picture."""

    index: int  # of the record
    record: Record
    image: torch.Tensor  # (3, H, W) in [0, 1]
    clibd_score: float | None  # None without a CLIBD model
    body_length: float  # share of the picture's side


def read_records(text: str | None, latitude: object, longitude: object) -> list[Record]:
    """The records of a FASTA text, 1 to 100.

    Args:
        text: FASTA; None is an empty box.
        latitude, longitude: degrees, for records whose header names no place.

    Raises:
        InputError: field `fasta`, if the text is empty, huge or no FASTA, has too many records, or none that
            can be read; `latitude` or `longitude`.
    """
    place = check_locality(latitude, longitude)
    text = text or ""
    if len(text) > MAXIMUM_CHARACTERS:
        raise InputError(
            "fasta",
            f"The FASTA text has {len(text):,} characters: split it into texts of up to "
            f"{MAXIMUM_CHARACTERS:,}.",
        )
    lines = [line.strip() for line in text.replace("\ufeff", "").splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        raise InputError(
            "fasta", "The FASTA text is empty: give records, a header that begins with > above each sequence."
        )
    if not lines[0].startswith(">"):
        raise InputError(
            "fasta",
            "The FASTA text does not begin with a header: put a line such as >moth 1 above each sequence.",
        )
    count = sum(line.startswith(">") for line in lines)
    if count > MAXIMUM_RECORDS:
        raise InputError(
            "fasta",
            f"The FASTA text has {count:,} records: split it into texts of at most {MAXIMUM_RECORDS}.",
        )
    parsed = SimpleFastaParser(StringIO("\n".join(lines)))
    records = [_read_record(index, *entry, place) for index, entry in enumerate(parsed, start=1)]
    if not any(record.barcode for record in records):
        raise InputError(
            "fasta",
            f"None of the records can be read ({count} in all); what is wrong with the first: "
            f"{records[0].error}",
        )
    return records


def _read_record(index: int, header: str, letters: str, place: tuple[float, float]) -> Record:
    place, notes = _read_place(header, place)
    name = shorten(" ".join(_PLACE.sub(" ", header).split()).rstrip("|;, "))
    try:
        barcode, error = Barcode.parse(f">{name}\n{letters}"), ""
    except InputError as wrong:
        barcode, error = None, str(wrong)
    return Record(index, name, *place, barcode, error, notes)


def _read_place(header: str, place: tuple[float, float]) -> tuple[tuple[float, float], tuple[str, ...]]:
    """The place that a header names, or else the given one; and notes on it."""
    named = {key.lower(): value for key, value in _PLACE.findall(header)}
    if not named:
        return place, ()
    if len(named) == 1:
        return place, ("The header has only one of lat and lon, so its place was ignored.",)
    try:
        return check_locality(named["lat"], named["lon"]), ()
    except InputError as error:
        return place, (f"The header's place was ignored: {error}",)


def batch(
    pipe: G2PDiffusionPipeline,
    records: Sequence[Record],
    seed: int = 0,
    denoising: Denoising = DEFAULT,
    turn: Turn | None = None,
) -> Iterator[Update]:
    """Draw the records that could be read, all from the same noise.

    Args:
        pipe: the checkpoint.
        records: of `read_records`.
        seed: of the noise.
        denoising: settings of the run.
        turn: see `g2pdiff.experiments.drawing.draw`.

    Yields:
        `Update`s whose rows are `BatchRow`s in the order of `records`.

    Raises:
        InputError: field `seed`.
    """
    return _batch(pipe, [r for r in records if r.barcode], check_seed(seed), denoising, turn)


def _batch(pipe, readable, seed, denoising, turn) -> Iterator[Update]:
    specimens = [Specimen(record.barcode, record.latitude, record.longitude, seed) for record in readable]
    waiting = iter(readable)
    with closing(draw(pipe, specimens, denoising, turn)) as updates:
        for update in updates:
            drawn = islice(waiting, len(update.rows))
            update.rows = [
                BatchRow(record.index, record, picture.image, picture.clibd_score, picture.body_length)
                for picture, record in zip(update.rows, drawn, strict=True)
            ]
            yield update


def file_name(record: Record) -> str:
    """Such as `001_moth-1.png`: of what was typed, letters and digits alone."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", record.name)[:NAME_LENGTH].strip("-")
    return f"{record.index:03d}_{name or 'record'}.png"


def archive(rows: Sequence[BatchRow], records: Sequence[Record]) -> bytes:
    """A ZIP of the rows' pictures and of `results.csv`, a line for each of the records. Equal rows give equal
    bytes."""
    file = BytesIO()
    with ZipFile(file, "w") as folder:
        for row in rows:
            folder.writestr(ZipInfo(file_name(row.record)), _png(row.image))
        folder.writestr(ZipInfo(RESULTS), results(rows, records), ZIP_DEFLATED)
    return file.getvalue()


def results(rows: Sequence[BatchRow], records: Sequence[Record]) -> bytes:
    """CSV with a line for each record; of one that was not drawn the measurements and the file are empty.

    Text that a spreadsheet would take for a formula is marked as text by a leading apostrophe.
    """
    drawn = {row.index: row for row in rows}
    lines = [record_row(record, drawn.get(record.index)) for record in records]
    for line in lines:
        line |= {name: " ".join(line[name]) for name in ("notes", "warnings")}
    text = StringIO()
    writer = csv.DictWriter(text, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: as_text(cell) for name, cell in line.items()} for line in lines)
    return text.getvalue().encode("utf-8", "replace")


def record_row(record: Record, row: BatchRow | None) -> dict:
    """A record and its picture, if it was drawn, as plain data; notes and warnings are lists of sentences."""
    barcode = record.barcode
    return {
        "index": record.index,
        "name": record.name,
        "latitude": record.latitude,
        "longitude": record.longitude,
        "clibd_score": row and number(row.clibd_score),
        "body_length": row and number(row.body_length),
        "notes": [*record.notes, *(barcode.notes if barcode else ())],
        "warnings": [*(barcode.warnings if barcode else ())],
        "error": record.error,
        "file": row and file_name(record),
    }


def as_text(cell: object) -> object:
    """A cell of a table such that no spreadsheet takes text for a formula; numbers stay as they are."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _png(image: torch.Tensor) -> bytes:
    """A picture (3, H, W) in [0, 1]."""
    file = BytesIO()
    to_pil(image[None])[0].save(file, "PNG")
    return file.getvalue()
