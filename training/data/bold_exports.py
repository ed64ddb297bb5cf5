"""Records and pictures from BOLD's exports and from its picture service.

Two tables can be read. The *combined* TSV of BOLD 3 and 4 lists a record's pictures: addresses, licences and
credits; a cell may hold several, separated by `|`. The *BCDM* TSV of BOLD 5 and its data packages
(https://github.com/DNAdiversity/BCDM, field_definitions.tsv) lists none. For it, and for old exports without
credits, BOLD's picture service lists a record's pictures.

A picture shows the barcoded animal itself, so barcode and photograph are a true pair.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from g2pdiff.dna.barcode import COI_SCORE, frame
from g2pdiff.errors import InputError
from training.data.licences import canonical

SERVICE = "https://caos.boldsystems.org"
"""BOLD's store of pictures, as the portal's source code uses it (boldsystems-central/barcode-data-portal)."""

WIDTH = 1024  # pixels; smaller copies are requested, because originals have up to 20 megapixels
BATCH = 100  # records per request, so that the address stays under 2,000 letters
LISTING_BYTES = 50_000_000

TAXONOMY = ("phylum", "class", "order", "family", "subfamily", "genus", "species")
COLUMNS = {
    "processid": ("processid",),
    **{rank: (f"{rank}_name", rank) for rank in TAXONOMY},
    "dna_bin": ("bin_uri",),
    "dna_barcode": ("nucleotides", "nuc", "nucraw"),
    "country": ("country/ocean", "country"),
    "marker": ("markercode", "marker_code"),
}
"""Names of columns here, and their names in the exports, old names first."""

PICTURES = {
    "address": "image_urls",
    "view": "media_descriptors",
    "holder": "copyright_holders",
    "year": "copyright_years",
    "licence_as_written": "copyright_licenses",
    "institution": "copyright_institutions",
    "photographer": "photographers",
}
SERVED = {
    "view": "meta",
    "holder": "copyright_license_holder",
    "year": "copyright_license_year",
    "licence_as_written": "copyright_license",
    "institution": "copyright_license_institution",
    "photographer": "photographer",
}
"""Names of a picture's columns in the combined TSV, and in an answer of the picture service."""

EMPTY = ("", "none", "na", "n/a", "null", "nan")
MARKERS = ("coi-5p", "coi", "co1", "cox1", "coxi")
"""Marker of the barcode region. COI-3P is the other end of the gene."""

PROCESS_ID = re.compile(r"[A-Za-z0-9][\w.-]{2,39}", re.ASCII)
_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?")


@dataclass(frozen=True)
class PictureRecord:
    """A picture of a record, with its credit as BOLD has it."""

    processid: str
    address: str
    view: str = ""
    holder: str = ""
    year: str = ""
    licence_as_written: str = ""
    institution: str = ""
    photographer: str = ""

    @property
    def licence(self) -> str:
        """The name of its licence, see `training.data.licences`."""
        return canonical(self.licence_as_written)

    @property
    def credited(self) -> bool:
        """Whether the record names a person or holder to credit."""
        return bool(self.holder or self.institution or self.photographer)


@dataclass
class Export:
    """The usable records of an export, and the numbers of those left out."""

    records: dict[str, dict] = field(default_factory=dict)  # in BIOSCAN-5M's columns, by process id
    pictures: list[PictureRecord] = field(default_factory=list)
    has_pictures: bool = False  # whether the export names pictures at all
    lines: int = 0
    left_out: Counter = field(default_factory=Counter)  # number of lines by reason


def read_export(path: Path) -> Export:
    """Read the COI records of an export that have a species, coordinates and a barcode.

    Args:
        path: BOLD's combined or BCDM TSV, which may be gzipped. Lines are read one at a time.

    Raises:
        InputError: field `export`, if there is no such file, or it is not an export of BOLD.
    """
    if not path.is_file():
        raise InputError("export", f"There is no file {path}: give BOLD's TSV export with --export.")
    lines = _lines(path)
    header = [name.strip().lower() for name in next(lines, [])]
    found = {ours: next((name for name in names if name in header), None) for ours, names in COLUMNS.items()}
    placed = "coord" in header or {"lat", "lon"} <= set(header)
    missing = [ours for ours in ("processid", "species", "dna_barcode", "marker") if not found[ours]]
    if missing or not placed:
        raise InputError(
            "export",
            f"{path} lacks the column {missing[0] if missing else 'coord'}: it should be BOLD's combined or "
            "BCDM export, as tab-separated text.",
        )
    export = Export(has_pictures=PICTURES["address"] in header)
    for cells in lines:
        export.lines += 1
        if len(cells) != len(header):
            export.left_out["line is broken"] += 1
            continue
        row = dict(zip(header, map(_cell, cells), strict=True))
        record: dict = {ours: row[name] if name else "" for ours, name in found.items()}
        record["species"] = record["species"] or _identified(row)
        record["dna_barcode"] = record["dna_barcode"].upper()
        record["coord-lat"], record["coord-lon"] = _coordinates(row)
        if reason := _unusable(record, export.records):
            export.left_out[reason] += 1
            continue
        del record["marker"]
        export.records[record["processid"]] = record
        if export.has_pictures:
            export.pictures += _pictures(row)
    _leave_out_unlike(export)
    return export


def _lines(path: Path) -> Iterator[list[str]]:
    """Yield the cells of each line. Old exports mix encodings, and nothing in them is quoted."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for line in file:
                try:
                    text = line.decode("utf-8-sig")
                except UnicodeDecodeError:
                    text = line.decode("cp1252", "replace")
                if text.strip():
                    yield text.rstrip("\r\n").split("\t")
    except (gzip.BadGzipFile, EOFError) as error:
        raise InputError("export", f"{path} is not a complete gzip file: download it again.") from error


def _cell(text: str) -> str:
    text = text.strip()
    return "" if text.lower() in EMPTY else text


def _identified(row: dict) -> str:
    """Return the species of a BCDM row that gives it only as an identification."""
    return row.get("identification", "") if row.get("identification_rank", "").lower() == "species" else ""


def _coordinates(row: dict) -> tuple[float, float] | tuple[None, None]:
    """Return latitude and longitude in degrees; None if a row has none, or if they are out of range."""
    text = row["coord"] if "coord" in row else f"{row['lat']} {row['lon']}"
    numbers = [float(number) for number in _NUMBERS.findall(text)]
    if len(numbers) != 2 or abs(numbers[0]) > 90 or abs(numbers[1]) > 180:
        return None, None
    return numbers[0], numbers[1]


def _unusable(record: dict, known: dict) -> str:
    """Return the reason why a record cannot be used; empty if it can."""
    if record["marker"].lower() not in MARKERS:
        return "another marker"
    if not PROCESS_ID.fullmatch(record["processid"]):
        return "no process id"
    if not re.search("[ACGT]", record["dna_barcode"]):
        return "no barcode"
    if not record["species"]:
        return "no species name"
    if record["coord-lat"] is None:
        return "no coordinates"
    return "process id came before" if record["processid"] in known else ""


def _pictures(row: dict) -> list[PictureRecord]:
    """Return the pictures of a row of the combined TSV.

    A cell with another number of values than pictures counts as empty: nobody knows which value belongs to
    which picture.
    """
    addresses = [address.strip() for address in row[PICTURES["address"]].split("|")]
    columns = {}
    for name, column in PICTURES.items():
        values = [_cell(value) for value in row.get(column, "").split("|")]
        columns[name] = values if len(values) == len(addresses) else [""] * len(addresses)
    # An address may contain #, which would start a fragment.
    columns["address"] = [address.replace("#", "%23") for address in addresses]
    rows = zip(*columns.values(), strict=True)
    return [
        PictureRecord(row["processid"], **dict(zip(columns, values, strict=True)))
        for values in rows
        if values[0]
    ]


def _leave_out_unlike(export: Export, batch: int = 4096) -> None:
    """Drop the records whose barcode is unlike COI, as `training.data.specimens.prepare` does."""
    barcodes = sorted({record["dna_barcode"] for record in export.records.values()})
    unlike = set()
    for start in range(0, len(barcodes), batch):
        some = barcodes[start : start + batch]
        scores = frame(some)[2]
        unlike |= {text for text, score in zip(some, scores, strict=True) if score < COI_SCORE}
    dropped = [name for name, record in export.records.items() if record["dna_barcode"] in unlike]
    for name in dropped:
        del export.records[name]
    export.left_out["barcode is unlike COI"] += len(dropped)
    export.left_out += Counter()  # drops zeros
    if dropped:
        export.pictures = [picture for picture in export.pictures if picture.processid in export.records]


def listing_address(service: str, processids: Sequence[str]) -> str:
    """Return the address of the picture service's list for some records."""
    return f"{service}/api/images?processids={','.join(processids)}"


def read_listing(content: bytes, service: str) -> list[PictureRecord]:
    """Read an answer of the picture service: a JSON list with one object per picture.

    Raises:
        InputError: field `service`, if it is something else.
    """
    try:
        return [_served(item, service) for item in json.loads(content)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "service",
            f"{service} did not answer with a list of pictures: BOLD may have changed its service; "
            "give another with --service.",
        ) from error


def _served(item: dict, service: str) -> PictureRecord:
    name = item["objectid"]
    address = f"{service}/api/objects/{name}?subunit={WIDTH}.{name.rpartition('.')[2]}"
    values = {ours: _cell(str(item.get(theirs) or "")) for ours, theirs in SERVED.items()}
    return PictureRecord(item["processid"], address, **values)
