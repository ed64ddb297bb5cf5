"""The checkpoints that are served: each loaded once, in the background, and shared by every visitor.

They draw on a GPU where there is one. In a Space with ZeroGPU that is in another process, which the package
`spaces` starts for every run and which hands back plain values.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from g2pdiff.about import About, is_simulated
from g2pdiff.built_in import short_name
from g2pdiff.errors import InputError, quoted
from g2pdiff.models.checkpoint_names import default_checkpoint
from g2pdiff.ui.server.model_thread import MODEL_THREAD
from g2pdiff.ui.widgets.examples import examples

try:
    from spaces import GPU  # pyright: ignore[reportMissingImports] - only a Space has it; before anything has touched the GPU
except ImportError:

    def GPU(run: Callable) -> Callable:  # noqa: N802 - the name that `spaces` gives it
        """Stand in for the decorator of ZeroGPU outside of a Space: runs stay in this process."""
        return run


if TYPE_CHECKING:
    from g2pdiff.analysis.references import References
    from g2pdiff.outputs import DenoisingStep
    from g2pdiff.pipeline import G2PDiffusionPipeline

    _Proxied = G2PDiffusionPipeline  # type checkers see the attributes that `__getattr__` hands through
else:
    _Proxied = object

MAX_THREADS = 2
RETRY_SECONDS = 10.0  # after a checkpoint could not be loaded: the network may be back


class Models:
    """The checkpoints that an app serves.

    A checkpoint is loaded when it is first asked for and stays in memory: visitors who chose different ones
    draw one after the other, and none is to wait for a model that another's run has put out. The memory has
    to hold all that are served, in single precision four bytes per parameter.

    Args:
        sources: folders and hub ids, the first of which is served where none is asked for.

    Attributes:
        names: of the checkpoints in links and calls: of built-in ones short, of others their sources.
        simulated: name of the first that says that it learned from simulated specimens; None without one.
    """

    def __init__(self, sources: tuple[str, ...]):
        self._sources = {short_name(source): source for source in sources}
        self.names = tuple(self._sources)
        self.simulated = next((name for name in self.names if is_simulated(self._sources[name])), None)
        self._loading: dict[str, Future[ServedPipeline]] = {}
        self._retry_at: dict[str, float] = {}
        self._changing = threading.Lock()

    def check(self, name: str | None) -> str:
        """Return the name of a served checkpoint. Raises `InputError("checkpoint")`, for nothing else is
        loaded."""
        if name and name not in self.names:
            raise InputError(
                "checkpoint",
                f"No checkpoint {quoted(name)} is served here: choose {' or '.join(self.names)}.",
            )
        return name or self.names[0]

    def default(self, needs_size: bool = False) -> str:
        """Return the name of the checkpoint that serves who names none, see `default_checkpoint`."""
        chosen = default_checkpoint(list(self._sources.values()), needs_size)
        return next(name for name, source in self._sources.items() if source == chosen)

    def folder(self, name: str | None = None) -> str:
        """Return the folder of a checkpoint, or its hub id before it is loaded."""
        name = self.check(name)
        loading = self._loading.get(name)
        if loading and loading.done() and not loading.exception():
            return str(loading.result().name_or_path)
        return self._sources[name]

    def about(self, name: str | None = None) -> About:
        """Return what a checkpoint says of itself, as far as it can be read."""
        try:
            return About.read(self.folder(name))
        except InputError:  # which loading it says
            return About(name=self.check(name))

    def load(self, name: str | None = None) -> Future[ServedPipeline]:
        """Return a checkpoint, loading or loaded; `.result()` waits for it, or raises the `InputError` that
        says what is wrong with it. One that could not be loaded is tried again, but not at once."""
        name = self.check(name)
        with self._changing:
            if name not in self._loading or time.monotonic() > self._retry_at.get(name, math.inf):
                self._retry_at.pop(name, None)
                executor = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
                self._loading[name] = executor.submit(_load, self._sources[name])
                executor.shutdown(wait=False)
                self._loading[name].add_done_callback(partial(self._note, name))
            return self._loading[name]

    def _note(self, name: str, loading: Future) -> None:
        if loading.exception():
            self._retry_at[name] = time.monotonic() + RETRY_SECONDS


async def loaded(loading: Future) -> ServedPipeline:
    """Wait for a checkpoint of `Models.load`. Who stops waiting does not stop the loading."""
    return await asyncio.shield(asyncio.wrap_future(loading))


class ServedPipeline(_Proxied):
    """A checkpoint's pipeline as the app serves it: `stream` draws where the GPU is, steps come to the CPU.

    Everything else is the pipeline's own.

    Args:
        name: of the checkpoint.
        pipeline: the loaded checkpoint.
    """

    def __init__(self, name: str, pipeline: G2PDiffusionPipeline):
        self.name = name
        self.pipeline = pipeline

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self.pipeline, attribute)

    def stream(self, *args: Any, **kwargs: Any) -> Generator[DenoisingStep]:
        """Draw as `G2PDiffusionPipeline.stream` does."""
        return _stream(self.name, *args, **kwargs)


@cache
def _load(name: str) -> ServedPipeline:
    import torch

    from g2pdiff.checkpoint import load_pipeline

    torch.set_num_threads(min(MAX_THREADS, torch.get_num_threads()))
    pipeline = load_pipeline(name)
    if not torch.cuda.is_available():
        MODEL_THREAD.submit(_warm_up, pipeline)
    return ServedPipeline(name, pipeline)


def _warm_up(pipeline: G2PDiffusionPipeline) -> None:
    """Draw one step, so that the first visitor does not wait for what PyTorch prepares at first use."""
    example = next(iter(examples().values()))
    place = example.latitude, example.longitude
    for _ in pipeline.stream(example.dna_barcode, *place, num_inference_steps=1):
        pass


@GPU
def _stream(name: str, *args: Any, **kwargs: Any) -> Generator[DenoisingStep]:
    """Draw with a served checkpoint, which ZeroGPU's process loads for itself."""
    import torch

    pipeline = _load(name).pipeline
    if torch.cuda.is_available():
        pipeline.to("cuda")
    for step in pipeline.stream(*args, **kwargs):
        images = step.images if step.images is None else step.images.cpu()
        yield replace(step, latents=step.latents.cpu(), images=images)


def threshold(pipe: ServedPipeline) -> float | None:
    """Return the CLIBDScore from which a picture counts as a success; None where the checkpoint has no CLIBD
    model."""
    return pipe.clibd.config.threshold if pipe.clibd else None


def references(pipe: ServedPipeline) -> References | None:
    """Return the checkpoint's reference species, read when first asked for; None where it has none."""
    from g2pdiff.analysis.references import references_of

    return references_of(str(pipe.name_or_path))


def knows_species(pipe: ServedPipeline) -> bool:
    """Return whether the checkpoint has reference species. Damaged ones count: a run says what is wrong."""
    try:
        return references(pipe) is not None
    except InputError:
        return True
