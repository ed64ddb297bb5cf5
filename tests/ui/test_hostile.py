"""A running app is sent what no page would send: a sentence comes back, nothing leaves its folder."""

import json
import random
from urllib.request import Request, urlopen
from zipfile import ZipFile

import httpx
import pytest
from gradio_client import Client

from g2pdiff.ui.server.limits import MAXIMUM_BYTES
from tests.benchmarks.load import TABS, Browser
from tests.tiny import BARCODE

PLACE = {"latitude": 1, "longitude": 2}
NASTY = [None, [], {}, [[1]], {"a": 1}, {"__type__": "update"}, "<script>", "9" * 5000, "\0", -1, 1e308, True]


@pytest.fixture
def client(app, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Client(app, verbose=False, download_files=tmp_path / "downloads")


@pytest.mark.parametrize("value", ["<script>{0}</script>\n", {"a": 1}, [[]], "9" * 5000, None, "../x", "\0"])
def test_each_endpoint_refuses_it_in_a_sentence(client, value):
    for name, typed in (
        ("generate", PLACE | {"barcode": value}),
        ("batch", PLACE | {"fasta": value}),
        ("latitude", PLACE | {"barcode": BARCODE, "latitude": value, "along": "longitude"}),
        ("mutations", PLACE | {"barcode": BARCODE, "replicates": value}),
        ("compare", PLACE | {"barcode": BARCODE, "pairs": value}),
    ):
        with pytest.raises(Exception, match=r"^[A-Z][^\n]+\.$"):
            client.predict(**typed, api_name=f"/{name}")


@pytest.mark.parametrize("tab", TABS)
def test_whatever_is_sent_for_a_field_a_run_ends_in_a_sentence(app, tab, capfd):
    dice = random.Random(tab)
    browser = Browser(app, dice)
    for name, _ in browser.inputs[tab]:
        for value in dice.sample(NASTY, 3):
            end, said = browser.send(tab, {name: value}, "bad")
            assert end == "message" or said == "no complaint", (name, value, end, said)
    assert "Traceback" not in capfd.readouterr().err


def chunks(size: int):
    """Return a body that does not say how long it is."""
    yield b'{"data": ["'
    for _ in range(size // 10_000):
        yield b"A" * 10_000


@pytest.mark.parametrize("place", ["queue/join", "call/generate"])
@pytest.mark.parametrize("whole", [True, False])
def test_a_request_that_is_too_large_is_refused_in_a_sentence(app, place, whole):
    body = chunks(MAXIMUM_BYTES + 10_000)
    content = b"".join(body) if whole else body
    headers = {"content-type": "application/json"}
    reply = httpx.post(f"{app}gradio_api/{place}", content=content, headers=headers, trust_env=False)
    assert reply.status_code == 413
    assert reply.json()["detail"] == "The request is larger than 8 MB: send less at a time."


def test_names_are_ours_in_what_is_written(client, tmp_path):
    text = f">../../{{0}}<script>\n{BARCODE}\n>b lat=\u202e lon=1\n{BARCODE}"
    archived, report = client.predict(text, **PLACE, steps=1, api_name="/batch")
    with ZipFile(archived) as folder:
        assert folder.namelist() == ["001_0-script.png", "002_b.png", "results.csv"]
    assert "ignored" in report["rows"][1]["warnings"][0]
    assert {path.name for path in tmp_path.iterdir()} == {"downloads"}


def test_lone_surrogates_which_no_reply_can_hold_do_not_keep_one_from_coming(app):
    text = f">a \ud800\n{BARCODE}\n>b lat=\ud800 lon=1\n{BARCODE}"
    given = json.dumps({"data": [text, 1, 2, 0, 1, None, None]}).encode()
    address = f"{app}gradio_api/call/batch"
    with urlopen(Request(address, given, {"Content-Type": "application/json"})) as answer:
        event = json.load(answer)["event_id"]
    with urlopen(f"{address}/{event}", timeout=60) as answer:
        *_, last = [line for line in answer.read().decode().splitlines() if line.startswith("data: ")]
    _, report = json.loads(last.removeprefix("data: "))
    assert report["summary"] == {"records": 2, "drawn": 2, "unreadable": 0}
    assert report["rows"][0]["name"] == "a ?"
