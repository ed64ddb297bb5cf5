"""The Compare tab: pairs of pictures from the same noise, with one thing changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from html import escape
from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from g2pdiff.coordinates import read_locality, spread
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.experiments.compare import Compare as Specification
from g2pdiff.experiments.compare import Side, comparison_report, differences
from g2pdiff.experiments.generate import Generate
from g2pdiff.experiments.report import Report, Sheet
from g2pdiff.ui import messages
from g2pdiff.ui.experiment_tab import ExperimentTab, Progress
from g2pdiff.ui.form import QUIET, fill_both, place_note, specify
from g2pdiff.ui.link import as_number
from g2pdiff.ui.messages import html, place_name
from g2pdiff.ui.server.model import ServedPipeline
from g2pdiff.ui.widgets.downloads import file_stem, picture_link, settings_link, table_link
from g2pdiff.ui.widgets.examples import examples
from g2pdiff.ui.widgets.glossary import term
from g2pdiff.ui.widgets.live_chart import live_chart
from g2pdiff.ui.widgets.number_box import number_box
from g2pdiff.ui.widgets.pair_charts import MEASUREMENTS, changed, difference_chart, measured
from g2pdiff.ui.widgets.pictures import pil, thumbnail
from g2pdiff.validation import check_choice, check_number, check_seed

if TYPE_CHECKING:
    from torch import Tensor

    from g2pdiff.analysis.statistics import Estimate
    from g2pdiff.experiments.compare import PairRow

MAXIMUM_PAIRS = 40
AMPLIFIED = 3  # times that a difference picture is brighter than the difference

CHANGES = {
    "alignment": "Alignment guidance: off, on",
    "guidance": "Classifier-free guidance: off, on",
    "mutant": "Barcode: wild type, mutant",
    "place": "Place: this one, another",
}
"""What can change between two sides: each with its label."""

EQUAL = {
    "alignment": ("alignment_scale", "set the alignment scale (Advanced) to more than 0."),
    "guidance": ("guidance_scale", "set the guidance scale (Advanced) to something else than 1."),
    "mutant": ("mutation_rate", "choose a mutation rate above 0, or type point edits."),
    "place": ("other_latitude", "give another place than the form's."),
}
"""The field to blame when two sides are equal, and how to fix it."""

NOTE = f"""<p class="note">Draws pairs of pictures, for instance with and without
{term("guidance", "classifier-free guidance")} or {term("alignment", "alignment guidance")}.
Both pictures of a pair start from the same noise and differ in one thing alone; each pair has a noise of its
own, so that the interval says how sure the difference is. Wild type is the barcode as typed, mutant what the
form's point edits and mutation rate make of it. Both are scored against the left one's barcode.</p>"""


def check_change(change: object) -> str:
    """Check what changes between the sides, and return it. Raises `InputError("change")`."""
    return check_choice("change", change, CHANGES)


def check_pairs(pairs: object) -> int:
    """Check the number of pairs, and return it. Raises `InputError("pairs")`."""
    return int(check_number("pairs", pairs, 1, MAXIMUM_PAIRS, whole=True))


@dataclass
class Comparison(Progress):
    """A comparison as asked for, and the pairs that have been drawn of it.

    Attributes:
        form: what the form says.
        change: a name of `CHANGES`.
        other_place: latitude and longitude of the other place.
        pairs: asked for.
        has_size: whether body lengths say something.
        rows: pairs that are drawn.
        cells: the same as HTML.
        asked: the specification, once the checkpoint's defaults are known.
    """

    form: Generate
    change: str
    other_place: tuple[float, float]
    pairs: int
    has_size: bool = True
    rows: list[PairRow] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    asked: Specification | None = None

    @property
    def variants(self) -> tuple[Side, Side]:
        """Both sides. What is off, unmutated or here comes first."""
        form = self.form
        side = Side(form.mutated, form.latitude, form.longitude, form.denoising)
        if self.change == "alignment":
            return replace(side, denoising=replace(form.denoising, alignment_scale=0.0)), side
        if self.change == "guidance":
            return replace(side, denoising=replace(form.denoising, guidance_scale=1.0)), side
        if self.change == "mutant":
            return replace(side, barcode=form.barcode), side
        latitude, longitude = self.other_place
        return side, replace(side, latitude=latitude, longitude=longitude)

    @property
    def sides(self) -> tuple[str, str]:
        """What the sides are called, once the checkpoint's defaults are known."""
        form = self.form
        if self.change == "alignment":
            return "Alignment off", f"Alignment on ({form.denoising.alignment_scale:g})"
        if self.change == "guidance":
            return "Guidance off", f"Guidance on ({form.denoising.guidance_scale:g})"
        if self.change == "mutant":
            return "Wild type", "Mutant"
        return place_name(form.latitude, form.longitude), place_name(*self.other_place)

    @property
    def settings(self) -> dict:
        """Everything needed to compare again, by the names of the `compare` endpoint's arguments."""
        first, second = self.variants
        settings = {"experiment": Specification.name, "change": self.change} | self.form.settings
        if self.change != "mutant":
            plain = {"barcode": self.form.mutated.sequence, "mutation_rate": 0.0, "edits": ""}
            settings |= plain
        for name in ("latitude", "longitude"):
            settings |= {name: getattr(first, name), f"other_{name}": getattr(second, name)}
        for name in ("guidance_scale", "alignment_scale"):
            scales = getattr(first.denoising, name), getattr(second.denoising, name)
            settings |= dict(zip((name, f"other_{name}"), scales, strict=True))
        return settings | {"pairs": self.pairs}

    @property
    def report(self) -> Report:
        return comparison_report(self.rows)

    @property
    def differences(self) -> dict[str, Estimate]:
        found = differences(self.rows)
        return found if self.has_size else {name: one for name, one in found.items() if name != "body_length"}

    def check(self) -> None:
        """Raise `InputError` if both sides are equal."""
        first, second = self.variants
        if first == second:
            name, fix = EQUAL[self.change]
            raise InputError(name, f"Both sides would be equal: {fix}")

    def settle(self, pipe: ServedPipeline) -> None:
        """Put the checkpoint's defaults where the visitor left them to it, and make the specification.

        Raises:
            InputError: if both sides are equal, or the checkpoint has no aligner to compare.
        """
        resolved = self.form.denoising.resolve(pipe.config)
        defaults = {name: getattr(resolved, name) for name in ("steps", "guidance_scale", "alignment_scale")}
        self.form = self.form.model_copy(update=defaults)
        self.check()
        if self.change == "alignment" and pipe.aligner is None:
            raise InputError("change", "This checkpoint has no aligner: compare something else.")
        settings = self.settings
        self.asked = Specification(
            **{name: settings[name] for name in Specification.arguments() if name in settings}
        )

    def add(self, rows: Sequence[PairRow]) -> None:
        self.rows += rows
        self.cells += [cell(row, self.sides, self.has_size) for row in rows]


class CompareTab(ExperimentTab):
    """The tab, built where it is made."""

    specification = Specification
    name = Specification.name
    title = "Compare"
    checks = {
        "change": check_change,
        "pairs": check_pairs,
        "other_latitude": as_number(partial(Specification.read, "other_latitude")),
        "other_longitude": as_number(partial(Specification.read, "other_longitude")),
    }

    def build_controls(self) -> None:
        html(NOTE)
        with gr.Row():
            change = gr.Radio(
                [(label, name) for name, label in CHANGES.items()],
                value="guidance",
                label="What changes",
                scale=3,
                min_width=280,
                elem_id="compare-change",
            )
            pairs = number_box(
                Specification.default("pairs"),
                "Pairs",
                info=f"of pictures, up to {MAXIMUM_PAIRS}",
                min_width=100,
                elem_id="compare-pairs",
            )
        with gr.Row(visible=False) as other_place:
            latitude = number_box(0, "Other latitude, °N", min_width=120, elem_id="compare-other-latitude")
            longitude = number_box(
                next(iter(examples(self.models.folder()).values())).longitude,
                "Other longitude, °E",
                min_width=120,
                elem_id="compare-other-longitude",
            )
            said = html(elem_id="compare-place-note")
        fill_both(latitude, longitude)
        gr.on(
            [latitude.change, longitude.change],
            partial(place_note, prefix="other_"),
            [latitude, longitude],
            said,
            trigger_mode="always_last",
            **QUIET,
        )
        change.change(lambda change: gr.Row(visible=change == "place"), change, other_place, **QUIET)
        self.fields = {
            "change": change,
            "pairs": pairs,
            "other_latitude": latitude,
            "other_longitude": longitude,
        }

    def build_outcome(self) -> list[Block]:
        self.grid = html(elem_id="compare-pairs-grid")
        self.reading = html(elem_id="compare-reading")
        # Hidden, not left out: Gradio loses values that come to a chart while it is on its way to the page.
        with gr.Column(visible="hidden", elem_id="compare-findings") as self.findings:
            self.key = html()
            with gr.Row(elem_id="compare-charts"):
                self.frames = {name: gr.Column(min_width=280) for name in MEASUREMENTS}
            self.charts = {}
            for name, what in MEASUREMENTS.items():
                with self.frames[name]:
                    self.charts[name] = live_chart(
                        difference_chart(name, [], None, Specification.default("pairs")),
                        f"Chart of the difference of {what.name} in every pair, with its mean",
                        height=200,
                        elem_id=f"compare-{name.replace('_', '-')}",
                    )
        return [
            self.grid,
            self.reading,
            self.findings,
            self.key,
            *self.frames.values(),
            *self.charts.values(),
        ]

    def check(self, values: dict[str, object]) -> Comparison:
        other = read_locality(*spread(values["other_latitude"], values["other_longitude"]), "other_")
        comparison = Comparison(
            specify(Generate, values),
            check_change(values["change"]),
            (other.latitude, other.longitude),
            check_pairs(values["pairs"]),
        )
        check_seed(comparison.form.seed + comparison.pairs - 1)
        comparison.check()
        return comparison

    def barcode_of(self, comparison: Comparison) -> Barcode:
        return comparison.form.edited

    def begin(self, comparison: Comparison, pipe: ServedPipeline) -> dict:
        comparison.settle(pipe)
        comparison.has_size = pipe.config.whole_frames
        return {
            self.grid: grid(comparison),
            self.reading: "",
            self.findings: gr.Column(visible="hidden"),
        }

    def show(self, comparison: Comparison) -> dict:
        found = comparison.differences
        return {
            self.grid: grid(comparison),
            self.findings: gr.Column(visible=True),
            self.frames["body_length"]: gr.Column(visible=comparison.has_size),
            self.key: key(comparison.sides[1]),
        } | {
            chart: difference_chart(name, changed(comparison.rows, name), found.get(name), comparison.pairs)
            for name, chart in self.charts.items()
        }

    def conclude(self, comparison: Comparison) -> dict:
        reading = ""
        if said := verdicts(comparison):
            reading = f'<p class="verdict">{escape(said[0])}</p>' + messages.notes(said[1:])
        return {self.reading: reading, self.download: downloads(comparison)}


def difference_picture(row: PairRow) -> Tensor:
    """Return the absolute difference of a pair, amplified: black where the pictures are equal."""
    return ((row.images[1] - row.images[0]).abs() * AMPLIFIED).clamp(max=1)


def cell(row: PairRow, sides: tuple[str, str], has_size: bool = True) -> str:
    """Return a row of the grid: two pictures, their difference, and what was measured."""
    pictures = [*zip(row.images, sides, strict=True), (difference_picture(row), "Difference")]
    images = "".join(
        f'<img src="{thumbnail(pil(image))}" alt="{escape(name)}, seed {row.seed}">'
        for image, name in pictures
    )
    told = [f"<b>Seed {row.seed}</b>"]
    for name, what in MEASUREMENTS.items():
        if (values := measured(row, name)) and (has_size or name != "body_length"):
            first, second = values
            told.append(
                f"<span>{what.title}</span><span>{what.value(first)} → "
                f"{what.value(second)} <b>{what.change(second - first)}</b></span>"
            )
    return f"{images}<div>{''.join(told)}</div>"


def grid(comparison: Comparison) -> str:
    """Return the grid, one row per pair, with dashed frames where pictures will come."""
    heads = "".join(f"<b>{escape(side)}</b>" for side in comparison.sides)
    first = comparison.form.seed
    empty = "".join(
        f"<i></i><i></i><i></i><div><b>Seed {first + pair}</b></div>"
        for pair in range(len(comparison.rows), comparison.pairs)
    )
    return (
        f'<div class="pairs">{heads}<b>Difference × {AMPLIFIED}<br>black: equal</b><span></span>'
        f"{''.join(comparison.cells)}{empty}</div>"
    )


def key(second: str) -> str:
    """Say how to read the charts."""
    marks = [
        "<b>●</b> a pair",
        "line: mean",
        "band: its 95 % interval",
        f"above 0: higher on the right side ({escape(second)})",
    ]
    return '<p class="key">' + "".join(f"<span>{mark}</span>" for mark in marks) + "</p>"


def verdicts(comparison: Comparison) -> list[str]:
    """Return a sentence for each measurement there is; what a place is known to change comes first there."""
    found = comparison.differences
    names = [name for name in MEASUREMENTS if name in found]
    if comparison.change == "place":
        names.reverse()
    return [verdict(name, found[name], len(comparison.rows), comparison.sides) for name in names]


def verdict(name: str, found: Estimate, pairs: int, sides: tuple[str, str]) -> str:
    """State the mean difference of a measurement, and whether its interval excludes 0."""
    what = MEASUREMENTS[name]
    mean, low, high = map(what.change, found)
    start = f"{sides[1]} minus {sides[0][0].lower()}{sides[0][1:]}: {what.name} {mean} {what.unit}".rstrip()
    if pairs == 1:
        return f"{start} in one pair; an interval needs two pairs or more."
    means = (
        "excludes 0, so chance in the noise does not explain the difference"
        if found.low > 0 or found.high < 0
        else "includes 0, so chance in the noise could explain the difference"
    )
    return f"{start} on average over {pairs} pairs. The 95 % interval, {low} to {high}, {means}."


def sheet(comparison: Comparison) -> Sheet:
    """Return the layout of the downloaded picture: the pairs with their differences."""
    return Sheet(
        [f"seed {row.seed}" for row in comparison.rows],
        [*comparison.sides, f"difference × {AMPLIFIED}"],
        [[*row.images, difference_picture(row)] for row in comparison.rows],
    )


def downloads(comparison: Comparison) -> str:
    """Return links to the pictures, the table and the settings of a comparison with at least one pair."""
    stem, report = f"{file_stem(comparison.form)}_compare-{comparison.change}", comparison.report
    return (
        picture_link(sheet(comparison).draw(), stem, comparison.settings)
        + table_link(report.rows, stem)
        + settings_link(comparison.settings | report.summary, stem)
    )
