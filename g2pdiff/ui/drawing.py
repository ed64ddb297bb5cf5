"""Runs on the one thread that has the models.

One, because the libraries below PyTorch keep a team of workers, compiled kernels and working memory for every
thread that calls them: a server's forty threads would each grow their own. It steps through the runs as they
are asked for; the line says whose turn it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from functools import cache

from g2pdiff.errors import InputError
from g2pdiff.ui.line import LINE, Place

WAIT_SECONDS = 1.0  # a waiting run says so often how long it takes, and can be stopped so often
ABANDONED_SECONDS = 10.0  # Gradio asks for a run's next step within milliseconds, or never again

MODEL_THREAD = ThreadPoolExecutor(1, thread_name_prefix="model")

_END = object()
_going: set[Drawing] = set()


class Drawing(Iterator):
    """A visitor's run: its place in the line, and its updates, made on the models' thread.

    Whoever iterates it closes it, from whatever thread. Where nobody does it is given up: Gradio lets go of a
    generator without closing it when a visitor leaves within its first step, and the error that it keeps in
    memory then keeps the generator, with the turn it holds.

    Args:
        start: makes the generator of updates of the run's place in the line. It must not block: one that
            wants its turn asks `Place.wait`, yields an update, and asks again.
        visitor: whose run it is.

    Raises:
        InputError: if every place in the line is taken; while iterating, what the run raises.
    """

    def __init__(self, start: Callable[[Place], Generator], visitor: str):
        self._ending = ExitStack()
        self._place = self._ending.enter_context(LINE.join(visitor))
        self._updates = start(self._place)
        self._ending.callback(self._updates.close)
        self._context = copy_context()  # ZeroGPU finds the visitor's request in it
        self._idle_since: float | None = time.monotonic()  # None while somebody waits for an update
        self._is_closed = False
        _going.add(self)
        _watch()

    def __next__(self):
        self._idle_since = None
        try:
            if self._place.is_waiting:
                self._place.wait(WAIT_SECONDS)
            update = MODEL_THREAD.submit(self._context.run, next, self._updates, _END).result()
        finally:
            self._idle_since = time.monotonic()
        if update is not _END:
            return update
        if self._is_closed:
            raise InputError("line", "The run was given up, as the page had gone quiet: please try again.")
        raise StopIteration

    def close(self) -> None:
        """End the run and leave the line, as soon as the models' thread is free; does not wait for that."""
        if not self._is_closed:
            self._is_closed = True
            _going.discard(self)
            MODEL_THREAD.submit(self._ending.close)


@cache
def _watch() -> None:
    """Start to look for runs that nobody asks for any more."""

    def look() -> None:
        while True:
            time.sleep(WAIT_SECONDS)
            now = time.monotonic()
            for drawing in list(_going):
                idle_since = drawing._idle_since
                if idle_since is not None and now - idle_since > ABANDONED_SECONDS:
                    drawing.close()

    threading.Thread(target=look, name="abandoned runs", daemon=True).start()
