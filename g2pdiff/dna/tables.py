"""One reader of tables for the batch, the command line and training: our columns, clean cells, usable rows.

`standardise` gives columns our names and cleans their cells; `usable` keeps the rows that can be learned from
and says how many were left out, and why. Which columns mean what is in `g2pdiff.dna.formats`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from g2pdiff.angles import read_announced_pair
from g2pdiff.coordinates import read_locality
from g2pdiff.dna.barcode import COI_SCORE, LEAST_KNOWN
from g2pdiff.dna.files import BROKEN
from g2pdiff.dna.formats import is_coi, our_names
from g2pdiff.dna.framing import SITES
from g2pdiff.dna.letters import clean
from g2pdiff.dna.placing import place
from g2pdiff.errors import InputError

MISSING = frozenset(
    [
        "",
        "na",
        "n/a",
        "#n/a",
        "nan",
        "<na>",
        "none",
        "null",
        "nil",
        "-",
        "--",
        "?",
        "unknown",
        "unidentified",
        "undetermined",
        "not available",
        "not applicable",
        "not collected",
        "missing",
        "[]",
        "()",
    ]
)
"""Cells that say that nothing is known, in lower case."""

TEXT = ("processid", "sampleid", "dna_barcode", "marker", "class", "order", "family", "subfamily", "genus")
TEXT += ("species", "identification", "identification_rank", "dna_bin", "country", "split", "chunk")

SWAPPED = "with latitude and longitude that may be swapped"
TOO_LONG = "with more cells than columns, as decimal commas make them"

_SPACE = re.compile(r"[\s\u00a0\u200b-\u200f\u2060\ufeff]+")
_AUTHOR = re.compile(r"([A-Z][\w-]+ [a-z][\w.-]+(?: [a-z][\w-]+)?),? (?:\(.+\)|[^\d]*,? ?\d{4}\)?)")
_OPEN = re.compile(r"(?i)(?:[a-z-]+ )?(?:sp|spp|spec|indet|gen\. sp|gen|nov)\.?(?: indet\.?)?")
_LOWER = re.compile(r"[a-z]+ [a-z]")
_SPLITS = {"validation": "val", "valid": "val", "training": "train", "testing": "test"}


@dataclass
class Reading:
    """How many rows a table had, and how many were left out, by reason."""

    rows: int = 0
    left_out: Counter = field(default_factory=Counter)

    @property
    def used(self) -> int:
        return self.rows - sum(self.left_out.values())

    def sentence(self, name: str) -> str:
        """Return one line for the log."""
        said = f"{name}: {self.used:,} of {self.rows:,} rows used"
        reasons = [f"{number:,} {reason}" for reason, number in self.left_out.most_common() if number]
        return f"{said}; left out: {', '.join(reasons)}." if reasons else f"{said}."


def standardise(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table under our column names, with clean cells; None where a cell says nothing.

    Rows stay what and where they are. Columns of other names stay too. A `coord` pair fills the columns
    `coord-lat` and `coord-lon`, and a species' name stands without its author.
    """
    table = table.rename(columns=our_names([str(name) for name in table.columns]))
    table = table.loc[:, ~table.columns.duplicated()]
    cleaned = {name: _by_value(table[name], _cell) for name in TEXT if name in table}
    if "species" not in cleaned and "identification" in cleaned:
        rank = cleaned.get("identification_rank")
        is_species = rank.str.lower().eq("species") if rank is not None else cleaned["identification"].notna()
        cleaned["species"] = cleaned["identification"].where(is_species, None)
    if "species" in cleaned:
        cleaned["species"] = _by_value(cleaned["species"], _as_species)
        genus = _by_value(cleaned["species"], lambda name: name.split(" ")[0])
        cleaned["genus"] = cleaned["genus"].fillna(genus) if "genus" in cleaned else genus
    if "split" in cleaned:
        cleaned["split"] = _by_value(cleaned["split"], lambda name: _SPLITS.get(name.lower(), name.lower()))
    table = table.assign(**cleaned)
    if "coord" in table:
        pairs = _by_value(table["coord"], _as_pair)
        for index, name in enumerate(("coord-lat", "coord-lon")):
            of_pair = pairs.map(lambda pair, index=index: pair[index] if isinstance(pair, tuple) else pair)
            own = _by_value(table[name], _cell) if name in table else None
            table[name] = of_pair if own is None else own.where(own.notna(), of_pair)
    return table


def usable(
    table: pd.DataFrame, reading: Reading, splits: tuple[str, ...] | None = None, named: bool = True
) -> pd.DataFrame:
    """Return rows of a standardised table that can be learned from, with framed barcodes and numeric
    coordinates.

    Args:
        table: of `standardise`.
        reading: which is told what was left out.
        splits: names that the column `split` may hold, if the table has one.
        named: whether a row must have a species.
    """
    if broken := table.attrs.get(BROKEN, 0):
        reading.left_out[TOO_LONG] += broken
    reading.rows += len(table) + broken

    def keep(table: pd.DataFrame, wanted: np.ndarray, reason: str) -> pd.DataFrame:
        reading.left_out[reason] += int((~wanted).sum())
        return table[wanted]

    table = keep(table, table["dna_barcode"].notna().to_numpy(), "without a barcode")
    if "marker" in table:
        is_wanted = _by_value(table["marker"].fillna("COI"), is_coi).to_numpy(bool)
        table = keep(table, is_wanted, "of other markers than COI")
    if named:
        table = keep(table, table["species"].notna().to_numpy(), "without a species")
    if "split" in table and splits:
        table = keep(table, table["split"].isin(splits).to_numpy(), "of no known split")
    latitude, longitude, faults = coordinates(table)
    table = table.assign(**{"coord-lat": latitude, "coord-lon": longitude})
    for reason in ("without coordinates", SWAPPED, "with impossible or unreadable coordinates"):
        table, faults = keep(table, faults != reason, reason), faults[faults != reason]
    if "processid" in table:
        is_first = ~table["processid"].duplicated().to_numpy() | table["processid"].isna().to_numpy()
        table = keep(table, is_first, "with a repeated process id")
    sequences, faults = barcodes(table["dna_barcode"])
    table = table.assign(dna_barcode=sequences)
    for reason in ("with a barcode that cannot be read", "with a barcode unlike COI"):
        table, faults = keep(table, faults != reason, reason), faults[faults != reason]
    return table.reset_index(drop=True)


def coordinates(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return latitudes and longitudes (N,), float64, and what is wrong with each pair (N,), empty if nothing
    is."""
    given = [table[name] for name in ("coord-lat", "coord-lon")]
    numbers = [
        pd.to_numeric(column.map(_plain_cell), errors="coerce").to_numpy(
            np.float64, na_value=np.nan, copy=True
        )
        for column in given
    ]
    faults = np.full(len(table), "", object)
    is_plain = (np.abs(numbers[0]) <= 90) & (np.abs(numbers[1]) <= 180)
    known: dict[tuple, tuple] = {}
    for row in np.flatnonzero(~is_plain):
        pair = tuple(_plain_cell(column.iloc[row]) for column in given)
        if pair not in known:
            known[pair] = _place_or_fault(*pair)
        numbers[0][row], numbers[1][row], faults[row] = known[pair]
    return numbers[0], numbers[1], faults


def barcodes(column: pd.Series) -> tuple[list[str], np.ndarray]:
    """Return framed barcodes (N,) of a column of text, and what is wrong with each (N,), empty where nothing
    is."""
    codes, texts = pd.factorize(column)
    framed = ["N" * SITES] * len(texts)
    faults = np.full(len(texts), "with a barcode that cannot be read", object)
    rows, cleaned = [], []
    for row, text in enumerate(texts):
        try:
            cleaned.append(clean(text))
            rows.append(row)
        except InputError:
            continue
    for row, placed in zip(rows, place(cleaned), strict=True):
        framed[row] = placed.sequence
        is_known = SITES - placed.sequence.count("N") >= LEAST_KNOWN
        faults[row] = "" if is_known and placed.score >= COI_SCORE else "with a barcode unlike COI"
    return [framed[code] for code in codes], faults[codes]


def _place_or_fault(latitude: object, longitude: object) -> tuple[float, float, str]:
    if latitude is None or longitude is None:
        return np.nan, np.nan, "without coordinates"
    try:
        found = read_locality(latitude, longitude)
    except InputError as error:
        is_swapped = "swapped" in str(error)
        return np.nan, np.nan, SWAPPED if is_swapped else "with impossible or unreadable coordinates"
    return found.latitude, found.longitude, ""


def _by_value(column: pd.Series, function: Callable) -> pd.Series:
    """Return a function of every cell, called once for equal ones; None and NaN stay None."""
    try:
        codes, values = pd.factorize(column)
    except TypeError:  # arrays and the like, which have no hash
        cells = [None if _is_nothing(cell) else function(cell) for cell in column]
        return pd.Series(cells, index=column.index, dtype=object)
    results = np.empty(len(values) + 1, object)
    results[:-1] = [function(value) for value in values]
    return pd.Series(results[codes], index=column.index, dtype=object)


def _is_nothing(cell: object) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell))


def _plain_cell(cell: object) -> object:
    """Return a cell as text or number; None where it says nothing."""
    if isinstance(cell, (bytes, str)):
        return _cell(cell)
    return None if _is_nothing(cell) else cell


def _cell(cell: object) -> str | None:
    """Return a cell as text in one line, None where it says nothing."""
    text = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)
    text = _SPACE.sub(" ", text).strip()
    return None if text.lower() in MISSING else text


def _as_species(name: str) -> str | None:
    """Return the name of a species with spaces, a capital and no author: it is one species however it is
    written. None for a name that ends at the genus, such as `Aus sp.`."""
    name = " ".join(name.replace("_", " ").split())
    if _OPEN.fullmatch(name):
        return None  # many species may be meant
    if _LOWER.match(name):
        name = name[0].upper() + name[1:]
    found = _AUTHOR.fullmatch(name)
    return found[1] if found else name


def _as_pair(cell: object) -> object:
    """Return the latitude and longitude, or the cell where it is neither, so that the reading says what is
    wrong."""
    cell = tuple(cell) if isinstance(cell, (list, tuple, np.ndarray)) else _plain_cell(cell)
    return read_announced_pair(cell) or (str(cell) if cell else None)
