"""The Batch tab: what it says of a FASTA text, what it shows and packs, in the browser and out of it."""

import csv
import gzip
import json
import re
from base64 import b64encode
from dataclasses import replace
from io import BytesIO, StringIO
from zipfile import ZipFile

import pytest
import torch

from g2pdiff.experiments.batch import Batch, BatchRow, read_records
from g2pdiff.ui.server.limits import MAXIMUM_BYTES
from g2pdiff.ui.tabs.batch import (
    FILE_LIMIT,
    Work,
    card,
    check_fasta,
    open_file,
    read_out,
    sample,
    verdict,
)
from tests.tiny import BARCODE
from tests.ui.test_browser import overflow, wait

FASTA = f">moth 1 lat=-12.5 lon=100\n{BARCODE}\n>bad\nACGT\n>lower\n{BARCODE[160:].lower()}\n"


def work(scores=(0.5, 0.1)) -> Work:
    """Return a finished batch with these scores."""
    made = Work(Batch(fasta=FASTA, latitude=56.6, longitude=11.3, seed=7))
    made.add(
        [
            BatchRow(record.index, record, torch.rand(3, 16, 16), score, 0.5)
            for record, score in zip(made.asked.readable, scores, strict=True)
        ]
    )
    return made


def test_the_sample_is_read_whole_and_fits_in_a_link():
    records = read_records(sample(), 0, 0)
    assert all(record.barcode and not record.notes for record in records)
    assert len({record.latitude for record in records}) == len(records) >= 4
    assert check_fasta(sample()) == sample() and "too long for a link" not in read_out(sample())


def test_the_read_out_counts_records_and_names_the_bad_ones():
    said = read_out(FASTA)
    assert "3 records, 2 readable." in said
    assert "Record 2 (bad): The barcode is too short (4 letters)" in said
    many = read_out(f">good\n{BARCODE}\n" + ">bad\nA\n" * 5)
    assert many.count("too short") == 3 and "2 more cannot be read." in many
    assert "does not begin with a header" in read_out(BARCODE)
    assert "too long for a link" in read_out(f">good\n{BARCODE}\n" * 7)
    assert "&lt;img" in read_out(f"{FASTA}><img src=x>\nA") and "<img" not in read_out(f"{FASTA}><img>\nA")


def test_a_card_says_what_is_known_of_a_record():
    made = work()
    grid = made.grid
    assert grid.count("<li>") == 3 and grid.count("data:image/jpeg") == 2
    assert [int(n) for n in re.findall(r">(\d)\. ", grid)] == [1, 2, 3]
    assert "-12.50 °N, 100.00 °E" in grid and "CLIBDScore 0.500" in grid and "Body length 50%" in grid
    assert "too short (4 letters)" in grid
    assert "Only 498 of 658 sites are covered" in grid and "<summary>2 notes</summary>" in grid
    (record,) = read_records(f'>"><img src=x onerror=alert(1)>\n{BARCODE}', 0, 0)
    assert "<img" not in card(record)


def test_the_verdict_counts_successes_and_unread_records():
    assert verdict(replace(work(), threshold=0.3)) == (
        "1 of 2 CLIBDScores reach the success threshold of 0.30. 1 record could not be read."
    )
    assert verdict(work((None, None))) == "1 record could not be read."


def test_settings_bring_the_batch_back():
    made = work()
    again = read_records(made.settings["fasta"], 0, 0)
    for one, other in zip(made.asked.readable, again, strict=True):
        assert (one.name, one.latitude, one.longitude) == (other.name, other.latitude, other.longitude)
        assert one.barcode.sequence == other.barcode.sequence
    assert made.settings["seed"] == 7 and json.dumps(made.settings)


def test_a_batch_with_a_bad_record_comes_back_as_a_zip(app, visit, tmp_path):
    page = visit(app + "?tab=batch&latitude=56.6&longitude=11.3&seed=3")
    page.fill("#batch-fasta textarea", FASTA)
    wait(page, "#batch-note", "3 records, 2 readable")
    page.click("#batch-run")
    wait(page, "#batch-status", "Done: 2 pictures")
    wait(page, "#batch-status", "1 record could not be read")
    assert page.locator(".batch-records li").count() == 3
    assert page.locator(".batch-records img").count() == 2
    with page.expect_download() as download:
        page.click("#batch-download a")
    assert download.value.suggested_filename == "batch_2_seed3.zip"
    download.value.save_as(tmp_path / "batch.zip")
    with ZipFile(tmp_path / "batch.zip") as file:
        assert file.namelist() == ["001_moth-1.png", "003_lower.png", "results.csv"]
        lines = list(csv.DictReader(StringIO(file.read("results.csv").decode("utf-8-sig"))))
        assert file.open("001_moth-1.png").read(4) == b"\x89PNG"
    assert [(line["latitude"], bool(line["clibd_score"])) for line in lines] == [
        ("-12.5", True), ("56.6", False), ("56.6", True),
    ]  # fmt: skip
    again = visit(page.url)
    wait(again, "#batch-note", "3 records, 2 readable")
    assert again.input_value("#batch-fasta textarea") == FASTA


def test_a_file_fills_the_box_and_a_bad_one_leaves_it(app, visit):
    page = visit(app + "?tab=batch", width=390, height=844, has_touch=True, is_mobile=True)

    def choose(content: bytes):
        file = {"name": "moths.fa", "mimeType": "text/plain", "buffer": content}
        page.set_input_files("#batch-open input", file)

    choose(b"\xef\xbb\xbf" + FASTA.replace("bad", "caf\xe9").encode())
    wait(page, "#batch-note", "Record 2 (caf\xe9)")
    assert page.input_value("#batch-fasta textarea") == FASTA.replace("bad", "caf\xe9")
    for content, sentence in (
        (b"\x89PNG\0\1", "moths.fa is not plain text"),
        (b"A" * (FILE_LIMIT + 1), "The file has 1,000,001 bytes"),
    ):
        choose(content)
        wait(page, "#batch-note", sentence)
        assert page.input_value("#batch-fasta textarea") == FASTA.replace("bad", "caf\xe9")
    choose(FASTA.encode())
    wait(page, "#batch-note", "Record 2 (bad)")
    assert overflow(page) <= 0


def opened(content: bytes, name: str = "moths.fa") -> tuple:
    return open_file({"name": name, "size": len(content), "content": b64encode(content).decode()})


def packed(content: bytes) -> bytes:
    file = BytesIO()
    with ZipFile(file, "w") as folder:
        folder.writestr("moths.fas", content)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        FASTA.encode(),
        FASTA.encode("utf-8-sig"),
        FASTA.encode("utf-16"),
        gzip.compress(FASTA.encode()),
        packed(FASTA.encode()),
        FASTA.replace("bad", "caf\xe9").encode("latin-1"),
        f"processid\tnuc\tcoord\nA\t{BARCODE}\t[1.5, 2]\nB\t{BARCODE[160:]}\t\nC\tACGT\t".encode(),
        f"processid;nuc;lat\nA;{BARCODE};1,5\nB;{BARCODE[160:]};\nC;ACGT;".encode(),
    ],
)
def test_files_are_told_by_what_they_hold(content):
    for name in ("moths.fas", "moths.PDF", ""):
        text, said = opened(content, name)
        assert "3 records, 2 readable." in said and said == read_out(text)


def test_a_bad_file_is_told_each_time_that_it_is_opened():
    for _ in range(2):
        box, said = opened(b"\x89PNG\0\1", "<b>.fa")
        assert "value" not in box and "&lt;b&gt;.fa is not plain text" in said
    for content in (b"; a comment", b"", BARCODE.encode()):
        assert [opened(content)[1] for _ in range(2)] == [read_out(content.decode())] * 2
    assert "unpacks to more than" in opened(gzip.compress(b"A" * (FILE_LIMIT + 1)))[1]


def test_a_place_that_is_ignored_is_a_warning_on_its_record():
    text = f">moth lat=95 lon=3\n{BARCODE}"
    (record,) = read_records(text, 0, 0)
    assert "Record 1 (moth): The header" in read_out(text)
    assert "The header&#x27;s place was ignored" in card(record)


def test_stop_keeps_what_is_done(app, visit):
    page = visit(app + "?tab=batch&steps=60")
    page.fill("#batch-fasta textarea", f">moth\n{BARCODE}\n" * 40)
    wait(page, "#batch-note", "too long for a link")
    page.click("#batch-run")
    page.wait_for_selector(".batch-records img")
    assert "tab=batch" in page.url and "fasta=" not in page.url
    page.click("#batch-stop")
    wait(page, "#batch-status", "Stopped after")
    done = int(re.search(r"after (\d+) of 40 pictures", page.inner_text("#batch-status"))[1])
    assert done in (8, 16, 24, 32) and page.locator(".batch-records li").count() == 40
    with page.expect_download() as download:
        page.click("#batch-download a")
    with ZipFile(BytesIO(download.value.path().read_bytes())) as file:
        assert len(file.namelist()) == done + 1


@pytest.mark.parametrize("typed", ["", "ACGT", ">moth\nACGT"])
def test_bad_input_gives_a_sentence_and_stays(app, visit, typed):
    page = visit(app + "?tab=batch")
    page.fill("#batch-fasta textarea", typed)
    page.click("#batch-run")
    wait(page, "#batch-status", {"": "is empty", "ACGT": "a header"}.get(typed, "too short (4 letters)"))
    assert page.input_value("#batch-fasta textarea") == typed
    assert page.is_enabled("#batch-run")


def test_a_text_larger_than_any_request_is_named(app, visit):
    page = visit(app + "?tab=batch")
    page.fill("#batch-fasta textarea", "")
    page.focus("#batch-fasta textarea")
    page.keyboard.insert_text(f">moth\n{'A' * (MAXIMUM_BYTES + 1)}")
    wait(page, "#batch-note", "The FASTA text has 2,000,000 characters")
    page.click("#batch-run")
    wait(page, "#batch-status", "split it into texts of up to 1,000,000")
    assert page.is_enabled("#batch-run")
