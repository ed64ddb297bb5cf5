"""Files as they come, whatever they are called: what they hold is told from their first bytes.

FASTA, GenBank and EMBL flat files, tables with commas, semicolons, tabs or bars, parquet; plain, packed with
gzip, bzip2 or xz, or alone in a ZIP; UTF-8 with or without a byte order mark, UTF-16, or Latin-1.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from g2pdiff.dna.formats import identifiers_of, is_coi, our_names
from g2pdiff.dna.letters import AMBIGUITY_CODES, GAPS, SHORTEST
from g2pdiff.errors import InputError, quoted

if TYPE_CHECKING:
    import pandas as pd

LONGEST_WORD = 9  # letters of a name that may have DNA's letters by chance, such as ant
LARGEST = 4 << 30  # bytes that a packed file may unpack to

BROKEN = "broken_rows"
"""Attribute of a table: how many rows were left out because they have more cells than there are columns."""

_BESIDE = re.compile(r"(?i)readme|licen[cs]e|\.(xml|md|pdf)$")  # what lies in a ZIP beside its table
_SEPARATORS = "\t;,|"
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")
_FLAT = re.compile(r"(LOCUS\s|ID   )")
PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}  # by a file's first bytes

_OTHERS = {
    b"7z\xbc\xaf": "a 7z archive: unpack it",
    b"Rar!": "a RAR archive: unpack it",
    b"\x28\xb5\x2f\xfd": "packed with Zstandard: unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save its sheet as CSV",
    b"%PDF": "a PDF: give the text itself",
    b"{\\rtf": "a Rich Text document: save it as plain text",
}
"""What is known of other files by their first bytes, and what to do about it."""

_QUOTED = re.compile(r'"(.*)"', re.DOTALL)
_DNA = re.compile(rf"[ACGTUN{AMBIGUITY_CODES}X{re.escape(GAPS)}]+", re.IGNORECASE)
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*[\r\n]+", re.IGNORECASE)  # what Excel takes the separator from


def unpack(content: bytes, name: str, field: str, limit: int = LARGEST) -> bytes:
    """Unpack the bytes of a file, out of gzip, bzip2, xz or a ZIP where they are packed.

    Raises:
        InputError: `field`, if they cannot be unpacked, are too many, or a ZIP holds several tables.
    """
    try:
        for start, opened in PACKED.items():
            if content.startswith(start):
                with opened(io.BytesIO(content)) as file:
                    content = _limited(file.read(limit + 1), name, field, limit)
                if content[257:262] == b"ustar":
                    raise InputError(field, f"{name} holds a tar archive: unpack it.")
                return content
        if content[:4] == b"PK\3\4":
            with ZipFile(io.BytesIO(content)) as archive:
                members = [member for member in archive.namelist() if _is_own(member)]
                refuse_workbook(members, name, field)
                if any(re.search(r"(^|/)meta\.xml$", member) for member in members):
                    return _join_darwin_core(archive, members, field, limit)
                tables = [member for member in members if not _BESIDE.search(member)]
                if len(tables) != 1:
                    raise InputError(
                        field, f"{name} holds {len(tables)} files: unpack it, and give the one that is meant."
                    )
                with archive.open(tables[0]) as file:
                    return _limited(file.read(limit + 1), name, field, limit)
    except (
        *(OSError, EOFError, BadZipFile, zlib.error, lzma.LZMAError),
        *(RuntimeError, NotImplementedError),
    ) as error:
        raise InputError(field, f"{name} cannot be unpacked: copy it again.") from error
    return content


def refuse_workbook(members: list[str], name: str, field: str) -> None:
    """Refuse a ZIP that is a spreadsheet's own format.

    Raises:
        InputError: `field`.
    """
    if any(member.startswith("xl/") for member in members):
        raise InputError(field, f"{name} is an Excel workbook: save its sheet as CSV.")
    if any(member.startswith("word/") for member in members):
        raise InputError(field, f"{name} is a Word document: save it as plain text.")
    if "content.xml" in members:
        raise InputError(field, f"{name} is an OpenDocument file: save its sheet as CSV.")


def _is_own(name: str) -> bool:
    """Return whether a ZIP's member is a file that somebody put there, not one of a system's."""
    return (
        not name.endswith("/")
        and not name.startswith("__MACOSX/")
        and not name.split("/")[-1].startswith(".")
    )


def _join_darwin_core(archive: ZipFile, members: list[str], field: str, limit: int) -> bytes:
    """Return the occurrences of a Darwin Core archive, each with its DNA-derived extension, as CSV."""
    tables = []
    for member in members:
        if not _BESIDE.search(member):
            with archive.open(member) as file:
                content = _limited(file.read(limit + 1), member, field, limit)
            tables.append(read_delimited(decode(content, member, field), member, field))
    dna = next((table for table in tables if "dna_barcode" in our_names(list(table.columns)).values()), None)
    core = next((table for table in tables if table is not dna and "decimalLatitude" in table), None)
    if dna is None or core is None:
        raise InputError(
            field,
            "The Darwin Core archive lacks occurrences with decimalLatitude, or a DNA-derived extension.",
        )
    # Both begin with the core's id, whatever the column is called.
    joined = core.merge(dna, left_on=core.columns[0], right_on=dna.columns[0], suffixes=("", "_of_dna"))
    return joined.to_csv(index=False).encode()


def _limited(content: bytes, name: str, field: str, limit: int) -> bytes:
    if len(content) > limit:
        raise InputError(field, f"{name} unpacks to more than {limit:,} bytes: split it.")
    return content


def decode(content: bytes, name: str, field: str) -> str:
    """Decode bytes of UTF-8, UTF-16 or Latin-1 as text.

    Raises:
        InputError: `field`, if they are no text.
    """
    if what := next((what for start, what in _OTHERS.items() if content.startswith(start)), ""):
        raise InputError(field, f"{name} is {what}.")
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", "replace")
    elif content[1:2] == b"\0" or content[:1] == b"\0":  # without a byte order mark
        text = content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
    if _BINARY.search(text, 0, 10_000):
        raise InputError(field, f"{name} is not plain text: give FASTA, GenBank, CSV, TSV or parquet.")
    return text


def read_file(path: str | Path, field: str) -> tuple[bytes, str]:
    """Return the unpacked bytes of a file and its name for sentences.

    Raises:
        InputError: `field`, if there is no such file, or it cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(field, f"There is no file {path}: give a FASTA, GenBank, CSV, TSV or parquet file.")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(field, f"{path} cannot be read ({error.strerror}).") from error
    return unpack(content, str(path), field), str(path)


def text_of_file(content: bytes, name: str, field: str, limit: int) -> str:
    """Return the text of a file's bytes, unpacked; of a parquet table CSV.

    Args:
        content: of the file.
        name: of the file, for sentences.
        field: for errors.
        limit: bytes that it may unpack to.

    Raises:
        InputError: `field`, if it cannot be unpacked, is too large, or holds neither text nor a table.
    """
    content = unpack(content, name, field, limit)
    if content[:4] == b"PAR1":
        table = as_table(content, name, field)
        # Columns without a meaning here, such as pictures, would only fill the text.
        known = {*our_names(list(table.columns)), *identifiers_of(list(table.columns))}
        table = table[[column for column in table.columns if column in known]]
        return table.map(_as_text).to_csv(index=False)
    return decode(content, name, field)


def _as_text(cell: object) -> object:
    """Return a cell with text in place of its bytes."""
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell


def is_fasta(text: str) -> bool:
    """Return whether the first line that is no comment is a FASTA header."""
    lines = (line.strip() for line in text.lstrip("\ufeff").splitlines())
    return next((line for line in lines if line and not line.startswith(";")), "").startswith(">")


def is_flat(text: str) -> bool:
    """Return whether a text is a GenBank or EMBL flat file."""
    return bool(_FLAT.match(text.lstrip()))


def is_table(text: str) -> bool:
    """Return whether the first line names columns that are known, a sequence's among them, or is itself a row
    with a sequence."""
    first = _first_line(_SEPARATOR_LINE.sub("", text.lstrip("\ufeff"), count=1))
    if _has_sequence(first):
        return True
    splits = (_cells(first, separator) for separator in _SEPARATORS)
    return any("dna_barcode" in our_names(cells).values() for cells in splits if not _is_dna(cells))


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "")


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip(' "') for cell in line.split(separator)]


def _is_dna(cells: list[str]) -> bool:
    """Return whether all of a line is letters of DNA, as the column names `dna` and `nuc` are too."""
    return len(cells) == 1 and bool(_DNA.fullmatch(cells[0]))


def _has_sequence(line: str) -> bool:
    """Return whether a line is a row of a table: a sequence beside other cells."""
    for separator in _SEPARATORS:
        cells = _cells(line, separator)
        dna = [cell for cell in map("".join, map(str.split, cells)) if _DNA.fullmatch(cell)]
        dna = [cell for cell in dna if len(cell) > LONGEST_WORD]
        if len(cells) > 1 and len(dna) == 1 and len(dna[0]) >= SHORTEST:
            return True
    return False


def as_table(content: bytes, name: str, field: str) -> pd.DataFrame:
    """Return the table that unpacked bytes hold, columns named as they are there; cells of text tables are
    text.

    Raises:
        InputError: `field`, if they hold no table.
    """
    if content[:4] == b"PAR1":
        import pandas as pd

        try:
            table = pd.read_parquet(io.BytesIO(content))
            # Columns that pandas was told to take for the index are columns all the same.
            return table.reset_index() if any(table.index.names) else table
        except ImportError as error:
            raise InputError(field, "Parquet needs a package: python -m pip install pyarrow.") from error
        except (ValueError, OSError, TypeError, NotImplementedError) as error:
            raise InputError(field, f"{name} cannot be read as a parquet table: copy it again.") from error
    text = decode(content, name, field)
    if is_flat(text):
        return read_flat(text, name, field)
    return read_delimited(text, name, field)


def read_delimited(text: str, name: str, field: str) -> pd.DataFrame:
    """Return a table of text with commas, semicolons, tabs or bars, whichever its first line makes most of.

    Two columns without names are a name and a sequence.

    Raises:
        InputError: `field`, if it is empty, has no line of column names, or cannot be read.
    """
    import pandas as pd

    text = text.lstrip("\ufeff").lstrip("\r\n")
    told = _SEPARATOR_LINE.match(text)
    text = text[told.end() :] if told else text
    first = _first_line(text[:1_000_000])
    if not first:
        raise InputError(field, f"{name} is empty: give a table with a line of column names.")

    def columns(separator: str) -> tuple[int, int]:
        cells = _cells(first, separator)
        return len(our_names(cells)), len(cells)

    separator = told[1] if told and told[1] in _SEPARATORS else max(_SEPARATORS, key=columns)
    if _has_sequence(first):
        cells = _cells(first, separator)
        if len(cells) != 2:
            raise InputError(
                field,
                f"{name} has no line of column names: put one above it, such as name, dna_barcode, latitude, "
                "longitude.",
            )
        names = ("name", "dna_barcode") if len(cells[1]) > len(cells[0]) else ("dna_barcode", "name")
        text = f"{separator.join(names)}\n{text}"
    try:
        names, rows, broken = _rows(text, separator)
    except csv.Error as error:
        raise InputError(field, f"{name} cannot be read as a table of text.") from error
    table = pd.DataFrame(rows, columns=[column.strip(' "\ufeff') for column in names], dtype=object)
    table = table.loc[:, ~table.columns.duplicated()]
    table.attrs[BROKEN] = broken
    return table


def _rows(text: str, separator: str) -> tuple[list[str], list[list[str]], int]:
    """Return the names and rows of a table of text, and how many rows have more cells than there are names.

    Raises:
        csv.Error: it is none.
    """
    if separator != "\t":
        try:
            return _sorted_out(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
        except csv.Error:  # a lone quotation mark would swallow all rows behind it
            pass
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=csv.QUOTE_NONE)
    # BOLD's tab-separated tables have lone quotation marks in their cells.
    return _sorted_out([_unquoted(cell) for cell in cells] for cells in lines)


def _unquoted(cell: str) -> str:
    found = _QUOTED.fullmatch(cell)
    return found[1] if found else cell


def _sorted_out(lines: Iterator[list[str]]) -> tuple[list[str], list[list[str]], int]:
    """Return the names, the rows of as many cells, and the number of longer rows."""
    names, rows, broken = next(lines), [], 0
    for cells in lines:
        spare = len(cells) - len(names)
        if spare > 0 and any(map(str.strip, cells[len(names) :])):
            broken += 1  # nobody knows which cell belongs to which column
        elif any(map(str.strip, cells)):
            rows.append(cells[: len(names)] + [""] * -spare)
    return names, rows, broken


def read_flat(text: str, name: str, field: str) -> pd.DataFrame:
    """Return records of a GenBank or EMBL flat file as rows: COI where a record names its genes, else all of
    it."""
    import warnings

    import pandas as pd
    from Bio import BiopythonWarning, SeqIO

    kind = "embl" if text.lstrip().startswith("ID ") else "genbank"
    rows = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", BiopythonWarning)
            for record in SeqIO.parse(io.StringIO(text.lstrip()), kind):
                rows.append(_flat_row(record))
    except (ValueError, AssertionError, KeyError, IndexError, TypeError) as error:
        raise InputError(field, f"{name} cannot be read as a {kind} flat file ({quoted(error)}).") from error
    if not rows:
        raise InputError(field, f"{name} has no record that ends as a {kind} flat file's does.")
    return pd.DataFrame(rows)


def _flat_row(record: Any) -> dict[str, str]:
    """Return a record of a flat file under our names."""
    source = next((feature.qualifiers for feature in record.features if feature.type == "source"), {})

    def qualifier(*names: str) -> str:
        return next((source[name][0] for name in names if source.get(name)), "")

    genes = {}
    for feature in record.features:
        if feature.type in ("CDS", "gene", "rRNA"):
            for label in ("gene", "product"):
                for called in feature.qualifiers.get(label, ()):
                    genes.setdefault(called, feature)
    coi = next((feature for called, feature in genes.items() if is_coi(called)), None)
    try:
        sequence = str((coi.extract(record) if coi else record).seq)
    except (TypeError, ValueError):  # of a record that was given without its sequence
        sequence = ""
    taxonomy = record.annotations.get("taxonomy", [])
    organism = qualifier("organism") or record.annotations.get("organism", "")
    return {
        "accession": record.id,
        "dna_barcode": sequence,
        "marker": "COI-5P" if coi or not genes else next(iter(genes)),
        "coord": qualifier("lat_lon"),
        "species": organism,
        "genus": organism.split(" ")[0] if organism else "",
        "family": next((name for name in taxonomy if name.endswith("idae")), ""),
        "order": next((name for name in taxonomy if name.endswith("ptera")), ""),
        "country": qualifier("geo_loc_name", "country").split(":")[0],
    }
