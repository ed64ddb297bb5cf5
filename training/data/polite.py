"""Asking other people's servers for many files: slowly, patiently, and never for the same thing twice.

One request at a time, so many a second and no more. What a server says about coming back later is done. A
request that failed for a moment is made again, after a longer pause each time; a server that fails all the
time is left alone.
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
"""Seconds that a server may ask to be left alone before the program ends and lets a person decide."""

REDIRECTS = 5
TIMEOUT = 60.0  # seconds without a byte
SCHEMES = ("http", "https")
MOMENTARY = (408, 425, 429, 500, 502, 503, 504)
"""Statuses that may be different a little later."""


class GoneError(Exception):
    """A file that a server will not give, today or tomorrow; the text is the reason in a few words."""


class LaterError(Exception):
    """A file that a server does not give now and may give later; the text is the reason in a few words."""


class PoliteClient:
    """Fetches one file at a time.

    Args:
        rate: requests a second at most.
        agent: who asks, for the server's log.
        sleep: waits so many seconds.

    Raises:
        InputError: field `rate`, if it is not positive.
    """

    def __init__(self, rate: float, agent: str, sleep: Callable[[float], None] = time.sleep):
        if not rate > 0:
            raise InputError("rate", "Requests a second must be a number above 0.")
        self.pause, self.sleep, self.free_at = 1 / rate, sleep, 0.0
        self.client = httpx.Client(headers={"User-Agent": agent}, timeout=TIMEOUT)

    def get(self, address: str, types: tuple[str, ...], limit: int) -> bytes:
        """Return what lies at an address.

        Args:
            address: http or https, as redirects must be too.
            types: starts of the content types that will do; a reply that names none will do as well.
            limit: bytes at most.

        Raises:
            GoneError: it is not there, is something else or too large.
            LaterError: the server failed `ATTEMPTS` times.
            InputError: field `rate`, if the server asks to be left alone for longer than `PATIENCE`.
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
        """Return what lies at an address or where it redirects to."""
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
        """Return what one request gives: bytes, or the address of a redirect."""
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
    """A failure that may be over in `wait` seconds."""

    def __init__(self, reason: str, wait: float = 0.0):
        super().__init__(reason)
        self.wait = wait


def _read(reply: httpx.Response, types: tuple[str, ...], limit: int) -> bytes | str:
    """Return the body of a reply, or the address it redirects to."""
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
    """Return the seconds that a `Retry-After` header asks for, a number or a date (RFC 9110, 10.2.3)."""
    if not value:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
