"""The checkpoint, loaded once in the background while the page comes up, and shared by every visitor."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from g2pdiff.pipeline import G2PDiffusionPipeline
    from g2pdiff.references import References
    from g2pdiff.simulation import Simulator

MAX_THREADS = 2

MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}  # one run at a time, whoever asks
EXPERIMENT_QUEUE = {"concurrency_id": "experiment", "concurrency_limit": 1}


class Turn:
    """A fair lock: whoever has waited longest goes next.

    A run holds it to its end, an experiment for a batch of pictures at a time. So an experiment of minutes
    keeps another visitor waiting no longer than a run would, and the two never share the cores.
    """

    def __init__(self):
        self._changed = threading.Condition()
        self._next = self._serving = 0

    def __enter__(self) -> None:
        with self._changed:
            number = self._next
            self._next += 1
            self._changed.wait_for(lambda: self._serving == number)

    def __exit__(self, *_) -> None:
        with self._changed:
            self._serving += 1
            self._changed.notify_all()


TURN = Turn()


def load_in_background() -> Future[G2PDiffusionPipeline]:
    """Start loading; `.result()` waits for the pipeline, or raises the `InputError` that names the fault."""
    executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
    loading = executor.submit(_load)
    executor.shutdown(wait=False)
    return loading


def _load() -> G2PDiffusionPipeline:
    import torch

    from g2pdiff.checkpoint import load_pipeline

    torch.set_num_threads(min(MAX_THREADS, torch.get_num_threads()))
    return load_pipeline()


def threshold(pipe: G2PDiffusionPipeline) -> float | None:
    """CLIBDScore from which a picture counts as a success; None where the checkpoint has no CLIBD model."""
    return pipe.clibd.config.threshold if pipe.clibd else None


@cache
def simulator() -> Simulator:
    """What draws the simulated truth."""
    from g2pdiff.simulation import Simulator

    return Simulator.default()


def references(pipe: G2PDiffusionPipeline) -> References | None:
    """The checkpoint's reference species, read when first asked for; None where it has none."""
    return _references(pipe.name_or_path)


@cache
def _references(folder: str) -> References | None:
    from g2pdiff.references import References

    return References.load(folder)
