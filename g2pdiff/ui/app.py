"""The page: what it says first, the form, the tabs beside it, and how it is launched."""

from __future__ import annotations

from contextlib import suppress
from html import escape
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from g2pdiff.about import About
from g2pdiff.discovery import classes_of
from g2pdiff.errors import InputError
from g2pdiff.experiments.truth import has_truth
from g2pdiff.models.checkpoint_names import named_checkpoints
from g2pdiff.ui import link, messages, static, tabs
from g2pdiff.ui.api import CallableBlocks, add_endpoints
from g2pdiff.ui.form import QUIET, Form, or_none
from g2pdiff.ui.messages import html
from g2pdiff.ui.server.limits import LimitedBodies
from g2pdiff.ui.server.model import Models, loaded
from g2pdiff.ui.tab import RunTab
from g2pdiff.ui.tabs.learn import lesson
from g2pdiff.ui.widgets.glossary import glossary
from g2pdiff.ui.widgets.number_box import as_typed
from g2pdiff.ui.widgets.theme import css, theme
from g2pdiff.validation import check_steps

TITLE = """
<h1>G2PDiffusion</h1>
<p>From a DNA barcode and a place on Earth to a picture of the animal, drawn step by step.
<a href="?tab=learn">New here? Start with five short activities.</a></p>
<div class="simulated"><p>{origin}</p>{limits}</div>
"""
LIMITS = "<details><summary>What it can and cannot show</summary><p>{limits}</p></details>"
SIMULATED = (
    "This model learned from simulated specimens: colours and patterns are invented, not the real animal's."
)
PHOTOGRAPHED = (
    "This model learned from photographs. What it draws is a guess all the same: identify no animal by it."
)

CACHE_SECONDS = 3600  # streamed pictures are deleted from the server's cache after this

SESSIONS = 64  # the last visitors, whose state is in memory: more than have a ticket of the queue

LAUNCH = {
    "theme": theme(),
    "css": css(),
    "js": static.text("js/page.js"),
    "footer_links": ["api", "settings"],
    "run_history": False,
    "ssr_mode": False,
    "state_session_capacity": SESSIONS,
    "max_file_size": "1mb",  # files are read in the browser; this is for those who upload by hand
    "app_kwargs": {"middleware": [Middleware(LimitedBodies)]},
}

TABS: list[Any] = sorted(classes_of(tabs, RunTab), key=lambda kind: kind.specification.position)


def title(about: About, simulated: bool) -> str:
    """Return the page's first lines, which say what a checkpoint learned from, as HTML."""
    origin = about.description or (SIMULATED if simulated else PHOTOGRAPHED)
    limits = LIMITS.format(limits=escape(about.limits)) if about.limits else ""
    return TITLE.format(origin=escape(origin), limits=limits)


def footer(models: Models) -> str:
    """Return whom the served checkpoints credit, and on what terms they are offered, as HTML."""
    terms = []
    for about in map(models.about, models.names):
        said = [about.credit, about.licence and f"Weights: {about.licence}"]
        if any(said):
            terms.append(f"<p><b>{escape(about.name)}</b>. {escape(' '.join(filter(None, said)))}</p>")
    barcodes = dict.fromkeys(models.about(name).barcodes for name in models.names)
    return "".join([*terms, *(f"<p>{escape(text)}</p>" for text in barcodes if text)])


class Page:
    """The page's contents, built where it is made: the form, and the tabs that share it.

    Args:
        models: the checkpoints that are served.
        blocks: the page.
    """

    def __init__(self, models: Models, blocks: gr.Blocks):
        self.models = models
        first = models.names[0]
        self.title = html(
            title(models.about(first), simulated=first == models.simulated),
            elem_id="title",
            js_on_load=static.text("js/learn_link.js"),
        )
        self.notice = html(elem_id="notice")
        with gr.Row(elem_id="page"):
            with gr.Column(min_width=320, scale=5, elem_id="form"):
                self.form = Form(models)
            with (
                gr.Column(min_width=320, scale=8, elem_id="work"),
                gr.Tabs(selected="explore", elem_id="tabs") as self.tabs,
            ):
                self.built = {kind.name: kind(models, self.form) for kind in TABS}
                with gr.Tab("Learn", id="learn", elem_id="learn-tab"):
                    html(lesson(), elem_id="learn")
        html(footer(models) + glossary(), elem_id="credit")
        self.form.connect()
        form, explore = self.form, self.built["explore"]
        settings = {name: form.fields[name] for name in ("steps", "guidance_scale", "alignment_scale")}
        needs = [tab.needed for tab in self.built.values() if tab.needed is not None]
        told = [*settings.values(), self.title, self.notice, form.picker, *explore.told, *needs]
        own = [field for tab in self.built.values() for field in (tab.run, *tab.fields.values())]
        # When the page is opened: first the link's values, then, once it is loaded, the checkpoint's.
        blocks.load(
            self.restore,
            None,
            [
                *(self.tabs, form.checkpoint, form.picker, *form.fields.values(), form.place, *own),
                *(self.notice, explore.picture, explore.caption),
            ],
            **QUIET,
        ).then(self.wait, form.checkpoint, None, **QUIET).then(
            self.greet,
            None,
            told,
            inputs_kwargs={"checkpoint": form.checkpoint, "barcode": form.fields["barcode"]} | settings,
            **QUIET,
        )
        chosen = [form.checkpoint.input(self.announce, form.checkpoint, self.notice, **QUIET)]
        switches = [tab.switch.click for tab in self.built.values() if tab.switch is not None]
        if switches:
            chosen.append(gr.on(switches, self.switch, None, [form.checkpoint, self.notice], **QUIET))
        for event in chosen:
            event.then(self.wait, form.checkpoint, None, **QUIET).then(
                self.choose, [form.checkpoint, form.fields["barcode"]], told, **QUIET
            )

    def restore(self, request: gr.Request) -> dict:
        """Fill the form and choose the tab from the link the page was opened with."""
        name = request.query_params.get("tab", "explore")
        tab = self.built.get(name, self.built["explore"])
        selected = name if name == "learn" else tab.name
        checks = {**link.FORM, **tab.checks} | {"checkpoint": self.models.check}
        values, ignored = link.read(request.query_params, checks)
        if self.models.simulated and values and "checkpoint" not in request.query_params:
            values["checkpoint"] = self.models.simulated  # which all links meant before there were others
        arrived = {} if values else self.built["explore"].arrive(self.models.folder())
        return (
            {self.tabs: gr.Tabs(selected=selected), self.notice: messages.notes(ignored, "warning")}
            | self.form.restore(values)
            | tab.restore(values)
            | {tab.run: gr.Button(interactive=True) for tab in self.built.values()}
            | arrived
        )

    def announce(self, checkpoint: str | None) -> str:
        """Return the notice while a checkpoint that was chosen is loading."""
        loaded = self.models.load(checkpoint).done()
        return "" if loaded else messages.note(f"{self.models.about(checkpoint).name} is loading.")

    def switch(self) -> tuple[str | None, str]:
        """Choose the simulated specimens, and say that they are loading; everything else stays."""
        simulated = self.models.simulated
        return simulated, self.announce(simulated)

    async def wait(self, checkpoint: str) -> None:
        """Wait until the checkpoint is loaded, or cannot be; what is typed meanwhile is read afterwards."""
        with suppress(InputError):  # which the greeting says
            await loaded(self.models.load(checkpoint))

    def choose(self, checkpoint: str, barcode: object) -> dict:
        """Go over to another checkpoint, and to its defaults; the barcode stays."""
        return {self.notice: ""} | self.greet(checkpoint, barcode)

    def greet(
        self,
        checkpoint: str,
        barcode: object,
        steps: object = None,
        guidance_scale: object = None,
        alignment_scale: object = None,
    ) -> dict:
        """Fill settings left empty with the loaded checkpoint's defaults, or say what is wrong with it."""
        try:
            pipe = self.models.load(checkpoint).result()
        except InputError as error:
            return {self.notice: messages.note(str(error), "error")}
        given: dict[str, Any] = {
            "steps": steps,
            "guidance_scale": guidance_scale,
            "alignment_scale": alignment_scale,
        }
        filled = {
            name: as_typed(pipe.config[f"default_{name}"] if or_none(value) is None else value)
            for name, value in given.items()
        }
        try:
            drawn = check_steps(filled["steps"])
        except InputError:  # which the form says
            drawn = pipe.config.default_steps
        needs = {
            tab.needed: gr.Row(visible=not tab.can_use(pipe))
            for tab in self.built.values()
            if tab.needed is not None
        }
        return (
            {self.title: title(self.models.about(checkpoint), has_truth(pipe))}
            | {self.form.picker: self.form.offer(checkpoint, barcode)}
            | needs
            | {self.form.fields[name]: value for name, value in filled.items()}
            | self.built["explore"].greet(pipe, drawn)
        )


def build() -> gr.Blocks:
    """Build the app of the checkpoints that `$G2PDIFF_CHECKPOINT` names; the first then starts to load."""
    models = Models(named_checkpoints())
    models.load()  # first: who opens the page at once should not wait long for the first picture
    with CallableBlocks(
        title="G2PDiffusion", analytics_enabled=False, delete_cache=(CACHE_SECONDS, CACHE_SECONDS)
    ) as blocks:
        Page(models, blocks)
        add_endpoints(models)
    return blocks
