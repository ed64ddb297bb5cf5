"""The endpoints for scripts and agents: typed, documented arguments, one clear sentence for bad input.

With `--mcp` the same endpoints are the tools of an MCP server. What they take is listed in
`g2pdiff.experiments.arguments`, and what they do is what the command line does under the same names.
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

from g2pdiff.errors import InputError
from g2pdiff.experiments.arguments import (
    BATCH,
    COMPARE,
    GENERATE,
    LATITUDE_SWEEP,
    MUTATIONS,
    Argument,
    Required,
    Verb,
)
from g2pdiff.ui.server.model import Models, loaded, threshold
from g2pdiff.ui.server.model_thread import drawing
from g2pdiff.ui.server.queue import Place

if TYPE_CHECKING:
    from g2pdiff.experiments.report import Report
    from g2pdiff.experiments.request import Request
    from g2pdiff.experiments.verbs import BatchReport


def add_endpoints(models: Models) -> None:
    """Add every endpoint to the Blocks being built; with several checkpoints each takes one's name.

    Args:
        models: the checkpoints that are served.
    """

    def generate(caller: str, checkpoint: str | None = None, **values) -> AsyncIterator[tuple]:
        return stream_generate(models.load(checkpoint), caller, **values)

    choice = ()
    if len(models.names) > 1:
        choice = (Argument("checkpoint", Literal[models.names], "which checkpoint draws", models.names[0]),)
    _add(_with(GENERATE, choice), generate, gr.Image(label="picture", format="png", visible=False))
    for verb in (MUTATIONS, LATITUDE_SWEEP, COMPARE):
        _add_experiment(
            models, verb, choice, gr.Image(label="contact sheet", format="png", visible=False), _sheet
        )
    _add_experiment(models, BATCH, choice, gr.File(label="archive", visible=False), _archive)


async def stream_generate(model: Future, caller: str, **values) -> AsyncIterator[tuple]:
    """Draw one specimen; yields the picture and a report after every step, and while it waits for its turn
    no picture and what is known of that."""
    request = await asyncio.to_thread(_request, values)
    pipe, start = await loaded(model), time.monotonic()

    def draw(turn: Place) -> Iterator[tuple]:
        while not turn.wait():
            yield None, _outlook(turn)
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

    async with aclosing(drawing(draw, caller)) as results:
        async for result in results:
            yield result


async def stream_experiment(
    model: Future, verb: Verb, pack: Callable, caller: str, **values
) -> AsyncIterator[tuple]:
    """Run an experiment; yields the file that `pack` makes of what is finished, and a report, every step."""
    asked = await asyncio.to_thread(_experiment, verb, values)
    pipe, start = await loaded(model), time.monotonic()

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
                waiting = _outlook(turn) if turn.has_to_wait else {}
                yield file, progress | waiting | found | {"notes": asked.notes, "settings": asked.settings}

    async with aclosing(drawing(draw, caller)) as results:
        async for result in results:
            yield result


def _request(values: dict) -> Request:
    from g2pdiff.experiments.request import Request

    return Request.check(**values)


def _experiment(verb: Verb, values: dict):
    # With PyTorch, which takes its time where nobody has imported it yet.
    from g2pdiff.experiments.verbs import EXPERIMENTS

    return EXPERIMENTS[verb.name](**values)


def _outlook(turn: Place) -> dict:
    """What a caller is told who waits for a turn."""
    number, seconds = turn.outlook
    return {"number_in_line": number, "seconds_to_turn": seconds}


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
    def run(caller: str, checkpoint: str | None = None, **values) -> AsyncIterator[tuple]:
        return stream_experiment(models.load(checkpoint), verb, pack, caller, **values)

    _add(_with(verb, choice), run, output)


def _add(verb: Verb, run: Callable[..., AsyncIterator[tuple]], output: gr.components.Component) -> None:
    """Add the endpoint of a verb, with a file and a report for outputs."""

    async def endpoint(request: gr.Request, *values):
        given = dict(zip(names, values, strict=True))
        with _errors_as_sentence():
            async with aclosing(run(request.session_hash, **given)) as results:
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
        concurrency_limit=None,  # callers stand in the line with everybody else
    )


def _document(endpoint: Callable, verb: Verb) -> None:
    """Give a function the name, the signature and the docstring that Gradio reads off it."""
    endpoint.__name__ = verb.name

    def parameter(name: str, kind: type, default=inspect.Parameter.empty) -> inspect.Parameter:
        return inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind
        )

    parameters = [parameter("request", gr.Request)]  # which Gradio fills in
    for argument in verb.arguments:
        default = inspect.Parameter.empty if argument.default is Required else argument.default
        parameters.append(parameter(argument.name, argument.kind, default))
    endpoint.__annotations__ = {one.name: one.annotation for one in parameters}
    endpoint.__signature__ = inspect.Signature(parameters)
    lines = [f"{argument.name}: {argument.about}." for argument in verb.arguments]
    returns = f"{verb.returns}; while the run waits for its turn, number_in_line and seconds_to_turn."
    endpoint.__doc__ = "\n".join([verb.about, "", "Args:", *lines, "", "Returns:", returns])


@contextmanager
def _errors_as_sentence() -> Iterator[None]:
    """Hand an `InputError` to the caller as it stands; no traceback goes to the log."""
    try:
        yield
    except InputError as error:
        raise gr.Error(str(error), print_exception=False) from None
