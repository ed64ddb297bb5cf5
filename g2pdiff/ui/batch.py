"""The Batch tab: a FASTA file in, a picture for each of its records out, all in one ZIP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from g2pdiff.checks import check_scale, check_seed, check_steps
from g2pdiff.errors import InputError
from g2pdiff.ui import link, messages
from g2pdiff.ui.downloads import data_link, settings_link
from g2pdiff.ui.examples import examples
from g2pdiff.ui.form import QUIET
from g2pdiff.ui.messages import html, note, notes
from g2pdiff.ui.model import EXPERIMENT_QUEUE, TURN, threshold
from g2pdiff.ui.pictures import pil, thumbnail
from g2pdiff.ui.run import given_or_default
from g2pdiff.ui.tab import Clock, RunTab

if TYPE_CHECKING:
    from g2pdiff.batch import BatchRow, Record

FILE_LIMIT = 1_000_000  # bytes of an uploaded file
LINK_LIMIT = 4_000  # characters of the FASTA text that a link still holds
ERRORS_SHOWN = 3  # unreadable records that the read-out names
SUFFIXES = [".fasta", ".fa", ".txt"]

NOTE = """<p class="note">Draws every record of a FASTA text, all from the same noise. Place, seed and
settings are the form's; a header may name a place of its own, as <code>&gt;moth 1 lat=56.6 lon=11.3</code>
does. The form's barcode and mutations do not count here.</p>"""


@dataclass
class Work:
    """A batch as asked for, and what has been drawn of it."""

    records: list[Record]
    latitude: float
    longitude: float
    seed: int
    steps: int | None  # None stands for the checkpoint's default, likewise the next two
    guidance_scale: float | None
    alignment_scale: float | None
    rows: list[BatchRow] = field(default_factory=list)
    cards: dict[int, str] = field(default_factory=dict)  # of the finished records, by their index

    @property
    def wanted(self) -> int:
        """Pictures asked for: records that cannot be read have none."""
        return sum(record.barcode is not None for record in self.records)

    @property
    def settings(self) -> dict:
        """Everything needed to do this batch again."""
        return {
            "experiment": "batch",
            "fasta": fasta(
                [
                    (record.name, record.latitude, record.longitude, record.barcode.sequence)
                    for record in self.records
                    if record.barcode
                ]
            ),
            "latitude": self.latitude,
            "longitude": self.longitude,
            "seed": self.seed,
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "alignment_scale": self.alignment_scale,
        }

    def add(self, rows: Sequence[BatchRow]) -> None:
        for row in rows:
            self.rows.append(row)
            self.cards[row.index] = card(row.record, row)

    @property
    def grid(self) -> str:
        """A card a record; of those to come an empty one."""
        cards = (self.cards.get(record.index) or card(record) for record in self.records)
        return f'<ol class="batch-records">{"".join(cards)}</ol>'


def fasta(rows: Sequence[tuple[str, float, float, str]]) -> str:
    """FASTA of names, latitudes, longitudes and letters."""
    return "".join(
        f">{name} lat={latitude} lon={longitude}\n{letters}\n" for name, latitude, longitude, letters in rows
    )


def sample() -> str:
    """FASTA of the first example species of each order."""
    firsts = {}
    for row in examples().values():
        firsts.setdefault(row.order, row)
    return fasta([(row.name, row.latitude, row.longitude, row.dna_barcode) for row in firsts.values()])


def check_fasta(text: str) -> str:
    from g2pdiff.batch import read_records

    read_records(text, 0, 0)
    return text


class Batch(RunTab):
    """The tab, built where it is made."""

    name = "batch"
    title = "Batch"
    queue = EXPERIMENT_QUEUE
    checks = {"fasta": check_fasta}

    def build_controls(self) -> None:
        html(NOTE)
        text = gr.Textbox(
            sample(),
            label="FASTA, up to 100 records",
            lines=5,
            max_lines=10,
            elem_id="batch-fasta",
            elem_classes="fasta",
        )
        with gr.Row(elem_classes="batch-file"):
            upload = gr.UploadButton(
                "Upload a FASTA file", file_types=SUFFIXES, size="sm", elem_id="batch-upload"
            )
            remarks = html(elem_id="batch-note")
        upload.upload(read_file, upload, [text, remarks], **QUIET)
        text.change(read_out, text, remarks, trigger_mode="always_last", **QUIET)
        self.fields = {"fasta": text}

    def build_outcome(self) -> list[gr.components.Component]:
        self.grid = html(elem_id="batch-grid")
        return [self.grid]

    def check(self, form: list, fasta: str) -> Work:
        from g2pdiff.batch import read_records

        values = dict(zip(link.FORM, form, strict=True))
        records = read_records(fasta, values["latitude"], values["longitude"])
        scales = {
            name: given_or_default(lambda value, name=name: check_scale(name, value), values[name])
            for name in ("guidance_scale", "alignment_scale")
        }
        return Work(
            records=records,
            latitude=values["latitude"],
            longitude=values["longitude"],
            seed=check_seed(values["seed"]),
            steps=given_or_default(check_steps, values["steps"]),
            **scales,
        )

    def stream(self, work: Work, pipe) -> Iterator[dict]:
        from g2pdiff.batch import batch
        from g2pdiff.experiments import Denoising

        clock = Clock()
        yield {self.kept: work, self.grid: work.grid}
        denoising = Denoising(work.steps, work.guidance_scale, work.alignment_scale)
        with closing(batch(pipe, work.records, work.seed, denoising, TURN)) as updates:
            for update in updates:
                work.add(update.rows)
                if update.rows:
                    yield {self.grid: work.grid}
                if update.rows or clock.due():
                    share, left = update.done / update.total, clock.left(update.done, update.total)
                    yield {self.status: messages.drawing(len(work.rows), work.wanted, share, left)}
        said = verdict(work, threshold(pipe))
        yield {self.download: downloads(work)} | self.ended(
            messages.drawn(len(work.rows), clock.elapsed, said)
        )

    def stopped(self, kept: Work) -> dict:
        return {self.download: downloads(kept)} | self.ended(messages.halted(len(kept.rows), kept.wanted))


def downloads(work: Work) -> str:
    """Links to all pictures with their table, and to the settings; none before the first picture."""
    if not work.rows:
        return ""
    from g2pdiff.batch import archive

    stem = f"batch_{len(work.rows)}_seed{work.seed}"
    packed = archive(work.rows, work.records)
    return data_link("Pictures and table (ZIP)", f"{stem}.zip", "application/zip", packed) + settings_link(
        work.settings, stem
    )


def verdict(work: Work, threshold: float | None) -> str:
    """How many pictures agree with their barcodes, and how many records have no picture."""
    said = []
    if threshold is not None:
        above = sum(row.clibd_score >= threshold for row in work.rows)
        said.append(
            f"{above} of {len(work.rows)} CLIBDScores reach the success threshold of {threshold:.2f}."
        )
    if unread := len(work.records) - work.wanted:
        said.append(f"{unread} record{'s' * (unread != 1)} could not be read.")
    return " ".join(said)


def title(record: Record) -> str:
    return record.name or f"Record {record.index}"


def card(record: Record, row: BatchRow | None = None) -> str:
    """What is known of a record: its picture once it is drawn, and all that is to be said of it."""
    name = escape(title(record))
    picture = "<i></i>"
    facts = [f"{record.latitude:.2f} °N, {record.longitude:.2f} °E"]
    if row:
        picture = f'<img src="{thumbnail(pil(row.image))}" alt="Picture of {name}">'
        if row.clibd_score is not None:
            facts.append(f"CLIBDScore {row.clibd_score:.3f}")
        facts.append(f"Body length {row.body_length:.0%} of the picture")
    return (
        f'<li>{picture}<div><b title="{name}">{record.index}. {name}</b>'
        f"<p>{'<br>'.join(facts)}</p>{remarks(record)}</div></li>"
    )


def remarks(record: Record) -> str:
    """Why a record cannot be read, or what is to be said of its barcode and place; notes are folded."""
    if record.barcode is None:
        return note(record.error, "error")
    said = record.notes + record.barcode.notes
    folded = (
        f"<details><summary>{len(said)} note{'s' * (len(said) != 1)}</summary>{notes(said)}</details>"
        if said
        else ""
    )
    return notes(record.barcode.warnings, "warning") + folded


def read_file(path: str) -> tuple:
    """The text of an uploaded file for the box, and what is wrong with it where it cannot be used."""
    data = Path(path).read_bytes()
    if len(data) > FILE_LIMIT:
        return gr.skip(), note(
            f"The file has {len(data):,} bytes: split it into files of at most {FILE_LIMIT:,}.", "error"
        )
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return gr.skip(), note("The file is not plain text in UTF-8: save it as a FASTA text file.", "error")


def read_out(text: str) -> str:
    """What was understood of the FASTA text, or what is wrong with it."""
    from g2pdiff.batch import read_records

    try:
        records = read_records(text, 0, 0)
    except InputError as error:
        return note(str(error), "error")
    unread = [record for record in records if record.barcode is None]
    said = note(f"{len(records)} record{'s' * (len(records) != 1)}, {len(records) - len(unread)} readable.")
    said += notes(
        (f"Record {record.index} ({title(record)}): {record.error}" for record in unread[:ERRORS_SHOWN]),
        "warning",
    )
    if len(unread) > ERRORS_SHOWN:
        said += note(f"{len(unread) - ERRORS_SHOWN} more cannot be read.", "warning")
    if len(text) > LINK_LIMIT:
        said += note(f"With more than {LINK_LIMIT:,} characters the text is not part of the link: keep it.")
    return said
