"""The Bases tab: which bases the model reads in a barcode, and which reference species are near."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from html import escape
from math import exp
from typing import TYPE_CHECKING

import gradio as gr
from Bio.Data.IUPACData import protein_letters_1to3

from g2pdiff.checks import check_number
from g2pdiff.errors import InputError
from g2pdiff.genotype import BASES, CODON_START, SITES, Barcode
from g2pdiff.mutation import edit
from g2pdiff.ui import messages
from g2pdiff.ui.downloads import data_link, picture_link, table_link
from g2pdiff.ui.form import QUIET, as_run
from g2pdiff.ui.line import Place
from g2pdiff.ui.messages import errors_as_toast, html, note
from g2pdiff.ui.model import references, threshold
from g2pdiff.ui.pictures import enlarge, picture_box, pil, thumbnail
from g2pdiff.ui.run import Run
from g2pdiff.ui.tab import Clock, RunTab

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from g2pdiff.attribution import Attribution, CodonImportance
    from g2pdiff.references import Neighbour, References

NEIGHBOURS = 5
CARD_SIZE = 128  # pixels of a reference picture
SITE_TICKS = (1, 100, 200, 300, 400, 500, SITES)

AMINO_ACIDS = protein_letters_1to3 | {"*": "stop codon", "X": "unknown"}
TRANSITIONS = dict(zip("AGCT", "GATC", strict=True))

OCCLUSION = """<p class="note"><b>Which bases matter.</b> Each codon in turn is hidden from the model
(occlusion); an upward bar means that the barcode then fits the picture worse, so the model reads that codon,
which does not say what it does in the animal.</p>"""
READY = (
    '<p class="note">The bars of all 219 codons appear here, and below them the barcode, codon by codon.</p>'
)
HINT = (
    '<p class="note">Click a base to mutate it: it joins the point edits of the form, first as a transition '
    "(A-G, C-T), at further clicks as the other two bases, then as it was. A click on the rest of a codon "
    "takes its middle base, which always changes the amino acid.</p>"
)
NO_REFERENCES = "This checkpoint has no reference species, so nothing can be said of the nearest ones."
NO_CLIBD = "This checkpoint has no CLIBD model, so nothing can be said of the nearest pictures."

# The strip scrolls in its own box; the chart above it shows all codons, marks those in view, and takes there.
JS = """
const find = selector => element.querySelector(selector);
const cells = () => element.querySelectorAll('.bases-codons li');
const mark = () => {
  const strip = find('.bases-strip'), view = find('.bases-view');
  if (!strip) return;
  view.style.left = 100 * strip.scrollLeft / strip.scrollWidth + '%';
  view.style.width = 100 * strip.clientWidth / strip.scrollWidth + '%';
};
const show = cell => {
  const strip = find('.bases-strip');
  strip.scrollLeft = cell.offsetLeft - (strip.clientWidth - cell.offsetWidth) / 2;
};
const say = (cell, letter) => {
  const place = letter && `Site ${letter.dataset.site} is ${letter.textContent}, the ` +
    ['first', 'second', 'third'][[...letter.parentNode.children].indexOf(letter)] + ' base of c';
  find('.bases-said').textContent = (place || 'C') + cell.getAttribute('aria-label').slice(1);
};
const under = event => {  // the codon under the pointer, in the chart
  const chart = event.target.closest('.bases-chart');
  if (!chart) return null;
  const box = chart.getBoundingClientRect(), all = cells();
  const index = Math.floor((event.clientX - box.left) / box.width * all.length);
  return all[Math.min(Math.max(index, 0), all.length - 1)];
};
element.addEventListener('pointermove', event => {
  const cell = event.target.closest('.bases-codons li');
  const charted = under(event);
  if (cell) say(cell, event.target.closest('[data-site]'));
  if (charted) say(charted);
  if (charted && event.buttons) show(charted);
});
element.addEventListener('click', event => {
  const charted = under(event), cell = event.target.closest('.bases-codons li');
  if (charted) { show(charted); say(charted); }
  if (cell) {
    const letter = event.target.closest('[data-site]') || cell.querySelectorAll('[data-site]')[1];
    trigger('pick', {site: letter.dataset.site});
  }
});
element.addEventListener('scroll', mark, true);
new ResizeObserver(mark).observe(element);
const start = () => {
  const most = find('.bases-codons .most');
  if (most) { show(most); say(most); mark(); }
};
watch('value', start);
start();
"""


@dataclass
class Findings:
    """What a session's last run has found so far."""

    run: Run
    index: int = 0  # steps done
    total: int = 0
    picture: Image.Image | None = None
    attribution: Attribution | None = None
    by_barcode: list[Neighbour] = field(default_factory=list)
    by_picture: list[Neighbour] = field(default_factory=list)


class Bases(RunTab):
    """The tab, built where it is made."""

    name = "bases"
    title = "Bases"

    def build_outcome(self) -> list[gr.components.Component]:
        with gr.Row(elem_id="bases-top"):
            with gr.Column(elem_id="bases-picture-column"):
                self.picture = picture_box("Prediction", "bases-picture")
            with gr.Column(elem_id="bases-strip-column"):
                html(OCCLUSION)
                self.strip = html(READY, elem_id="bases-strip", js_on_load=JS)
                self.picked = html(
                    elem_id="bases-picked", js_on_load="element.setAttribute('role', 'status')"
                )
        self.relatives = html(elem_id="bases-relatives")
        self.lookalikes = html(elem_id="bases-lookalikes")
        form = self.form
        self.strip.pick(pick, [form.barcode, form.edits], [form.edits, self.picked], **QUIET)
        return [self.picture, self.strip, self.picked, self.relatives, self.lookalikes]

    def check(self, form: list) -> Run:
        return as_run(form)

    def stream(self, run: Run, pipe, turn: Place) -> Iterator[dict]:
        findings, clock = Findings(run), Clock()
        empty = {part: "" for part in (self.picked, self.relatives, self.lookalikes)}
        yield empty | {self.kept: findings, self.strip: READY}
        with turn, closing(pipe.stream(**run.arguments)) as steps:
            for step in steps:
                findings.index, findings.total, findings.picture = step.index, step.total, step.image
                if clock.due() or step.index == step.total:
                    left = clock.left(step.index, step.total)
                    yield {
                        self.picture: enlarge(step.image),
                        self.status: messages.progress(step.index, step.total, step.clibd_score, left),
                    }
        yield {self.status: messages.waiting("Looking for the nearest reference species.")}
        yield from self.wait(turn)
        with turn:
            neighbours = self.neighbours(findings, pipe, step.images)
        yield neighbours | {self.status: messages.hiding(0)}
        yield from self.wait(turn)
        with turn:
            yield from self.occlusion(findings, pipe, step.latents)
        yield {self.download: downloads(findings)} | self.ended(
            messages.finished(step.total, step.clibd_score, threshold(pipe), clock.elapsed)
        )

    def neighbours(self, findings: Findings, pipe, images: Tensor) -> dict:
        """Updates that show the references nearest to the barcode and to its picture (1, 3, H, W)."""
        try:
            bank = references(pipe)
        except InputError as error:
            return {self.relatives: note(str(error), "error")}
        if bank is None:
            return {self.relatives: note(NO_REFERENCES)}
        findings.by_barcode = bank.nearest_barcodes(findings.run.barcode, NEIGHBOURS)
        shown = {self.relatives: relatives(bank, findings.by_barcode), self.lookalikes: note(NO_CLIBD)}
        if pipe.clibd is not None:
            embedding = embed_picture(pipe, images)
            findings.by_picture = bank.nearest_pictures(embedding, NEIGHBOURS)
            shown[self.lookalikes] = lookalikes(bank, findings.by_picture)
        return shown

    def occlusion(self, findings: Findings, pipe, latents: Tensor) -> Iterator[dict]:
        """Updates on the way to the strip for a picture's latents (1, C, h, w), or that say why there is
        none."""
        from g2pdiff.attribution import attributing

        run = findings.run
        try:
            occlusions = attributing(pipe, run.barcode, run.latitude, run.longitude, latents)
        except InputError as error:
            yield {self.strip: note(str(error))}
            return
        with closing(occlusions):
            for occlusion in occlusions:
                yield {self.status: messages.hiding(occlusion.done / occlusion.total)}
        findings.attribution = occlusion.attribution
        yield {self.strip: strip(findings.attribution, run.given)}

    def stopped(self, kept: Findings) -> dict:
        return {self.download: downloads(kept)} | self.ended(messages.stopped(kept.index, kept.total))


def embed_picture(pipe, images: Tensor) -> Tensor:
    """CLIBD embedding (E,) of the first of the pictures (B, 3, H, W)."""
    import torch

    with torch.no_grad():
        return pipe.clibd.embed_images(images[:1].to(pipe.device))[0].cpu()


def downloads(findings: Findings) -> str:
    """Links to the picture, the importances and everything that was found; none before the first step."""
    if findings.picture is None:
        return ""
    run, attribution = findings.run, findings.attribution
    stem = f"{run.file_stem}_bases"
    codons = [asdict(row) for row in attribution.rows()] if attribution else []
    found = run.settings | {
        "experiment": "bases",
        "log_prob": attribution and attribution.log_prob,
        "codons": codons,
        "nearest_barcodes": [
            {"species": n.species, "identity": n.similarity, "compared_sites": n.compared}
            for n in findings.by_barcode
        ],
        "nearest_pictures": [{"species": n.species, "cosine": n.similarity} for n in findings.by_picture],
    }
    data = json.dumps(found, indent=2).encode()
    return (
        picture_link(findings.picture, stem, run.settings)
        + (table_link(codons, stem) if codons else "")
        + data_link("Findings (JSON)", f"{stem}.json", "application/json", data)
    )


# Which bases matter


def strip(attribution: Attribution, given: Barcode) -> str:
    """The importances of all codons as bars over the sites, and below them the barcode codon by codon.

    Args:
        attribution: of the barcode that was drawn.
        given: the barcode before edits and mutations, from which changed sites are marked.
    """
    rows = list(attribution.rows())
    low, high = min(0, *attribution.importance), max(0, *attribution.importance)
    span = (high - low) or 1  # a barcode of which nothing matters
    order = sorted(rows, key=lambda row: -row.importance)
    ranks = {row.codon: rank for rank, row in enumerate(order, start=1)}
    changed = set(given.differences(attribution.barcode))
    cells = "".join(codon_cell(row, ranks[row.codon], changed, low, span) for row in rows)
    return (
        chart(rows, low, high, span)
        + f'<p class="note bases-said">{escape(describe(order[0], 1))}</p>'
        + '<div class="bases-strip" tabindex="0" role="group" aria-label="The 219 codons">'
        + f'<ol class="bases-codons">{cells}</ol></div>'
        + HINT
    )


def chart(rows: Sequence[CodonImportance], low: float, high: float, span: float) -> str:
    """Bars of every codon over its sites."""
    zero = 100 * high / span
    bars = {"for": "", "against": ""}
    for row in rows:
        kind = "for" if row.importance > 0 else "against"
        bars[kind] += f"M{row.first_site - 1} {zero:.2f}h2.5v{-100 * row.importance / span:.2f}h-2.5z"
    paths = "".join(f'<path class="{kind}" d="{path}"/>' for kind, path in bars.items())
    ticks = "".join(f'<span style="left:{100 * site / SITES:.2f}%">{site}</span>' for site in SITE_TICKS)
    ends = f'<span style="top:0">{high:+.2f}</span><span style="top:100%">{low:+.2f}</span>'
    return (
        f'<div class="bases-overview"><div class="bases-scale">{ends}</div><div class="bases-chart">'
        f'<svg viewBox="0 0 {SITES} 100" preserveAspectRatio="none" role="img" '
        'aria-label="Importance of each codon along the barcode">'
        f'{paths}<path class="zero" d="M0 {zero:.2f}h{SITES}"/></svg><div class="bases-view"></div></div>'
        f'<div class="bases-ticks">{ticks}</div></div>'
    )


def codon_cell(row: CodonImportance, rank: int, changed: set[int], low: float, span: float) -> str:
    """One codon of the strip: its bar, amino acid, letters and number."""
    bottom, top = sorted((0, row.importance))
    kind = "for" if row.importance > 0 else "against"
    bar = f"bottom:{100 * (bottom - low) / span:.1f}%;height:{100 * (top - bottom) / span:.1f}%"
    letters = "".join(
        f'<u class="{letter}{" changed" if site - 1 in changed else ""}" data-site="{site}">{letter}</u>'
        for site, letter in enumerate(row.letters, start=row.first_site)
    )
    kinds = ["most"] * (rank == 1) + ["stop"] * (row.amino_acid == "*")
    return (
        f'<li class="{" ".join(kinds)}" aria-label="{escape(describe(row, rank))}">'
        f'<span class="bases-bar"><i class="{kind}" style="{bar}"></i></span>'
        f"<b>{row.amino_acid}</b><span>{letters}</span><small>{row.codon}</small></li>"
    )


def describe(row: CodonImportance, rank: int) -> str:
    """A codon in a sentence."""
    place = f"Codon {row.codon} (sites {row.first_site} to {row.first_site + 2}, {row.letters} for "
    if row.importance == 0:
        effect = "hiding it changes nothing"
    else:
        more_or_less = "less" if row.importance > 0 else "more"
        effect = f"hidden, the barcode is {exp(abs(row.importance)):.2f} times {more_or_less} probable"
    return (
        f"{place}{AMINO_ACIDS[row.amino_acid]}): {effect} for this picture "
        f"(importance {row.importance:+.3f}, number {rank} of 219)."
    )


# A click mutates a site


def pick(barcode: str, edits: str, event: gr.EventData) -> tuple[str, str]:
    """The form's point edits after a click on `event.site`, and a sentence on what it does."""
    with errors_as_toast():
        site = int(check_number("site", event.site, 1, SITES, whole=True))
        given = Barcode.parse(barcode)
        text = next_edit(given, edits, site)
        return text, note(consequence(given, edit(given, text), site))


def next_edit(given: Barcode, edits: str, site: int) -> str:
    """Point edits in which one site has moved on to its next base.

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
    """What the edit of a site does to its codon, in a sentence."""
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
    """The references with the nearest barcodes, and what they make of the barcode."""
    found = bank.verdict(neighbours)
    facts = [
        f"<b>{n.similarity:.1%} identical</b>"
        f"<span>distance {n.distance:.3f}</span><span>over {n.compared} sites</span>"
        for n in neighbours
    ]
    said = note(found.sentence, "warning" if found.kind == "unlike" else "info")
    return "<h3>Nearest barcodes</h3>" + said + cards(bank, neighbours, facts)


def lookalikes(bank: References, neighbours: Sequence[Neighbour]) -> str:
    """The references whose pictures are nearest to the drawn one."""
    facts = [f"<b>cosine {n.similarity:.3f}</b>" for n in neighbours]
    said = (
        "Of all reference pictures these look most like the drawn one to the CLIBD model, by the cosine of "
        "their embeddings, which is 1 for pictures it cannot tell apart."
    )
    return "<h3>Nearest pictures</h3>" + note(said) + cards(bank, neighbours, facts)


def cards(bank: References, neighbours: Sequence[Neighbour], facts: Sequence[str]) -> str:
    """References side by side, each with its picture where there is one, and its facts as HTML."""
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
