"""The endpoints for scripts and agents: typed, documented arguments, one clear sentence for bad input.

With `--mcp` the same endpoints are the tools of an MCP server. They are made from the specifications of
`g2pdiff.experiments`, and what they do is what the command line does under the same names.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from concurrent.futures import Future
from contextlib import aclosing, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.components.api_component import Api

from g2pdiff.errors import InputError
from g2pdiff.experiments.generate import Generate
from g2pdiff.experiments.specification import Experiment, Specification, specifications
from g2pdiff.ui.server.model import Models, loaded, threshold
from g2pdiff.ui.server.model_thread import drawing
from g2pdiff.ui.server.queue import Ticket, in_batches

UNKNOWN_TO_TYPES = ("title", "description", "default")  # of a JSON schema: said elsewhere, or not at all


class CallableBlocks(gr.Blocks):
    """Blocks whose endpoints take the defaults for arguments that a call over REST leaves out at its end."""

    async def preprocess_data(
        self, block_fn: BlockFunction, inputs: list, *more: Any, **options: Any
    ) -> list:
        missing: list[Any] = list(block_fn.inputs[len(inputs) :])
        if all(isinstance(component, Api) for component in missing):
            inputs = [*inputs, *(component.value for component in missing)]
        return await super().preprocess_data(block_fn, inputs, *more, **options)


def add_endpoints(models: Models) -> None:
    """Add every endpoint to the Blocks being built; with several checkpoints each takes one's name.

    Args:
        models: the checkpoints that are served.
    """
    for kind in specifications().values():
        if kind is Generate:
            output = gr.Image(label="picture", format="png", visible=False)
            _add(models, kind, stream_generate, output)
        elif issubclass(kind, Experiment):
            is_picture = kind.file.endswith(".png")
            output = (
                gr.Image(label=kind.file_label, format="png", visible=False)
                if is_picture
                else gr.File(label=kind.file_label, visible=False)
            )
            _add(models, kind, stream_experiment, output)


async def stream_generate(model: Future, caller: str, specification: Generate) -> AsyncGenerator[tuple]:
    """Draw one specimen; yields the picture and a report after every step, and while it waits in the queue
    no picture and what is known of that."""
    pipe, start = await loaded(model), time.monotonic()

    def draw(ticket: Ticket) -> Generator[tuple]:
        while not ticket.is_called():
            yield None, _outlook(ticket)
        from g2pdiff.analysis.references import nearest_species, warnings_of

        nearest = nearest_species(pipe, specification.mutated)
        unlike = warnings_of(pipe, nearest)
        with ticket, closing(specification.start(pipe)) as steps:
            for step in steps:
                report = {
                    "clibd_score": step.clibd_score,
                    "success_threshold": threshold(pipe),
                    "step": step.index,
                    "steps": step.total,
                    "seconds": round(time.monotonic() - start, 3),
                    "changed_bases": specification.changed_bases,
                    "nearest_species": nearest,
                    "notes": [*specification.notes, *unlike],
                    "settings": specification.settings,
                }
                yield step.image, report

    async with aclosing(drawing(draw, caller)) as results:
        async for result in results:
            yield result


async def stream_experiment(model: Future, caller: str, specification: Experiment) -> AsyncGenerator[tuple]:
    """Run an experiment; yields the file of what is finished, and a report, every step."""
    pipe, start = await loaded(model), time.monotonic()

    def draw(ticket: Ticket) -> Generator[tuple]:
        file: str | None = None
        rows, found = [], {"rows": [], "summary": {}}
        updates = in_batches(specification.start(pipe), ticket)
        with TemporaryDirectory() as folder, closing(updates):
            for update in updates:
                if update.rows:
                    rows += update.rows
                    report = specification.report(pipe, rows)
                    path = Path(folder, specification.file)
                    report.write(path)
                    file, found = str(path), {"rows": report.rows, "summary": report.summary}
                progress = {
                    "done": update.done,
                    "total": update.total,
                    "seconds": round(time.monotonic() - start, 3),
                }
                waiting = _outlook(ticket) if update.pauses else {}
                asked = {"notes": specification.notes, "settings": specification.settings}
                yield file, progress | waiting | found | asked

    async with aclosing(drawing(draw, caller)) as results:
        async for result in results:
            yield result


def _outlook(ticket: Ticket) -> dict:
    """Return what a caller is told who waits in the queue."""
    number, seconds = ticket.outlook
    return {"number_in_queue": number, "seconds_to_start": seconds}


def _add(
    models: Models,
    kind: type[Specification],
    run: Callable[..., AsyncGenerator[tuple]],
    output: gr.components.Component,
) -> None:
    """Add the endpoint of a specification, with a file and a report for outputs."""

    async def endpoint(request: gr.Request, **values: Any) -> AsyncGenerator[tuple]:
        with _errors_as_sentence():
            model = models.load(values.pop("checkpoint", None))
            specification = await asyncio.to_thread(kind, **values)
            async with aclosing(run(model, request.session_hash, specification)) as results:
                async for result in results:
                    yield result

    inputs: dict[str, Any] = {name: _component(kind, name) for name in kind.arguments()}
    if len(models.names) > 1:
        names = list(models.names)
        default = models.default(issubclass(kind, Experiment) and kind.needs_size)
        choice: dict[str, Any] = {"type": "string", "enum": names}
        inputs["checkpoint"] = Api(default, choice, "which checkpoint draws")
    _document(endpoint, kind, inputs)
    # No part of the page: Gradio hangs an endpoint on an event.
    gr.Button(visible=False).click(
        endpoint,
        None,
        [output, gr.JSON(label="report", visible=False)],
        inputs_kwargs=inputs,
        api_name=kind.name,
        show_progress="hidden",
        concurrency_limit=None,  # callers stand in the queue with everybody else
    )


def _component(kind: type[Specification], name: str) -> Api:
    """Return the component of an argument: its default, its type and its help."""
    schema = kind.schema_of(name)
    only_type = {key: value for key, value in schema.items() if key not in UNKNOWN_TO_TYPES}
    return Api(schema.get("default"), only_type, schema["description"])


def _document(endpoint: Callable, kind: type[Specification], inputs: Mapping[str, Api]) -> None:
    """Give a function the signature and the docstring that Gradio and its MCP server read off it."""
    parameters = [
        inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
    ]
    for name, component in inputs.items():
        is_required = name in kind.model_fields and kind.model_fields[name].is_required()
        default = inspect.Parameter.empty if is_required else component.value
        parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default))
    endpoint.__annotations__ = {"request": gr.Request}
    endpoint.__signature__ = inspect.Signature(parameters)
    endpoint.__name__ = kind.name
    lines = [f"{name}: {component.label}." for name, component in inputs.items()]
    returns = f"{kind.returns}; while the run waits in the queue, number_in_queue and seconds_to_start."
    endpoint.__doc__ = "\n".join([kind.about, "", "Args:", *lines, "", "Returns:", returns])


@contextmanager
def _errors_as_sentence() -> Generator[None]:
    """Hand an `InputError` to the caller as it stands; no traceback goes to the log."""
    try:
        yield
    except InputError as error:
        raise gr.Error(str(error), print_exception=False) from None
