"""Whatever holds a barcode is read as one, or refused in a sentence: files, tables, flat files, headers."""

import bz2
import csv
import gzip
import lzma
import tarfile
from io import BytesIO, StringIO
from zipfile import ZipFile

import pandas as pd
import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqFeature import FeatureLocation, SeqFeature
from Bio.SeqRecord import SeqRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from g2pdiff.cli import read_sequence
from g2pdiff.dna import files
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.records import read_entries
from g2pdiff.dna.tables import Reading, standardise, usable
from g2pdiff.errors import InputError
from g2pdiff.experiments.batch import read_records
from tests.tiny import BARCODE

LIMIT = 1_000_000


def flat(place: str = "10.5 N 20.25 E", gene: str = "COX1", before: str = "", kind: str = "genbank") -> str:
    """Return a flat file with one record: a barcode as a gene behind other letters."""
    start, end = len(before), len(before) + len(BARCODE)
    record = SeqRecord(Seq(before + BARCODE), id="AB1.1", name="AB1", description="a moth")
    record.annotations = {"molecule_type": "DNA", "organism": "Aus bus", "taxonomy": ["Metazoa", "Ausidae"]}
    qualifiers = {"organism": ["Aus bus"], "lat_lon": [place]}
    record.features = [
        SeqFeature(FeatureLocation(0, end), "source", qualifiers=qualifiers),
        SeqFeature(FeatureLocation(start, end, 1), "CDS", qualifiers={"gene": [gene]}),
    ]
    out = StringIO()
    SeqIO.write(record, out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["genbank", "embl"])
@pytest.mark.parametrize("before", ["", "ACGTTTAAC" * 40])
def test_a_flat_file_is_a_single_barcode_too(kind, before, tmp_path):
    text = flat(before=before, kind=kind)
    barcode = Barcode.parse(text)
    assert (barcode.sequence, barcode.name, barcode.warnings) == (BARCODE, "AB1.1 Aus bus", ())
    said = " ".join(barcode.notes)
    assert "Read as GenBank or EMBL: 1 of 1 records used" in said and "latitude 10.5, longitude 20.25" in said
    (tmp_path / "moth.gb").write_text(text)
    assert Barcode.parse(read_sequence("barcode", str(tmp_path / "moth.gb"), "barcode")) == barcode
    (record,) = read_records(text, 1, 2)
    assert (record.latitude, record.longitude) == (10.5, 20.25) and record.barcode.sequence == BARCODE


def test_of_several_records_the_first_is_used_and_it_is_said():
    two = flat() + flat()
    assert any("Used the first of 2 records" in note for note in Barcode.parse(two).notes)
    table = f"name,dna_barcode\nmoth,{BARCODE}\nother,ACGT\n"
    barcode = Barcode.parse(table)
    assert barcode.name == "moth" and any("first of 2" in note for note in barcode.notes)


def test_a_place_that_cannot_be_read_is_a_warning_of_a_single_barcode():
    for text in (
        f">moth lat=556.6 lon=11.3\n{BARCODE}",
        f">moth [lat_lon=10 Q 20 Z]\n{BARCODE}",
        flat("somewhere 5"),
        f"name,dna_barcode,lat,lon\nmoth,{BARCODE},91,5\n",
    ):
        (warning,) = Barcode.parse(text).warnings
        assert "place was ignored" in warning
        (record,) = read_records(text, 1, 2)
        assert record.warnings == (warning,) and record.barcode.warnings == ()
        assert (record.latitude, record.longitude) == (1, 2)
    noted = Barcode.parse(f">moth lat=56.6 lon=11.3\n{BARCODE}")
    assert "latitude 56.6, longitude 11.3" in noted.notes[0] and noted.warnings == ()


@pytest.mark.parametrize("separator", ["\t", ",", ";", "|"])
@pytest.mark.parametrize("is_second", [True, False])
def test_two_columns_without_names_are_a_name_and_a_sequence(separator, is_second):
    pair = ("ant", BARCODE) if is_second else (BARCODE, "ant")
    text = f"{separator.join(pair)}\n" * 2
    assert [(one.name, one.letters) for one in read_entries(text, "f")] == [("ant", BARCODE)] * 2
    with pytest.raises(InputError, match="no line of column names"):
        read_entries(f"{separator.join((*pair, '5.5', '6.5'))}\n", "f")


@pytest.mark.parametrize("column", ["sequence", "dna_barcode", "nucleotides"])
def test_one_column_alone_is_a_table(column):
    assert [one.letters for one in read_entries(f"{column}\n{BARCODE}\n", "f")] == [BARCODE]
    assert Barcode.parse(f"dna\n{BARCODE}").length == len(BARCODE) + 3  # letters of DNA are no name


PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("kind", PACKERS)
def test_packed_files_are_unpacked_and_broken_ones_refused(kind):
    packed = PACKERS[kind](f">moth\n{BARCODE}\n".encode())
    assert files.text_of_file(packed, "x", "f", LIMIT) == f">moth\n{BARCODE}\n"
    with pytest.raises(InputError, match="cannot be unpacked"):
        files.text_of_file(packed[:40], "x", "f", LIMIT)
    with pytest.raises(InputError, match="unpacks to more than 10 bytes"):
        files.text_of_file(packed, "x", "f", 10)
    tar = BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a"), BytesIO(b""))
    with pytest.raises(InputError, match="tar archive"):
        files.text_of_file(PACKERS[kind](tar.getvalue()), "x", "f", LIMIT)


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"7z\xbc\xaf\x27\x1c", "7z archive"),
        (b"Rar!\x1a\x07", "RAR archive"),
        (b"\x28\xb5\x2f\xfd\0", "Zstandard"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "old Excel workbook"),
        (b"%PDF-1.7", "is a PDF"),
        (b"{\\rtf1\\ansi ACGT}", "Rich Text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not plain text"),
    ],
)
def test_other_files_are_refused_by_name(start, words):
    with pytest.raises(InputError, match=words):
        files.text_of_file(start + b"x" * 20, "table.csv", "f", LIMIT)


def test_a_workbook_called_csv_is_refused_by_name():
    for member, words in (
        ("xl/workbook.xml", "Excel workbook"),
        ("content.xml", "OpenDocument"),
        ("word/document.xml", "Word document"),
    ):
        book = BytesIO()
        with ZipFile(book, "w") as archive:
            archive.writestr("mimetype", "x")
            archive.writestr(member, "<x/>")
        with pytest.raises(InputError, match=rf"table.csv is an? {words}"):
            files.text_of_file(book.getvalue(), "table.csv", "f", LIMIT)


def test_a_table_without_rows_and_other_formats_are_refused_in_one_sentence():
    for text, words in (
        ("processid,dna_barcode,lat,lon\n", "no row that can be used: it holds nothing but column names."),
        (flat(gene="CYTB"), "no record that can be used: left out: 1 of other markers than COI."),
        (f"#NEXUS\nmatrix a {BARCODE}", "is a NEXUS file: save it as FASTA."),
    ):
        with pytest.raises(InputError) as refused:
            read_records(text, 1, 2)
        assert words in str(refused.value)


def test_parquet_cells_of_bytes_are_text_and_pictures_stay_out():
    row = {"processid": "a", "dna_barcode": BARCODE.encode(), "species": b"Aus bus", "image": b"\x89PNG"}
    table = BytesIO()
    pd.DataFrame([row]).to_parquet(table)
    text = files.text_of_file(table.getvalue(), "x", "f", LIMIT)
    (record,) = read_records(text, 1, 2)
    assert (record.name, record.barcode.sequence) == ("a Aus bus", BARCODE) and "PNG" not in text


TEXT = f"name;dna_barcode;lat;lon\nÄmoth;{BARCODE};10,5;20,25\n"


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("first", ["", "sep=;\r\n", "\r\n\r\n"])
def test_what_excel_writes_is_read(coding, first):
    text = files.text_of_file((first + TEXT).encode(coding), "x", "f", LIMIT)
    (record,) = read_records(text, 1, 2)
    assert (record.name, record.latitude, record.longitude) == ("Ämoth", 10.5, 20.25)


def test_decimal_commas_between_commas_are_told_and_their_rows_left_out():
    text = f"name,dna_barcode,lat,lon\nmoth,{BARCODE},56,6,11,3\nother,{BARCODE},56,11,\n"
    records = read_records(text, 1, 2)
    assert [(record.name, record.latitude) for record in records] == [("other", 56)]
    assert "1 of 2 rows used; left out: 1 with more cells than columns" in records.remarks[0]
    reading = Reading()
    table = files.read_delimited(text, "x", "f")
    usable(standardise(table), reading, named=False)
    assert reading.rows == 2 and reading.used == 1
    with pytest.raises(InputError, match="no row that can be used: left out: 1 with more cells"):
        read_records(text.rpartition("other")[0], 1, 2)


def test_a_lone_quotation_mark_does_not_swallow_the_rows_behind_it():
    text = f'name,dna_barcode\n"Aus bus,{BARCODE}\nother,{BARCODE}\n'
    assert [one.letters for one in read_entries(text, "f")] == [BARCODE] * 2


cells = st.text(st.sampled_from('ab c;\t|",\n'), max_size=8)


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=5), st.sampled_from(",;|"))
@settings(deadline=None, max_examples=100)
def test_what_python_writes_is_read_as_it_was(rows, separator):
    out = StringIO()
    csv.writer(out, delimiter=separator).writerows([("dna_barcode", "species"), *rows])
    table = files.read_delimited(out.getvalue(), "x", "f")
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    assert table.to_numpy().tolist() == [list(row) for row in kept]
