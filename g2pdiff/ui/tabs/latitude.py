"""The Latitude tab: one barcode, walked from pole to pole or, as the null control, round the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np
from gradio.blocks import Block
from PIL import Image

from g2pdiff.errors import InputError
from g2pdiff.experiments.latitude import (
    LATITUDES,
    LIMITS,
    LONGITUDES,
    LatitudeSweep,
    sweep_report,
)
from g2pdiff.experiments.sheet import contact_sheet
from g2pdiff.experiments.truth import has_truth
from g2pdiff.ui import messages, static
from g2pdiff.ui.experiment_tab import ExperimentTab, Progress
from g2pdiff.ui.form import QUIET, place_of, specify
from g2pdiff.ui.link import as_number
from g2pdiff.ui.messages import compass, html
from g2pdiff.ui.server.model import ServedPipeline
from g2pdiff.ui.widgets.cline_chart import cline_chart
from g2pdiff.ui.widgets.downloads import data_link, file_stem, gif, picture_link, settings_link, table_link
from g2pdiff.ui.widgets.live_chart import live_chart
from g2pdiff.ui.widgets.number_box import number_box
from g2pdiff.ui.widgets.pictures import pil, thumbnail
from g2pdiff.validation import check_number

if TYPE_CHECKING:
    from torch import Tensor

    from g2pdiff.experiments.latitude import SweepRow
    from g2pdiff.experiments.report import Report

ENDS = {
    "latitude": (int(LATITUDES[0]), int(LATITUDES[-1])),
    "longitude": (int(LONGITUDES[0]), int(LONGITUDES[-1])),
}
FEWEST_PLACES, MOST_PLACES = 5, 33
MOST_PICTURES = 6  # at one place

ON_THE_WAY = (
    "Every place gets the same barcode and the same noise: what changes along the way comes from the place."
)


def check_end(name: str, degrees: object, along: str = "longitude") -> float:
    """Check one end of a walk in degrees, and return it. Raises `InputError(name)`."""
    return check_number(name, degrees, -LIMITS[along], LIMITS[along], "degrees")


def check_places(places: object) -> int:
    """Check the number of places, and return it. Raises `InputError("places")`."""
    return int(check_number("places", places, FEWEST_PLACES, MOST_PLACES, whole=True))


def check_pictures(pictures: object) -> int:
    """Check the number of pictures per place, and return it. Raises `InputError`."""
    return int(check_number("pictures_per_place", pictures, 1, MOST_PICTURES, whole=True))


@dataclass
class Walk(Progress):
    """A sweep as a visitor asked for it, and how far it has come."""

    asked: LatitudeSweep  # from south to north, or from west to east
    has_truth: bool = False  # whether there is a simulated truth
    rows: list[SweepRow] = field(default_factory=list)
    cells: dict[tuple[float, int | str], str] = field(default_factory=dict)  # pictures as HTML

    @property
    def report(self) -> Report:
        """What the rows say."""
        return sweep_report(self.rows, self.has_truth)

    @property
    def settings(self) -> dict:
        """Everything needed to walk again, and what was found."""
        return {"experiment": LatitudeSweep.name} | self.asked.settings | self.report.summary

    def place(self, share: float) -> list[float]:
        """Return latitude and longitude that a walk has reached when a share of it, 0 to 1, is done."""
        places = self.asked.places
        return list(self.asked.locality(places[min(int(share * len(places)), len(places) - 1)]))

    def add(self, rows: Sequence[SweepRow]) -> None:
        self.rows += rows
        for row in rows:
            where = compass(self.asked.along, row.degrees)
            self.cells[row.degrees, row.replicate] = cell(row.image, f"Prediction at {where}")
            if row.replicate == 0 and row.true_image is not None:
                self.cells[row.degrees, "truth"] = cell(row.true_image, f"Simulated truth at {where}")


class LatitudeTab(ExperimentTab):
    """The tab, built where it is made."""

    specification = LatitudeSweep
    name = LatitudeSweep.name
    title = "Latitude"
    need = (
        "Body size needs the simulated insects, whose size and truth are known: this checkpoint learned from "
        "pictures that every animal fills."
    )
    checks = {
        "along": partial(LatitudeSweep.read, "along"),
        "start": as_number(partial(check_end, "start")),
        "end": as_number(partial(check_end, "end")),
        "places": check_places,
        "pictures_per_place": check_pictures,
    }

    def can_use(self, pipe: ServedPipeline) -> bool:
        return pipe.config.whole_frames

    def build_controls(self) -> None:
        start, end = ENDS[LatitudeSweep.default("along")]
        with gr.Row():
            along = gr.Radio(
                [("latitude (Bergmann's rule)", "latitude"), ("longitude (null control)", "longitude")],
                value=LatitudeSweep.default("along"),
                label="Walk along",
                info="Same barcode, same noise: only the place changes.",
                scale=3,
                min_width=300,
                elem_id="latitude-along",
            )
            ends = [
                number_box(
                    value,
                    label,
                    info="degrees",
                    scale=1,
                    min_width=80,
                    elem_id=f"latitude-{label.lower()}",
                )
                for label, value in (("Start", start), ("End", end))
            ]
        with gr.Row():
            places = gr.Slider(
                FEWEST_PLACES,
                MOST_PLACES,
                len(LATITUDES),
                step=1,
                label="Places",
                min_width=160,
                elem_id="latitude-places",
                buttons=[],
            )
            pictures = gr.Slider(
                1,
                MOST_PICTURES,
                LatitudeSweep.default("replicates"),
                step=1,
                label="Noises at each place",
                min_width=160,
                elem_id="latitude-pictures",
                buttons=[],
            )
        self.fields = {"along": along, "start": ends[0], "end": ends[1]}
        self.fields |= {"places": places, "pictures_per_place": pictures}
        along.input(None, along, ends, js=static.call("takeEnds", ENDS))

    def build_outcome(self) -> list[Block]:
        self.film = html(elem_id="latitude-film")
        self.reading = html(elem_id="latitude-reading")
        self.chart = live_chart(
            cline_chart([], "latitude", ENDS["latitude"], has_truth=False),
            "Chart of body length along the walk, with the measured and the planted slope",
            height=270,
            elem_id="latitude-chart",
        )
        self.key = html(elem_id="latitude-key")
        # The pin walks along until there is something to read: then it goes back to where the fields say.
        form = self.form
        place = [*form.locality, form.place]
        self.reading.change(place_of, place, form.place, **QUIET)
        return [self.film, self.reading, self.chart, self.key, form.place]

    def restore(self, values: dict) -> dict:
        start, end = ENDS[values.get("along", LatitudeSweep.default("along"))]
        return super().restore({"start": start, "end": end} | values)

    def check(self, values: dict[str, object]) -> Walk:
        along = LatitudeSweep.read("along", values["along"])
        start, end = sorted(check_end(name, values[name], along) for name in ("start", "end"))
        if start == end:
            raise InputError("end", "Start and end of the walk are the same place: move one of them.")
        degrees = np.linspace(start, end, check_places(values["places"])).round(2).tolist()
        replicates = check_pictures(values["pictures_per_place"])
        own = {"along": along, "degrees": degrees, "replicates": replicates}
        return Walk(specify(LatitudeSweep, values, **own))

    def begin(self, walk: Walk, pipe: ServedPipeline) -> dict:
        walk.has_truth = has_truth(pipe)
        return {self.reading: messages.note(ON_THE_WAY)} | self.show(walk)

    def follow(self, walk: Walk, share: float) -> dict:
        return {self.form.place: walk.place(share)}

    def stopped(self, kept: Walk) -> dict:
        # Steps of the pin that were on their way to the page may come after what was read.
        home = {self.form.place: [kept.asked.latitude, kept.asked.longitude]}
        return {self.reading: ""} | super().stopped(kept) | home

    def show(self, walk: Walk) -> dict:
        return {
            self.film: film(walk),
            self.chart: cline_chart(walk.rows, walk.asked.along, walk.asked.places, walk.has_truth),
            self.key: key(walk),
        }

    def conclude(self, walk: Walk) -> dict:
        return {self.reading: reading(walk), self.download: downloads(walk)}


def cell(image: Tensor, alt: str) -> str:
    """Return a picture of the film as HTML."""
    return f'<img src="{thumbnail(pil(image))}" alt="{alt}">'


def film(walk: Walk) -> str:
    """Return the strip of pictures, one column per place, the truth below the predictions; places to come are
    blank."""
    kinds = [*range(walk.asked.replicates), *(["truth"] if walk.has_truth else [])]
    columns = [
        f"<li><b>{compass(walk.asked.along, degrees)}</b>"
        + "".join(walk.cells.get((degrees, kind), "<i></i>") for kind in kinds)
        + "</li>"
        for degrees in walk.asked.places
    ]
    first, last = (
        compass(walk.asked.along, degrees) for degrees in (walk.asked.places[0], walk.asked.places[-1])
    )
    kind = "film known" if walk.has_truth else "film"
    return f'<ol class="{kind}" tabindex="0" aria-label="From {first} to {last}">{"".join(columns)}</ol>'


def key(walk: Walk) -> str:
    """Say what the marks of the chart are."""
    marks = ["<b>●</b> north", '<b class="south">▼</b> south']
    if walk.asked.along == "longitude":
        marks = ["<b>●</b> prediction"]
    if walk.has_truth:
        marks.append('<b class="truth">◇</b> simulated truth')
    return '<p class="key">' + "".join(f"<span>{mark}</span>" for mark in marks) + "</p>"


def reading(walk: Walk) -> str:
    """Say what the rows show and what they do not, for at least one row."""
    found = walk.report.summary
    limits = "It was measured on pictures that a model drew, not on animals."
    if walk.has_truth:
        limits = "It says what the model learned from simulated specimens, and nothing about real animals."
    if walk.has_truth and found["interval"]:
        off = found["slope_percent_per_10_degrees"] - found["planted"]
        limits += (
            f" Planted in them: {found['planted']:+g} %; this slope is {abs(off):.1f} % "
            f"{'above' if off > 0 else 'below'} it. The interval holds what the noise changes, not what the "
            "model has learned wrong about this barcode."
        )
    return f'<p class="verdict">{found["verdict"]}</p>' + messages.note(limits)


def frames(walk: Walk) -> list[Image.Image]:
    """Return the first picture of every place with its label, from one end of the walk to the other."""
    return [
        contact_sheet({(0, 0): pil(row.image)}, [compass(walk.asked.along, row.degrees)], [""])
        for row in walk.rows
        if row.replicate == 0
    ]


def downloads(walk: Walk) -> str:
    """Return links to the rows, the settings, the film and the contact sheet of a walk with at least one
    row."""
    stem, settings = f"{file_stem(walk.asked)}_along-{walk.asked.along}", walk.settings
    report = walk.report
    return (
        table_link(report.rows, stem)
        + settings_link(settings, stem)
        + data_link("Film (GIF)", f"{stem}.gif", "image/gif", gif(frames(walk)))
        + picture_link(report.sheet.draw(), stem, settings)
    )
