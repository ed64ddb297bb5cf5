"""Files as they come, whatever they are called: what they hold is told from their first bytes.

FASTA, GenBank and EMBL flat files, tables with commas, semicolons, tabs or bars, parquet; plain, gzipped or
alone in a ZIP; UTF-8 with or without a byte order mark, UTF-16, or Latin-1.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import pandas as pd

from g2pdiff.dna.formats import is_coi, our_names
from g2pdiff.errors import InputError, quoted

LARGEST = 4 << 30  # bytes that a packed file may unpack to

_BESIDE = re.compile(r"(?i)readme|licen[cs]e|\.(xml|md|pdf)$")  # what lies in a ZIP beside its table
_SEPARATORS = "\t;,|"
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1f]")
_FLAT = re.compile(r"(LOCUS\s|ID   )")


def unpack(content: bytes, name: str, field: str, limit: int = LARGEST) -> bytes:
    """Unpack the bytes of a file, out of gzip or a ZIP where they are packed.

    Raises:
        InputError: `field`, if they cannot be unpacked, are too many, or a ZIP holds several tables.
    """
    try:
        if content[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(content)) as file:
                return _limited(file.read(limit + 1), name, field, limit)
        if content[:4] == b"PK\3\4":
            with ZipFile(io.BytesIO(content)) as archive:
                names = [name for name in archive.namelist() if _is_own(name)]
                if any(name.startswith("xl/") for name in names):
                    raise InputError(field, f"{name} is an Excel workbook: save its sheet as CSV.")
                if any(re.search(r"(^|/)meta\.xml$", one) for one in names):
                    return _join_darwin_core(archive, names, field, limit)
                tables = [one for one in names if not _BESIDE.search(one)]
                if len(tables) != 1:
                    raise InputError(
                        field, f"{name} holds {len(tables)} files: unpack it, and give the one that is meant."
                    )
                with archive.open(tables[0]) as file:
                    return _limited(file.read(limit + 1), name, field, limit)
    except (OSError, EOFError, BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
        raise InputError(field, f"{name} cannot be unpacked: copy it again.") from error
    return content


def _is_own(name: str) -> bool:
    """Return whether a ZIP's member is a file that somebody put there, not one of a system's."""
    return (
        not name.endswith("/")
        and not name.startswith("__MACOSX/")
        and not name.split("/")[-1].startswith(".")
    )


def _join_darwin_core(archive: ZipFile, names: list[str], field: str, limit: int) -> bytes:
    """Return the occurrences of a Darwin Core archive, each with its DNA-derived extension, as CSV."""
    tables = []
    for name in names:
        if not _BESIDE.search(name):
            with archive.open(name) as file:
                content = _limited(file.read(limit + 1), name, field, limit)
            tables.append(read_delimited(decode(content, name, field), name, field))
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
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16", "replace")
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
        return as_table(content, name, field).to_csv(index=False)
    return decode(content, name, field)


def is_fasta(text: str) -> bool:
    """Return whether the first line that is no comment is a FASTA header."""
    lines = (line.strip() for line in text.lstrip("\ufeff").splitlines())
    return next((line for line in lines if line and not line.startswith(";")), "").startswith(">")


def is_flat(text: str) -> bool:
    """Return whether a text is a GenBank or EMBL flat file."""
    return bool(_FLAT.match(text.lstrip()))


def is_table(text: str) -> bool:
    """Return whether the first line names columns that are known, a sequence's among them."""
    first = next((line for line in text.lstrip("\ufeff").splitlines() if line.strip()), "")
    names = ([cell.strip(' "') for cell in first.split(separator)] for separator in _SEPARATORS)
    return any(len(cells) > 1 and "dna_barcode" in our_names(cells).values() for cells in names)


def as_table(content: bytes, name: str, field: str) -> pd.DataFrame:
    """Return the table that unpacked bytes hold, columns named as they are there; cells of text tables are
    text.

    Raises:
        InputError: `field`, if they hold no table.
    """
    if content[:4] == b"PAR1":
        try:
            return pd.read_parquet(io.BytesIO(content))
        except ImportError as error:
            raise InputError(field, "Parquet needs a package: python -m pip install pyarrow.") from error
        except (ValueError, OSError, TypeError, NotImplementedError) as error:
            raise InputError(field, f"{name} cannot be read as a parquet table: copy it again.") from error
    text = decode(content, name, field)
    if is_flat(text):
        return read_flat(text, name, field)
    return read_delimited(text, name, field)


def read_delimited(text: str, name: str, field: str) -> pd.DataFrame:
    """Return a table of text with commas, semicolons, tabs or bars, whichever its first line makes most
    of."""
    text = text.lstrip("\ufeff").lstrip("\r\n")
    first = text.splitlines()[0] if text.strip() else ""
    if not first:
        raise InputError(field, f"{name} is empty: give a table with a line of column names.")

    def columns(separator: str) -> tuple[int, int]:
        names = [cell.strip(' "') for cell in first.split(separator)]
        return len(our_names(names)), len(names)

    separator = max(_SEPARATORS, key=columns)
    # BOLD's tab-separated tables have lone quotation marks in their cells.
    quoting = 3 if separator == "\t" else 0
    wrong = []
    try:
        table = pd.read_csv(
            io.StringIO(text),
            sep=separator,
            dtype=str,
            keep_default_na=False,
            index_col=False,
            quoting=quoting,
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError):
        try:
            table = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                index_col=False,
                engine="python",
                on_bad_lines=wrong.append,
                quoting=quoting,
            )
        except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
            raise InputError(field, f"{name} cannot be read as a table of text.") from error
    table.columns = [str(column).strip(' "\ufeff') for column in table.columns]
    if separator == "\t":
        table = table.apply(lambda column: column.str.replace(r'^"(.*)"$', r"\1", regex=True))
    table.attrs["broken_rows"] = len(wrong)
    return table


def read_flat(text: str, name: str, field: str) -> pd.DataFrame:
    """Return records of a GenBank or EMBL flat file as rows: COI where a record names its genes, else all of
    it."""
    import warnings

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
