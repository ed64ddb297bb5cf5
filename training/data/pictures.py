"""Photographs of specimens: found in folders or zips as downloaded, decoded and made square when asked for.

BIOSCAN-5M lays pictures out as `bioscan5m/images/{package}/{split}/[chunk/]{processid}.jpg`, in folders and
inside its zips alike; the part after the package is called a picture's *place* here. The largest zip holds
4.7 million pictures. Python's `zipfile` would keep an object for each in the memory of every process, so the
zip's own directory is read once into a sorted array on disk, which is then memory-mapped. Files are opened
for every read: nothing is shared between processes or threads.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from g2pdiff.errors import InputError

INDEX = np.dtype([("key", "<u8"), ("offset", "<u8"), ("size", "<u8"), ("method", "<u8")])
DEFLATED = 8
RIM = 1 / 64  # of the short side: the band along an edge whose median colour continues the picture
THREADS = 8  # decode at a time; Pillow lets go of the interpreter meanwhile
# What Pillow raises at no picture, one that ends too early, or one with damaged parts.
DAMAGE = (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, struct.error, zlib.error)


def square(picture: Image.Image, size: int) -> np.ndarray:
    """Pad a picture to a square with the colour of its own border, and resize it.

    `cropped_256` is cut to the box around the animal, so a centre crop would take the ends of every long one:
    padding keeps the animal whole. Either long edge is continued by its own median colour, because light
    falls off differently on both sides of the slide. The frames of `original_256` all have the same sides:
    padded, they all shrink by the same factor and lengths stay comparable.

    Args:
        picture: of any sides and mode.
        size: sides of what comes out, in pixels.

    Returns:
        (3, size, size), uint8.
    """
    return _square(to_rgb(picture), size)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture as a person sees it: upright, on white paper, with 8 bits of red, green and blue.

    EXIF's orientation is obeyed, what is transparent shows white, greys of 16 bits and floating point keep
    their range, and palettes and CMYK become colours.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("I", "F") or picture.mode.startswith("I;"):
        return Image.fromarray(_eight_bits(np.asarray(picture))).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture).convert("RGB")
    return picture.convert("RGB")


def _eight_bits(greys: np.ndarray) -> np.ndarray:
    """Return greys (H, W) of any numbers as uint8: 0 to 1, 0 to 255 or 0 to 65,535, as their top says."""
    greys = np.nan_to_num(greys.astype(np.float64), nan=0, posinf=0, neginf=0)
    top = greys.max(initial=0)
    is_share = top <= 1 and not (greys == greys.round()).all()
    scale = 255 if is_share else 1 if top <= 255 else 255 / 65_535 if top <= 65_535 else 255 / top
    return (greys * scale).round().clip(0, 255).astype(np.uint8)


def _square(picture: Image.Image, size: int) -> np.ndarray:
    pixels = np.asarray(picture)
    height, width = pixels.shape[:2]
    if height > width:
        return _square(picture.transpose(Image.Transpose.TRANSPOSE), size).transpose(0, 2, 1)
    rim = max(1, round(height * RIM))
    above = (width - height) // 2
    canvas = np.empty((width, width, 3), np.uint8)
    canvas[:above] = np.median(pixels[:rim], axis=(0, 1))
    canvas[above + height :] = np.median(pixels[-rim:], axis=(0, 1))
    canvas[above : above + height] = pixels
    resized = Image.fromarray(canvas).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized).transpose(2, 0, 1)


def members(path: Path) -> Iterator[tuple[str, int, int, int]]:
    """Return the name, offset of the local header, compressed size and method of every file in a zip, one at
    a time.

    Reads the central directory as PKWARE's APPNOTE 4.3.12 to 4.3.16 lays it out, zip64 included.

    Raises:
        InputError: field `pictures`, if the file is no whole zip.
    """
    with path.open("rb") as file:
        try:
            count, start = _directory(file)
            file.seek(start)
            for _ in range(count):
                header = struct.unpack("<4s6xH8xLLHHH8xL", file.read(46))
                signature, method, size, full_size, name_length, extra_length, comment, offset = header
                if signature != b"PK\1\2":
                    raise ValueError(signature)
                name = file.read(name_length).decode("utf-8", "replace")
                extra = file.read(extra_length)
                file.seek(comment, os.SEEK_CUR)
                yield name, *_wide(extra, full_size, size, offset), method
        except (ValueError, struct.error) as error:
            raise InputError("pictures", f"{path} is no whole zip file: download it again.") from error


def _directory(file: BinaryIO) -> tuple[int, int]:
    """Return the number of entries and start of the central directory."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - 65_557))  # the end record, the longest comment and a zip64 locator
    end = file.read()
    at = end.rindex(b"PK\5\6")
    count, start = struct.unpack_from("<H4xL", end, at + 10)
    if count != 0xFFFF and start != 0xFFFFFFFF:
        return count, start
    locator, record = struct.unpack_from("<4s4xQ", end, at - 20)
    if locator != b"PK\6\7":
        return count, start
    file.seek(record)
    count, start = struct.unpack("<32xQ8xQ", file.read(56))
    return count, start


def _wide(extra: bytes, full_size: int, size: int, offset: int) -> tuple[int, int]:
    """Return the offset and compressed size, from the zip64 extra field where the directory has no room for
    them."""
    values = [full_size, size, offset]
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            numbers = iter(struct.unpack_from(f"<{length // 8}Q", extra, 4))
            values = [next(numbers) if value == 0xFFFFFFFF else value for value in values]
        extra = extra[4 + length :]
    return values[2], values[1]


def place_key(place: str) -> int:
    """Return a 64-bit number for a picture's place: two of 5 million agree in one data set of a million."""
    return int.from_bytes(hashlib.blake2b(place.encode(), digest_size=8).digest(), "little")


class Archive:
    """A zip of pictures and the index of its places, made once and kept in `cache`."""

    def __init__(self, path: Path, package: str, cache: Path):
        self.path = path
        stat = path.stat()
        made_of = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}:{package}"
        digest = hashlib.sha256(made_of.encode()).hexdigest()[:8]
        self.index_path = cache / f"{path.stem}-{digest}.npy"
        if not self.index_path.exists():
            cache.mkdir(parents=True, exist_ok=True)
            prefix = re.compile(rf"(?:.*/)?images/{re.escape(package)}/(.+\.jpg)")
            entries = np.fromiter(
                (
                    (place_key(found[1]), offset, size, method)
                    for name, offset, size, method in members(path)
                    if (found := prefix.fullmatch(name))
                ),
                INDEX,
            )
            partial = self.index_path.with_suffix(f".{os.getpid()}.partial")
            with partial.open("wb") as file:
                np.save(file, np.sort(entries, order="key"))
            os.replace(partial, self.index_path)
        self.index = np.load(self.index_path, mmap_mode="r")

    def read(self, place: str) -> bytes | None:
        """Return the bytes of a picture, None where the zip lacks it."""
        key = np.uint64(place_key(place))
        at = int(np.searchsorted(self.index["key"], key))
        if at == len(self.index) or self.index["key"][at] != key:
            return None
        entry = self.index[at]
        with self.path.open("rb") as file:
            file.seek(int(entry["offset"]))
            header = file.read(30)
            if len(header) < 30 or header[:4] != b"PK\3\4":
                raise _broken(place, self.path)
            name_length, extra_length = struct.unpack_from("<HH", header, 26)
            file.seek(name_length + extra_length, os.SEEK_CUR)
            content = file.read(int(entry["size"]))
        try:
            return zlib.decompress(content, -zlib.MAX_WBITS) if entry["method"] == DEFLATED else content
        except zlib.error as error:
            raise _broken(place, self.path) from error


def _broken(place: str, where: Path) -> InputError:
    return InputError("pictures", f"The picture {place} in {where} is broken: download it again.")


class PictureFiles:
    """The pictures of one package by their place, looked for in folders first and then in zips."""

    def __init__(self, folders: Sequence[Path], archives: Sequence[Archive], package: str):
        self.folders, self.archives, self.package = folders, archives, package

    @classmethod
    def find(cls, root: Path, package: str, cache: Path) -> PictureFiles:
        """Find everything of a package under a folder as downloaded: `bioscan5m/images`, zips, or both.

        Raises:
            InputError: field `pictures`, if there is neither.
        """
        folders = [
            folder for base in (root, root / "bioscan5m") if (folder := base / "images" / package).is_dir()
        ]
        name = re.compile(rf"BIOSCAN_5M_{re.escape(package)}(_[a-z]+)?(\.\d+)?\.zip")
        zips = sorted(path for path in root.glob("*.zip") if name.fullmatch(path.name))
        if not folders and not zips:
            raise InputError(
                "pictures",
                f"There are no {package} pictures in {root}: it should hold bioscan5m/images/{package} or "
                f"BIOSCAN_5M_{package}*.zip.",
            )
        return cls(folders, [Archive(path, package, cache) for path in zips], package)

    def read(self, place: str) -> bytes:
        """Return the bytes of the picture at a place such as `train/0/AACTA1026-20.jpg`.

        Raises:
            InputError: field `pictures`, if it is nowhere, or broken.
        """
        for folder in self.folders:
            if (path := folder / place).is_file():
                return path.read_bytes()
        for archive in self.archives:
            if (content := archive.read(place)) is not None:
                return content
        searched = ", ".join(map(str, [*self.folders, *(archive.path for archive in self.archives)]))
        raise InputError("pictures", f"There is no {self.package} picture {place} in {searched}.")


class Photographs:
    """Pictures (N, 3, size, size) uint8 on disk; indexed with row numbers as an array in memory would be.

    Args:
        places: of the pictures of all N rows.
        files: where they lie.
        size: pixels of a side.
    """

    def __init__(self, places: Sequence[str], files: PictureFiles, size: int):
        self.places, self.files = np.asarray(places, dtype=object), files
        self.shape = (len(self.places), 3, size, size)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return pictures of B rows: (B, 3, size, size), uint8."""
        with ThreadPoolExecutor(THREADS) as pool:
            return np.stack(list(pool.map(self._picture, self.places[rows])))

    def _picture(self, place: str) -> np.ndarray:
        content = self.files.read(place)
        return open_square(content, self.shape[-1], f"The picture {place}")


def open_square(content: bytes, size: int, name: str, field: str = "pictures") -> np.ndarray:
    """Return the picture in a file's bytes, made `square`.

    Raises:
        InputError: `field`, if it cannot be decoded, or has more pixels than a picture has: small
            files can unpack to more than the memory holds.
    """
    try:
        with Image.open(BytesIO(content)) as picture:
            most = Image.MAX_IMAGE_PIXELS
            if most is not None and picture.width * picture.height > most:  # Pillow only warns of these
                raise Image.DecompressionBombError
            return square(picture, size)
    except Image.DecompressionBombError as error:
        most = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise InputError(field, f"{name} has more than {most} pixels: make it smaller.") from error
    except DAMAGE as error:
        raise InputError(field, f"{name} cannot be decoded: download it again.") from error
