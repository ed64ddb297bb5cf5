"""The client keeps its distance, waits as it is told and knows what may come later."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from g2pdiff.errors import InputError
from tests.training.data.bold.server import jpeg, send
from training.data.polite import GoneError, LaterError, PoliteClient


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
