"""The Explore tab: one barcode, one place, one picture, watched as it is drawn."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, field
from html import escape

import gradio as gr
from gradio.blocks import Block
from PIL import Image

from g2pdiff.arrival import Arrival
from g2pdiff.dna.barcode import Barcode
from g2pdiff.experiments.drawing import Specimen
from g2pdiff.experiments.generate import Generate
from g2pdiff.experiments.truth import has_truth, true_pictures
from g2pdiff.ui import messages, static
from g2pdiff.ui.form import specify
from g2pdiff.ui.messages import html, place_name
from g2pdiff.ui.server.model import ServedPipeline, knows_species, references, threshold
from g2pdiff.ui.server.queue import Ticket
from g2pdiff.ui.tab import Clock, RunTab
from g2pdiff.ui.widgets import known_species
from g2pdiff.ui.widgets.caption import caption
from g2pdiff.ui.widgets.downloads import animation_link, file_stem, picture_link, settings_link
from g2pdiff.ui.widgets.live_chart import live_chart, score_chart
from g2pdiff.ui.widgets.pictures import enlarge, picture_box, pil
from g2pdiff.ui.widgets.replay import Moment, replay

KNOWN = (
    '<p class="note"><b>Nearest known species</b>: the one of the reference species whose barcode is most '
    "like this one.</p>"
)

STEPS_SHOWN = 25  # on the empty chart, until the checkpoint's own default is known

PREDICTION = '<p class="note"><b>Prediction</b>: what the model draws from noise for {of}.</p>'
ARRIVED = (
    '<p class="note"><b>Drawn before you came</b>: what the model draws for {of}. Press Run to watch it form.'
    "</p>"
)
TRUTH = (
    '<p class="note"><b>Simulated truth</b>: what the simulator draws for this barcode and latitude; not a '
    "photograph.</p>"
)


@dataclass
class Drawn:
    """How far a session's last run came."""

    asked: Generate
    total: int = 0
    frames: list[Image.Image] = field(default_factory=list)  # the picture after every step
    moments: list[Moment] = field(default_factory=list)  # every step


class ExploreTab(RunTab):
    """The tab, built where it is made."""

    specification = Generate
    name = "explore"
    title = "Explore"

    def build_outcome(self) -> list[Block]:
        with gr.Row(elem_id="pictures"):
            with gr.Column(elem_id="prediction-column"):
                self.picture = picture_box("Prediction", "prediction")
                self.caption = html(PREDICTION.format(of="this barcode and place"), elem_id="caption")
            with gr.Column(elem_id="truth-column") as self.truth_column:
                self.truth = picture_box("Simulated truth", "truth")
                html(TRUTH)
            with gr.Column(visible=False, elem_id="known-column") as self.known_column:
                self.known = picture_box("Nearest known species", "known")
                self.known_note = html(KNOWN, elem_id="known-note")
        self.chart = live_chart(
            score_chart([], STEPS_SHOWN, None),
            "Chart of the CLIBDScore after each denoising step, with the success threshold",
            height=210,
            elem_id="chart",
        )
        self.replay = html(elem_id="replay", js_on_load=static.text("js/replay.js"))
        self.told = [self.chart, self.truth_column, self.known_column]
        return [self.picture, self.caption, self.truth, self.known, self.known_note, self.chart, self.replay]

    def also_starts(self) -> list:
        return [self.form.fields["barcode"].submit]

    def arrive(self, folder: str) -> dict:
        """Return updates that show the picture which a checkpoint's folder brings, if it does."""
        found = Arrival.read(folder)
        if found is None:
            return {}
        of = f"<em>{escape(found.species)}</em> at {place_name(found.latitude, found.longitude)}"
        return {self.picture: enlarge(found.picture), self.caption: ARRIVED.format(of=of)}

    def greet(self, pipe: ServedPipeline, steps: int) -> dict:
        """Return updates for a checkpoint that has just been loaded."""
        return {
            self.chart: score_chart([], steps, threshold(pipe)),
            self.truth_column: gr.Column(visible=has_truth(pipe)),
            self.known_column: gr.Column(visible=not has_truth(pipe) and knows_species(pipe)),
        }

    def check(self, values: dict[str, object]) -> Generate:
        return specify(Generate, values)

    def stream(self, asked: Generate, pipe: ServedPipeline, ticket: Ticket) -> Generator[dict]:
        progress, scores, clock = Drawn(asked), [], Clock()
        said = {self.caption: PREDICTION.format(of=caption(asked, asked.mutated.sequence))}
        yield {self.truth: None, self.replay: "", self.kept: progress} | said | self.nearest(asked, pipe)
        with ticket, closing(asked.start(pipe)) as steps:
            for step in steps:
                scores += step.clibd_scores or []
                progress.total = step.total
                progress.frames.append(step.image)
                progress.moments.append(Moment.of(step))
                if not (clock.due() or step.index == step.total):
                    continue
                left = clock.left(step.index, step.total)
                yield {
                    self.picture: enlarge(step.image),
                    self.chart: score_chart(scores, step.total, threshold(pipe)),
                    self.status: messages.progress(step.index, step.total, step.clibd_score, left),
                }
        yield {
            self.truth: true_picture(asked, pipe),
            self.replay: replay(pipe, progress.moments),
            self.download: downloads(progress),
        } | self.ended(self.finished(asked, pipe, step, clock))

    def barcode_of(self, asked: Generate) -> Barcode:
        return asked.mutated

    def nearest(self, asked: Generate, pipe: ServedPipeline) -> dict:
        """Return updates that show the known species nearest to the barcode, where no truth is known."""
        bank = None if has_truth(pipe) else references(pipe)
        if bank is None:
            return {self.known: None}
        neighbours = bank.nearest_barcodes(asked.mutated, 2)
        return {
            self.known: known_species.picture(bank, neighbours[0], pipe.config.image_size),
            self.known_note: known_species.card(bank, neighbours),
        }

    def stopped(self, kept: Drawn) -> dict:
        return {self.download: downloads(kept)} | self.ended(messages.stopped(len(kept.frames), kept.total))


def downloads(progress: Drawn) -> str:
    """Return links to the last picture, the denoising and the settings; none before the first step."""
    if not progress.frames:
        return ""
    stem, settings = file_stem(progress.asked), progress.asked.settings
    return (
        picture_link(progress.frames[-1], stem, settings)
        + animation_link(progress.frames, stem)
        + settings_link(settings, stem)
    )


def true_picture(asked: Generate, pipe: ServedPipeline) -> Image.Image | None:
    """Return the simulator's plain specimen for the barcode and place; None without a known truth."""
    specimen = Specimen(asked.mutated, asked.latitude, asked.longitude, asked.seed)
    drawn = true_pictures(pipe, [specimen])
    return None if drawn is None else enlarge(pil(drawn[0]))
