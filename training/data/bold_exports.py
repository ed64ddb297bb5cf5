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

import pandas as pd

from g2pdiff.angles import read_announced_pair
from g2pdiff.coordinates import read_locality
from g2pdiff.dna.formats import is_coi, our_names
from g2pdiff.dna.tables import MISSING, barcodes
from g2pdiff.errors import InputError
from training.data.licences import canonical

SERVICE = "https://caos.boldsystems.org"
"""BOLD's store of pictures, as the portal's source code uses it (boldsystems-central/barcode-data-portal)."""

WIDTH = 1024  # pixels; smaller copies are requested, because originals have up to 20 megapixels
BATCH = 100  # records per request, so that the address stays under 2,000 letters
LISTING_BYTES = 50_000_000

WRITTEN = (
    *("processid", "phylum", "class", "order", "family", "subfamily", "genus", "species"),
    *("dna_bin", "dna_barcode", "country"),
)
"""Our columns that are kept of a record, beside its coordinates."""

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

PROCESS_ID = re.compile(r"[A-Za-z0-9][\w.-]{2,39}", re.ASCII)


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
    found = {ours: column for column, ours in our_names(header).items()}
    placed = "coord" in found or {"coord-lat", "coord-lon"} <= set(found)
    missing = [ours for ours in ("processid", "species", "dna_barcode", "marker") if ours not in found]
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
        cell_of = {ours: row[column] for ours, column in found.items()}
        record: dict = {ours: cell_of.get(ours, "") for ours in WRITTEN}
        record["species"] = record["species"] or _identified(cell_of)
        record["dna_barcode"] = record["dna_barcode"].upper()
        record["coord-lat"], record["coord-lon"] = _coordinates(cell_of)
        if reason := _unusable(record, cell_of["marker"], export.records):
            export.left_out[reason] += 1
            continue
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
    return "" if text.lower() in MISSING else text


def _identified(cell_of: dict) -> str:
    """Return the species of a BCDM row that gives it only as an identification."""
    is_species = cell_of.get("identification_rank", "").lower() == "species"
    return cell_of.get("identification", "") if is_species else ""


def _coordinates(cell_of: dict) -> tuple[float, float] | tuple[None, None]:
    """Return the latitude and longitude in degrees; None if a row has none that can be read."""
    given = read_announced_pair(cell_of.get("coord", "")) or (
        cell_of.get("coord-lat"),
        cell_of.get("coord-lon"),
    )
    try:
        place = read_locality(*given)
    except InputError:
        return None, None
    return place.latitude, place.longitude


def _unusable(record: dict, marker: str, known: dict) -> str:
    """Return the reason why a record cannot be used; empty if it can."""
    if not is_coi(marker):
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


def _leave_out_unlike(export: Export) -> None:
    """Drop the records whose barcode is not like COI, as `training.data.specimens.prepare` would."""
    letters = pd.Series([record["dna_barcode"] for record in export.records.values()], dtype=object)
    faults = barcodes(letters)[1]
    dropped = [name for name, fault in zip(export.records, faults, strict=True) if fault]
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
