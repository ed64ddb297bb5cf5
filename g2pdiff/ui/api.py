"""The endpoints for scripts and agents: typed, documented arguments, one clear sentence for bad input.

With `--mcp` the same endpoints are the tools of an MCP server. What they take is listed in
`g2pdiff.arguments`, and what they do is what the command line does under the same names.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import aclosing, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import gradio as gr
from gradio.components.api_component import Api
from gradio_client.utils import python_type_to_json_schema

from g2pdiff.arguments import (
    BATCH,
    COMPARE,
    GENERATE,
    LATITUDE_SWEEP,
    MUTATIONS,
    Argument,
    Required,
    Verb,
)
from g2pdiff.errors import InputError
from g2pdiff.ui.drawing import drawing
from g2pdiff.ui.line import SCRIPTS, Place
from g2pdiff.ui.model import Models, threshold

if TYPE_CHECKING:
    from g2pdiff.pipeline import G2PDiffusionPipeline
    from g2pdiff.report import Report
    from g2pdiff.verbs import BatchReport


# Callers stand in Gradio's own queue, which tells their clients rank and time; two at most reach the line.
MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}
EXPERIMENT_QUEUE = {"concurrency_id": "experiment", "concurrency_limit": 1}


def add_endpoints(models: Models) -> None:
    """Add every endpoint to the Blocks being built; with several checkpoints each takes one's name.

    Args:
        models: the checkpoints that are served.
    """

    def generate(checkpoint: str | None = None, **values) -> AsyncIterator[tuple]:
        return stream_generate(models.load(checkpoint), **values)

    choice = ()
    if len(models.names) > 1:
        choice = (Argument("checkpoint", Literal[models.names], "which checkpoint draws", models.names[0]),)
    _add(
        _with(GENERATE, choice), generate, gr.Image(label="picture", format="png", visible=False), MODEL_QUEUE
    )
    for verb in (MUTATIONS, LATITUDE_SWEEP, COMPARE):
        _add_experiment(
            models, verb, choice, gr.Image(label="contact sheet", format="png", visible=False), _sheet
        )
    _add_experiment(models, BATCH, choice, gr.File(label="archive", visible=False), _archive)


async def stream_generate(model: Future, **values) -> AsyncIterator[tuple]:
    """Draw one specimen; yields the picture and a report after every step."""
    from g2pdiff.request import Request

    request = await asyncio.to_thread(Request.check, **values)
    pipe, start = await _loaded(model), time.monotonic()

    def draw(turn: Place) -> Iterator[tuple | None]:
        while not turn.wait():
            yield None
        with turn, closing(pipe.stream(**request.arguments)) as steps:
            for step in steps:
                report = {
                    "clibd_score": step.clibd_score,
                    "success_threshold": threshold(pipe),
                    "step": step.index,
                    "steps": step.total,
                    "seconds": round(time.monotonic() - start, 3),
                    "changed_bases": len(request.given.differences(request.barcode)),
                    "notes": request.notes,
                    "settings": request.settings,
                }
                yield step.image, report

    async with aclosing(drawing(draw, SCRIPTS)) as results:
        async for result in results:
            if result:
                yield result


async def stream_experiment(model: Future, verb: Verb, pack: Callable, **values) -> AsyncIterator[tuple]:
    """Run an experiment; yields the file that `pack` makes of what is finished, and a report, every step."""
    from g2pdiff.verbs import EXPERIMENTS

    asked = await asyncio.to_thread(EXPERIMENTS[verb.name], **values)
    pipe, start = await _loaded(model), time.monotonic()

    def draw(turn: Place) -> Iterator[tuple]:
        file, rows, found = None, [], {"rows": [], "summary": {}}
        with TemporaryDirectory() as folder, closing(asked.start(pipe, turn)) as updates:
            for update in updates:
                if update.rows:
                    rows += update.rows
                    report = asked.report(pipe, rows)
                    file, found = pack(report, Path(folder)), {"rows": report.rows, "summary": report.summary}
                progress = {
                    "done": update.done,
                    "total": update.total,
                    "seconds": round(time.monotonic() - start, 3),
                }
                yield file, progress | found | {"notes": asked.notes, "settings": asked.settings}

    async with aclosing(drawing(draw, SCRIPTS)) as results:
        async for result in results:
            yield result


async def _loaded(model: Future) -> G2PDiffusionPipeline:
    """A checkpoint, once it is loaded; who stops waiting for it does not stop that."""
    return await asyncio.shield(asyncio.wrap_future(model))


def _sheet(report: Report, folder: Path) -> str:
    path = folder / "contact_sheet.png"
    report.sheet.draw().save(path)
    return str(path)


def _archive(report: BatchReport, folder: Path) -> str:
    path = folder / "batch.zip"
    path.write_bytes(report.archive)
    return str(path)


def _with(verb: Verb, more: tuple[Argument, ...]) -> Verb:
    return replace(verb, arguments=verb.arguments + more)


def _add_experiment(
    models: Models,
    verb: Verb,
    choice: tuple[Argument, ...],
    output: gr.components.Component,
    pack: Callable,
) -> None:
    def run(checkpoint: str | None = None, **values) -> AsyncIterator[tuple]:
        return stream_experiment(models.load(checkpoint), verb, pack, **values)

    _add(_with(verb, choice), run, output, EXPERIMENT_QUEUE)


def _add(
    verb: Verb, run: Callable[..., AsyncIterator[tuple]], output: gr.components.Component, queue: dict
) -> None:
    """Add the endpoint of a verb, with a file and a report for outputs."""

    async def endpoint(*values):
        with _errors_as_sentence():
            async with aclosing(run(**dict(zip(names, values, strict=True)))) as results:
                async for result in results:
                    yield result

    names = [argument.name for argument in verb.arguments]
    _document(endpoint, verb)
    inputs = [
        Api(
            None if argument.default is Required else argument.default,
            python_type_to_json_schema(argument.kind),
            argument.about,
        )
        for argument in verb.arguments
    ]
    # No part of the page: Gradio hangs an endpoint on an event.
    gr.Button(visible=False).click(
        endpoint,
        inputs,
        [output, gr.JSON(label="report", visible=False)],
        api_name=verb.name,
        show_progress="hidden",
        **queue,
    )


def _document(endpoint: Callable, verb: Verb) -> None:
    """Give a function the name, the signature and the docstring that Gradio reads off it."""
    endpoint.__name__ = verb.name
    endpoint.__annotations__ = {argument.name: argument.kind for argument in verb.arguments}
    endpoint.__signature__ = inspect.Signature(
        [
            inspect.Parameter(
                argument.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if argument.default is Required else argument.default,
                annotation=argument.kind,
            )
            for argument in verb.arguments
        ]
    )
    lines = [f"{argument.name}: {argument.about}." for argument in verb.arguments]
    endpoint.__doc__ = "\n".join([verb.about, "", "Args:", *lines, "", "Returns:", f"{verb.returns}."])


@contextmanager
def _errors_as_sentence() -> Iterator[None]:
    """Hand an `InputError` to the caller as it stands; no traceback goes to the log."""
    try:
        yield
    except InputError as error:
        raise gr.Error(str(error), print_exception=False) from None
