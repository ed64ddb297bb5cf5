"""Runs on the one thread that has the models.

One, because the libraries below PyTorch keep a team of workers, compiled kernels and working memory for every
thread that calls them. It steps through the runs as they are asked for; the queue says whose ticket is
called. Who waits for a step or a ticket does so on the server's event loop, where a run that its visitor
stops is told so whatever it waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context

from g2pdiff.errors import InputError
from g2pdiff.ui.server.queue import QUEUE, Ticket

WAIT_SECONDS = 1.0  # a waiting run says so often how long it takes
LOOK_SECONDS = 0.02  # and looks so often whether its ticket is called
ABANDONED_SECONDS = 10.0  # Gradio asks for a run's next step within milliseconds, or never again

MODEL_THREAD = ThreadPoolExecutor(1, thread_name_prefix="model")

_END = object()


async def drawing(start: Callable[[Ticket], Generator], visitor: str) -> AsyncGenerator:
    """Run something for a visitor: with a ticket of the queue, its updates made on the models' thread.

    However it ends, the run is closed on that thread before this returns. One that is not asked for its next
    update is closed all the same, for the others in the queue: Gradio forgets a run whose visitor leaves
    while its first update is on the way to the page.

    Args:
        start: makes the generator of updates of the run's ticket. It must not block: one that wants the
            model asks `Ticket.is_called`, yields an update, and asks again.
        visitor: whose run it is.

    Raises:
        InputError: if the queue is full; what the run raises.
    """
    ending = ExitStack()
    ticket = ending.enter_context(QUEUE.join(visitor))
    run = start(ticket)
    ending.callback(run.close)
    context = copy_context()  # ZeroGPU finds the visitor's request in it
    loop = asyncio.get_running_loop()
    try:
        while True:
            await _chance(ticket)
            update = await asyncio.wrap_future(MODEL_THREAD.submit(context.run, next, run, _END))
            if update is _END:
                return
            abandoned = loop.call_later(ABANDONED_SECONDS, MODEL_THREAD.submit, ending.close)
            try:
                yield update
            finally:
                abandoned.cancel()
            if loop.time() > abandoned.when():
                raise InputError(
                    "queue", "The run was given up, as the page had gone quiet: please try again."
                )
    finally:
        await asyncio.shield(asyncio.wrap_future(MODEL_THREAD.submit(ending.close)))


async def _chance(ticket: Ticket) -> None:
    """Wait until it is worth while to ask for the model, or to say how long it still takes."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS
    while ticket.is_waiting and loop.time() < deadline:
        await asyncio.sleep(LOOK_SECONDS)
