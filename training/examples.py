"""Make the app's examples: one consensus barcode and one locality per species.

    python -m training.examples --config training/configs/butterflies.yaml --table barcodes.parquet

writes the examples of a configuration into its checkpoint, and

    python -m training.examples --table barcodes.parquet --out assets/examples.csv

writes the table for all checkpoints without examples of their own.

A consensus has the most frequent base at each site over all framed records of a species. The locality is that
of the real record nearest to the median of the species' coordinates, so that no example lies in the sea.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from g2pdiff.built_in import EXAMPLES
from g2pdiff.dna.framing import BASES, decode, encode, frame
from g2pdiff.errors import InputError
from g2pdiff.spreadsheets import write_csv
from training.configs.schema import Config, load
from training.data.specimens import read_table

FILE = EXAMPLES.name

SPECIES = {
    # butterflies and moths
    "Papilio machaon": "Old World swallowtail",
    "Vanessa cardui": "painted lady",
    "Aglais io": "peacock butterfly",
    "Pieris rapae": "small white",
    "Polyommatus icarus": "common blue",
    "Urbanus proteus": "long-tailed skipper",
    "Automeris rubrescens": "bullseye moth",
    "Noctua pronuba": "large yellow underwing",
    # beetles
    "Coccinella septempunctata": "seven-spot ladybird",
    "Hippodamia convergens": "convergent ladybird",
    "Saperda scalaris": "scalar longhorn beetle",
    "Phyllopertha horticola": "garden chafer",
    "Pterostichus melanarius": "common ground beetle",
    "Hylobius abietis": "large pine weevil",
    # flies
    "Drosophila melanogaster": "fruit fly",
    "Aedes aegypti": "yellow fever mosquito",
    "Episyrphus balteatus": "marmalade hoverfly",
    "Eristalis tenax": "drone fly",
    "Calliphora vicina": "bluebottle",
    # bees, wasps and ants
    "Osmia bicornis": "red mason bee",
    "Halictus scabiosae": "great banded furrow bee",
    "Philanthus triangulum": "European beewolf",
    "Polistes wattii": "paper wasp",
    "Pheidole pugnax": "big-headed ant",
}
"""Common names by species, for the table of all checkpoints without their own examples."""

MINIMUM_RECORDS = 10
MINIMUM_SCORE = 0.5
"""Lowest match score of a record that is used. Below it, a record is hardly COI or misaligned."""


def consensus(framed: list[str]) -> str:
    """Return the most frequent base at each site of framed sequences; N if it is unknown in all."""
    one_hot = np.eye(len(BASES) + 1, dtype=np.int64)[encode(framed)]  # (N, 658, 5)
    counts = one_hot[:, :, : len(BASES)].sum(axis=0)
    codes = np.where(counts.any(axis=1), counts.argmax(axis=1), len(BASES))
    return decode(codes[None])[0]


def central_locality(records: pd.DataFrame) -> tuple[float, float]:
    """Return latitude and longitude in degrees of the record nearest to their medians."""
    places = records[["coord-lat", "coord-lon"]].dropna().to_numpy()
    latitude, longitude = np.radians(np.median(places, axis=0))
    b, l = np.radians(places).T  # noqa: E741
    cosine = np.sin(latitude) * np.sin(b) + np.cos(latitude) * np.cos(b) * np.cos(l - longitude)
    return tuple(places[cosine.argmax()].round(4).tolist())


def example(records: pd.DataFrame, common_name: str) -> dict:
    """Make the example of one species from its records, which have a column `framed`."""
    first = records.iloc[0]
    latitude, longitude = central_locality(records)
    return {
        "name": first["species"],
        "common_name": common_name,
        "order": first["order"],
        "family": first["family"],
        "latitude": latitude,
        "longitude": longitude,
        "dna_barcode": consensus(records["framed"].tolist()),
    }


def make_examples(table: pd.DataFrame, species: Mapping[str, str] = SPECIES) -> pd.DataFrame:
    """Make one example per species, in the given order.

    Args:
        table: of `training.data.specimens.read_table`.
        species: common names by species.

    Raises:
        InputError: field `examples`, if a species has too few records, or its consensus has unknown sites.
    """
    records = table[table["species"].isin(list(species))].copy()
    if records.empty:
        raise InputError("examples", f"The barcode table has none of the species {', '.join(species)}.")
    records["framed"], _, records["score"] = frame(records["dna_barcode"].tolist())
    groups = dict(list(records[records["score"] > MINIMUM_SCORE].groupby("species")))
    for name in species:
        if len(groups.get(name, ())) < MINIMUM_RECORDS:
            raise InputError(
                "examples", f"{name} has fewer than {MINIMUM_RECORDS} records in the barcode table."
            )
    examples = pd.DataFrame([example(groups[name], common) for name, common in species.items()])
    if incomplete := examples.loc[examples["dna_barcode"].str.contains("N"), "name"].tolist():
        raise InputError("examples", f"No record knows some site of the barcode of {', '.join(incomplete)}.")
    return examples


def write_examples(config: Config) -> None:
    """Write the examples that a configuration lists into its checkpoint's folder, if it lists any.

    Raises:
        InputError: field `examples`, if they cannot be made from the configuration's barcode table.
    """
    if not config.assemble.examples:
        return
    if not config.data.table:
        raise InputError("examples", "Examples are made from a barcode table: give data.table=FILE.")
    table = read_table(config.data.table)
    examples = make_examples(table, config.assemble.examples)
    _write(examples, Path(config.assemble.checkpoint) / FILE)


def _write(examples: pd.DataFrame, path: Path) -> None:
    path.write_bytes(write_csv(examples.to_dict("records")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--table", required=True, help="parquet or CSV table of barcodes")
    parser.add_argument("--config", help="YAML file whose checkpoint the examples are for")
    parser.add_argument("--out", type=Path, default=EXAMPLES, help="file to write without --config")
    given = parser.parse_args(arguments)
    try:
        if given.config:
            write_examples(load(given.config, [f"data.table={given.table}"]))
        else:
            _write(make_examples(read_table(given.table)), given.out)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
