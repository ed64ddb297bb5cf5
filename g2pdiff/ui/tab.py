"""What every tab with a Run button shares: the run bar, the queue, the status line, Stop, and its link."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import ClassVar

import gradio as gr

from g2pdiff.errors import InputError
from g2pdiff.ui import link, messages
from g2pdiff.ui.form import QUIET, Form
from g2pdiff.ui.messages import errors_as_toast, html

FRAME_SECONDS = 0.2  # the page is given no more updates than a browser can keep up with
SESSION_SECONDS = 3600  # how long a stopped run can be fetched

READY = '<div class="progress"></div><p class="status">Ready: press Run, or change something first.</p>'

# On a narrow page what a run shows is below the form: bring it into view when a run starts.
START = """(...values) => {
  const outcome = document.getElementById('TAB-outcome');
  if (outcome.getBoundingClientRect().top > innerHeight * 0.6) {
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    outcome.scrollIntoView({behavior: calm ? 'auto' : 'smooth'});
  }
  return (WRITE_LINK)(...values);
}"""

COPY_LINK = """async (...values) => {
  (WRITE_LINK)(...values);
  try { await navigator.clipboard.writeText(location.href); }
  catch { prompt('Link to this view', location.href); }
}"""


class RunTab:
    """A tab that runs something on the model and can be stopped; built where it is made.

    A subclass says what is on the tab and what a run does: `build_controls`, `build_outcome`, `check`,
    `stream` and `stopped`. Barcode, place and settings of the denoising are the page's form, which all tabs
    share.

    Args:
        model: the pipeline, loading or loaded.
        form: the page's form.

    Attributes:
        fields: the tab's own inputs, by the name that each has in a link and in an `InputError`.
        checks: what reads a link's value for each of them, by the same names.
        outputs: what `stream` and `stopped` update, beside the run bar.
        kept: the session's state: what a run has made so far, for `stopped`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    queue: ClassVar[dict]  # concurrency settings of the run
    checks: ClassVar[Mapping[str, Callable]] = {}

    def __init__(self, model: Future, form: Form):
        self.model, self.form = model, form
        self.fields: dict[str, gr.components.Component] = {}
        with gr.Tab(self.title, id=self.name, elem_id=f"{self.name}-tab"):
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
            self.status = html(
                READY, elem_id=f"{self.name}-status", js_on_load="element.setAttribute('role', 'status')"
            )
            with gr.Column(elem_id=f"{self.name}-outcome", elem_classes="outcome"):
                self.outputs = self.build_outcome()
                with gr.Row(elem_classes="keep"):
                    self.download = html(elem_id=f"{self.name}-download", elem_classes="downloads")
                    self.copy = gr.Button(
                        "Copy link to this view", size="sm", elem_id=f"{self.name}-copy", elem_classes="copy"
                    )
            # Inside the tab: whatever stands beside it, Gradio counts as another tab.
            self.kept = gr.State(time_to_live=SESSION_SECONDS)
        self._connect()

    def build_controls(self) -> None:
        """Build the tab's own inputs and list them in `fields`."""

    def build_outcome(self) -> list[gr.components.Component]:
        """Build what a run shows; return what `stream` and `stopped` update."""
        raise NotImplementedError

    def check(self, form: list, **fields):
        """What a run needs, checked.

        Args:
            form: the values of `Form.fields`.
            fields: the values of `fields`.

        Raises:
            InputError: the first thing that is wrong.
        """
        raise NotImplementedError

    def stream(self, request, pipe) -> Iterator[dict]:
        """Run what `check` returned; yield updates, `kept` and in the end `ended(...)` among them."""
        raise NotImplementedError

    def stopped(self, kept) -> dict:
        """Updates that say what a run leaves that did not come to its end."""
        raise NotImplementedError

    @property
    def names(self) -> list[str]:
        """The names of a view's values, in the order in which they are handed around."""
        return [*link.FORM, *self.fields]

    def _connect(self) -> None:
        inputs = [*self.form.fields, *self.fields.values()]
        controls = [self.status, self.run, self.stop]
        outputs = [*self.outputs, self.download, self.kept, *controls]
        write = link.writer(self.name, self.names)
        start = START.replace("TAB", self.name).replace("WRITE_LINK", write)
        asked = gr.on(
            [self.run.click, *self.also_starts()], self._prepare, inputs, controls, js=start, **QUIET
        )
        running = asked.then(
            self._stream,
            inputs,
            outputs,
            show_progress="hidden",
            api_visibility="private",
            validator=self._validate,
            **self.queue,
        )
        # Gradio counts a cancelled run among the failed ones.
        ended = {"fn": self._stopped, "inputs": self.kept, "outputs": outputs, **QUIET}
        self.stop.click(cancels=running, **ended)
        running.failure(**ended)
        self.copy.click(None, inputs, None, js=COPY_LINK.replace("WRITE_LINK", write))

    def also_starts(self) -> list:
        """Events that start a run, beside the button's click."""
        return []

    def restore(self, values: dict) -> dict:
        """Updates that fill the tab's own inputs with a link's values."""
        return {self.fields[name]: value for name, value in values.items() if name in self.fields}

    def controls(self, status: str, running: bool) -> dict:
        """Updates of the status line and of the buttons, of which one can be pressed at a time."""
        return {
            self.status: status,
            self.run: gr.Button(interactive=not running),
            self.stop: gr.Button(interactive=running),
        }

    def ended(self, status: str) -> dict:
        """Updates of a run's end."""
        return self.controls(status, running=False)

    def _check(self, values):
        form, own = values[: len(link.FORM)], values[len(link.FORM) :]
        return self.check(list(form), **dict(zip(self.fields, own, strict=True)))

    def _prepare(self, *values) -> dict:
        """Check the values before the run is queued, and say what the run waits for."""
        loaded = self.model.done()
        try:
            self._check(values)
            if loaded:
                self.model.result()
        except InputError as error:
            return self.controls(messages.note(str(error), "error"), running=False)
        waits_for = "Waiting for a free place" if loaded else "The model is loading"
        return self.controls(messages.waiting(f"{waits_for}; the run starts by itself."), running=True)

    def _validate(self, *values) -> list[dict]:
        """Gradio's verdict on each value, before a run is queued."""
        try:
            self._check(values)
        except InputError as error:
            return [gr.validate(name != error.field, str(error)) for name in self.names]
        return [gr.validate(True, "")] * len(values)

    def _stream(self, *values) -> Iterator[dict]:
        with errors_as_toast():
            request, pipe = self._check(values), self.model.result()
            yield {self.kept: None, self.download: ""}
            yield from self.stream(request, pipe)

    def _stopped(self, kept) -> dict:
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
        """Seconds to the end, if it goes on as before."""
        return self.elapsed / done * (total - done)

    def due(self) -> bool:
        """Whether an update is due; the next one then has to wait."""
        if self.elapsed - self._shown < FRAME_SECONDS:
            return False
        self._shown = self.elapsed
        return True
