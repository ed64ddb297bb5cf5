"""Tables in the field's formats, packed and spelled as they come."""

import gzip
from decimal import Decimal
from io import BytesIO, StringIO
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.dna import files
from g2pdiff.dna.formats import format_of, identifiers_of, is_coi
from g2pdiff.dna.tables import Reading, coordinates, standardise, usable
from g2pdiff.errors import InputError
from g2pdiff.simulation.barcodes import simulate_barcodes

ROWS = pd.DataFrame(simulate_barcodes(4, 3, seed=2))
BARCODE = ROWS["dna_barcode"][0]


def read(content: bytes, name: str = "table") -> tuple[pd.DataFrame, Reading]:
    reading = Reading()
    table = files.as_table(files.unpack(content, name, "table"), name, "table")
    return usable(standardise(table), reading), reading


def packed(content: bytes, kind: str) -> bytes:
    file = BytesIO()
    if kind == "gzip":
        return gzip.compress(content)
    with ZipFile(file, "w") as archive:
        archive.writestr("README.txt", "read me")
        archive.writestr("__MACOSX/._table.csv", "x")
        archive.writestr("data/table.csv", content)
    return file.getvalue()


def written(table: pd.DataFrame, kind: str) -> bytes:
    if kind == "parquet":
        file = BytesIO()
        table.to_parquet(file)
        return file.getvalue()
    options = {"tabs": "\t", "semicolons": ";", "bars": "|"}
    text = table.to_csv(index=False, sep=options.get(kind, ","))
    if kind == "utf-16":
        return text.encode("utf-16")
    if kind == "latin-1":
        return text.encode("latin-1")
    return (b"\xef\xbb\xbf" if kind == "mark" else b"") + text.encode()


@pytest.mark.parametrize(
    "kind", ["csv", "tabs", "semicolons", "bars", "mark", "utf-16", "latin-1", "parquet"]
)
def test_the_same_rows_out_of_every_kind_of_file(kind):
    table = ROWS.assign(country="Curaçao")
    content = written(table, kind)
    for given_ in (content, packed(content, "gzip"), packed(content, "zip")):
        found, reading = read(given_)
        assert found["processid"].tolist() == ROWS["processid"].tolist()
        assert set(found["country"]) == {"Curaçao"}
        assert found["coord-lat"].tolist() == pytest.approx(ROWS["coord-lat"].tolist())
        assert reading.sentence("t") == "t: 12 of 12 rows used."


def test_a_latin_1_table_keeps_its_letters_and_excel_is_refused():
    found, _ = read(written(ROWS.assign(country="Curaçao"), "latin-1"))
    assert set(found["country"]) == {"Curaçao"}
    book = BytesIO()
    with ZipFile(book, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    with pytest.raises(InputError, match="Excel workbook: save its sheet as CSV"):
        read(book.getvalue())
    with pytest.raises(InputError, match="holds 0 files"):
        read(packed(b"", "zip").replace(b"data/table.csv", b"data/.able.csv"))
    with pytest.raises(InputError, match="cannot be unpacked"):
        read(b"\x1f\x8b broken")
    with pytest.raises(InputError, match="is not plain text"):
        read(b"\x89PNG\r\n\0\0\0")


BCDM = """processid\tsampleid\tspecies\tidentification\tmarker_code\tnuc\tcoord\tcountry/ocean\tbin_uri\t\
insdc_acs
AB1-10\tS1\tAus bus\tAus bus\tCOI-5P\t{nuc}\t(10.5, -20.25)\tPeru\tBOLD:AAA0001\tXX1
AB2-10\tS2\tNone\tAus\tCOI-5P\t{nuc}\t(10.5, -20.25)\tPeru\tBOLD:AAA0001\tXX2
AB3-10\tS3\tAus bus\tAus "bus\tCOI-3P\t{nuc}\t(10.5, -20.25)\tPeru\tBOLD:AAA0001\tXX3
AB4-10\tS4\tAus bus\tAus bus\t16S\t{nuc}\t(10.5, -20.25)\tPeru\tBOLD:AAA0001\tXX4
AB5-10\tS5\tAus bus\tAus bus\tCOI-5P\t{nuc}\tNone\tPeru\tBOLD:AAA0001\tXX5
"""
BOLD = """processid\tsampleid\tspecies_name\tgenus_name\tfamily_name\torder_name\tlat\tlon\tcountry\t\
markercode\tnucleotides
AB1-10\tS1\tAus bus\tAus\tAidae\tDiptera\t10.5\t-20.25\tPeru\tCOI-5P\t{nuc}
AB1-10\tS1\tAus bus\tAus\tAidae\tDiptera\t10.5\t-20.25\tPeru\tCytB\t{nuc}
"""
DARWIN = """occurrenceID,scientificName,taxonRank,decimalLatitude,decimalLongitude,target_gene,DNA_sequence
urn:1,"Aus bus (Linnaeus, 1758)",species,10.5,-20.25,COI,{nuc}
urn:2,"Aus bus Linnaeus, 1758",species,10.5,-20.25,cytochrome c oxidase subunit I,{nuc}
urn:3,Aus bus,species,10.5,-20.25,ITS2,{nuc}
"""
GENBANK = """LOCUS       {id:<16} 658 bp    DNA     linear   INV 01-JAN-2020
DEFINITION  Aus bus voucher 1 cytochrome oxidase subunit 1 (COI) gene.
ACCESSION   {id}
VERSION     {id}.1
SOURCE      mitochondrion Aus bus
  ORGANISM  Aus bus
            Eukaryota; Metazoa; Arthropoda; Hexapoda; Insecta; Diptera; Aidae;
            Aus.
FEATURES             Location/Qualifiers
     source          1..658
                     /organism="Aus bus"
                     /mol_type="genomic DNA"
                     /lat_lon="10.50 S 20.25 W"
                     /country="Peru: Lima"
     gene            <1..>658
                     /gene="{gene}"
ORIGIN
{origin}
//
"""


def genbank(accession: str, gene: str) -> str:
    lines = [f"{start + 1:>9} {BARCODE[start : start + 60].lower()}" for start in range(0, 658, 60)]
    return GENBANK.format(id=accession, gene=gene, origin="\n".join(lines))


@pytest.mark.parametrize(
    ("text", "name", "used", "place", "left_out"),
    [
        (
            BCDM, "BOLD's BCDM", ["AB1-10"], (10.5, -20.25),
            "2 of other markers than COI, 1 without a species, 1 without coordinates",
        ),
        (BOLD, "BOLD's combined table", ["AB1-10"], (10.5, -20.25), "1 of other markers than COI"),
        (DARWIN, "Darwin Core", ["urn:1", "urn:2"], (10.5, -20.25), "1 of other markers than COI"),
        (
            genbank("AB000001", "COI") + genbank("AB000002", "CYTB"), "a table", ["AB000001.1"],
            (-10.5, -20.25), "1 of other markers than COI",
        ),
    ],
)  # fmt: skip
def test_the_fields_formats(text, name, used, place, left_out):
    content = text.replace("{nuc}", BARCODE).encode()
    raw = files.as_table(content, "t", "table")
    assert format_of(list(raw.columns)) == name
    found, reading = read(content)
    assert found["processid"].tolist() == used
    assert set(found["species"]) == {"Aus bus"} and set(found["genus"]) == {"Aus"}
    assert set(found["dna_barcode"]) == {BARCODE}
    assert {tuple(row) for row in found[["coord-lat", "coord-lon"]].to_numpy()} == {place}
    assert left_out in reading.sentence("t")


def test_a_darwin_core_archive_is_joined():
    core = (
        "id\tscientificName\tdecimalLatitude\tdecimalLongitude\n1\tAus bus\t10.5\t-20.25\n2\tAus bus\t1\t2\n"
    )
    dna = f"coreid\ttarget_gene\tDNA_sequence\n1\tCOI\t{BARCODE}\n1\tITS\tACGT\n"
    file = BytesIO()
    with ZipFile(file, "w") as archive:
        for name, text in {"meta.xml": "<x/>", "occurrence.txt": core, "dna.txt": dna}.items():
            archive.writestr(name, text)
    found, reading = read(file.getvalue())
    assert found["dna_barcode"].tolist() == [BARCODE] and found["coord-lat"].tolist() == [10.5]
    assert reading.left_out["of other markers than COI"] == 1


def test_the_owners_identifiers_come_in_their_own_names():
    assert identifiers_of(["nuc", "insdc_acs", "sampleid", "processid"]) == [
        "processid",
        "sampleid",
        "insdc_acs",
    ]
    assert identifiers_of(["DNA_sequence", "occurrenceID"]) == ["occurrenceID"]


@pytest.mark.parametrize(
    "marker", ["COI-5P", "coi", "CO1", "cox1", "COXI", "MT-CO1", "cytochrome c oxidase subunit 1"]
)
def test_names_of_coi(marker):
    assert is_coi(marker)


@pytest.mark.parametrize(
    "marker", ["COI-3P", "COII", "COX2", "COI-5PNMT1", "16S", "CYTB", "cytochrome b", "ITS"]
)
def test_names_of_other_markers(marker):
    assert not is_coi(marker)


TROUBLES = [
    ("coord-lat", "", "without coordinates"),
    ("coord-lat", "NA", "without coordinates"),
    ("coord-lon", "nan", "without coordinates"),
    ("coord-lat", "999", "impossible or unreadable coordinates"),
    ("coord-lat", "inf", "impossible or unreadable coordinates"),
    ("coord-lat", "somewhere", "impossible or unreadable coordinates"),
    ("species", "\u00a0", "without a species"),
    ("species", "NA", "without a species"),
    ("species", "Aus sp.", "without a species"),
    ("species", "indet.", "without a species"),
    ("dna_barcode", "", "without a barcode"),
    ("dna_barcode", "ACGT", "with a barcode that cannot be read"),
    ("dna_barcode", "ACGT" * 160, "with a barcode unlike COI"),
    ("processid", ROWS["processid"][1], "with a repeated process id"),
]


@pytest.mark.parametrize(("column", "cell", "reason"), TROUBLES)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_row_in_trouble_is_left_out_and_the_reason_said(column, cell, reason, kind):
    table = ROWS.astype(object).copy()
    table.loc[2, column] = cell
    content = written(table.astype(str) if kind == "parquet" else table, kind)
    found, reading = read(content)
    assert len(found) == len(ROWS) - 1
    assert (
        f"11 of 12 rows used; left out: 1 {'with ' * reason.startswith('imp')}{reason}."
        in reading.sentence("t")
    )


def test_swapped_coordinates_are_a_reason_of_their_own():
    table = ROWS.assign(**{"coord-lat": 120.5, "coord-lon": 33.5})
    reading = Reading()
    assert usable(standardise(table), reading).empty
    assert reading.left_out["with latitude and longitude that may be swapped"] == 12


SPELLINGS = [
    ("species", lambda name: f" {name}\u00a0"),
    ("species", lambda name: name.replace(" ", "  ")),
    ("species", lambda name: f"{name} (Linnaeus, 1758)"),
    ("dna_barcode", str.lower),
    ("dna_barcode", lambda letters: letters.replace("T", "U")),
    ("dna_barcode", lambda letters: f"{letters[:90]} {letters[90:]}"),
    ("dna_barcode", lambda letters: f"--{letters}--"),
    ("coord-lat", lambda degrees: f"{degrees}".replace(".", ",")),
    ("coord-lon", lambda degrees: f"{abs(degrees)} {'EW'[degrees < 0]}"),
    ("coord-lon", lambda degrees: degrees + 360 if degrees < 0 else degrees),
    ("coord-lat", lambda degrees: Decimal(str(degrees))),
    ("coord-lat", lambda degrees: str(degrees).encode()),
    ("species", str.encode),
]


@pytest.mark.parametrize(("column", "spell"), SPELLINGS)
def test_spellings_of_cells_do_not_matter(column, spell):
    plain = usable(standardise(ROWS), Reading())
    spelled = ROWS.astype({column: object}).copy()
    spelled[column] = [spell(cell) for cell in ROWS[column]]
    found = usable(standardise(spelled), Reading())
    assert found["species"].tolist() == plain["species"].tolist()
    assert found["dna_barcode"].tolist() == plain["dna_barcode"].tolist()
    for name in ("coord-lat", "coord-lon"):
        np.testing.assert_allclose(found[name], plain[name], atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "Float64", "int64", "object", "category"])
def test_coordinates_of_every_type(dtype):
    table = ROWS.assign(**{"coord-lat": np.arange(12), "coord-lon": np.arange(12)})
    table = table.astype({"coord-lat": dtype, "coord-lon": dtype})
    latitude, longitude, faults = coordinates(table)
    assert latitude.dtype == longitude.dtype == np.float64
    assert latitude.tolist() == longitude.tolist() == list(range(12)) and set(faults) == {""}


def test_splits_in_other_capitals_are_the_same_and_unknown_ones_are_left_out():
    names = ["Train", "TEST", "validation", " val ", "holdout", ""] * 2
    reading = Reading()
    found = usable(standardise(ROWS.assign(split=names)), reading, ("train", "test", "val"))
    assert found["split"].tolist() == ["train", "test", "val", "val"] * 2
    assert reading.left_out["of no known split"] == 4


def test_rows_with_too_many_cells_do_not_stop_the_others():
    text = ROWS.to_csv(index=False)
    lines = text.splitlines()
    lines.insert(4, lines[3] + ",1,2,3")
    table = files.read_delimited("\n".join(lines), "t", "table")
    assert len(table) == len(ROWS) and table.attrs["broken_rows"] == 1


@given(st.text(max_size=200) | st.text(st.sampled_from('processid,dna_barcode;\t|"\n\r1ACGT'), max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_table_or_refused(text):
    try:
        table = files.as_table(text.encode("utf-8", "replace"), "t", "table")
    except InputError as error:
        assert error.field == "table" and len(str(error).splitlines()) == 1
    else:
        standardise(table)


def test_fasta_is_told_from_tables():
    assert files.is_fasta("\ufeff; comment\n\n>moth\nACGT") and not files.is_fasta("processid,dna_barcode\n")
    assert pd.read_csv(StringIO(ROWS.to_csv())).shape[0] == 12


@pytest.mark.parametrize(
    "spelling", ["Aus bus", "Aus_bus", "aus bus", " Aus\u00a0bus ", "Aus  bus", "Aus bus Linnaeus, 1758"]
)
def test_a_species_is_one_however_it_is_written(spelling):
    found = standardise(ROWS.assign(species=spelling))
    assert set(found["species"]) == {"Aus bus"} and found["genus"][0] != "aus"
    assert set(standardise(ROWS.assign(species="BOLD:AAA0001"))["species"]) == {"BOLD:AAA0001"}


def test_an_index_with_names_holds_columns():
    content = written(ROWS.set_index(["processid", "species"]), "parquet")
    assert read(content)[0]["species"].tolist() == ROWS["species"].tolist()
