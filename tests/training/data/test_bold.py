"""BOLD's exports and photographs, against a server on this machine with small made pictures."""

import csv
import hashlib
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from g2pdiff.errors import InputError
from g2pdiff.simulation.barcodes import simulate_barcodes
from tests.training.data.bold_server import (
    BY_SA,
    bcdm_row,
    combined_row,
    jpeg,
    send,
    serving,
    write_tsv,
)
from training import bold as program
from training.configs.schema import DataConfig
from training.data.bold_exports import read_export
from training.data.bold_harvest import IN_A_ROW, choose
from training.data.licences import canonical
from training.data.polite import GoneError, LaterError, PoliteClient
from training.data.specimens import load_specimens, load_table

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def records():
    return simulate_barcodes(6, 3, seed=4)


@pytest.fixture
def server(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving() as running:
        yield running


@pytest.fixture
def export(server, records, tmp_path):
    """Return twelve records with a picture each."""
    rows = []
    for number, record in enumerate(records[:12]):
        server.replies[f"/pics/{number}.jpg"] = jpeg(number)
        rows.append(combined_row(record, number, f"{server.address}/pics/{number}.jpg"))
    return rows, tmp_path / "export.tsv", tmp_path / "bold"


def fetch(rows, path, out, *options):
    """Run the program quickly on some rows; return its exit code."""
    write_tsv(path, rows)
    return program.main(["--export", str(path), "--out", str(out), "--rate", "500", *options])


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# licences

SPELLINGS = {
    "cc0": [
        "No Rights Reserved",
        "no right's reserved (nrr)",
        "CC0",
        "CC-0 1.0",
        "Public Domain",
        "CCO",
        "https://creativecommons.org/publicdomain/zero/1.0/",
    ],
    "cc-by": [
        "CreativeCommons - Attribution",
        "CreativeCommons Attribution",
        "CC BY",
        "CC-BY 4.0",
        "ccby",
        "CreativeCommons – Attribution (by)",
        "Creative Commons Attribution 2.0 Generic",
        "creativecommons (by)",
        "CreativeCommons - Attribution by Jane Doe",
        "https://creativecommons.org/licenses/by/4.0/",
        "Creative Commons Attribution License (CC BY)",
        "CreativeCommons �� Attribution",
    ],
    "cc-by-sa": [
        BY_SA,
        "CreativeCommons Attribution ShareAlike",
        "CC BY-SA",
        "ccbysa",
        "CC BY SA 4.0",
        "http://creativecommons.org/licenses/by-sa/3.0/deed.en",
    ],
    "cc-by-nc": [
        "CreativeCommons - Attribution Non-Commercial",
        "CC-BY-NC",
        "CreativeCommons (by-nc)",
        "CreativeCommons Attribution NonCommercial bync",
        "CreativeCommons -Atribution Non-Commercial",
    ],
    "cc-by-nc-sa": [
        "CreativeCommons - Attribution Non-Commercial Share-Alike",
        "Creative Commons-by-nc-sa",
        "CreativeCommons-Attribution Non-Commervial Share-Alike",
        "creative commoms-by-nc-sa",
        "CC by nc sa",
        "CreativeCommons-Atribution Non-Commercial Share -Alike",
        "Creative Commons CC BY-NC-SA 4.0",
    ],
    "cc-by-nd": ["CreativeCommons - Attribution No Derivatives", "CC BY-ND 4.0"],
    "cc-by-nc-nd": ["CreativeCommons - Attribution Non-Commercial No Derivatives", "cc by-nc-nd"],
    "all rights reserved": ["All Rights Reserved", "Copyright, all rights reserved"],
    "missing": ["", " "],
    "unclear": [
        "CreativeCommons",
        "Copyright by Jane Doe",
        "CreativeCommons by Jane Doe",
        "free",
        "by",
        "?",
        "Attribution",
        "CC0 non-commercial",
        "public domain, share alike",
        "Creative Commons ShareAlike",
    ],
}


@pytest.mark.parametrize(("name", "text"), [(n, text) for n, texts in SPELLINGS.items() for text in texts])
def test_licences_are_known_in_their_spellings(name, text):
    assert canonical(text) == canonical(text.upper()) == canonical(f" {text.lower()}\n") == name


@given(
    st.sampled_from(["CreativeCommons - Attribution", "CC BY", "CC0", "No Rights Reserved", BY_SA]),
    st.sampled_from(["Non-Commercial", "NC", "noncommercial use only", "No Derivatives", "ND", "no-derivs"]),
    st.booleans(),
    st.text(" -,()/", max_size=3),
)
def test_no_text_that_restricts_counts_as_open(licence, restriction, first, between):
    words = (restriction, licence) if first else (licence, restriction)
    assert canonical(f" {between} ".join(words)) not in ("cc0", "cc-by", "cc-by-sa")


# exports


def test_records_are_left_out_by_reason_and_counted(records, tmp_path):
    rows = [combined_row(record, number) for number, record in enumerate(records[:12])]
    rows[1]["markercode"] = "28S"
    rows[2]["nucleotides"] = "----"
    rows[3]["species_name"] = " "
    rows[4]["lat"] = ""
    rows[5]["lat"] = "95.5"
    rows[6]["processid"] = "../../etc/passwd"
    rows[7]["processid"] = rows[0]["processid"]
    rows[8]["nucleotides"] = "ACGT" * 160
    path = write_tsv(tmp_path / "e.tsv", rows)
    with path.open("a") as file:
        file.write("<?xml version='1.0'?>\n\n")
    export = read_export(path)
    assert export.left_out == {
        "another marker": 1,
        "no barcode": 1,
        "no species name": 1,
        "no coordinates": 2,
        "no process id": 1,
        "process id came before": 1,
        "barcode is unlike COI": 1,
        "line is broken": 1,
    }
    assert list(export.records) == [f"TEST{number:04}-20" for number in (0, 9, 10, 11)]
    assert export.lines == len(export.records) + sum(export.left_out.values())


@pytest.mark.parametrize("name", ["e.tsv", "e.tsv.gz"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_both_exports_give_the_same_records(records, tmp_path, name, encoding):
    old = read_export(
        write_tsv(
            tmp_path / name, [combined_row(r, n, country="Côte") for n, r in enumerate(records)], encoding
        )
    )
    cells = {"country/ocean": "Côte", "phylum": "Arthropoda", "class": "Insecta"}
    rows = [bcdm_row(record, number, **cells) for number, record in enumerate(records)]
    rows[0] |= {"species": "None", "identification": records[0]["species"], "identification_rank": "species"}
    rows[1]["coord"] = rows[1]["coord"].replace("[", "(").replace("]", ")")
    new = read_export(write_tsv(tmp_path / f"new-{name}", rows, encoding))
    assert not new.has_pictures and old.has_pictures and len(new.records) == len(records)
    for a, b in zip(old.records.values(), new.records.values(), strict=True):
        assert a.pop("dna_barcode").replace("-", "N") == b.pop("dna_barcode").replace("-", "N")
        assert a == b and a["country"] == "Côte"


def test_credits_belong_to_their_picture_or_to_none(records, tmp_path):
    many = "http://x/1.jpg|http://x/a b#2.jpg|http://x/3.jpg"
    rows = [
        combined_row(
            records[0],
            0,
            many,
            media_descriptors="Dorsal|Ventral|",
            copyright_licenses=f"{BY_SA}||No Rights Reserved",
            copyright_holders="Ana|Bo",
            photographers="||Cy",
            copyright_years=" ",
        ),
        combined_row(records[1], 1, "http://x/4.jpg|http://x/5.jpg"),
        combined_row(records[2], 2, "|"),
    ]
    pictures = read_export(write_tsv(tmp_path / "e.tsv", rows)).pictures
    assert [(p.address, p.view, p.licence, p.holder, p.photographer) for p in pictures] == [
        ("http://x/1.jpg", "Dorsal", "cc-by-sa", "", ""),
        ("http://x/a b%232.jpg", "Ventral", "missing", "", ""),
        ("http://x/3.jpg", "", "cc0", "", "Cy"),
        ("http://x/4.jpg", "", "missing", "", ""),
        ("http://x/5.jpg", "", "missing", "", ""),
    ]
    assert [picture.credited for picture in pictures] == [False, False, True, False, False]


@pytest.mark.parametrize("header", ["", "processid\tspecies\tnuc\tmarker_code", "a,b\n1,2"])
def test_what_is_no_export_is_refused(tmp_path, header, capsys):
    path = tmp_path / "e.tsv"
    path.write_text(header)
    assert program.main(["--export", str(path), "--out", str(tmp_path / "out")]) == 2
    assert "lacks the column" in capsys.readouterr().err


# choosing


def test_it_says_what_there_is_before_it_asks_a_server(server, export, capsys):
    rows, path, out = export
    rows[0]["copyright_licenses"] = "CreativeCommons - Attribution Non-Commercial Share-Alike"
    rows[1]["copyright_licenses"] = ""
    rows[2]["copyright_holders"] = ""
    rows[3] |= {"copyright_licenses": "No Rights Reserved", "copyright_holders": ""}
    rows[4]["media_descriptors"] = "Ventral"
    rows[5]["image_urls"] = ""
    rows[6]["markercode"] = "COI-3P"
    assert fetch(rows, path, out, "--dry-run", "--view", "dorsal") == 0
    said = capsys.readouterr().out
    for words in (
        "12; left out: another marker 1",
        "11 of",
        "10 have a picture",
        "cc-by-sa 7, cc-by-nc-sa 1, missing 1, cc0 1",
        "dorsal 9, ventral 1",
        "licence cc-by-nc-sa 1, licence missing 1, nobody to credit 1, another view 1",
        "6 pictures of 6 records",
        "1 of these, free of all rights, name nobody",
        "which training needs: take a larger group",
    ):
        assert words in said
    assert not server.asked and not (out / "specimens.csv").exists()


def test_licences_can_be_narrowed_and_widened(export, tmp_path):
    rows, path, out = export
    rows[0]["copyright_licenses"] = "CC BY"
    rows[1]["copyright_licenses"] = "CC BY-NC"
    assert fetch(rows, path, out, "--licence", "cc-by", "cc-by-nc") == 0
    assert [row["licence"] for row in table(out / "ATTRIBUTION.csv")] == ["cc-by", "cc-by-nc"]
    with pytest.raises(SystemExit):
        fetch(rows, path, tmp_path / "other", "--licence", "cc-by-nd")


# fetching


def test_a_folder_has_pictures_credits_and_sums(server, export):
    rows, path, out = export
    rows[0]["copyright_holders"] = "=HYPERLINK(1)"
    server.replies["/pics/1.png"] = lambda handler: send(handler, jpeg(1, kind="PNG"), kind="image/png")
    rows[1]["image_urls"] = f"{server.address}/pics/0.jpg|{server.address}/pics/1.png"
    for name in ("media_descriptors", "copyright_holders", "copyright_licenses"):
        rows[1][name] = f"{rows[2][name]}|{rows[2][name]}"
    assert fetch(rows, path, out, "--contact", "me@example.org") == 0
    assert server.agents == {"G2PDiffusion-training.bold/0.1 (me@example.org)"}
    assert set(server.asked.values()) == {1} and len(server.asked) == 12
    credited = table(out / "ATTRIBUTION.csv")
    assert len(credited) == 13
    for row in credited:
        content = (out / row["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == row["sha256"]
        assert row["licence"] == "cc-by-sa" and row["licence_as_written"] == BY_SA
    assert credited[0]["holder"] == "'=HYPERLINK(1)" and credited[3]["holder"] == "Ana Müller"
    assert Path(credited[2]["file"]).suffix == ".png"
    check = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=False)
    assert check.returncode == 0
    assert not list(out.rglob("partial-*"))


def test_the_same_command_again_fetches_nothing_twice(server, export):
    rows, path, out = export
    assert fetch(rows, path, out) == fetch(rows, path, out) == 0
    assert set(server.asked.values()) == {1}
    lost = next((out / "pictures").rglob("*.jpg"))
    lost.unlink()
    assert fetch(rows, path, out) == 0
    assert sorted(server.asked.values())[-2:] == [1, 2] and lost.is_file()


def test_a_killed_run_goes_on_where_it_was(server, export):
    rows, path, out = export
    write_tsv(path, rows)

    def slow(handler):
        time.sleep(30)

    stuck = server.replies.pop("/pics/7.jpg")
    server.replies["/pics/7.jpg"] = slow
    command = [
        sys.executable,
        "-m",
        "training.bold",
        "--export",
        str(path),
        "--out",
        str(out),
        "--rate",
        "500",
    ]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not server.asked["/pics/7.jpg"]:
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.05)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    done = out / "downloads.jsonl"
    lines = done.read_text().splitlines()
    assert len(lines) == 7 and not (out / "ATTRIBUTION.csv").exists()
    # As if it had been killed before the last picture was noted, and while the one before was.
    done.write_text("\n".join(lines[:5]) + "\n" + lines[5][:20])
    server.replies["/pics/7.jpg"] = stuck
    assert fetch(rows, path, out) == 0
    assert server.asked["/pics/7.jpg"] == 2
    assert {count for name, count in server.asked.items() if name != "/pics/7.jpg"} == {1}
    assert len(table(out / "ATTRIBUTION.csv")) == 12


def test_what_will_never_come_is_noted_and_not_asked_for_again(server, export):
    rows, path, out = export
    html = b"<html>BOLD is offline</html>"
    server.replies |= {
        "/pics/1.jpg": lambda handler: send(handler, html, kind="text/html; charset=utf-8"),
        "/pics/2.jpg": html,
        "/pics/3.jpg": jpeg(3)[:-200],
        "/pics/4.jpg": jpeg(4, size=400, kind="BMP"),
        "/pics/5.jpg": jpeg(5, size=900, kind="PNG") + b"\0" * 60_000,
        "/pics/6.jpg": lambda handler: send(handler, b"", 302, Location="file:///etc/passwd"),
        "/pics/8.jpg": lambda handler: send(handler, b"", 302, Location="/pics/8.jpg"),
        "/pics/9.jpg": lambda handler: send(handler, b"", 301, Location="/moved.jpg"),
        "/moved.jpg": jpeg(9),
    }
    del server.replies["/pics/0.jpg"]
    rows[7]["image_urls"] = "ftp://127.0.0.1/7.jpg"
    rows[10]["image_urls"] = "http://"
    assert fetch(rows, path, out, "--max-megabytes", "0.05") == 0
    failed = {int(row["processid"][4:8]): row["reason"] for row in table(out / "failed.csv")}
    assert failed == {
        0: "status 404",
        1: "content type text/html",
        2: "no whole JPEG or PNG picture",
        3: "no whole JPEG or PNG picture",
        4: "larger than 0.05 MB",
        5: "larger than 0.05 MB",
        6: "no http or https address",
        7: "no http or https address",
        8: "too many redirects",
        10: "no http or https address",
    }
    assert [row["processid"] for row in table(out / "specimens.csv")] == ["TEST0009-20", "TEST0011-20"]
    before = server.asked.copy()
    assert fetch(rows, path, out, "--max-megabytes", "0.05") == 0
    assert server.asked == before


def test_what_may_come_later_is_tried_again(server, export):
    rows, path, out = export
    whole = server.replies["/pics/1.jpg"]
    broken = [lambda handler: send(handler, whole[:300], length=len(whole))] * 2  # the connection breaks
    broken += [lambda handler: send(handler, b"busy", 503)]

    def flaky(handler):
        broken.pop()(handler) if broken else send(handler, whole)

    server.replies["/pics/1.jpg"] = flaky
    server.replies["/pics/2.jpg"] = lambda handler: send(handler, b"", 500)
    assert fetch(rows, path, out) == 1
    assert server.asked["/pics/1.jpg"] == 4 and server.asked["/pics/2.jpg"] == 5
    assert table(out / "failed.csv")[0]["reason"] == "status 500"
    server.replies["/pics/2.jpg"] = jpeg(2)
    assert fetch(rows, path, out) == 0
    assert len(table(out / "ATTRIBUTION.csv")) == 12 and not table(out / "failed.csv")


def test_a_server_that_fails_all_the_time_is_left_alone(server, export, capsys):
    rows, path, out = export
    for number in range(3, 12):
        server.replies[f"/pics/{number}.jpg"] = lambda handler: send(handler, b"", 502)
    assert fetch(rows, path, out) == 2
    assert "in a row" in capsys.readouterr().err
    assert len(server.asked) == 3 + IN_A_ROW
    assert len(table(out / "ATTRIBUTION.csv")) == 3  # what is there is credited


def throttled(server, retry_after):
    def once(handler):
        if server.asked["/x.jpg"] == 1:
            send(handler, b"slow down", 429, Retry_After=retry_after)
        else:
            send(handler, jpeg())

    server.replies["/x.jpg"] = once
    return f"{server.address}/x.jpg"


def test_a_throttled_client_waits_as_long_as_it_is_told(server):
    waits = []
    client = PoliteClient(500, "test", waits.append)
    assert client.get(throttled(server, "7"), ("image/",), 10_000) == jpeg()
    assert 7 in waits
    server.asked.clear()
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    assert client.get(throttled(server, soon), ("image/",), 10_000) == jpeg()
    assert 35 < max(waits) <= 40
    server.asked.clear()
    assert client.get(throttled(server, "soon"), ("image/",), 10_000) == jpeg()
    server.asked.clear()
    with pytest.raises(InputError, match="left alone for 60 minutes") as told:
        client.get(throttled(server, "3600"), ("image/",), 10_000)
    assert told.value.field == "rate"


def test_requests_keep_their_distance(server):
    server.replies["/x.jpg"] = jpeg()
    client = PoliteClient(20, "test")
    began = time.monotonic()
    for _ in range(5):
        client.get(f"{server.address}/x.jpg", ("image/",), 10_000)
    assert time.monotonic() - began > 4 / 20
    with pytest.raises(InputError, match="above 0"):
        PoliteClient(0, "test")


def test_a_server_that_is_not_there_may_be_later():
    with pytest.raises(LaterError, match="connection failed"):
        PoliteClient(500, "test").get("http://127.0.0.1:9/x.jpg", ("image/",), 10_000)
    for address in ("data:image/png;base64,AA", "//127.0.0.1/x", "http://[::1", "x\ny"):
        with pytest.raises(GoneError):
            PoliteClient(500, "test").get(address, ("image/",), 10_000)


def test_a_folder_belongs_to_one_question(export, records, capsys):
    rows, path, out = export
    assert fetch(rows[:3], path, out) == 0
    assert fetch(rows[:3], path, out, "--licence", "cc0") == 2
    assert "choose another folder" in capsys.readouterr().err
    assert fetch(rows[:4], path, out) == 2
    assert fetch(rows[:3], path, out) == 0


def test_a_limit_takes_the_first_pictures(export):
    rows, path, out = export
    assert fetch(rows, path, out, "--limit", "2") == 0
    assert len(table(out / "ATTRIBUTION.csv")) == 2
    assert fetch(rows, path, out) == 0
    assert len(table(out / "ATTRIBUTION.csv")) == 12


# the picture service


def serve_list(server, number, **cells):
    name = f"cloud.east.10_200.{number}.jpg"
    server.replies[f"/api/objects/{name}"] = jpeg(number)
    return {
        "processid": f"TEST{number:04}-20",
        "objectid": name,
        "meta": "Dorsal",
        "score": None,
        "copyright_license": BY_SA,
        "copyright_license_holder": "Bo",
        "copyright_license_year": 2015,
        "copyright_license_institution": None,
        "photographer": None,
        **cells,
    }


def test_pictures_of_a_bcdm_export_are_looked_up(server, records, tmp_path):
    rows = [bcdm_row(record, number) for number, record in enumerate(records)]
    server.listed = {
        "TEST0000-20": [serve_list(server, 0)],
        "TEST0002-20": [serve_list(server, 2, copyright_license=None)],
        "TEST0003-20": [
            serve_list(server, 3),
            serve_list(server, 99),
        ],  # one of no record
    }
    out = tmp_path / "bold"
    options = ["--service", server.address + "/"]
    assert fetch(rows, tmp_path / "e.tsv", out, *options, "--dry-run") == 0
    assert len(server.asked) == 1 and not (out / "pictures").exists()
    assert fetch(rows, tmp_path / "e.tsv", out, *options) == 0
    credited = table(out / "ATTRIBUTION.csv")
    assert [(row["processid"], row["holder"], row["year"]) for row in credited] == [
        ("TEST0000-20", "Bo", "2015"),
        ("TEST0003-20", "Bo", "2015"),
    ]
    assert all("subunit=1024.jpg" in row["address"] for row in credited)
    assert set(server.asked.values()) == {1}  # the list of the dry run was kept


def test_an_old_export_without_holders_takes_them_from_the_service(server, export):
    rows, path, out = export
    old = [{name: cell for name, cell in row.items() if name != "copyright_holders"} for row in rows]
    server.listed = {row["processid"]: [serve_list(server, number)] for number, row in enumerate(rows[:5])}
    assert fetch(old, path, out, "--look-up", "--service", server.address) == 0
    assert [row["holder"] for row in table(out / "ATTRIBUTION.csv")] == ["Bo"] * 5


@pytest.mark.parametrize("answer", [b"<html>offline</html>", b'{"a": 1}', b'[{"processid": 3}]', b"[1]"])
def test_a_service_that_changed_is_said(server, records, tmp_path, answer, capsys):
    server.answer = lambda handler: send(handler, answer, kind="application/json")
    rows = [bcdm_row(records[0], 0)]
    assert fetch(rows, tmp_path / "e.tsv", tmp_path / "o", "--service", server.address) == 2
    assert "did not answer with a list of pictures" in capsys.readouterr().err


# training


def test_photographs_are_read_with_their_own_barcodes(server, export, tmp_path):
    rows, path, out = export
    turned = Image.open(BytesIO(jpeg(1)))
    exif = turned.getexif()
    exif[0x0112] = 6
    content = BytesIO()
    turned.save(content, "JPEG", exif=exif)
    server.replies["/pics/1.jpg"] = content.getvalue()
    assert fetch(rows, path, out) == 0
    config = DataConfig(bold=str(out), image_size=32, mutated_share=1.0, roaming_share=1.0)
    every = load_table(config)
    assert len(every) == 12 and every["dna_barcode"].str.len().eq(658).all()
    by_split = {name: load_specimens(config, tmp_path / "run", name) for name in set(every["split"])}
    for split, specimens in by_split.items():
        assert set(specimens.table["split"]) == {split}
        images = specimens.images(np.arange(len(specimens)))
        for row, image in zip(specimens.table.itertuples(), images, strict=True):
            number = int(row.processid[4:8])
            animal = np.asarray(Image.open(BytesIO(server.replies[f"/pics/{number}.jpg"])))[20, 20]
            assert np.abs(image[:, 16, 16].numpy() * 255 - animal).max() < 12
            padded = image[:, :, 0].std(dim=1).max() < 0.02  # a picture on its side is padded left and right
            assert padded or number != 1
    assert not any("mutation_rate" in s.table and s.table["mutation_rate"].any() for s in by_split.values())


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_a_folder_without_pictures_is_said(tmp_path, content):
    if content is not None:
        (tmp_path / "specimens.csv").write_text(content)
    with pytest.raises(InputError, match="training.bold") as told:
        load_table(DataConfig(bold=str(tmp_path)))
    assert told.value.field == "bold"


def test_choosing_names_every_picture_once(export):
    rows, path, _ = export
    twice = rows[0]["image_urls"]
    rows[0] |= {name: f"{rows[0][name]}|{rows[0][name]}" for name in ("image_urls", "media_descriptors")}
    rows[0] |= {
        name: f"{rows[0][name]}|{rows[0][name]}" for name in ("copyright_holders", "copyright_licenses")
    }
    chosen, left_out = choose(read_export(write_tsv(path, rows)), program.Wanted())
    assert [picture.address for picture in chosen].count(twice) == 1
    assert left_out == {"named twice": 1}
