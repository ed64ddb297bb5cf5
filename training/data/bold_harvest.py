"""Fetching of BOLD's photographs into a folder, with a record of each.

A folder belongs to one run: `run.json` holds its settings, and other settings are refused. Every picture is
written completely or not at all. Then a line in `downloads.jsonl` says that it is there, or why it is
unavailable. So a killed run can continue, and it fetches nothing twice. The tables are written again from
these lines at the end of every run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from tqdm.auto import tqdm

from g2pdiff.dna.barcode import frame
from g2pdiff.errors import InputError, printable
from g2pdiff.spreadsheets import write_csv
from training.data.bold import ATTRIBUTION, PICTURES, SPECIMENS
from training.data.bold_exports import (
    BATCH,
    LISTING_BYTES,
    SERVICE,
    Export,
    PictureRecord,
    listing_address,
    read_listing,
)
from training.data.licences import OPEN
from training.data.polite import GoneError, LaterError, PoliteClient
from training.data.splits import split_of
from training.data.storage import write_json, write_whole

SUMS, FAILED, ASKED, DONE, LISTED = "SHA256SUMS", "failed.csv", "run.json", "downloads.jsonl", "listing.jsonl"

KINDS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png"}
"""Formats that are kept, by Pillow's names, and their file endings. Some phones write JPEG as MPO."""

TYPES = ("image/", "application/octet-stream", "binary/octet-stream")
IN_A_ROW = 5
"""Number of successive temporary failures after which the program stops."""

NEEDED = ("train", "val", "test", "test_unseen")
"""Splits that a complete run reads."""

RECORD = "https://portal.boldsystems.org/record/"
CREDITS = ("holder", "year", "institution", "photographer", "licence", "licence_as_written", "address")


@dataclass(frozen=True)
class Wanted:
    """The pictures to fetch, and their source."""

    licences: tuple[str, ...] = OPEN
    views: tuple[str, ...] = ()  # in lower case; a view must contain one of them, if there are any
    look_up: bool = False  # ask the picture service even if the export names pictures
    service: str = SERVICE
    limit: int | None = None  # pictures at most
    max_bytes: int = 20_000_000  # per picture

    def refusal(self, picture: PictureRecord) -> str:
        """Return the reason why a picture is not wanted; empty if it is."""
        if picture.licence not in self.licences:
            return f"licence {picture.licence}"
        if picture.licence != "cc0" and not picture.credited:
            return "nobody to credit"
        if self.views and not any(view in picture.view.lower() for view in self.views):
            return "another view"
        return ""


def choose(export: Export, wanted: Wanted) -> tuple[list[PictureRecord], Counter]:
    """Return the wanted pictures of an export, and the numbers of the others by reason."""
    chosen, left_out = {}, Counter()
    for picture in export.pictures:
        reason = wanted.refusal(picture)
        if not reason and (picture.processid, picture.address) in chosen:
            reason = "named twice"
        if reason:
            left_out[reason] += 1
        else:
            chosen[picture.processid, picture.address] = picture
    if wanted.limit is not None and len(chosen) > wanted.limit:
        left_out["over the limit"] = len(chosen) - wanted.limit
    return list(chosen.values())[: wanted.limit], left_out


def report(export: Export, chosen: Sequence[PictureRecord], left_out: Counter) -> str:
    """Return lines that say what an export has, what is left out and why, and what will be fetched."""
    species = {record["species"] for record in export.records.values()}
    ids = sorted({picture.processid for picture in chosen})
    records = [export.records[name] for name in ids]
    named = {record["species"] for record in records}
    framed = frame([record["dna_barcode"] for record in records])[0] if records else []
    splits = Counter(
        split_of(record["species"], barcode) for record, barcode in zip(records, framed, strict=True)
    )
    shown = {picture.processid for picture in export.pictures}
    uncredited = sum(not picture.credited for picture in chosen)
    lines = {
        "lines": f"{export.lines:,}; left out: {_counts(export.left_out)}",
        "records": f"{len(export.records):,} of {len(species):,} species; {len(shown):,} have a picture",
        "pictures": f"{len(export.pictures):,}",
        "licences": _counts(Counter(picture.licence for picture in export.pictures)),
        "views": _counts(Counter(picture.view.lower() or "not said" for picture in export.pictures)),
        "left out": _counts(left_out),
        "to fetch": f"{len(chosen):,} pictures of {len(ids):,} records of {len(named):,} species",
        "no names": f"{uncredited:,} of these, free of all rights, name nobody",
        "splits": _counts(splits),
    }
    text = "\n".join(f"{name:<11}{line}" for name, line in lines.items())
    if missing := [name for name in NEEDED if not splits[name]]:
        text += f"\nNo record falls into {' or '.join(missing)}, which training needs: take a larger group."
    return text


def _counts(counter: Counter) -> str:
    return ", ".join(f"{printable(name)} {count:,}" for name, count in counter.most_common(20)) or "none"


class Harvest:
    """A harvest fetches the pictures of one export into one folder.

    Args:
        out: folder to write to.
        export_path: the export.
        wanted: the pictures to fetch.
        client: client that fetches them.
    """

    def __init__(self, out: Path, export_path: Path, wanted: Wanted, client: PoliteClient):
        self.out, self.export_path, self.wanted, self.client = out, export_path, wanted, client

    def list_pictures(self, export: Export) -> list[PictureRecord]:
        """Ask the picture service for the pictures of all records. Its answers are kept in the folder.

        With a limit, it stops asking when there are enough pictures.

        Raises:
            InputError: field `service`, if it does not answer, or answers with something else.
        """
        service, pictures, asked = self.wanted.service, [], set()
        for line in _read_lines(self.out / LISTED):
            if line["service"] == service:
                asked |= set(line["processids"])
                pictures += [PictureRecord(**item) for item in line["pictures"]]
        pictures = [picture for picture in pictures if picture.processid in export.records]
        enough = sum(not self.wanted.refusal(picture) for picture in pictures)
        left = [name for name in export.records if name not in asked]
        for start in tqdm(range(0, len(left), BATCH), desc="list pictures"):
            if self.wanted.limit is not None and enough >= self.wanted.limit:
                break
            some = left[start : start + BATCH]
            listed = [picture for picture in self._list(some) if picture.processid in some]
            line = {"service": service, "processids": some, "pictures": [asdict(one) for one in listed]}
            _append(self.out / LISTED, line)
            enough += sum(not self.wanted.refusal(picture) for picture in listed)
            pictures += listed
        return pictures

    def _list(self, processids: list[str]) -> list[PictureRecord]:
        service = self.wanted.service
        try:
            content = self.client.get(
                listing_address(service, processids), ("application/json", "text/plain"), LISTING_BYTES
            )
        except (GoneError, LaterError) as error:
            raise InputError(
                "service",
                f"The picture service {service} gives no list ({error}): run the same command again later, "
                "or give another with --service.",
            ) from error
        return read_listing(content, service)

    def fetch(self, export: Export, chosen: Sequence[PictureRecord]) -> dict:
        """Fetch the missing pictures, then write the tables, even if fetching ends early.

        Returns:
            `{"pictures", "failed", "left"}`: the numbers of pictures that are there, that are unavailable,
            and that may come later.

        Raises:
            InputError: field `out`, if the folder belongs to another run; field `rate`, if the server keeps
                failing or refuses for a long time.
        """
        self._claim()
        files, failures, later = {}, {}, {}
        for line in _read_lines(self.out / DONE):
            if "failed" in line:
                failures[line["address"]] = line["failed"]
            elif self._is_there(line):
                files[line["address"]] = line
        try:
            in_a_row = 0
            for picture in tqdm(chosen, desc="fetch pictures", unit=" pictures"):
                if picture.address in files or picture.address in failures or picture.address in later:
                    continue
                try:
                    files[picture.address] = self._fetch(picture)
                    in_a_row = 0
                except GoneError as error:
                    failures[picture.address] = str(error)
                    _append(self.out / DONE, {"address": picture.address, "failed": str(error)})
                    in_a_row = 0
                except LaterError as error:
                    later[picture.address] = str(error)
                    in_a_row += 1
                    if in_a_row == IN_A_ROW:
                        raise InputError(
                            "rate",
                            f"{IN_A_ROW} pictures in a row could not be fetched ({error}): run the same "
                            "command again later; what is there is not fetched again.",
                        ) from error
        finally:
            self._write_tables(export, chosen, files, failures | later)
        addresses = {picture.address for picture in chosen}
        failed = len(addresses & failures.keys())
        return {
            "pictures": len(addresses & files.keys()),
            "failed": failed,
            "left": len(addresses - files.keys()) - failed,
        }

    def _claim(self) -> None:
        """Record the settings of the folder, or refuse a folder with other settings."""
        with self.export_path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        asked = {
            "export": digest,
            "licences": list(self.wanted.licences),
            "views": list(self.wanted.views),
            "look_up": self.wanted.look_up,
        }
        path = self.out / ASKED
        if path.exists() and json.loads(path.read_text()) != asked:
            raise InputError(
                "out",
                f"{self.out} holds pictures of another export, or of other licences or views: choose another "
                "folder with --out.",
            )
        write_json(path, asked)

    def _is_there(self, line: dict) -> bool:
        path = self.out / PICTURES / line["place"]
        return path.is_file() and path.stat().st_size == line["bytes"]

    def _fetch(self, picture: PictureRecord) -> dict:
        """Fetch a picture, write it, and return its line for `downloads.jsonl`."""
        digest = hashlib.sha256(picture.address.encode()).hexdigest()
        stem = f"{digest[:2]}/{picture.processid}_{digest[:8]}"
        for ending in sorted(set(KINDS.values())):  # a run was killed before it recorded the picture
            path = self.out / PICTURES / f"{stem}.{ending}"
            if path.is_file() and _kind(content := path.read_bytes()):
                return self._note(picture, f"{stem}.{ending}", content)
        for _ in range(2):  # a reply without a length may be incomplete
            content = self.client.get(picture.address, TYPES, self.wanted.max_bytes)
            if kind := _kind(content):
                break
        else:
            raise GoneError("not a complete JPEG or PNG picture")
        path = self.out / PICTURES / f"{stem}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"partial-{path.name}")
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
        return self._note(picture, f"{stem}.{kind}", content)

    def _note(self, picture: PictureRecord, place: str, content: bytes) -> dict:
        line = {
            "address": picture.address,
            "place": place,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
        }
        _append(self.out / DONE, line)
        return line

    def _write_tables(
        self, export: Export, chosen: Sequence[PictureRecord], files: dict, failures: dict
    ) -> None:
        """Write the tables of fetched and of failed pictures."""
        specimens, credited, failed, sums = [], [], [], {}
        for picture in chosen:
            record = export.records[picture.processid]
            if found := files.get(picture.address):
                place, digest = found["place"], found["sha256"]
                specimens.append(record | {"view": picture.view, "place": place})
                sums[place] = digest
                credited.append(
                    {"file": f"{PICTURES}/{place}", "processid": picture.processid}
                    | {"species": record["species"]}
                    | {name: getattr(picture, name) for name in CREDITS}
                    | {"record": RECORD + picture.processid, "sha256": digest}
                )
            elif reason := failures.get(picture.address):
                failed.append({"processid": picture.processid, "address": picture.address, "reason": reason})
        write_whole(self.out / SPECIMENS, write_csv(specimens))
        for name, rows in ((ATTRIBUTION, credited), (FAILED, failed)):
            lines = [{key: printable(cell) for key, cell in row.items()} for row in rows]
            write_whole(self.out / name, write_csv(lines))
        lines = [f"{digest}  {PICTURES}/{place}\n" for place, digest in sorted(sums.items())]
        write_whole(self.out / SUMS, "".join(lines))


def _kind(content: bytes) -> str:
    """Return the file ending of a picture; empty if it is not a complete picture of the `KINDS`."""
    try:
        with Image.open(BytesIO(content)) as picture:
            picture.load()
            return KINDS.get(picture.format or "", "")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # Pillow's errors for a bad file
        return ""


def _append(path: Path, line: dict) -> None:
    """Append a line of JSON to a file. A half line that a killed process left is ended first."""
    with path.open("a+b") as file:
        if file.tell() and not _ends_line(file):
            file.write(b"\n")
        file.write(json.dumps(line).encode() + b"\n")


def _ends_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _read_lines(path: Path) -> list[dict]:
    """Return the lines of JSON in a file. Half lines are skipped."""
    lines = []
    for text in path.read_text().splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return lines
