"""BIOSCAN-5M: its metadata on disk, its splits and its photographs.

The metadata has 5.2 million rows and is never whole in memory. It is read once, in chunks, from the official
CSV or from the Hub (`training.data.bioscan_hub`), and written as an Arrow file with framed barcodes. That
file is memory-mapped: rows are chosen by two small columns, split and group, and only chosen rows are read
whole.

*Splits* are the official ones (https://arxiv.org/abs/2406.12723, section 5) and keep their names. `train`,
`val` and `test` are the closed world: species with scientific names. `test_unseen`, `val_unseen` and
`key_unseen` are the open world: species with placeholder names in genera with scientific names. No stage
learns from the open world or from `other_heldout`. `pretrain`, 90 % of the rows, has no species names; with
`data.unlabelled` its rows join `train`. No barcode is in two splits.

*Groups* give rare species enough weight and keep false negatives out of a batch. A row's group is its
species. A row without a species is grouped by its BIN, BOLD's cluster of barcodes that stands for a species,
and a row without both by its barcode. The column `species` then holds the group's name.

*Photographs* show one animal at one locality, so their rows are neither mutated nor moved.
"""

# pyarrow.compute makes its functions at import, so pyright does not know them:
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import codecs
import hashlib
import lzma
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv
from tqdm.auto import tqdm

from g2pdiff.dna.files import PACKED, refuse_workbook
from g2pdiff.dna.tables import Reading, standardise, usable
from g2pdiff.errors import InputError
from training.configs.schema import DataConfig
from training.data import bioscan_hub as hub
from training.data.pictures import Archive, Photographs, PictureFiles
from training.data.splits import SPLITS

LICENCE = "cc-by-3.0"
ATTRIBUTION = (
    "Photographs, barcodes and localities: BIOSCAN-5M (Gharaee et al. 2024, "
    "https://arxiv.org/abs/2406.12723), copyright 2021 CBG Photography Group, Centre for Biodiversity "
    "Genomics; photographer CBG Robotic Imager; licensed under CC BY 3.0 "
    "(https://creativecommons.org/licenses/by/3.0/). Changes: pictures padded to a square and resized, "
    "barcodes cut to the Folmer region."
)
"""The credit that CC BY requires when pictures, or a model that learned from them, are passed on."""

LABELLED = ("train", "val", "test", "key_unseen", "val_unseen", "test_unseen")
"""The splits for evaluation and references: 400,000 rows, which fit in memory."""

PACKAGES = ("cropped_256", "original_256", "cropped", "original_full")
WHOLE_FRAMES = ("original_256", "original_full")
"""Packages of whole photographs. All were taken at one distance, so a pixel has the same length in each."""

TEXT = (
    "processid",
    "class",
    "order",
    "family",
    "subfamily",
    "genus",
    "species",
    "dna_bin",
    "dna_barcode",
    "country",
    "split",
    "chunk",
)
NUMBERS = ("coord-lat", "coord-lon")
TYPES = {name: pa.string() for name in TEXT + NUMBERS}
"""The columns that are read, of 23. They are read as text: as numbers, the chunks 07 and 7e1 would lose their
names, and a malformed coordinate would stop the reading."""

PREPARED = pa.schema(
    {name: pa.string() for name in TEXT if name != "chunk"}
    | {name: pa.float64() for name in NUMBERS}
    | {"place": pa.string(), "split_code": pa.int8(), "group_code": pa.uint64()}
)
"""The columns of the Arrow file. `place` is the picture's name in its package; the last two select rows."""

BLOCK = 4 << 20  # bytes of CSV per read; threads would read ahead, one block per core


def convert(batches: Iterator[pa.Table], target: Path) -> None:
    """Write tables with official columns into one Arrow file of prepared rows, see `PREPARED`.

    Rows without barcode or coordinates, or with a barcode unlike COI, are left out. A line on standard error
    says how many and why.

    Args:
        batches: tables with the columns of `TYPES`.
        target: file to write. It appears only when it is complete.

    Raises:
        InputError: field `metadata`, if a split has another name or no row can be used.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f".{os.getpid()}.partial")
    reading = Reading()
    try:
        with (
            pa.ipc.new_file(str(partial), PREPARED) as writer,
            tqdm(desc="read metadata", unit=" rows", unit_scale=True) as bar,
        ):
            for batch in batches:
                writer.write_table(prepare_batch(batch, reading))
                bar.update(len(batch))
        print(reading.sentence("The metadata"), file=sys.stderr)
        if not reading.used:
            raise InputError(
                "metadata",
                f"The metadata has no row with a COI barcode and coordinates. {reading.sentence('It')}",
            )
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def prepare_batch(table: pa.Table, reading: Reading) -> pa.Table:
    """Prepare rows with official columns for the Arrow file; `reading` counts the rows that are left out.

    Raises:
        InputError: field `metadata`, if a split has another name.
    """
    rows = standardise(table.to_pandas())
    strange = rows["split"][~rows["split"].isin(SPLITS)]
    if len(strange):
        raise InputError(
            "metadata",
            f"The metadata has a split {strange.iloc[0]}, which is none of BIOSCAN-5M's: "
            f"{', '.join(SPLITS)}.",
        )
    rows = usable(rows, reading, named=False)
    folders = [
        f"{split}/{chunk}" if chunk else split
        for split, chunk in zip(rows["split"], rows["chunk"], strict=True)
    ]
    group = rows["species"].fillna(rows["dna_bin"]).fillna(rows["dna_barcode"])
    columns = {name: rows[name] for name in PREPARED.names if name in rows} | {
        "species": group,
        "place": [f"{folder}/{name}.jpg" for folder, name in zip(folders, rows["processid"], strict=True)],
        "split_code": pd.Index(SPLITS).get_indexer(pd.Index(rows["split"])).astype(np.int8),
        "group_code": pd.util.hash_array(group.to_numpy(object)),
    }
    return pa.table({name: pa.array(columns[name], from_pandas=True) for name in PREPARED.names}).cast(
        PREPARED
    )


def read_metadata(path: Path) -> Iterator[pa.Table]:
    """Yield the official columns of a file, as text, block by block.

    Args:
        path: the official CSV, plain, packed or alone in a ZIP, or a parquet file with its columns.

    Raises:
        InputError: field `metadata`, if the file cannot be read, or lacks a column.
    """
    try:
        with path.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        yield from _read_parquet(path) if is_parquet else _read_csv(path)
    except (
        pa.ArrowException,
        OSError,
        EOFError,
        BadZipFile,
        UnicodeError,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise InputError("metadata", f"{path} cannot be read as BIOSCAN-5M's CSV.") from error


def _read_parquet(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        hub.check_columns(path, file.schema_arrow.names, TYPES)
        for batch in file.iter_batches(hub.BATCH, columns=list(TYPES)):
            yield hub.typed(pa.Table.from_batches([batch]), TYPES)


def _read_csv(path: Path) -> Iterator[pa.Table]:
    with _opened(path) as file:
        coding = _coding(file)
    with _opened(path) as file:
        first = file.readline() + (file.read(1) if coding == "utf-16" else b"")  # half a letter
        first = first.decode(coding).lstrip("\ufeff")
    separator = max(",;\t", key=first.count)
    hub.check_columns(path, [name.strip(' "\r\n') for name in first.split(separator)], TYPES)
    options = csv.ConvertOptions(
        include_columns=list(TYPES), column_types=TYPES, strings_can_be_null=True, null_values=["", "NaN"]
    )
    with (
        _opened(path) as file,
        csv.open_csv(
            file,
            csv.ReadOptions(use_threads=False, block_size=BLOCK, encoding=coding),
            csv.ParseOptions(delimiter=separator),
            options,
        ) as reader,
    ):
        for batch in reader:
            yield pa.Table.from_batches([batch])


def _coding(file: BinaryIO) -> str:
    """Return how a text is encoded: UTF-16 by its mark, UTF-8, or the letters of Windows."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    while block := file.read(BLOCK):
        if block[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        try:
            decoder.decode(block)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open the bytes of a CSV; a packed file is unpacked."""
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        start = file.read(6)
        file.seek(0)
        packed = next((opened for begins, opened in PACKED.items() if start.startswith(begins)), None)
        if packed:
            file = stack.enter_context(packed(file))
        elif start.startswith(b"PK\3\4"):
            archive = stack.enter_context(ZipFile(file))
            refuse_workbook(archive.namelist(), str(path), "metadata")
            tables = [name for name in archive.namelist() if name.lower().endswith((".csv", ".tsv"))]
            tables = [name for name in tables if not name.startswith("__MACOSX")]
            if len(tables) != 1:
                raise InputError(
                    "metadata",
                    f"{path} holds {len(tables)} CSV files: unpack it, and give the one that is meant.",
                )
            file = stack.enter_context(archive.open(tables[0]))
        yield file


def metadata_file(config: DataConfig) -> Path:
    """Return the Arrow file of a configuration's metadata. It is made on first use and kept in `data.cache`.

    A CSV that changed is read again. Changes of a data set on the Hub are not noticed.

    Raises:
        InputError: field `metadata` or `hub`, if it is missing or cannot be used.
    """
    if config.hub:
        name, version, batches = "hub", config.hub, hub.read_metadata(config.hub, TYPES)
    else:
        path = Path(config.metadata or "")
        if not path.is_file():
            raise InputError(
                "metadata",
                f"There is no metadata file {path}: unpack BIOSCAN_5M_Insect_Dataset_metadata_MultiTypes.zip "
                "and give its CSV with data.metadata=FILE.",
            )
        stat = path.stat()
        name, version = path.stem, f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}"
        batches = read_metadata(path)
    target = Path(config.cache) / f"{name}-{hashlib.sha256(version.encode()).hexdigest()[:8]}.arrow"
    if not target.exists():
        convert(batches, target)
    return target


def choose_rows(path: Path, splits: Sequence[str], per_group: int | None, seed: int) -> pd.DataFrame:
    """Return rows of some splits from an Arrow file of `convert`, at most `per_group` per group.

    Rows of a large group are drawn at random; equal seeds give equal rows. The small columns take 9 bytes per
    row. The other columns are read for chosen rows only.
    """
    rows, lengths = _choose_numbers(path, splits, per_group, seed)
    ends = np.cumsum(lengths)
    by_batch = np.split(rows, np.searchsorted(rows, ends[:-1]))
    taken = [
        _open(path).get_batch(number).take(pa.array(some - (end - length)))
        for number, (length, end, some) in enumerate(zip(lengths, ends, by_batch, strict=True))
    ]
    return pa.Table.from_batches(taken).drop_columns(["split_code", "group_code"]).to_pandas()


def count_rows(config: DataConfig, split: str, per_group: int) -> int:
    """Return the number of rows that `candidates` would return, without reading them.

    Raises:
        InputError: field `metadata` or `hub`, if the metadata cannot be read.
    """
    return len(_choose_numbers(metadata_file(config), _joined(config, split), per_group, config.seed)[0])


def _choose_numbers(
    path: Path, splits: Sequence[str], per_group: int | None, seed: int
) -> tuple[np.ndarray, list[int]]:
    """Return the numbers of the rows that `choose_rows` reads, and the length of every batch of the file."""
    count = _open(path).num_record_batches
    slim = [_open(path).get_batch(number).select(["split_code", "group_code"]) for number in range(count)]
    split = np.concatenate([batch["split_code"].to_numpy() for batch in slim])
    rows = np.flatnonzero(np.isin(split, [SPLITS.index(name) for name in splits]))
    if per_group is not None:
        group = np.concatenate([batch["group_code"].to_numpy() for batch in slim])
        rows = np.random.default_rng(seed).permutation(rows)
        place_in_group = pd.Series(group[rows]).groupby(group[rows]).cumcount().to_numpy()
        rows = np.sort(rows[place_in_group < per_group])
    return rows, [len(batch) for batch in slim]


def _open(path: Path) -> pa.ipc.RecordBatchFileReader:
    """Yield the batches of an Arrow file. It is mapped again for each, so that the memory of the last is
    freed."""
    return pa.ipc.open_file(pa.memory_map(str(path)))


def candidates(config: DataConfig, split: str, per_group: int) -> pd.DataFrame:
    """Return rows from which a split's specimens are drawn. Rows of `pretrain` that join `train` get its
    name.

    Raises:
        InputError: field `metadata`, if there is no such row.
    """
    rows = choose_rows(metadata_file(config), _joined(config, split), per_group, config.seed)
    if rows.empty:
        raise InputError("metadata", f"The metadata has no row of the split {split}.")
    return rows.assign(split=split)


def _joined(config: DataConfig, split: str) -> tuple[str, ...]:
    """Return the official splits that a split of ours has."""
    return (split, "pretrain") if split == "train" and config.unlabelled else (split,)


def labelled_table(config: DataConfig) -> pd.DataFrame:
    """Return all rows of the `LABELLED` splits, prepared as by `training.data.specimens.prepare`."""
    return choose_rows(metadata_file(config), LABELLED, None, config.seed)


def photographs(config: DataConfig, rows: pd.DataFrame, archive: Path) -> Photographs:
    """Return the photographs of drawn rows.

    Args:
        rows: rows of `candidates`.
        archive: zip in the official layout for pictures from the Hub; it is filled on first use.

    Raises:
        InputError: field `package`, if there is no such package; field `pictures` or `hub`, if there are no
            pictures.
    """
    if config.package not in PACKAGES:
        raise InputError(
            "package", f"There is no picture package {config.package}: choose one of {', '.join(PACKAGES)}."
        )
    if config.hub:
        if not archive.exists():
            members = {
                processid: f"bioscan5m/images/{config.package}/{place}"
                for processid, place in zip(rows["processid"], rows["place"], strict=True)
            }
            splits = set(rows["place"].str.partition("/")[0])
            hub.fetch_pictures(config.hub, members, splits, archive)
        files = PictureFiles([], [Archive(archive, config.package, archive.parent)], config.package)
    elif config.pictures:
        files = PictureFiles.find(Path(config.pictures), config.package, Path(config.cache))
    else:
        raise InputError(
            "pictures",
            "Say where the pictures lie with data.pictures=FOLDER: it holds bioscan5m/images or zips.",
        )
    return Photographs(rows["place"].tolist(), files, config.image_size)
