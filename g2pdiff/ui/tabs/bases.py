"""The Bases tab: which bases the model reads in a barcode, and which reference species are near."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import gradio as gr
from gradio.blocks import Block

from g2pdiff.dna.barcode import BASES, CODON_START, SITES, Barcode
from g2pdiff.dna.mutation import edit
from g2pdiff.errors import InputError
from g2pdiff.experiments.bases import Bases as Specification
from g2pdiff.ui import messages, static
from g2pdiff.ui.form import QUIET, specify
from g2pdiff.ui.messages import errors_as_toast, html, note
from g2pdiff.ui.server.model import ServedPipeline, references
from g2pdiff.ui.server.queue import Ticket
from g2pdiff.ui.tab import Clock, RunTab
from g2pdiff.ui.widgets.codon_strip import AMINO_ACIDS, strip
from g2pdiff.ui.widgets.downloads import data_link, file_stem, picture_link, table_link
from g2pdiff.ui.widgets.glossary import term
from g2pdiff.ui.widgets.pictures import enlarge, picture_box, pil, thumbnail
from g2pdiff.validation import check_number

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from g2pdiff.analysis.attribution import Attribution
    from g2pdiff.analysis.references import Neighbour, References

NEIGHBOURS = 5
CARD_SIZE = 128  # pixels of a reference picture

TRANSITIONS = dict(zip("AGCT", "GATC", strict=True))

OCCLUSION = f"""<p class="note"><b>Which bases matter.</b> Each {term("codon")} in turn is hidden from the
model (occlusion); an upward bar means that the barcode then fits the picture worse, so the model reads that
codon, which does not say what it does in the animal.</p>"""
READY = (
    '<p class="note">The bars of all 219 codons appear here, and below them the barcode, codon by codon.</p>'
)
NO_REFERENCES = "This checkpoint has no reference species, so nothing can be said of the nearest ones."
NO_CLIBD = "This checkpoint has no CLIBD model, so nothing can be said of the nearest pictures."


@dataclass
class Findings:
    """What a session's last run has found so far."""

    asked: Specification
    index: int = 0  # steps done
    total: int = 0
    picture: Image.Image | None = None
    attribution: Attribution | None = None
    by_barcode: list[Neighbour] = field(default_factory=list)
    by_picture: list[Neighbour] = field(default_factory=list)


class BasesTab(RunTab):
    """The tab, built where it is made."""

    specification = Specification
    name = Specification.name
    title = "Bases"

    def build_outcome(self) -> list[Block]:
        with gr.Row(elem_id="bases-top"):
            with gr.Column(elem_id="bases-picture-column"):
                self.picture = picture_box("Prediction", "bases-picture")
            with gr.Column(elem_id="bases-strip-column"):
                html(OCCLUSION)
                self.strip = html(READY, elem_id="bases-strip", js_on_load=static.text("js/codon_strip.js"))
                self.picked = html(elem_id="bases-picked", js_on_load=static.text("js/status.js"))
        self.relatives = html(elem_id="bases-relatives")
        self.lookalikes = html(elem_id="bases-lookalikes")
        barcode, edits = self.form.fields["barcode"], self.form.fields["edits"]
        self.strip.pick(pick, [barcode, edits], [edits, self.picked], **QUIET)
        return [self.picture, self.strip, self.picked, self.relatives, self.lookalikes]

    def check(self, values: dict[str, object]) -> Specification:
        return specify(Specification, values)

    def barcode_of(self, asked: Specification) -> Barcode:
        return asked.mutated

    def stream(self, asked: Specification, pipe: ServedPipeline, ticket: Ticket) -> Generator[dict]:
        findings, clock = Findings(asked), Clock()
        empty = {part: "" for part in (self.picked, self.relatives, self.lookalikes)}
        yield empty | {self.kept: findings, self.strip: READY}
        with ticket, closing(asked.start(pipe)) as steps:
            for step in steps:
                findings.index, findings.total, findings.picture = step.index, step.total, step.image
                if clock.due() or step.index == step.total:
                    left = clock.left(step.index, step.total)
                    yield {
                        self.picture: enlarge(step.image),
                        self.status: messages.progress(step.index, step.total, step.clibd_score, left),
                    }
        yield {self.status: messages.waiting("Looking for the nearest reference species.")}
        yield from self.wait(ticket)
        with ticket:
            assert step.images is not None  # the last step has pictures
            neighbours = self.neighbours(findings, pipe, step.images)
        yield neighbours | {self.status: messages.hiding(0)}
        yield from self.wait(ticket)
        with ticket:
            yield from self.occlusion(findings, pipe, step.latents)
        yield {self.download: downloads(findings)} | self.ended(self.finished(asked, pipe, step, clock))

    def neighbours(self, findings: Findings, pipe: ServedPipeline, images: Tensor) -> dict:
        """Return updates that show the references nearest to the barcode and to its picture (1, 3, H, W)."""
        try:
            bank = references(pipe)
        except InputError as error:
            return {self.relatives: note(str(error), "error")}
        if bank is None:
            return {self.relatives: note(NO_REFERENCES)}
        findings.by_barcode = bank.nearest_barcodes(findings.asked.mutated, NEIGHBOURS)
        shown = {self.relatives: relatives(bank, findings.by_barcode), self.lookalikes: note(NO_CLIBD)}
        if pipe.clibd is not None:
            embedding = embed_picture(pipe, images)
            findings.by_picture = bank.nearest_pictures(embedding, NEIGHBOURS)
            shown[self.lookalikes] = lookalikes(bank, findings.by_picture)
        return shown

    def occlusion(self, findings: Findings, pipe: ServedPipeline, latents: Tensor) -> Generator[dict]:
        """Yield updates on the way to the strip for a picture's latents (1, C, h, w), or why none comes."""
        try:
            occlusions = findings.asked.occlude(pipe, latents)
        except InputError as error:
            yield {self.strip: note(str(error))}
            return
        with closing(occlusions):
            for occlusion in occlusions:
                yield {self.status: messages.hiding(occlusion.done / occlusion.total)}
                if occlusion.attribution is not None:  # the last one has it
                    findings.attribution = occlusion.attribution
                    yield {self.strip: strip(occlusion.attribution, findings.asked.barcode)}

    def stopped(self, kept: Findings) -> dict:
        return {self.download: downloads(kept)} | self.ended(messages.stopped(kept.index, kept.total))


def embed_picture(pipe: ServedPipeline, images: Tensor) -> Tensor:
    """Return the CLIBD embedding (E,) of the first of the pictures (B, 3, H, W)."""
    import torch

    with torch.no_grad():
        return pipe.clibd.embed_images(images[:1].to(pipe.device))[0].cpu()


def downloads(findings: Findings) -> str:
    """Return links to the picture, the importances and all that was found; none before the first step."""
    if findings.picture is None:
        return ""
    asked = findings.asked
    stem, report = f"{file_stem(asked)}_bases", asked.report(findings.attribution)
    found = report | {
        "nearest_barcodes": [
            {"species": n.species, "identity": n.similarity, "compared_sites": n.compared}
            for n in findings.by_barcode
        ],
        "nearest_pictures": [{"species": n.species, "cosine": n.similarity} for n in findings.by_picture],
    }
    data = json.dumps(found, indent=2).encode()
    return (
        picture_link(findings.picture, stem, asked.settings)
        + (table_link(report["codons"], stem) if report["codons"] else "")
        + data_link("Findings (JSON)", f"{stem}.json", "application/json", data)
    )


# A click mutates a site


def pick(barcode: str, edits: str, event: gr.EventData) -> tuple[str, str]:
    """Return the form's point edits after a click on `event.site`, and a sentence on what it does."""
    with errors_as_toast():
        site = int(check_number("site", event.site, 1, SITES, whole=True))
        given = Barcode.parse(barcode)
        text = next_edit(given, edits, site)
        return text, note(consequence(given, edit(given, text), site))


def next_edit(given: Barcode, edits: str, site: int) -> str:
    """Return point edits in which one site has moved on to its next base.

    From its own base a site goes to the transition's, the commonest mutation in nature, then to the two
    transversions', then back to its own.

    Args:
        given: the barcode that is edited.
        edits: point edits as typed so far.
        site: 1 to 658.

    Raises:
        InputError: field `edits`, if the site is unknown.
    """
    own = given.sequence[site - 1]
    if own == "N":
        raise InputError("edits", f"Site {site} is unknown (N): pick a known site.")
    cycle = [own, TRANSITIONS[own], *(base for base in BASES if base not in (own, TRANSITIONS[own]))]
    of_site = re.compile(rf"[A-Za-z]?0*{site}([ACGTacgt])")
    others, present = [], own
    for token in filter(None, re.split(r"[\s,;]+", edits or "")):
        if match := of_site.fullmatch(token):
            present = match[1].upper()
        else:
            others.append(token)
    new = cycle[(cycle.index(present) + 1) % len(cycle)]
    return ", ".join(others + [f"{own}{site}{new}"] * (new != own))


def consequence(given: Barcode, edited: Barcode, site: int) -> str:
    """Return what the edit of a site does to its codon, in a sentence."""
    old, new = given.sequence[site - 1], edited.sequence[site - 1]
    if old == new:
        return f"Site {site} is {old} again, as given."
    named = f"{old}{site}{new} is now among the form's point edits"
    if site <= CODON_START:
        return f"{named}; it lies before the first whole codon. Press Run to see what it does to the picture."
    codon = (site - 1 - CODON_START) // 3
    before, after = given.amino_acids[codon], edited.amino_acids[codon]
    means = f"still means {AMINO_ACIDS[after]}"
    if after != before:
        means = f"now means {AMINO_ACIDS[after]} instead of {AMINO_ACIDS[before]}"
    return f"{named}: codon {codon + 1} {means}. Press Run to see what it does to the picture."


# Neighbours


def relatives(bank: References, neighbours: Sequence[Neighbour]) -> str:
    """Return the references with the nearest barcodes, and what they make of the barcode."""
    found = bank.verdict(neighbours)
    facts = [
        f"<b>{n.similarity:.1%} identical</b>"
        f"<span>distance {n.distance:.3f}</span><span>over {n.compared} sites</span>"
        for n in neighbours
    ]
    said = note(found.sentence, "warning" if found.kind == "unlike" else "info")
    return "<h3>Nearest barcodes</h3>" + said + cards(bank, neighbours, facts)


def lookalikes(bank: References, neighbours: Sequence[Neighbour]) -> str:
    """Return the references whose pictures are nearest to the drawn one."""
    facts = [f"<b>cosine {n.similarity:.3f}</b>" for n in neighbours]
    said = (
        "Of all reference pictures these look most like the drawn one to the CLIBD model, by the cosine of "
        f"their embeddings, which is 1 for pictures it cannot tell apart. A reference picture: {bank.origin}."
    )
    return "<h3>Nearest pictures</h3>" + note(said) + cards(bank, neighbours, facts)


def cards(bank: References, neighbours: Sequence[Neighbour], facts: Sequence[str]) -> str:
    """Return references side by side, each with its picture where there is one, and its facts as HTML."""
    pictures = bank.pictures([neighbour.row for neighbour in neighbours], CARD_SIZE)
    shown = [""] * len(neighbours)
    if pictures is not None:
        shown = [
            f'<img src="{thumbnail(pil(picture))}" alt="Reference picture of {escape(neighbour.species)}">'
            for picture, neighbour in zip(pictures, neighbours, strict=True)
        ]
    entries = "".join(
        f"<li>{image}<em>{escape(n.species)}</em>"
        f"<span>{escape(n.family)}, {escape(n.order)}</span>{fact}</li>"
        for image, n, fact in zip(shown, neighbours, facts, strict=True)
    )
    return f'<ol class="neighbours">{entries}</ol>'
