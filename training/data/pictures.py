"""Photographs of specimens in folders or downloaded zips. They are decoded and made square on demand.

In folders and zips, BIOSCAN-5M's pictures lie at
`bioscan5m/images/{package}/{split}/[chunk/]{processid}.jpg`. Here a picture's *name* is the part after the
package; tables have it in the column `place`. The largest zip holds 4.7 million pictures. Python's `zipfile`
would keep an object for each in the memory of every process. So the zip's directory is read once into a
sorted array on disk, which is memory-mapped. Files are opened for every read: processes and threads share
nothing.
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
RIM = 1 / 64  # share of the short side: the band at an edge whose median colour is continued
THREADS = 8  # pictures decoded at a time; Pillow releases the interpreter lock
# Pillow's errors for a file that is not a picture, ends too early, or is damaged.
DAMAGE = (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, struct.error, zlib.error)


def square(picture: Image.Image, size: int) -> np.ndarray:
    """Pad a picture to a square with the colour of its border, and resize it.

    `cropped_256` is cropped to a box around the animal, so a centre crop would cut the ends of long animals;
    padding keeps them. Each long edge is continued with its own median colour, because the light differs
    between the sides of the slide. The frames of `original_256` all have the same size, so padding shrinks
    all by the same factor and lengths stay comparable.

    Args:
        picture: a picture of any size and mode.
        size: height and width of the result, in pixels.

    Returns:
        (3, size, size), uint8.
    """
    return _square(to_rgb(picture), size)


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture as a viewer shows it: upright, on white, with 8 bits of red, green and blue.

    EXIF's orientation is applied, transparent pixels become white, 16-bit and floating-point greys keep their
    range, and palettes and CMYK become RGB.
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
    """Return greys (H, W) as uint8. Their maximum decides whether they range to 1, 255 or 65,535."""
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
    """Yield the name, offset of the local header, compressed size and method of every file in a zip.

    It reads the central directory as in PKWARE's APPNOTE 4.3.12 to 4.3.16, including zip64.

    Raises:
        InputError: field `pictures`, if the file is not a complete zip.
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
            raise InputError("pictures", f"{path} is not a complete zip file: download it again.") from error


def _directory(file: BinaryIO) -> tuple[int, int]:
    """Return the number of entries and the start of the central directory."""
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
    """Return offset and compressed size. Numbers that are too large come from the zip64 extra field."""
    values = [full_size, size, offset]
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<HH", extra)
        if kind == 1:
            numbers = iter(struct.unpack_from(f"<{length // 8}Q", extra, 4))
            values = [next(numbers) if value == 0xFFFFFFFF else value for value in values]
        extra = extra[4 + length :]
    return values[2], values[1]


def name_key(name: str) -> int:
    """Return a 64-bit number for a picture's name. Among 5 million names two agree with probability 1e-6."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


class Archive:
    """A zip of pictures and the index of their names, which is made once and kept in `cache`."""

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
                    (name_key(found[1]), offset, size, method)
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

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a picture; None if the zip lacks it."""
        key = np.uint64(name_key(name))
        at = int(np.searchsorted(self.index["key"], key))
        if at == len(self.index) or self.index["key"][at] != key:
            return None
        entry = self.index[at]
        with self.path.open("rb") as file:
            file.seek(int(entry["offset"]))
            header = file.read(30)
            if len(header) < 30 or header[:4] != b"PK\3\4":
                raise _broken(name, self.path)
            name_length, extra_length = struct.unpack_from("<HH", header, 26)
            file.seek(name_length + extra_length, os.SEEK_CUR)
            content = file.read(int(entry["size"]))
        try:
            return zlib.decompress(content, -zlib.MAX_WBITS) if entry["method"] == DEFLATED else content
        except zlib.error as error:
            raise _broken(name, self.path) from error


def _broken(name: str, where: Path) -> InputError:
    return InputError("pictures", f"The picture {name} in {where} is broken: download it again.")


class PictureFiles:
    """The pictures of one package by name. Folders are searched first, then zips."""

    def __init__(self, folders: Sequence[Path], archives: Sequence[Archive], package: str):
        self.folders, self.archives, self.package = folders, archives, package

    @classmethod
    def find(cls, root: Path, package: str, cache: Path) -> PictureFiles:
        """Find a package's pictures in a folder of downloads: `bioscan5m/images`, zips, or both.

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

    def read(self, name: str) -> bytes:
        """Return the bytes of the picture with a name such as `train/0/AACTA1026-20.jpg`.

        Raises:
            InputError: field `pictures`, if it is missing or broken.
        """
        for folder in self.folders:
            if (path := folder / name).is_file():
                return path.read_bytes()
        for archive in self.archives:
            if (content := archive.read(name)) is not None:
                return content
        searched = ", ".join(map(str, [*self.folders, *(archive.path for archive in self.archives)]))
        raise InputError("pictures", f"There is no {self.package} picture {name} in {searched}.")


class Photographs:
    """Pictures (N, 3, size, size) uint8 on disk. Row numbers index them like an array.

    Args:
        names: names of the pictures of all N rows.
        files: the folders and zips that hold them.
        size: height and width, in pixels.
    """

    def __init__(self, names: Sequence[str], files: PictureFiles, size: int):
        self.names, self.files = np.asarray(names, dtype=object), files
        self.shape = (len(self.names), 3, size, size)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return the pictures of B rows (B, 3, size, size), uint8."""
        with ThreadPoolExecutor(THREADS) as pool:
            return np.stack(list(pool.map(self._picture, self.names[rows])))

    def _picture(self, name: str) -> np.ndarray:
        content = self.files.read(name)
        return open_square(content, self.shape[-1], f"The picture {name}")


def open_square(content: bytes, size: int, name: str, field: str = "pictures") -> np.ndarray:
    """Return the picture in a file's bytes as a `square`.

    Raises:
        InputError: `field`, if it cannot be decoded, or has too many pixels: a small file can unpack to more
            than the memory holds.
    """
    try:
        with Image.open(BytesIO(content)) as picture:
            most = Image.MAX_IMAGE_PIXELS
            if most is not None and picture.width * picture.height > most:  # Pillow only warns about these
                raise Image.DecompressionBombError
            return square(picture, size)
    except Image.DecompressionBombError as error:
        most = f"{Image.MAX_IMAGE_PIXELS:,}"
        raise InputError(field, f"{name} has more than {most} pixels: make it smaller.") from error
    except DAMAGE as error:
        raise InputError(field, f"{name} cannot be decoded: download it again.") from error
