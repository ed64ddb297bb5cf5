"""A FASTA file as a batch: what is read of it, what is drawn, what the ZIP holds."""

import csv
import re
from io import BytesIO, StringIO
from zipfile import ZipFile

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from g2pdiff.dna.barcode import Barcode, shorten
from g2pdiff.dna.headers import Header, read_header
from g2pdiff.errors import InputError
from g2pdiff.experiments.batch import (
    Batch,
    BatchRow,
    Record,
    archive,
    file_name,
    read_records,
    record_row,
    results,
)
from tests.tiny import BARCODE, tiny_pipeline

PLACE = (56.6, 11.3)
FASTA = f""">moth 1 lat=-12.5 lon=100
{BARCODE}
>too short
ACGT
>=HYPERLINK("x")
{BARCODE[40:].lower()}
"""


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


@pytest.fixture(scope="module")
def records():
    return read_records(FASTA, *PLACE)


@pytest.fixture(scope="module")
def rows(pipeline, records):
    specification = Batch(fasta=FASTA, latitude=PLACE[0], longitude=PLACE[1], seed=3, steps=2)
    assert specification.records == records
    return [row for update in specification.start(pipeline) for row in update.rows]


def table(file: ZipFile) -> list[dict]:
    return list(csv.DictReader(StringIO(file.read("results.csv").decode("utf-8-sig"))))


def test_a_bad_record_is_kept_with_its_sentence_and_does_not_stop_the_others(records):
    first, short, lower = records
    assert [record.index for record in records] == [1, 2, 3]
    assert (first.name, first.latitude, first.longitude) == ("moth 1", -12.5, 100)
    assert first.barcode.sequence == BARCODE and first.barcode.name == "moth 1" and first.error == ""
    assert short.barcode is None and "too short (4 letters)" in short.error
    assert (lower.latitude, lower.longitude) == PLACE
    assert lower.barcode.offset == 40 and "lower-case" in " ".join(lower.barcode.notes)


@pytest.mark.parametrize(
    ("header", "name", "place", "note"),
    [
        ("moth", "moth", PLACE, ""),
        ("lat=1 lon=2 moth", "moth", (1, 2), ""),
        ("moth|LAT=-1.5|LON=2.25|Denmark", "moth| Denmark", (-1.5, 2.25), ""),
        ("moth lat=1,lon=2", "moth", (1, 2), ""),
        ("moth lat=1, lon=2,", "moth", (1, 2), ""),
        ("flat=1 lon=2", "flat=1", PLACE, "only one of lat and lon"),
        ("moth lat=91 lon=2", "moth", PLACE, 'ignored: Latitude must be a number'),
        ("moth lat= lon=2", "moth", PLACE, "ignored: Latitude is missing"),
        ("moth lat=nan lon=2", "moth", PLACE, "ignored: Latitude"),
    ],
)  # fmt: skip
def test_a_header_may_name_a_place(header, name, place, note):
    (record,) = read_records(f">{header}\n{BARCODE}", *PLACE)
    assert (record.name, record.latitude, record.longitude) == (name, *place)
    assert note in " ".join(record.warnings) and bool(note) == bool(record.warnings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "is empty"),
        ("\ufeff \n\n", "is empty"),
        (BARCODE, "does not begin with a header"),
        (f">a\n{BARCODE}\n" * 101, "has 101 records"),
        (">a\nACGT\n>b\nMKV", r"None of the records can be read \(2 in all\).*too short \(4 letters\)"),
        (">", "The record has no sequence"),
        (">a\n" + "A" * 1_000_000, "1,000,003 characters"),
    ],
)
def test_a_text_that_is_no_batch_is_refused_in_a_sentence(text, words):
    with pytest.raises(InputError, match=words) as refused:
        read_records(text, *PLACE)
    assert refused.value.field == "fasta"


def test_a_hundred_records_are_read_and_a_place_off_the_map_is_not():
    assert len(read_records(f">a\n{BARCODE}\n" * 100, *PLACE)) == 100
    with pytest.raises(InputError) as refused:
        read_records(FASTA, 91, 0)
    assert refused.value.field == "latitude"


def test_a_place_is_asked_for_only_where_a_record_lacks_one():
    own = f">a lat=1 lon=2\n{BARCODE}\n"
    assert [record.latitude for record in Batch(fasta=own).records] == [1]
    for said, missing in (({}, "latitude"), ({"latitude": 3}, "longitude")):
        with pytest.raises(InputError, match="is missing") as refused:
            Batch(fasta=f"{own}>b\n{BARCODE}", **said)
        assert refused.value.field == missing
    with pytest.raises(InputError, match="Longitude is missing"):
        Batch(fasta=own, latitude=3)


TABLE = f"""processid\tsampleid\tspecies\tmarker_code\tnuc\tcoord
AB1-10\tS1\tAus bus\tCOI-5P\t{BARCODE}\t(10.5, -20.25)
AB2-10\tS2\tAus bus\t16S\tACGT\t(10.5, -20.25)
AB3-10\tS3\tAus cus\tCOI-5P\tACGT\t
AB4-10\tS4\t\tCOI-5P\t{BARCODE[40:]}\tsomewhere
"""


def test_a_table_is_a_batch_with_its_own_identifiers_first():
    found = read_records(TABLE, *PLACE)
    assert found.remarks == ("Read as a table: 3 of 4 rows used; left out: 1 of other markers than COI.",)
    assert [record.name for record in found] == ["AB1-10 Aus bus", "AB3-10 Aus cus", "AB4-10"]
    assert [(record.latitude, record.longitude) for record in found] == [(10.5, -20.25), PLACE, PLACE]
    assert found[0].barcode.sequence == BARCODE and "too short" in found[1].error
    assert "place was ignored" in found[2].warnings[0] and found[1].warnings == ()
    lines = list(csv.DictReader(StringIO(results([], found).decode("utf-8-sig"))))
    assert list(lines[0])[:4] == ["processid", "sampleid", "index", "name"]
    assert [line["sampleid"] for line in lines] == ["S1", "S3", "S4"]
    assert not {"occurrenceID", "basisOfRecord"} & set(lines[0])


def test_results_open_in_excel_as_utf_8(records):
    assert results([], records).startswith(b"\xef\xbb\xbf")


def test_comment_lines_are_ignored_and_said():
    found = read_records(f"; made by hand\n{FASTA}", *PLACE)
    assert len(found) == 3 and found.remarks == ("Ignored 1 comment line.",)


@given(st.text(st.sampled_from(">ACGTacgtN \n\r\t\x0b\u2028=,|;.-latlon5")) | st.text())
@example(">a\x0bb\nACGT")
@example(">lat=1\u2028lon=2")
@settings(max_examples=80, deadline=None)
def test_any_text_is_read_record_by_record(text):
    """Return the sound record before it keeps it from being refused for want of one."""
    lines = text.replace("\ufeff", "").splitlines()
    headers = sum(line.strip().startswith(">") for line in lines)
    found = read_records(f">sound\n{BARCODE}\n>other\n{text}", *PLACE)
    assert len(found) == 2 + headers
    assert found[0].barcode == Barcode(BARCODE, name="sound")
    for index, record in enumerate(found, start=1):
        assert record.index == index
        assert (record.barcode is None) == bool(record.error)
        assert record.name == " ".join(record.name.split())
        assert abs(record.latitude) <= 90 and abs(record.longitude) <= 180


ONE_LINE = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"], exclude_characters="\ufeff")
)


# Brackets beside a place go with it.
UNBRACKETED = ONE_LINE.filter(lambda text: not set("()[]{}") & set(text))


@given(
    st.lists(UNBRACKETED, min_size=1, max_size=4),
    st.floats(-90, 90),
    st.floats(-180, 180),
)
@settings(max_examples=60, deadline=None)
def test_a_batch_comes_back_with_its_names_and_places(headers, latitude, longitude):
    text = "\n".join(f">{header} lat={latitude} lon={longitude}\n{BARCODE}" for header in headers)
    for record, header in zip(read_records(text, 0, 0), headers, strict=True):
        if read_header(header) == Header(" ".join(header.split()).rstrip("|;, ")):
            assert (record.latitude, record.longitude) == (latitude, longitude)
            assert record.name == shorten(" ".join(header.split()).rstrip("|;, "))


@given(st.lists(st.text() | st.sampled_from(["../../etc/passwd", "C:\\x", ""]), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_names_in_the_zip_are_ours(names):
    image = torch.zeros(3, 8, 8)
    found = [Record(i, name, 0, 0, Barcode(BARCODE)) for i, name in enumerate(names, start=1)]
    rows = [BatchRow(record.index, record, image, 0.5, 0.3) for record in found]
    with ZipFile(BytesIO(archive(rows, found))) as file:
        *pictures, last = file.namelist()
        assert file.testzip() is None
    assert last == "results.csv"
    assert len(set(pictures)) == len(names)
    for index, name in enumerate(pictures, start=1):
        assert re.fullmatch(rf"{index:03d}_[A-Za-z0-9](-?[A-Za-z0-9])*\.png", name) and len(name) <= 48
    assert pictures == [file_name(record) for record in found]


def test_a_picture_of_a_batch_is_the_pipelines_own(pipeline, records, rows):
    assert [row.index for row in rows] == [1, 3]
    assert [row.record for row in rows] == [records[0], records[2]]
    alone = pipeline(records[0].barcode, -12.5, 100, seed=3, num_inference_steps=2, output_type="pt")
    torch.testing.assert_close(rows[0].image, alone.images[0], atol=1e-5, rtol=0)
    assert rows[0].clibd_score == pytest.approx(alone.clibd_scores[0], abs=1e-4)
    assert 0 <= rows[0].body_length <= 1


def test_more_records_than_are_drawn_together_keep_their_order(pipeline):
    many = "".join(f">moth {i}\n{BARCODE[i:]}\n>bad\nA\n" for i in range(10))
    drawn = Batch(fasta=many, latitude=1, longitude=2, steps=1).start(pipeline)
    updates = [update for update in drawn if not update.pauses]
    assert [len(update.rows) for update in updates] == [8, 2]
    assert [row.record.name for update in updates for row in update.rows] == [f"moth {i}" for i in range(10)]
    assert (updates[-1].done, updates[-1].total) == (10, 10)


def test_a_bad_seed_is_refused_before_the_first_step():
    with pytest.raises(InputError) as refused:
        Batch(fasta=FASTA, latitude=1, longitude=2, seed=-1)
    assert refused.value.field == "seed"


def test_the_zip_holds_every_picture_and_a_line_for_every_record(records, rows):
    data = archive(rows, records)
    assert data == archive(rows, records)
    with ZipFile(BytesIO(data)) as file:
        assert file.namelist() == ["001_moth-1.png", "003_HYPERLINK-x.png", "results.csv"]
        picture = Image.open(BytesIO(file.read("001_moth-1.png")))
        first, short, last = table(file)
    assert picture.size == (32, 32)
    red = round(255 * rows[0].image[0, 5, 7].item())
    assert picture.getpixel((7, 5))[0] == red
    assert first["latitude"] == "-12.5" and first["file"] == "001_moth-1.png"
    assert float(first["clibd_score"]) == pytest.approx(rows[0].clibd_score, abs=1e-5)
    assert float(first["body_length"]) == pytest.approx(rows[0].body_length, abs=1e-5)
    assert "too short" in short["error"] and short["clibd_score"] == short["file"] == ""
    assert last["name"].startswith("'=HYPERLINK") and "upper case" in last["notes"]


def test_a_record_has_the_same_names_and_sentences_as_data_and_in_the_table(rows):
    with_stops = BARCODE[:298] + "TAATAA" + BARCODE[304:]
    found = read_records(f">moth lat=5\n{with_stops}\n>bad\nA", *PLACE)
    plain = [record_row(record, row) for record, row in zip(found, [rows[0], None], strict=True)]
    assert "only one of lat and lon" in plain[0]["warnings"][0] and "stop codon" in plain[0]["warnings"][1]
    assert plain[1]["warnings"] == plain[1]["notes"] == [] and plain[1]["clibd_score"] is None
    with ZipFile(BytesIO(archive(rows[:1], found))) as file:
        for data, line in zip(plain, table(file), strict=True):
            assert list(data) == list(line)
            assert (line["notes"], line["warnings"]) == (" ".join(data["notes"]), " ".join(data["warnings"]))
            assert (line["error"], float(line["latitude"])) == (data["error"], data["latitude"])


def test_a_batch_that_was_stopped_still_lists_every_record(records, rows):
    with ZipFile(BytesIO(archive(rows[:1], records))) as file:
        assert file.namelist() == ["001_moth-1.png", "results.csv"]
        assert [line["file"] for line in table(file)] == ["001_moth-1.png", "", ""]
        assert [line["error"] == "" for line in table(file)] == [True, False, True]


def test_without_a_clibd_model_there_is_no_score(records):
    specification = Batch(fasta=FASTA, latitude=1, longitude=2, steps=1)
    *_, update = specification.start(tiny_pipeline(clibd=None))
    with ZipFile(BytesIO(archive(update.rows, records))) as file:
        assert {line["clibd_score"] for line in table(file)} == {""}
