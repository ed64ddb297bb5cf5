"""The Mutations tab: one barcode with ever more mutations, always drawn from the same noise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from g2pdiff.dna.mutation import Changes, changes
from g2pdiff.errors import InputError, quoted
from g2pdiff.experiments.arguments import text_of
from g2pdiff.experiments.mutations import Mutations as Specification
from g2pdiff.experiments.mutations import mutation_curves, mutation_report
from g2pdiff.experiments.truth import has_truth
from g2pdiff.ui import link, messages
from g2pdiff.ui.experiment_tab import ExperimentTab, Progress
from g2pdiff.ui.form import specify
from g2pdiff.ui.messages import html, plural
from g2pdiff.ui.server.model import ServedPipeline, threshold
from g2pdiff.ui.widgets.downloads import file_stem, picture_link, settings_link, table_link
from g2pdiff.ui.widgets.glossary import term
from g2pdiff.ui.widgets.live_chart import live_chart
from g2pdiff.ui.widgets.mutation_curves import MEASUREMENTS, curve_chart
from g2pdiff.ui.widgets.number_box import number_box
from g2pdiff.ui.widgets.pictures import pil, thumbnail
from g2pdiff.validation import check_number

if TYPE_CHECKING:
    from g2pdiff.experiments.mutations import MutationRow

MAXIMUM_RATES, MAXIMUM_REPLICATES = 12, 10

NOTE = f"""<p class="note">Draws the barcode with more and more of its bases substituted, always from the same
noise, so that only the barcode differs. Each replicate is an independent series: its higher rates keep the
substitutions of the lower ones. Appearance {term("drift")} says how far the pictures move away from the
first. <b>Kind of mutation</b> says what may be substituted, and its point edits belong to the wild type; the
form's own mutation rate does not count here. Click a picture to see what changed in its barcode.</p>"""


@dataclass
class Series(Progress):
    """A mutation series as asked for, and what has been drawn of it."""

    asked: Specification
    has_truth: bool = False
    has_size: bool = True  # whether body lengths say something
    threshold: float | None = None  # the success threshold; None without a CLIBD model
    rows: list[MutationRow] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)  # the grid's finished pictures

    @property
    def settings(self) -> dict:
        """Everything needed to do this series again."""
        return {"experiment": Specification.name} | self.asked.settings

    @property
    def curves(self) -> list[dict]:
        """One dict per rate, see `mutation_curves`."""
        return mutation_curves(self.rows)

    def add(self, rows: Sequence[MutationRow]) -> None:
        for row in rows:
            self.rows.append(row)
            self.cells.append(cell(row, self))
            if row.replicate == 0 and row.true_image is not None:
                self.cells.append(true_cell(row, self))


def parse_rates(text: object) -> tuple[float, ...]:
    """Parse typed percentages such as `1 5 10` into distinct shares in rising order, 0 among them.

    Raises:
        InputError: field `rates`, if one cannot be read or is out of range, if there are too many, or none
            above 0.
    """
    rates = {0.0}
    for typed in filter(None, re.split(r"[\s,;%]+", text_of(text))):
        try:
            rates.add(check_number("rates", typed, 0, link.MAX_MUTATION) / 100)
        except InputError:
            raise InputError(
                "rates",
                f"Mutation rates must be percentages from 0 to {link.MAX_MUTATION} such as 1 5 10, not "
                f"{quoted(typed)}.",
            ) from None
    if not 2 <= len(rates) <= MAXIMUM_RATES:
        raise InputError("rates", f"Give 1 to {MAXIMUM_RATES - 1} different mutation rates above 0.")
    return tuple(sorted(rates))


def check_text(rates: str) -> str:
    """Check the text of the rates, and return it. Raises `InputError("rates")`."""
    parse_rates(rates)
    return rates


def check_replicates(value: object) -> int:
    """Check the number of replicates, and return it. Raises `InputError("replicates")`."""
    return int(check_number("replicates", value, 1, MAXIMUM_REPLICATES, whole=True))


class MutationsTab(ExperimentTab):
    """The tab, built where it is made."""

    specification = Specification
    name = Specification.name
    title = "Mutations"
    need = (
        "A row of the truth, and curves to compare with it, need the simulated insects: nobody knows what a "
        "mutant of a real species looks like."
    )
    checks = {"rates": check_text, "replicates": check_replicates}

    def build_controls(self) -> None:
        html(NOTE)
        with gr.Row():
            self.fields = {
                "rates": gr.Textbox(
                    " ".join(f"{100 * rate:g}" for rate in Specification.default("rates")),
                    label="Mutation rates, %",
                    info=f"up to {MAXIMUM_RATES} rates from 0 to {link.MAX_MUTATION}",
                    max_length=200,
                    scale=2,
                    min_width=180,
                    elem_id="mutations-rates",
                ),
                "replicates": number_box(
                    Specification.default("replicates"),
                    "Replicates",
                    info=f"independent series, up to {MAXIMUM_REPLICATES}",
                    min_width=120,
                    elem_id="mutations-replicates",
                ),
            }

    def build_outcome(self) -> list[Block]:
        self.grid = html(elem_id="mutations-grid")
        self.reading = html(elem_id="mutations-reading")
        # Hidden, not left out: Gradio loses values that come to a chart while it is on its way to the page.
        with gr.Column(visible="hidden", elem_id="mutations-findings") as self.findings:
            self.key = html()
            with gr.Row(elem_id="mutations-curves"):
                self.frames = {name: gr.Column(min_width=220) for name in MEASUREMENTS}
            self.charts = {}
            for name, (title, _) in MEASUREMENTS.items():
                with self.frames[name]:
                    self.charts[name] = live_chart(
                        curve_chart(name, [], [], [], None),
                        f"Chart of the {title} against the mutation rate",
                        height=220,
                        elem_id=f"mutations-{name.replace('_', '-')}",
                    )
        return [
            self.grid,
            self.reading,
            self.findings,
            self.key,
            *self.frames.values(),
            *self.charts.values(),
        ]

    def check(self, values: dict[str, object]) -> Series:
        own = {"rates": parse_rates(values["rates"]), "replicates": check_replicates(values["replicates"])}
        return Series(specify(Specification, values, **own))

    def begin(self, series: Series, pipe: ServedPipeline) -> dict:
        series.has_truth, series.threshold = has_truth(pipe), threshold(pipe)
        series.has_size = pipe.config.whole_frames
        return {
            self.grid: grid(series),
            self.reading: "",
            self.findings: gr.Column(visible="hidden"),
        }

    def show(self, series: Series) -> dict:
        curves = series.curves
        return {
            self.grid: grid(series),
            self.findings: gr.Column(visible=True),
            self.frames["body_length"]: gr.Column(visible=series.has_size),
            self.key: key(series.has_truth),
        } | {
            chart: curve_chart(name, curves, series.rows, series.asked.rates, series.threshold)
            for name, chart in self.charts.items()
            if name != "body_length" or series.has_size
        }

    def conclude(self, series: Series) -> dict:
        return {self.reading: reading(series), self.download: downloads(series)}


def place(series: Series, rate: float, row: int) -> str:
    """Return where the grid has something: in the column of a rate and a row, from 0; headings are in row
    -1."""
    return f'style="--rate:{series.asked.rates.index(rate) + 2};--row:{row + 2}"'


def cell(row: MutationRow, series: Series) -> str:
    """Return a picture, which opens what changed in its barcode."""
    name = f"mutant-{series.asked.rates.index(row.rate)}-{row.replicate}"
    found, title = changes(series.asked.edited, row.barcode), heading(row)
    bases = "wild type" if row.rate == 0 else plural(len(found.bases), "base")
    return (
        f'<figure {place(series, row.rate, row.replicate)}><button type="button" popovertarget="{name}" '
        f'title="{title}: {counted(found)}; click to see which">'
        f'<img src="{thumbnail(pil(row.image))}" alt="Prediction, {title}">'
        f"<figcaption>{bases}</figcaption></button>"
        f'<div id="{name}" class="changed" popover>{details(row, found, series.has_size)}</div></figure>'
    )


def true_cell(row: MutationRow, series: Series) -> str:
    """Return the simulated truth beside a picture of the first replicate, in the grid's last row."""
    assert row.true_image is not None  # asked for only where there is a truth
    return (
        f"<figure {place(series, row.rate, series.asked.replicates)}>"
        f'<img src="{thumbnail(pil(row.true_image))}" alt="Simulated truth, {heading(row)}"></figure>'
    )


def grid(series: Series) -> str:
    """Return the grid, one column per rate and one row per replicate, with dashed frames where pictures will
    come.

    The style sheet turns rows and columns round on narrow pages.
    """
    paths = [f"Replicate {replicate + 1}" for replicate in range(series.asked.replicates)]
    if series.has_truth:
        paths.append("Simulated truth")
    above = "".join(
        f'<b class="rate" {place(series, rate, -1)}>{percent(rate)}</b>' for rate in series.asked.rates
    )
    beside = "".join(
        f'<b class="path" style="--rate:1;--row:{row}">{path}</b>' for row, path in enumerate(paths, start=2)
    )
    frames = "".join(
        f"<i {place(series, rate, row)}></i>"
        for rate in series.asked.rates
        for row in range(len(paths))
        if rate > 0 or row in (0, series.asked.replicates)  # the wild type is drawn once
    )
    return (
        f'<div class="mutants" style="--rates:{len(series.asked.rates)};--rows:{len(paths)}">'
        f"{frames}{above}{beside}{''.join(series.cells)}</div>"
    )


def key(has_truth: bool) -> str:
    """Say how to read the grid and the charts."""
    marks = ["<span><b>●</b> prediction</span>"]
    if has_truth:
        marks.append('<span><b class="truth">◇</b> simulated truth</span>')
    marks.append("<span>line: mean over the replicates</span><span>band: its 95 % interval</span>")
    return f'<p class="key">{"".join(marks)}</p>'


def percent(rate: float) -> str:
    """Return a rate, 0 to 1, as text in per cent."""
    return f"{100 * rate:g} %"


def heading(row: MutationRow) -> str:
    """Return the rate and the replicate of a picture in words."""
    if row.rate == 0:
        return "wild type"
    return f"mutation rate {percent(row.rate)}, replicate {row.replicate + 1}"


def counted(found: Changes) -> str:
    """Say how much changed, such as `66 bases and 40 amino acids changed, 2 new stop codons`."""
    text = f"{plural(len(found.bases), 'base')} and {plural(len(found.amino_acids), 'amino acid')} changed"
    stops = len(found.new_stops)
    return text + (f", {plural(stops, 'new stop codon')}" if stops else "")


def details(row: MutationRow, found: Changes, has_size: bool = True) -> str:
    """Return what a click on a picture shows: measurements, and everything that changed in the barcode."""
    facts = [f"appearance drift {row.drift:.3f}"]
    if has_size:
        facts.insert(0, f"body length {row.body_length:.1%} of the picture")
    if row.clibd_score is not None:
        facts.insert(0, f"CLIBDScore {row.clibd_score:.3f}")
    title = heading(row)
    return (
        f"<p><b>{title[0].upper()}{title[1:]}</b>: {counted(found)}.</p><p>{', '.join(facts)}.</p>"
        f"<p><b>Bases</b> <code>{' '.join(found.bases) or 'none'}</code></p>"
        f"<p><b>Amino acids</b> <code>{' '.join(found.amino_acids) or 'none'}</code></p>"
    )


def reading(series: Series) -> str:
    """Say what a series shows; nothing where there is neither a CLIBD model nor a truth."""
    curves, threshold = series.curves, series.threshold
    said = "" if threshold is None else f'<p class="verdict">{score_verdict(curves, threshold)}</p>'
    return said + messages.notes(drift_verdict(curves) if series.has_truth else [])


def score_verdict(curves: Sequence[dict], threshold: float) -> str:
    """Say up to which rate the mean score reaches the threshold."""
    fails = [curve["clibd_score"].value < threshold for curve in curves]
    if fails[0]:
        return (
            f"The wild type's own picture is below the success threshold of {threshold:.2f}, so the score "
            "cannot tell from which mutation rate on the barcode is lost."
        )
    if not fails[-1]:
        return (
            f"Even at {percent(curves[-1]['rate'])} the mean CLIBDScore against the wild type is not below "
            f"the success threshold of {threshold:.2f}."
        )
    passing = max(index for index, fail in enumerate(fails) if not fail)
    return (
        f"From a mutation rate of {percent(curves[passing + 1]['rate'])} on, the mean CLIBDScore against the "
        f"wild type is below the success threshold of {threshold:.2f}."
    )


def drift_verdict(curves: Sequence[dict]) -> list[str]:
    """Return whether drift and true drift put the rates in one order; nothing where either stays the same."""
    from g2pdiff.analysis.statistics import rank_agreement

    drawn, true = ([curve[name].value for curve in curves] for name in ("drift", "true_drift"))
    if len(curves) < 3 or len(set(drawn)) == 1 or len(set(true)) == 1:
        return []
    rho = rank_agreement(drawn, true)
    return [
        f"The pictures' drift and the simulated truth's rank the {len(curves)} rates with a Spearman "
        f"correlation of {rho:.2f} (1 is the same order)."
    ]


def downloads(series: Series) -> str:
    """Return links to the pictures, the table and the settings of a series with at least one picture."""
    stem, report = f"{file_stem(series.asked)}_mutations", mutation_report(series.rows, series.asked.edited)
    table = [
        {name: " ".join(value) if isinstance(value, list) else value for name, value in row.items()}
        for row in report.rows
    ]
    settings = series.settings | report.summary
    return (
        picture_link(report.sheet.draw(), stem, series.settings)
        + table_link(table, stem)
        + settings_link(settings, stem)
    )
