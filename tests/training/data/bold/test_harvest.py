"""Fetching of BOLD's pictures: credits, sums, resumption and failures."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.training.data.bold.exports import ROOT, fetch, table
from tests.training.data.bold.server import BY_SA, jpeg, send, write_tsv
from training.data.bold_harvest import IN_A_ROW


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
        2: "not a complete JPEG or PNG picture",
        3: "not a complete JPEG or PNG picture",
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
