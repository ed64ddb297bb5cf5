"""The checkpoint, loaded once in the background while the page comes up, and shared by every visitor."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from g2pdiff.pipeline import G2PDiffusionPipeline
    from g2pdiff.simulation import Simulator

MAX_THREADS = 2


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
