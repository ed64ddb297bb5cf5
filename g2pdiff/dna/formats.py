"""The field's table formats as one mapping: which of their columns means what.

Inside this project columns have BIOSCAN-5M's names. Others are found by their names as letters and digits in
lower case, so that `decimalLatitude`, `decimal_latitude` and `Decimal latitude` are one.

- BIOSCAN-5M's CSV (https://github.com/bioscan-ml/BIOSCAN-5M);
- BOLD's packages and downloads in BCDM (https://github.com/DNAdiversity/BCDM), tab-separated;
- BOLD's older combined TSV (specimen and sequence data of v3 and v4);
- Darwin Core occurrences with the DNA-derived extension (https://rs.gbif.org/extension/gbif/1.0);
- plain tables with a sequence, a latitude and a longitude.
"""

from __future__ import annotations

import re

COLUMNS: dict[str, tuple[str, ...]] = {
    # ours: (BIOSCAN-5M, BCDM, BOLD's older TSV, Darwin Core, plain names)
    "processid": ("processid", "record_id", "occurrenceID", "materialSampleID", "accession", "id", "name"),
    "sampleid": ("sampleid", "catalogNumber"),
    "dna_barcode": (
        "dna_barcode",
        "nuc",
        "nucleotides",
        "nucraw",
        "DNA_sequence",
        "sequence",
        "barcode",
        "nucleotide_sequence",
        "seq",
        "dna",
    ),
    "marker": ("marker_code", "markercode", "target_gene", "marker", "gene", "locus"),
    "coord-lat": ("coord-lat", "decimalLatitude", "latitude", "lat", "verbatimLatitude", "latitude_dd"),
    "coord-lon": (
        "coord-lon",
        "decimalLongitude",
        "longitude",
        "lon",
        "long",
        "lng",
        "verbatimLongitude",
        "longitude_dd",
    ),
    "coord": ("coord", "coords", "lat_lon", "latlon", "coordinates", "verbatimCoordinates"),
    "phylum": ("phylum", "phylum_name"),
    "class": ("class", "class_name"),
    "order": ("order", "order_name"),
    "family": ("family", "family_name"),
    "subfamily": ("subfamily", "subfamily_name"),
    "genus": ("genus", "genus_name"),
    "species": ("species", "species_name", "scientificName", "organism", "taxon"),
    "identification": ("identification",),
    "identification_rank": ("identification_rank", "taxonRank"),
    "dna_bin": ("dna_bin", "bin_uri"),
    "country": ("country", "country/ocean", "country_ocean", "geo_loc_name"),
    "split": ("split", "partition", "subset"),
    "chunk": ("chunk",),
}

IDENTIFIERS = (
    "processid",
    "record_id",
    "sampleid",
    "museumid",
    "fieldid",
    "occurrenceID",
    "catalogNumber",
    "materialSampleID",
    "genbank_accession",
    "insdc_acs",
    "accession",
    "id",
)
"""Columns by which their owners know their rows again, in the order in which results repeat them."""

FORMATS = {
    "BOLD's BCDM": ("nuc", "marker_code", "bin_uri"),
    "BOLD's combined table": ("nucleotides", "markercode", "species_name"),
    "Darwin Core": ("DNA_sequence", "decimalLatitude"),
    "BIOSCAN-5M": ("dna_barcode", "coord-lat"),
}
"""Columns that tell a format from the others."""

_COI = re.compile(
    r"(mt)?(coi|co1|cox1|coxi|coi5p|coi5prime|cytochrome(c)?oxidase(subunit)?(i|1))(gene)?(folmer)?"
)


def key(name: object) -> str:
    """Return a column's or a marker's name as it is compared."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def our_names(columns: list[str]) -> dict[str, str]:
    """Return our name for each column that has one; of several that mean the same, the first of the
    mapping."""
    by_key = {}
    for column in columns:
        by_key.setdefault(key(column), column)
    names = {}
    for ours, theirs in COLUMNS.items():
        for name in theirs:
            column = by_key.get(key(name))
            if column is not None and column not in names:
                names[column] = ours
                break
    return names


def identifiers_of(columns: list[str]) -> list[str]:
    """Return the identifying columns among a table's, in the order of `IDENTIFIERS`."""
    by_key = {key(column): column for column in columns}
    return [by_key[key(name)] for name in IDENTIFIERS if key(name) in by_key]


def format_of(columns: list[str]) -> str:
    """Return the name of the format that a table's columns are of."""
    keys = {key(column) for column in columns}
    return next((name for name, own in FORMATS.items() if keys >= {key(c) for c in own}), "a table")


def is_coi(marker: str) -> bool:
    """Return whether a marker's name means the barcode region of COI: COI-3P and pseudogenes (NMT) do not."""
    return bool(_COI.fullmatch(key(marker)))
