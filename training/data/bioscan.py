"""BIOSCAN-5M: its metadata on disk, its splits, its photographs, and when body size may be read off them.

The metadata has 5.2 million rows and stays out of memory. It is read once, in chunks, from the official CSV
or from the Hub (`training.data.bioscan_hub`), and written as an Arrow file in which barcodes are framed
already. That file is memory-mapped: rows are chosen by two slim columns, split and group, and only chosen
rows are read whole.

*Splits* are the official ones (https://arxiv.org/abs/2406.12723, section 5) and keep their names. `train`,
`val` and `test` are the closed world, species with scientific names; `test_unseen`, `val_unseen` and
`key_unseen` are the open world, species with placeholder names in genera with scientific ones. No stage
learns from either those or `other_heldout`. `pretrain`, 90 % of the rows, has no species names; its rows join
`train` where `data.unlabelled` asks for them. No barcode is in two splits.

*Groups* keep common species from drowning rare ones and keep a batch free of false negatives. A row's group
is its species; where it has none, its BIN, BOLD's cluster of barcodes that stands for a species; where it has
none either, its barcode. The group's name takes the place of the missing name in the column `species`.

*Photographs* show one animal at one place, so nothing of their rows is mutated or moved.
"""

# pyarrow.compute makes its functions when it is imported:
# pyright: reportAttributeAccessIssue=false
from __future__ import annotations

import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv
from tqdm.auto import tqdm

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
"""The credit that CC BY asks for wherever pictures, or a model that learned from them, are passed on."""

LABELLED = ("train", "val", "test", "key_unseen", "val_unseen", "test_unseen")
"""The splits of evaluation and references: 400,000 rows, which fit in memory."""

PACKAGES = ("cropped_256", "original_256", "cropped", "original_full")
WHOLE_FRAMES = ("original_256", "original_full")
"""Packages of whole photographs, all taken at one distance: a pixel is as long in one as in another."""

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
"""The columns that are read, of 23, as text: as numbers, the chunks 07 and 7e1 would lose their names, and a
coordinate that is none would end the reading."""

PREPARED = pa.schema(
    {name: pa.string() for name in TEXT if name != "chunk"}
    | {name: pa.float64() for name in NUMBERS}
    | {"place": pa.string(), "split_code": pa.int8(), "group_code": pa.uint64()}
)
"""The columns of the Arrow file: where the picture lies, and the slim columns that rows are chosen by."""

BLOCK = 4 << 20  # bytes of CSV read at a time; threads would read ahead, a block for every core


def convert(batches: Iterator[pa.Table], target: Path) -> None:
    """Write tables of official columns into one Arrow file of prepared rows, see `PREPARED`.

    Rows without barcode or coordinates, or with a barcode unlike COI, are left out; a line on the standard
    error says how many, and why.

    Args:
        batches: tables of the columns of `TYPES`.
        target: file to write; it is there whole or not at all.

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
    """Return rows of official columns, as they go into the Arrow file; `reading` is told of those left out.

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


def read_csv(path: Path) -> Iterator[pa.Table]:
    """Yield the official CSV, plain, gzipped or alone in a ZIP, block by block.

    Raises:
        InputError: field `metadata`, if the file is no CSV, or lacks a column.
    """
    try:
        with _opened(path) as file:
            first = file.readline().decode("utf-8-sig")
        separator = max(",;\t", key=first.count)
        hub.check_columns(path, [name.strip(' "\r\n') for name in first.split(separator)], TYPES)
        options = csv.ConvertOptions(
            include_columns=list(TYPES), column_types=TYPES, strings_can_be_null=True, null_values=["", "NaN"]
        )
        with (
            _opened(path) as file,
            csv.open_csv(
                file,
                csv.ReadOptions(use_threads=False, block_size=BLOCK),
                csv.ParseOptions(delimiter=separator),
                options,
            ) as reader,
        ):
            for batch in reader:
                yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError, EOFError, BadZipFile, UnicodeDecodeError, zlib.error) as error:
        raise InputError("metadata", f"{path} cannot be read as BIOSCAN-5M's CSV.") from error


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open the bytes of a CSV, unpacked where it is packed."""
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        start = file.read(4)
        file.seek(0)
        if start[:2] == b"\x1f\x8b":
            file = stack.enter_context(gzip.open(file))
        elif start == b"PK\3\4":
            archive = stack.enter_context(ZipFile(file))
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
    """Return the Arrow file of a configuration's metadata, made on first use and kept in `data.cache`.

    A CSV that changed is read anew; a data set on the Hub is not asked whether it did.

    Raises:
        InputError: field `metadata` or `hub`, if there is none or it cannot be used.
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
        batches = read_csv(path)
    target = Path(config.cache) / f"{name}-{hashlib.sha256(version.encode()).hexdigest()[:8]}.arrow"
    if not target.exists():
        convert(batches, target)
    return target


def choose_rows(path: Path, splits: Sequence[str], per_group: int | None, seed: int) -> pd.DataFrame:
    """Return rows of some splits of an Arrow file that `convert` wrote, at most `per_group` of a group.

    Which of a group's rows are taken is drawn at random, the same ones for the same seed. The slim columns of
    all rows take 9 bytes a row; of the others, only what is taken is read.
    """
    count = _open(path).num_record_batches
    slim = [_open(path).get_batch(number).select(["split_code", "group_code"]) for number in range(count)]
    split = np.concatenate([batch["split_code"].to_numpy() for batch in slim])
    rows = np.flatnonzero(np.isin(split, [SPLITS.index(name) for name in splits]))
    if per_group is not None:
        group = np.concatenate([batch["group_code"].to_numpy() for batch in slim])
        rows = np.random.default_rng(seed).permutation(rows)
        place_in_group = pd.Series(group[rows]).groupby(group[rows]).cumcount().to_numpy()
        rows = np.sort(rows[place_in_group < per_group])
    ends = np.cumsum([len(batch) for batch in slim])
    by_batch = np.split(rows, np.searchsorted(rows, ends[:-1]))
    taken = [
        _open(path).get_batch(number).take(pa.array(some - (end - len(batch))))
        for number, (batch, end, some) in enumerate(zip(slim, ends, by_batch, strict=True))
    ]
    return pa.Table.from_batches(taken).drop_columns(["split_code", "group_code"]).to_pandas()


def _open(path: Path) -> pa.ipc.RecordBatchFileReader:
    """Open the Arrow file, mapped anew for every batch, so that what was read of the last one is let go."""
    return pa.ipc.open_file(pa.memory_map(str(path)))


def candidates(config: DataConfig, split: str, per_group: int) -> pd.DataFrame:
    """Return rows to draw a split's specimens from; those of `pretrain` are called `train` where they join
    it.

    Raises:
        InputError: field `metadata`, if there is none.
    """
    unlabelled = split == "train" and config.unlabelled
    splits = (split, "pretrain") if unlabelled else (split,)
    rows = choose_rows(metadata_file(config), splits, per_group, config.seed)
    if rows.empty:
        raise InputError("metadata", f"The metadata has no row of the split {split}.")
    return rows.assign(split=split)


def labelled_table(config: DataConfig) -> pd.DataFrame:
    """Return all rows of the `LABELLED` splits, prepared as `training.data.specimens.prepare` would."""
    return choose_rows(metadata_file(config), LABELLED, None, config.seed)


def photographs(config: DataConfig, rows: pd.DataFrame, archive: Path) -> Photographs:
    """Return the photographs of drawn rows.

    Args:
        rows: of `candidates`.
        archive: zip to keep pictures from the Hub in, in the official layout; filled on first use.

    Raises:
        InputError: field `package` if there is none of that name, `pictures` or `hub` if there are none.
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
