"""Records of a text, whatever it is: FASTA, a table in one of the field's formats, or a GenBank or EMBL file.

The batch reads all of them, a single barcode the first. A record that cannot be read keeps its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO

from Bio.SeqIO.FastaIO import SimpleFastaParser

from g2pdiff.coordinates import Locality, read_locality
from g2pdiff.dna.files import BROKEN, as_table, is_fasta, is_flat, is_table
from g2pdiff.dna.foreign import other_format
from g2pdiff.dna.formats import format_of, identifiers_of, is_coi
from g2pdiff.dna.headers import read_header
from g2pdiff.dna.letters import count
from g2pdiff.errors import InputError


@dataclass(frozen=True)
class Entry:
    """One record as it was given.

    Attributes:
        name: header without the place, or what a row of a table is called; may be empty.
        letters: not yet cleaned; may be empty.
        locality: None where the record names no place that can be read.
        warning: why a place that it seems to name was ignored, a sentence; empty where there is none.
        identifiers: the cells by which the owner of a table knows the row again, by their column.
    """

    name: str
    letters: str
    locality: Locality | None = None
    warning: str = ""
    identifiers: dict[str, str] = field(default_factory=dict)


class Entries(list[Entry]):
    """The records of a text.

    Attributes:
        remarks: what is to be said of the text as a whole, a sentence each.
    """

    remarks: tuple[str, ...] = ()


def is_tabular(text: str) -> bool:
    """Return whether a text is a table or a flat file, with a sequence among other things."""
    return is_flat(text) or (not is_fasta(text) and is_table(text))


def read_entries(text: str, field: str, most: int | None = None) -> Entries:
    """Return the records of a text.

    Args:
        text: FASTA, or one of the formats of `g2pdiff.dna.formats`.
        field: for errors.
        most: records that it may have.

    Raises:
        InputError: `field`, if the text is neither, has too many records, or none of COI.
    """
    return _of_table(text, field, most) if is_tabular(text) else _of_fasta(text, field, most)


def _check_amount(number: int, field: str, most: int | None) -> None:
    if most is not None and number > most:
        raise InputError(field, f"The text has {number:,} records: split it into texts of at most {most}.")


def _of_fasta(text: str, field: str, most: int | None) -> Entries:
    lines = [line.strip() for line in text.splitlines()]
    if wrong := other_format(text):
        raise InputError(field, f"The text {wrong}")
    comments = sum(line.startswith(";") for line in lines)
    lines = [line for line in lines if line and not line.startswith(";")]
    if not lines or not lines[0].startswith(">"):
        raise InputError(
            field,
            "The FASTA text does not begin with a header: put a line such as >moth 1 above each sequence.",
        )
    _check_amount(sum(line.startswith(">") for line in lines), field, most)
    entries = Entries()
    for header, letters in SimpleFastaParser(StringIO("\n".join(lines))):
        found = read_header(header)
        entries.append(Entry(found.name, letters, found.locality, found.warning))
    if comments:
        entries.remarks = (f"Ignored {count(comments, 'comment line')}.",)
    return entries


def _of_table(text: str, field: str, most: int | None) -> Entries:
    from g2pdiff.dna.tables import TOO_LONG, standardise  # which reads barcodes, as this does for them

    what, part = ("file", "record") if is_flat(text) else ("table", "row")
    raw = as_table(text.encode("utf-8", "replace"), "The text", field)
    raw = raw.loc[:, ~raw.columns.duplicated()]
    table = standardise(raw)
    own = identifiers_of(list(raw.columns))
    is_wanted = [not marker or is_coi(marker) for marker in table.get("marker", [None] * len(table))]
    _check_amount(sum(is_wanted), field, most)
    entries = Entries()
    rows, given = table.to_dict("records"), raw[own].to_dict("records")
    for row, cells, wanted in zip(rows, given, is_wanted, strict=True):
        if wanted:
            entries.append(_of_row(row, {str(name): str(cell) for name, cell in cells.items()}))
    others, broken = len(is_wanted) - len(entries), raw.attrs.get(BROKEN, 0)
    reasons = [f"{others:,} of other markers than COI"] * bool(others)
    reasons += [f"{broken:,} {TOO_LONG}"] * bool(broken)
    if not entries:
        why = f"left out: {', '.join(reasons)}" if reasons else "it holds nothing but column names"
        raise InputError(field, f"The {what} has no {part} that can be used: {why}.")
    name = "GenBank or EMBL" if is_flat(text) else format_of(list(raw.columns))
    said = f"Read as {name}: {len(entries):,} of {len(is_wanted) + broken:,} {part}s used"
    entries.remarks = (f"{said}; left out: {', '.join(reasons)}." if reasons else f"{said}.",)
    return entries


def _of_row(row: Mapping, identifiers: dict[str, str]) -> Entry:
    """Return a row of a standardised table."""
    named = [row.get("processid"), row.get("species") or row.get("identification")]
    name = " ".join(part for part in named if part)
    letters = row["dna_barcode"] or ""
    north, east = (  # NaN is as empty as None
        None if cell != cell else cell for cell in (row.get("coord-lat"), row.get("coord-lon"))
    )
    if north is None and east is None:
        return Entry(name, letters, identifiers=identifiers)
    try:
        return Entry(name, letters, read_locality(north, east), identifiers=identifiers)
    except InputError as error:
        return Entry(name, letters, None, f"The row's place was ignored: {error}", identifiers)
