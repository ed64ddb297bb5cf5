"""The Explore tab: one barcode, one place, one picture, watched as it is drawn."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass

import gradio as gr
from PIL import Image

from g2pdiff.errors import InputError
from g2pdiff.ui import link, messages
from g2pdiff.ui.form import QUIET, Form, as_run, validate
from g2pdiff.ui.live_chart import live_chart, score_chart
from g2pdiff.ui.messages import errors_as_toast, html
from g2pdiff.ui.model import simulator, threshold
from g2pdiff.ui.run import Run, download_link, enlarge

STEPS_SHOWN = 25  # on the empty chart, until the checkpoint's own default is known
FRAME_SECONDS = 0.2  # the page is given no more pictures than a browser can keep up with
SESSION_SECONDS = 3600  # how long a stopped run can be fetched
MODEL_QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}  # one run at a time, whoever asks

READY = '<div class="progress"></div><p class="status">Ready: press Run, or change something first.</p>'
PREDICTION = (
    '<p class="note"><b>Prediction</b>: what the model draws from noise for this barcode and place.</p>'
)
TRUTH = (
    '<p class="note"><b>Simulated truth</b>: what the simulator draws for this barcode and latitude; not a '
    "photograph.</p>"
)

# On a narrow page the pictures are below the form: bring them into view when a run starts.
START = """(...form) => {
  if (document.getElementById('pictures').getBoundingClientRect().top > innerHeight * 0.6) {
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    document.getElementById('outcome').scrollIntoView({behavior: calm ? 'auto' : 'smooth'});
  }
  return (WRITE_LINK)(...form);
}""".replace("WRITE_LINK", link.WRITE)

COPY_LINK = """async (...form) => {
  (WRITE_LINK)(...form);
  try { await navigator.clipboard.writeText(location.href); }
  catch { prompt('Link to this view', location.href); }
}""".replace("WRITE_LINK", link.WRITE)


@dataclass
class Progress:
    """How far the last run of a session came."""

    run: Run | None = None
    index: int = 0
    total: int = 0
    picture: Image.Image | None = None  # of step `index`


class Explore:
    """The tab, built where it is made.

    Args:
        model: the pipeline, loading or loaded.
    """

    def __init__(self, model: Future):
        self.model = model
        with gr.Row(elem_id="explore"):
            with gr.Column(min_width=320, scale=5, elem_id="form"):
                self.form = Form()
                with gr.Row(elem_id="run-bar"):
                    self.run = gr.Button("Run", variant="primary", scale=3, min_width=120, elem_id="run")
                    self.stop = gr.Button(
                        "Stop", variant="stop", scale=1, min_width=80, interactive=False, elem_id="stop"
                    )
                self.form.add_settings()
            with gr.Column(min_width=320, scale=8, elem_id="outcome"):
                self._build_outcome()
        self.progress = gr.State(Progress(), time_to_live=SESSION_SECONDS)
        self.form.connect()
        self._connect_run()

    def _build_outcome(self) -> None:
        self.notice = html(elem_id="notice")
        self.status = html(READY, elem_id="status", js_on_load="element.setAttribute('role', 'status')")
        with gr.Row(elem_id="pictures"):
            with gr.Column(elem_id="prediction-column"):
                self.picture = picture_box("Prediction", "prediction")
                html(PREDICTION)
            with gr.Column(elem_id="truth-column") as self.truth_column:
                self.truth = picture_box("Simulated truth", "truth")
                html(TRUTH)
        self.chart = live_chart(
            score_chart([], STEPS_SHOWN, None),
            "Chart of the CLIBDScore after each denoising step, with the success threshold",
            height=210,
            elem_id="chart",
        )
        with gr.Row(elem_id="keep"):
            self.download = html(elem_id="download")
            self.copy = gr.Button("Copy link to this view", size="sm", elem_id="copy")

    def _connect_run(self) -> None:
        controls = [self.status, self.run, self.stop]
        asked = gr.on(
            [self.run.click, self.form.barcode.submit],
            self.prepare,
            self.form.fields,
            controls,
            js=START,
            **QUIET,
        )
        running = asked.then(
            self.stream,
            self.form.fields,
            [self.picture, self.truth, self.chart, self.download, self.progress, *controls],
            show_progress="hidden",
            api_visibility="private",
            validator=validate,
            **MODEL_QUEUE,
        )
        # Gradio counts a cancelled run among the failed ones.
        ended = {"fn": self.stopped, "inputs": self.progress, "outputs": [self.download, *controls], **QUIET}
        self.stop.click(cancels=running, **ended)
        running.failure(**ended)
        self.copy.click(None, self.form.fields, None, js=COPY_LINK)

    def connect_page(self, page: gr.Blocks) -> None:
        """When the page is opened: first the link's values, then, once it is loaded, the checkpoint's."""
        form, settings = self.form, [self.form.steps, self.form.guidance, self.form.alignment]
        page.load(self.restore, None, [form.picker, *form.fields, form.place, self.notice], **QUIET).then(
            self.greet, settings, [*settings, self.notice, self.chart, self.truth_column], **QUIET
        )

    def restore(self, request: gr.Request) -> dict:
        """Fill the form from the link the page was opened with."""
        values, ignored = link.read(request.query_params)
        return self.form.restore(values) | {self.notice: messages.notes(ignored, "warning")}

    def greet(self, steps, guidance_scale, alignment_scale) -> dict:
        """Once the checkpoint is loaded, fill settings left empty with its defaults, or say what is wrong."""
        try:
            pipe = self.model.result()
        except InputError as error:
            return {self.notice: messages.note(str(error), "error")}
        default = pipe.config
        steps = default.default_steps if steps is None else steps
        return {
            self.form.steps: steps,
            self.form.guidance: default.default_guidance_scale if guidance_scale is None else guidance_scale,
            self.form.alignment: (
                default.default_alignment_scale if alignment_scale is None else alignment_scale
            ),
            self.chart: score_chart([], int(steps), threshold(pipe)),
            self.truth_column: gr.Column(visible=default.truth == "simulated"),
        }

    def controls(self, status: str, running: bool) -> dict:
        """Updates of the status line and of the buttons, of which one can be pressed at a time."""
        return {
            self.status: status,
            self.run: gr.Button(interactive=not running),
            self.stop: gr.Button(interactive=running),
        }

    def prepare(self, *fields) -> dict:
        """Check the form before the run is queued, and say what the run waits for."""
        loaded = self.model.done()
        try:
            as_run(fields)
            if loaded:
                self.model.result()
        except InputError as error:
            return self.controls(messages.note(str(error), "error"), running=False)
        waits_for = "Waiting for a free place" if loaded else "The model is loading"
        return self.controls(messages.waiting(f"{waits_for}; the run starts by itself."), running=True)

    def stream(self, *fields) -> Iterator[dict]:
        """Stream one run to the page."""
        with errors_as_toast():
            run, pipe = as_run(fields), self.model.result()
            yield {self.truth: None, self.download: "", self.progress: Progress(run)}
            scores, start, shown = [], time.monotonic(), -FRAME_SECONDS
            with closing(run.stream(pipe)) as steps:
                for step in steps:
                    scores += step.clibd_scores or []
                    elapsed = time.monotonic() - start
                    left = elapsed / step.index * (step.total - step.index)
                    picture = step.image
                    if elapsed - shown < FRAME_SECONDS and step.index < step.total:
                        continue
                    shown = elapsed
                    yield {
                        self.picture: enlarge(picture),
                        self.chart: score_chart(scores, step.total, threshold(pipe)),
                        self.status: messages.progress(step.index, step.total, step.clibd_score, left),
                        self.progress: Progress(run, step.index, step.total, picture),
                    }
        outcome = messages.finished(step.total, step.clibd_score, threshold(pipe), elapsed)
        yield {
            self.truth: true_picture(run, picture) if pipe.config.truth == "simulated" else None,
            self.download: download_link(run, picture),
        } | self.controls(outcome, running=False)

    def stopped(self, last: Progress) -> dict:
        """Say what a run leaves that did not come to its end, and offer its picture."""
        return {
            self.download: download_link(last.run, last.picture) if last.picture else "",
        } | self.controls(messages.stopped(last.index, last.total), running=False)


def picture_box(label: str, elem_id: str) -> gr.Image:
    """A square picture to look at. JPEG, as every step is encoded and WebP takes ten times as long."""
    return gr.Image(
        label=label,
        show_label=False,
        alt_text=label,
        format="jpeg",
        interactive=False,
        buttons=["fullscreen"],
        elem_id=elem_id,
        elem_classes="specimen",
    )


def true_picture(run: Run, predicted: Image.Image) -> Image.Image:
    """The simulator's plain specimen for a run's barcode and latitude, shown as large as the prediction."""
    image = simulator().specimens([run.barcode.sequence], [run.latitude], predicted.width)[0]
    pixels = (image.permute(1, 2, 0) * 255).round().byte().cpu().numpy()
    return enlarge(Image.fromarray(pixels))
