"""Streaming of BIOSCAN-5M as parquet, from the Hugging Face Hub or a local folder.

There are two passes, and each holds only one batch in memory. The first reads the metadata columns only.
After specimens are drawn, the second reads pictures and keeps those of the drawn specimens in a zip with the
official layout.

Since version 4, `datasets` runs no loading scripts. A repository of zips and a script, as
`bioscan-ml/BIOSCAN-5M` was when this was written, must be downloaded and read with `data.metadata` and
`data.pictures`. Any parquet copy with the official column names and a column `image` can be streamed.
"""

# pyarrow.compute makes its functions at import, so pyright does not know them:
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

BATCH = 10_000  # rows of metadata per batch
PICTURES = 256  # rows with pictures per batch


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
        columns: the columns to read.
        first: names of the splits that come first.

    Raises:
        InputError: field `hub`, if the source cannot be reached or is not parquet, or `datasets` is not
            installed; field `metadata`, if a column is missing.
    """
    try:
        from datasets import load_dataset  # it takes half a gigabyte of memory, which only this source needs

        whole = load_dataset(source, streaming=True)
        features = [split.features for split in whole.values() if split.features is not None]
        if len(features) < len(whole):  # of text, whose columns are not known before it is read
            raise InputError(
                "hub",
                f"{source} is not parquet: give a folder of parquet files with data.hub, or a CSV with "
                "data.metadata and its pictures with data.pictures.",
            )
        check_columns(source, set.intersection(*(set(columns_of) for columns_of in features)), columns)
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
        reason = reason if len(reason) <= 120 else f"{reason[:120]}…"
        raise InputError(
            "hub",
            f"{source} cannot be streamed ({reason}): data.hub takes a folder of parquet files, or a network "
            "and the id of a parquet data set on the Hub.",
        ) from error


def read_metadata(source: str, types: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """Yield the metadata of all splits in batches with the given types. Empty text is a missing value.

    Raises:
        InputError: see `stream`; also field `metadata`, if a column has another type.
    """
    for table in stream(source, types, BATCH):
        try:
            yield typed(table, types)
        except pa.ArrowException as error:
            raise InputError("metadata", f"{source} is not BIOSCAN-5M's metadata: {error}.") from error


def typed(table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return the columns of `types` in those types; an empty text is a missing value.

    Raises:
        pyarrow.ArrowException: a column holds something else.
    """
    return pa.table({name: _typed(table[name], kind) for name, kind in types.items()})


def _typed(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    return column.cast(kind)


def fetch_pictures(source: str, members: Mapping[str, str], splits: Collection[str], target: Path) -> None:
    """Write the pictures of some specimens into a zip. Reading stops when all are found.

    Args:
        source: a Hub id, or a folder of parquet files.
        members: names in the zip, by processid.
        splits: splits to read first.
        target: zip to write. It appears only when it is complete.

    Raises:
        InputError: see `stream`; also field `hub`, if a picture is missing.
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
    """Yield processid and encoded picture of every row. The column holds bytes, or bytes and a path."""
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
