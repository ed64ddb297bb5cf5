"""Make the examples that the app offers: one consensus barcode and one locality for each of some known
species.

    python -m training.examples --table barcodes.parquet --out assets/examples.csv

A consensus is the most frequent base at each site over all framed records of a species. The locality is that
of a real record, the one nearest to the median of the species' coordinates, so that no example lies in the
sea.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from g2pdiff.dna.framing import BASES, decode, encode, frame

SPECIES = (
    # butterflies and moths
    "Papilio machaon",
    "Vanessa cardui",
    "Aglais io",
    "Pieris rapae",
    "Polyommatus icarus",
    "Urbanus proteus",
    "Automeris rubrescens",
    "Noctua pronuba",
    # beetles
    "Coccinella septempunctata",
    "Hippodamia convergens",
    "Saperda scalaris",
    "Phyllopertha horticola",
    "Pterostichus melanarius",
    "Hylobius abietis",
    # flies
    "Drosophila melanogaster",
    "Aedes aegypti",
    "Episyrphus balteatus",
    "Eristalis tenax",
    "Calliphora vicina",
    # bees, wasps and ants
    "Osmia bicornis",
    "Halictus scabiosae",
    "Philanthus triangulum",
    "Polistes wattii",
    "Pheidole pugnax",
)
MINIMUM_RECORDS = 10
MINIMUM_SCORE = 0.5
"""Match score that a record must have to be counted; a record under it is hardly COI or misaligned."""


def consensus(framed: list[str]) -> str:
    """The most frequent base at each site of framed sequences; N where none of them is known."""
    one_hot = np.eye(len(BASES) + 1, dtype=np.int64)[encode(framed)]  # (N, 658, 5)
    counts = one_hot[:, :, : len(BASES)].sum(axis=0)
    codes = np.where(counts.any(axis=1), counts.argmax(axis=1), len(BASES))
    return decode(codes[None])[0]


def central_locality(records: pd.DataFrame) -> tuple[float, float]:
    """Latitude and longitude of the record nearest to the median latitude and longitude, in degrees."""
    places = records[["coord-lat", "coord-lon"]].dropna().to_numpy()
    latitude, longitude = np.radians(np.median(places, axis=0))
    b, l = np.radians(places).T  # noqa: E741
    cosine = np.sin(latitude) * np.sin(b) + np.cos(latitude) * np.cos(b) * np.cos(l - longitude)
    return tuple(places[cosine.argmax()].round(4).tolist())


def example(records: pd.DataFrame) -> dict:
    """The row of `assets/examples.csv` for the records of one species, framed in column `framed`."""
    first = records.iloc[0]
    latitude, longitude = central_locality(records)
    return {
        "name": first["species"],
        "order": first["order"],
        "family": first["family"],
        "latitude": latitude,
        "longitude": longitude,
        "dna_barcode": consensus(records["framed"].tolist()),
    }


def make_examples(table: pd.DataFrame, species: tuple[str, ...] = SPECIES) -> pd.DataFrame:
    """One example for each species, in the order given.

    Raises:
        ValueError: if a species has too few records or a consensus with unknown sites.
    """
    records = table[table["species"].isin(species)].copy()
    records["framed"], _, records["score"] = frame(records["dna_barcode"].tolist())
    groups = dict(list(records[records["score"] > MINIMUM_SCORE].groupby("species")))
    for name in species:
        if len(groups.get(name, ())) < MINIMUM_RECORDS:
            raise ValueError(f"{name} has fewer than {MINIMUM_RECORDS} records in the table")
    examples = pd.DataFrame([example(groups[name]) for name in species])
    if incomplete := examples.loc[examples["dna_barcode"].str.contains("N"), "name"].tolist():
        raise ValueError(f"no record knows some site of {', '.join(incomplete)}")
    return examples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--table", type=Path, required=True, help="parquet table of barcodes")
    parser.add_argument("--out", type=Path, default=Path("assets/examples.csv"))
    arguments = parser.parse_args()
    make_examples(pd.read_parquet(arguments.table)).to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
