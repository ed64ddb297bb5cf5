"""Threads that prepare batches before their steps need them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch

Batch = dict[str, torch.Tensor]


def feed(make: Callable[[int], Batch], steps: Sequence[int], threads: int = 0) -> Iterator[Batch]:
    """Yield the batch of each step, in the order of the steps.

    Threads change the time, never the batches: a batch depends only on the number of its step. With a GPU the
    batches lie in pinned memory and are copied while the GPU computes.

    Args:
        make: function that returns the batch of a step. Threads call it concurrently.
        steps: numbers of the steps.
        threads: number of threads. With 0, each batch is made when it is needed.

    Raises:
        Exception: the exception of `make`, at its step.
    """
    if not threads:
        for step in steps:  # map would take a StopIteration of `make` for the end of the run
            yield make(step)
        return

    def pinned(step: int) -> Batch:
        batch = make(step)
        return {name: one.pin_memory() for name, one in batch.items()} if torch.cuda.is_available() else batch

    with ThreadPoolExecutor(threads, "feeder") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for step in steps:
                waiting.append(pool.submit(pinned, step))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
