"""The strip of the Bases tab: a barcode codon by codon, with how much each matters."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import exp
from typing import TYPE_CHECKING

from Bio.Data.IUPACData import protein_letters_1to3

from g2pdiff.dna.barcode import SITES, Barcode

if TYPE_CHECKING:
    from g2pdiff.analysis.attribution import Attribution, CodonImportance

SITE_TICKS = (1, 100, 200, 300, 400, 500, SITES)

AMINO_ACIDS = protein_letters_1to3 | {"*": "stop codon", "X": "unknown"}

HINT = (
    '<p class="note">Click a base to mutate it: it joins the point edits of the form, first as a transition '
    "(A-G, C-T), at further clicks as the other two bases, then as it was. A click on the rest of a codon "
    "takes its middle base, which always changes the amino acid.</p>"
)


def strip(attribution: Attribution, given: Barcode) -> str:
    """Draw the importances of all codons as bars over the sites, and below them the barcode codon by codon.

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
    """Draw bars of every codon over its sites."""
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
    """Return one codon of the strip: its bar, amino acid, letters and number."""
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
    """Describe a codon in a sentence."""
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
