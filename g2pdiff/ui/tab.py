"""What every tab with a Run button shares: the run bar, the queue, the status line, Stop, and its link."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any, ClassVar

import gradio as gr
from gradio.blocks import Block

from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.experiments.specification import Specification
from g2pdiff.experiments.truth import has_truth
from g2pdiff.ui import link, messages, static
from g2pdiff.ui.form import QUIET, Form
from g2pdiff.ui.messages import html
from g2pdiff.ui.server.model import Models, ServedPipeline, references, threshold
from g2pdiff.ui.server.model_thread import WAIT_SECONDS, drawing
from g2pdiff.ui.server.queue import Ticket
from g2pdiff.ui.widgets import known_species

# Between a run's updates. The page handles them one after the other: where they come faster than a slow
# browser shows them, they pile up, and the page answers no click. So a long run shows itself more seldom.
FRAME_SECONDS, SLOWEST_SECONDS = 0.2, 1.0
FRAMES_EARLY = 25  # the pace slows down once the run has taken this many times FRAME_SECONDS
SESSION_SECONDS = 3600  # how long a stopped run can be fetched

READY = '<div class="progress"></div><p class="status">Ready: press Run, or change something first.</p>'

# Shown while the form says something else than what the tab's results were drawn from.
STALE = (
    '<p class="note stale-note">Drawn from what the form said before: press Run to draw what it says now.</p>'
)

COPY, COPIED, COPIED_SECONDS = "Copy link to this view", "Link copied", 2

LOADING = "The model is loading; the run starts by itself."

# The run ends with the step it is in.
STOPPING = messages.waiting("Stopping after this step.")

BROKE_OFF = "The run broke off: please try again."

# What stands when the server cannot even say how a run ended.
RELEASED = f'<div class="progress"></div><p class="status">{BROKE_OFF}</p>'


class RunTab(ABC):
    """A tab that runs something on the model and can be stopped; built where it is made.

    A subclass says what is on the tab and what a run does: `build_controls`, `build_outcome`, `check`,
    `stream` and `stopped`. Barcode, place and settings of the denoising are the page's form, which all tabs
    share.

    Args:
        models: the checkpoints that are served.
        form: the page's form.

    Attributes:
        specification: what a run asks for; its `position` is the tab's too.
        name: of the tab, in links and in the page.
        fields: the tab's own inputs, by the name that each has in a link and in an `InputError`.
        checks: what reads a link's value for each of them, by the same names.
        need: what the tab needs the simulated specimens for, in a sentence; empty where it does not.
        needed: the row that says so, beside the button `switch`; None where nothing is needed.
        inputs: every input of a run by name, the form's and the checkpoint among them.
        outputs: what `stream` and `stopped` update, beside the run bar.
        kept: the session's state: what a run has made so far, for `stopped`.
    """

    specification: ClassVar[type[Specification]]
    name: ClassVar[str]
    title: ClassVar[str]
    checks: ClassVar[Mapping[str, Callable]] = {}
    need: ClassVar[str] = ""

    def __init__(self, models: Models, form: Form):
        self.models, self.form = models, form
        self.fields: dict[str, Any] = {}
        self.needed: gr.Row | None = None
        self.switch: gr.Button | None = None
        with gr.Tab(self.title, id=self.name, elem_id=f"{self.name}-tab"):
            if self.need:
                self._build_need()
            self.build_controls()
            with gr.Row(elem_id=f"{self.name}-run-bar", elem_classes="run-bar"):
                # Not before the page has read its link: a run of other values would surprise.
                self.run = gr.Button(
                    "Run",
                    variant="primary",
                    scale=3,
                    min_width=120,
                    interactive=False,
                    elem_id=f"{self.name}-run",
                )
                self.stop = gr.Button(
                    "Stop",
                    variant="stop",
                    scale=1,
                    min_width=80,
                    interactive=False,
                    elem_id=f"{self.name}-stop",
                )
            self.status = html(READY, elem_id=f"{self.name}-status", js_on_load=static.text("js/status.js"))
            with gr.Column(elem_id=f"{self.name}-outcome", elem_classes="outcome"):
                html(STALE)
                self.warning = html(elem_id=f"{self.name}-warning")
                self.outputs = self.build_outcome()
                with gr.Row(elem_classes="keep"):
                    self.download = html(elem_id=f"{self.name}-download", elem_classes="downloads")
                    self.copy = gr.Button(COPY, size="sm", elem_id=f"{self.name}-copy", elem_classes="copy")
            # Inside the tab: whatever stands beside it, Gradio counts as another tab.
            self.kept = gr.State(time_to_live=SESSION_SECONDS)
        self._connect()

    def _build_need(self) -> None:
        """Build what says that the tab needs the simulated specimens, and the button that chooses them."""
        with gr.Row(visible=False, elem_id=f"{self.name}-need", elem_classes="need") as self.needed:
            html(messages.note(self.need))
            if self.models.simulated:
                name = self.models.about(self.models.simulated).name
                self.switch = gr.Button(f"Switch to {name}", size="sm", elem_id=f"{self.name}-switch")

    def can_use(self, pipe: ServedPipeline) -> bool:
        """Return whether a checkpoint has what the tab needs."""
        return has_truth(pipe)

    def barcode_of(self, asked: Any) -> Barcode | None:
        """Return the barcode of what `check` returned that a warning may be said of; None without one."""
        return None

    def warn(self, asked: Any, pipe: ServedPipeline) -> str:
        """Return the warning above what is drawn of a barcode unlike all that a checkpoint knows, as HTML.

        One that learned from simulated specimens draws any barcode by rule, so there is nothing to warn of.
        """
        barcode = self.barcode_of(asked)
        return "" if barcode is None or has_truth(pipe) else known_species.warning(references(pipe), barcode)

    def build_controls(self) -> None:  # noqa: B027 - a tab may have none
        """Build the tab's own inputs and list them in `fields`."""

    @abstractmethod
    def build_outcome(self) -> list[Block]:
        """Build what a run shows; return what `stream` and `stopped` update."""

    @abstractmethod
    def check(self, values: dict[str, object]) -> Any:
        """Check what a run needs.

        Args:
            values: of `Form.fields` and of `fields`, by name.

        Raises:
            InputError: the first thing that is wrong.
        """

    @abstractmethod
    def stream(self, asked: Any, pipe: ServedPipeline, ticket: Ticket) -> Generator[dict]:
        """Run what `check` returned; yield updates, `kept` and in the end `ended(...)` among them.

        The ticket has been called; a run that gives it back has to `wait` for it again.
        """

    @abstractmethod
    def stopped(self, kept: Any) -> dict:
        """Return updates that say what a run leaves that did not come to its end."""

    def _connect(self) -> None:
        self.inputs: dict[str, Any] = {
            **self.form.fields,
            **self.fields,
            "checkpoint": self.form.checkpoint,
        }
        controls = [self.status, self.run, self.stop]
        outputs = [*self.outputs, self.warning, self.download, self.kept, *controls]
        view = {"tab": self.name, "names": list(self.inputs), "longest": link.LONGEST_FASTA}
        running = gr.on(
            [self.run.click, *self.also_starts()],
            self._stream,
            None,
            outputs,
            inputs_kwargs=self.inputs,
            preprocess=False,
            js=static.call("startRun", view),
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=None,  # runs stand in the queue, where they can be told how long it takes
        )
        # One event from Run to the run's end, and one that ends it where it does not do so itself: whatever
        # order messages come in, no other event can leave Run disabled, or free it while a run goes on.
        self.stop.click(
            None, None, [self.status, self.stop], js=static.call("stopRun", STOPPING), cancels=running
        )
        ended = running.failure(self._stopped, self.kept, outputs, **QUIET)  # so Gradio counts a stop too
        ended.failure(None, None, controls, js=static.call("releaseRun", RELEASED))
        shown = list(self.inputs.values())
        gr.on([field.change for field in shown], None, shown, None, js=static.call("compareWithRun", view))
        self.copy.click(None, shown, self.copy, js=static.call("copyLink", view, COPIED)).then(
            None, None, self.copy, js=static.call("later", COPIED_SECONDS, COPY)
        )

    def also_starts(self) -> list:
        """Return events that start a run, beside the button's click."""
        return []

    def restore(self, values: dict) -> dict:
        """Return updates that fill the tab's own inputs with a link's values."""
        return {self.fields[name]: value for name, value in values.items() if name in self.fields}

    def controls(self, status: str, running: bool) -> dict:
        """Return updates of the status line and of the buttons, of which one can be pressed at a time."""
        return {
            self.status: status,
            self.run: gr.Button(interactive=not running),
            self.stop: gr.Button(interactive=running),
        }

    def ended(self, status: str) -> dict:
        """Return updates of a run's end, after which nothing of it is kept in memory."""
        return {self.kept: None} | self.controls(status, running=False)

    def finished(self, asked: Any, pipe: ServedPipeline, step: Any, clock: Clock) -> str:
        """Return the outcome of a run that drew one picture.

        Args:
            asked: what `check` returned.
            pipe: the checkpoint.
            step: the last one.
            clock: started with the run.
        """
        barcode = self.barcode_of(asked)
        is_doubtful = (barcode is not None and barcode.is_foreign) or bool(self.warn(asked, pipe))
        return messages.finished(step.total, step.clibd_score, threshold(pipe), clock.elapsed, is_doubtful)

    async def _stream(self, request: gr.Request, **values) -> AsyncGenerator[dict]:
        checkpoint = values.pop("checkpoint")
        try:
            asked = await asyncio.to_thread(self.check, values)
            loading = self.models.load(checkpoint)
            said = messages.waiting("The run starts." if loading.done() else LOADING)
            yield {self.kept: None, self.download: "", self.warning: ""} | self.controls(said, running=True)
            loaded = asyncio.wrap_future(loading)
            while not (await asyncio.wait([loaded], timeout=WAIT_SECONDS))[0]:
                yield {self.status: messages.waiting(LOADING)}
            draw = partial(self._draw, asked, await loaded)
            async with aclosing(drawing(draw, str(request.session_hash))) as updates:
                async for update in updates:
                    yield update
        except InputError as error:
            yield self.ended(messages.note(str(error), "error"))
        except Exception:
            logging.getLogger(__name__).exception("A run of %s broke off", self.name)
            yield self.ended(messages.note(BROKE_OFF, "error"))

    def _draw(self, asked: Any, pipe: ServedPipeline, ticket: Ticket) -> Generator[dict]:
        if said := self.warn(asked, pipe):
            yield {self.warning: said}
        yield from self.wait(ticket)
        yield from self.stream(asked, pipe, ticket)

    def wait(self, ticket: Ticket) -> Generator[dict]:
        """Yield updates that say how long it takes until the ticket is called; it is when they end."""
        while not ticket.is_called():
            yield {self.status: messages.queued(*ticket.outlook)}

    def _stopped(self, kept: Any) -> dict:
        if kept is None:
            return self.ended(messages.stopped_before())
        return self.stopped(kept)


class Clock:
    """Time spent on a run, time left, and whether the page can take another update."""

    def __init__(self):
        self.started = time.monotonic()
        self._shown = -FRAME_SECONDS

    @property
    def elapsed(self) -> float:
        """Seconds since the run started."""
        return time.monotonic() - self.started

    def left(self, done: int, total: int) -> float:
        """Return seconds to the end, if it goes on as before."""
        return self.elapsed / done * (total - done)

    def due(self) -> bool:
        """Return whether an update is due; the next one then has to wait."""
        elapsed = self.elapsed
        if elapsed - self._shown < min(max(FRAME_SECONDS, elapsed / FRAMES_EARLY), SLOWEST_SECONDS):
            return False
        self._shown = elapsed
        return True
