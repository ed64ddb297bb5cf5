"""The Batch tab: a FASTA file in, a picture for each of its records out, all in one ZIP."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.blocks import Block

from g2pdiff.dna.files import text_of_file
from g2pdiff.errors import InputError, printable
from g2pdiff.experiments.batch import Batch as Specification
from g2pdiff.experiments.batch import archive, read_records
from g2pdiff.experiments.truth import has_truth
from g2pdiff.ui import link, static
from g2pdiff.ui.experiment_tab import ExperimentTab, Progress
from g2pdiff.ui.form import QUIET, specify
from g2pdiff.ui.messages import html, note, notes, plural
from g2pdiff.ui.server.model import ServedPipeline, references, threshold
from g2pdiff.ui.widgets import known_species
from g2pdiff.ui.widgets.downloads import data_link, settings_link
from g2pdiff.ui.widgets.examples import examples
from g2pdiff.ui.widgets.pictures import pil, thumbnail

if TYPE_CHECKING:
    from g2pdiff.analysis.references import References
    from g2pdiff.experiments.batch import BatchRow, Record

FILE_LIMIT = 1_000_000  # bytes of a file
TEXT_LIMIT = 2_000_000  # characters in the box: more than are read, so that a text too long is named
SAMPLES = 4  # records that the box holds at first
NAME_SHOWN = 100  # characters of a file's name
ERRORS_SHOWN = 3  # unreadable records that the read-out names
NOTE = """<p class="note">Draws every record of a FASTA text, all from the same noise. Place, seed and
settings are the form's; a header may name a place of its own, as <code>&gt;moth 1 lat=56.6 lon=11.3</code>
does. Tables of BOLD, BIOSCAN-5M and Darwin Core, and GenBank files are read too. The form's barcode and
mutations do not count here.</p>"""
FILE = '<label>Open a file of records<input type="file"></label>'


@dataclass
class Work(Progress):
    """A batch as asked for, and what has been drawn of it."""

    asked: Specification
    threshold: float | None = None  # the success threshold; None without a CLIBD model
    has_size: bool = True  # whether body lengths say something
    bank: References | None = None  # that records are held against, where nobody knows their truth
    rows: list[BatchRow] = field(default_factory=list)
    cards: dict[int, str] = field(default_factory=dict)  # of the finished records, by their index

    @property
    def settings(self) -> dict:
        """Everything needed to do this batch again."""
        records = [
            (record.name, record.latitude, record.longitude, record.barcode.sequence)
            for record in self.asked.readable
            if record.barcode
        ]
        return {"experiment": Specification.name} | self.asked.settings | {"fasta": fasta(records)}

    def add(self, rows: Sequence[BatchRow]) -> None:
        for row in rows:
            self.rows.append(row)
            self.cards[row.index] = card(
                row.record, row, self.has_size, known_species.warning(self.bank, row.record.barcode)
            )

    @property
    def grid(self) -> str:
        """A card a record; of those to come an empty one."""
        cards = (self.cards.get(record.index) or card(record) for record in self.asked.records)
        return f'<ol class="batch-records">{"".join(cards)}</ol>'


def fasta(rows: Sequence[tuple[str, float, float, str]]) -> str:
    """Write FASTA of names, latitudes, longitudes and letters."""
    return "".join(
        f">{name} lat={latitude} lon={longitude}\n{letters}\n" for name, latitude, longitude, letters in rows
    )


def sample(checkpoint: str = "") -> str:
    """Return FASTA of four example species of a checkpoint: the first of each order, then of each family."""
    rows = list(examples(checkpoint).values())
    firsts = {}
    for rank in ("order", "family"):
        for row in rows:
            firsts.setdefault(getattr(row, rank), row)
    chosen = list(dict.fromkeys(row.name for row in firsts.values()))[:SAMPLES]
    shown = [examples(checkpoint)[name] for name in chosen]
    return fasta([(row.name, row.latitude, row.longitude, row.dna_barcode) for row in shown])


def open_file(file: Mapping[str, Any]) -> tuple:
    """Return the text of a file and what was understood of it; a bad file leaves the box, and is told.

    Args:
        file: its `name`, its `size` in bytes, and its `content` in base 64, as `js/open_file.js` has them.
    """
    try:
        if int(file["size"]) > FILE_LIMIT:
            raise InputError(
                "fasta",
                f"The file has {int(file['size']):,} bytes: split it into files of up to {FILE_LIMIT:,}.",
            )
        content = b64decode(file["content"])
        text = text_of_file(content, printable(str(file["name"]))[:NAME_SHOWN], "fasta", FILE_LIMIT)
    except InputError as error:
        return gr.skip(), note(str(error), "error")
    return text, read_out(text)


def check_fasta(text: str) -> str:
    """Check FASTA text of a link, and return it. Raises `InputError("fasta")`."""
    read_records(text, 0, 0)
    return text


class BatchTab(ExperimentTab):
    """The tab, built where it is made."""

    specification = Specification
    name = Specification.name
    title = "Batch"
    checks = {"fasta": check_fasta}

    def build_controls(self) -> None:
        html(NOTE)
        text = gr.Textbox(
            sample(self.models.folder()),
            label="FASTA, up to 100 records",
            lines=5,
            max_lines=10,
            max_length=TEXT_LIMIT,
            elem_id="batch-fasta",
        )
        with gr.Row(elem_classes="batch-file"):
            opened = gr.HTML(
                html_template=FILE,
                js_on_load=static.text("js/open_file.js"),
                apply_default_css=False,
                limit=FILE_LIMIT,
                elem_id="batch-open",
            )
            remarks = html(elem_id="batch-note")
        opened.input(open_file, opened, [text, remarks], **QUIET)
        text.change(read_out, text, remarks, trigger_mode="always_last", **QUIET)
        self.fields = {"fasta": text}

    def build_outcome(self) -> list[Block]:
        self.grid = html(elem_id="batch-grid")
        return [self.grid]

    def check(self, values: dict[str, object]) -> Work:
        return Work(specify(Specification, values))

    def begin(self, work: Work, pipe: ServedPipeline) -> dict:
        work.threshold, work.has_size = threshold(pipe), pipe.config.whole_frames
        work.bank = None if has_truth(pipe) else references(pipe)
        return self.show(work)

    def show(self, work: Work) -> dict:
        return {self.grid: work.grid}

    def conclude(self, work: Work) -> dict:
        return {self.download: downloads(work)}

    def verdict(self, work: Work) -> str:
        return verdict(work)


def downloads(work: Work) -> str:
    """Return links to all pictures with their table, and to the settings of a batch with at least one
    picture."""
    stem = f"batch_{len(work.rows)}_seed{work.asked.seed}"
    packed = archive(work.rows, work.asked.records)
    return data_link("Pictures and table (ZIP)", f"{stem}.zip", "application/zip", packed) + settings_link(
        work.settings, stem
    )


def verdict(work: Work) -> str:
    """Say how many pictures agree with their barcodes, and how many records have no picture."""
    said = []
    if work.threshold is not None:
        above = sum(score >= work.threshold for row in work.rows if (score := row.clibd_score) is not None)
        said.append(
            f"{above} of {len(work.rows)} CLIBDScores reach the success threshold of {work.threshold:.2f}."
        )
    if unread := len(work.asked.records) - work.asked.wanted:
        said.append(f"{plural(unread, 'record')} could not be read.")
    return " ".join(said)


def title(record: Record) -> str:
    """Return the heading of a record: its number and its name."""
    return record.name or f"Record {record.index}"


def card(record: Record, row: BatchRow | None = None, has_size: bool = True, warning: str = "") -> str:
    """Return what is known of a record: its picture once it is drawn, and all that is to be said of it.

    Args:
        record: of the FASTA text.
        row: what was drawn of it.
        has_size: whether body lengths say something.
        warning: what stands above everything else that is said, as HTML.
    """
    name = escape(title(record))
    picture = "<i></i>"
    facts = [f"{record.latitude:.2f} °N, {record.longitude:.2f} °E"]
    if row:
        picture = f'<img src="{thumbnail(pil(row.image))}" alt="Picture of {name}">'
        if row.clibd_score is not None:
            facts.append(f"CLIBDScore {row.clibd_score:.3f}")
    if row and has_size:
        facts.append(f"Body length {row.body_length:.0%} of the picture")
    return (
        f'<li>{picture}<div><b title="{name}">{record.index}. {name}</b>'
        f"<p>{'<br>'.join(facts)}</p>{warning}{remarks(record)}</div></li>"
    )


def remarks(record: Record) -> str:
    """Say why a record cannot be read, or what is to be said of its barcode and place; notes are folded."""
    if record.barcode is None:
        return note(record.error, "error")
    doubts = record.warnings + record.barcode.warnings
    said = record.notes + record.barcode.notes
    folded = f"<details><summary>{plural(len(said), 'note')}</summary>{notes(said)}</details>" if said else ""
    return notes(doubts, "warning") + folded


def read_out(text: str) -> str:
    """Say what was understood of the FASTA text, or what is wrong with it."""
    try:
        records = read_records(text, 0, 0)
    except InputError as error:
        return note(str(error), "error")
    unread = [record for record in records if record.barcode is None]
    said = note(f"{plural(len(records), 'record')}, {len(records) - len(unread)} readable.")
    said += notes(records.remarks)
    said += notes(
        (f"Record {record.index} ({title(record)}): {record.error}" for record in unread[:ERRORS_SHOWN]),
        "warning",
    )
    ignored = [record for record in records if record.warnings]
    said += notes(
        (
            f"Record {record.index} ({title(record)}): {record.warnings[0]}"
            for record in ignored[:ERRORS_SHOWN]
        ),
        "warning",
    )
    if len(ignored) > ERRORS_SHOWN:
        said += note(f"The places of {len(ignored) - ERRORS_SHOWN} more were ignored.", "warning")
    if len(unread) > ERRORS_SHOWN:
        said += note(f"{len(unread) - ERRORS_SHOWN} more cannot be read.", "warning")
    if len(text) > link.LONGEST_FASTA:
        said += note(
            f"The text is too long for a link ({link.LONGEST_FASTA:,} characters): save it as a file."
        )
    return said
