"""BIOSCAN-5M's columns and pictures as parquet, on the Hugging Face Hub or in a local folder, streamed.

Two passes, neither of which holds more than a batch in memory. The first reads the metadata columns alone and
leaves the pictures where they are; once specimens have been drawn, the second reads pictures and keeps those
of the drawn specimens in a zip with the official layout, from where they are read like any others.

`datasets` runs no loading scripts since version 4, so a repository that consists of zips and a script, as
`bioscan-ml/BIOSCAN-5M` did when this was written, has to be downloaded and read with `data.metadata` and
`data.pictures`; any copy in parquet with the official column names and a column `image` can be streamed.
"""

# pyarrow.compute makes its functions when it is imported:
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.compute as pc
from tqdm.auto import tqdm

from g2pdiff.errors import InputError

BATCH = 10_000  # rows of metadata
PICTURES = 256  # rows with a picture


def check_columns(source: object, names: Iterable[str], needed: Iterable[str]) -> None:
    """Refuse a source that lacks a column.

    Raises:
        InputError: field `metadata`.
    """
    if missing := set(needed) - set(names):
        raise InputError(
            "metadata", f"{source} lacks the column {min(missing)}; BIOSCAN-5M's names are expected."
        )


def stream(
    source: str, columns: Collection[str], size: int, first: Collection[str] = ()
) -> Iterator[pa.Table]:
    """Yield some columns of all rows, `size` rows at a time.

    Args:
        source: a Hub id, or a folder of parquet files.
        columns: the only ones that are read.
        first: names of splits that come before the others.

    Raises:
        InputError: field `hub` if the source cannot be reached or is no parquet, or `datasets` is not
            installed; `metadata` if a column is missing.
    """
    try:
        from datasets import load_dataset  # half a gigabyte of memory that no other source needs

        whole = load_dataset(source, streaming=True)
        check_columns(
            source, set.intersection(*(set(split.features or ()) for split in whole.values())), columns
        )
        splits = load_dataset(source, streaming=True, columns=list(columns))
        for name in sorted(splits, key=lambda name: name not in first):
            yield from splits[name].with_format("arrow").iter(batch_size=size)
    except ImportError as error:
        raise InputError(
            "hub", "data.hub needs a package: python -m pip install -r training/requirements.txt."
        ) from error
    except InputError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(
            "hub",
            f"{source} cannot be streamed ({reason}): data.hub takes a folder of parquet files, or a network "
            "and the id of a parquet data set on the Hub.",
        ) from error


def read_metadata(source: str, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """Yield the metadata of all splits in batches and in the given types; an empty text is a missing value.

    Raises:
        InputError: see `stream`, and field `metadata` if a column holds something else.
    """
    for table in stream(source, types, BATCH):
        try:
            yield pa.table({name: _typed(table[name], kind) for name, kind in types.items()})
        except pa.ArrowException as error:
            raise InputError("metadata", f"{source} is not BIOSCAN-5M's metadata: {error}.") from error


def _typed(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    return column.cast(kind)


def fetch_pictures(source: str, members: Mapping[str, str], splits: Collection[str], target: Path) -> None:
    """Keep the pictures of some specimens in a zip; stop reading once all are there.

    Args:
        source: a Hub id, or a folder of parquet files.
        members: names in the zip by processid.
        splits: those that are read first.
        target: the zip; it is there whole or not at all.

    Raises:
        InputError: see `stream`, and field `hub` if a picture is missing.
    """
    wanted = dict(members)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    try:
        with ZipFile(partial, "w") as archive, tqdm(total=len(wanted), desc="fetch pictures") as bar:
            for processid, content in _pictures(source, splits):
                if processid in wanted and content:
                    archive.writestr(wanted.pop(processid), content)
                    bar.update()
                if not wanted:
                    break
        if wanted:
            raise InputError("hub", f"{source} has no picture of {min(wanted)} in its column image.")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _pictures(source: str, splits: Collection[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield processid and encoded picture of every row; the column holds bytes, or bytes and a path."""
    folder = Path(source)
    for table in stream(source, ("processid", "image"), PICTURES, first=splits):
        for processid, cell in zip(table["processid"].to_pylist(), table["image"].to_pylist(), strict=True):
            image = cell
            if isinstance(cell, dict):
                image, path = cell.get("bytes"), cell.get("path")
                if image is None and path and (file := folder / path).is_file():
                    image = file.read_bytes()
            if image is not None and not isinstance(image, bytes):
                raise InputError(
                    "hub",
                    f"{source} has {type(image).__name__} in its column image: it should hold encoded "
                    "pictures.",
                )
            yield processid, image
