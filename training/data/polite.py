"""A client for many files from other people's servers: slow, patient, and never asking twice.

It sends one request at a time and keeps to a rate. It waits as long as a server tells it to. After a
temporary failure it tries again, with a longer pause each time. If a server keeps failing, it stops.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from g2pdiff.errors import InputError

ATTEMPTS = 5
PATIENCE = 600.0
"""Longest wait in seconds that a server may ask for. Beyond it the program ends, so that a person decides."""

REDIRECTS = 5
TIMEOUT = 60.0  # seconds without receiving a byte
SCHEMES = ("http", "https")
MOMENTARY = (408, 425, 429, 500, 502, 503, 504)
"""Statuses of temporary failures."""


class GoneError(Exception):
    """A file that a server will never deliver. The text is the reason in a few words."""


class LaterError(Exception):
    """A file that a server does not deliver now but may deliver later. The text is the reason in a few
    words."""


class PoliteClient:
    """A client that fetches one file at a time.

    Args:
        rate: largest number of requests per second.
        agent: name for the server's log.
        sleep: function that waits for some seconds.

    Raises:
        InputError: field `rate`, if it is not positive.
    """

    def __init__(self, rate: float, agent: str, sleep: Callable[[float], None] = time.sleep):
        if not rate > 0:
            raise InputError("rate", "Requests a second must be a number above 0.")
        self.pause, self.sleep, self.free_at = 1 / rate, sleep, 0.0
        self.client = httpx.Client(headers={"User-Agent": agent}, timeout=TIMEOUT)

    def get(self, address: str, types: tuple[str, ...], limit: int) -> bytes:
        """Return the bytes at an address.

        Args:
            address: http or https address. Redirects must be one too.
            types: starts of allowed content types. A reply without a type is allowed.
            limit: largest number of bytes.

        Raises:
            GoneError: the file does not exist, has another type, or is too large.
            LaterError: the server failed `ATTEMPTS` times.
            InputError: field `rate`, if the server asks for a longer wait than `PATIENCE`.
        """
        reason = ""
        for attempt in range(ATTEMPTS):
            try:
                return self._follow(address, types, limit)
            except _MomentaryError as error:
                reason, wait = str(error), max(error.wait, 2.0**attempt * self.pause)
                if wait > PATIENCE:
                    raise InputError(
                        "rate",
                        f"The server asks to be left alone for {wait / 60:.0f} minutes: run the same command "
                        "again then, with a smaller --rate; what is there is not fetched again.",
                    ) from error
                if attempt < ATTEMPTS - 1:
                    self.sleep(wait)
        raise LaterError(reason)

    def _follow(self, address: str, types: tuple[str, ...], limit: int) -> bytes:
        """Return the bytes at an address, following redirects."""
        try:
            url = httpx.URL(address)
            for _ in range(REDIRECTS + 1):
                if url.scheme not in SCHEMES or not url.host:
                    raise GoneError("no http or https address")
                reply = self._ask(url, types, limit)
                if isinstance(reply, bytes):
                    return reply
                url = url.join(reply)
        except httpx.InvalidURL as error:
            raise GoneError("no http or https address") from error
        raise GoneError("too many redirects")

    def _ask(self, url: httpx.URL, types: tuple[str, ...], limit: int) -> bytes | str:
        """Send one request; return the bytes, or the address of a redirect."""
        now = time.monotonic()
        if now < self.free_at:
            self.sleep(self.free_at - now)
        self.free_at = time.monotonic() + self.pause
        try:
            with self.client.stream("GET", url) as reply:
                return _read(reply, types, limit)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _MomentaryError(f"connection failed ({type(error).__name__})") from error


class _MomentaryError(Exception):
    """A temporary failure; try again in `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


def _read(reply: httpx.Response, types: tuple[str, ...], limit: int) -> bytes | str:
    """Return the body of a reply, or the address of its redirect."""
    status = reply.status_code
    if reply.has_redirect_location:
        return reply.headers["location"]
    if status in MOMENTARY:
        raise _MomentaryError(f"status {status}", _retry_after(reply.headers.get("retry-after")))
    if status != httpx.codes.OK:
        raise GoneError(f"status {status}")
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind and not kind.startswith(types):
        raise GoneError(f"content type {kind}")
    body = bytearray()
    for piece in reply.iter_bytes():
        body += piece
        if len(body) > limit:
            raise GoneError(f"larger than {limit / 1e6:g} MB")
    return bytes(body)


def _retry_after(value: str | None) -> float:
    """Return the seconds of a `Retry-After` header, which holds a number or a date (RFC 9110, 10.2.3)."""
    if not value:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
