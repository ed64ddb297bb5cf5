"""The live read-out under the barcode box: what was understood, drawn and in words."""

from html import escape

from g2pdiff.dna.barcode import CODON_START, SITES, Barcode
from g2pdiff.dna.mutation import changes
from g2pdiff.ui.messages import note, notes, plural

CODONS_SHOWN = 16


def stripes(barcode: Barcode, changed: tuple[int, ...] = ()) -> str:
    """Draw the barcode as a barcode: one stripe per site, coloured by base, changed sites ticked above."""
    paths = "".join(
        f'<path class="{base}" d="{"".join(f"M{site}.5 3v14" for site in sites)}"/>'
        for base in "ACGT"
        if (sites := [site for site, letter in enumerate(barcode.sequence) if letter == base])
    )
    ticks = f'<path class="changed" d="{"".join(f"M{site}.5 0v2.4" for site in changed)}"/>'
    counts = ", ".join(f"{barcode.sequence.count(base)} {base}" for base in "ACGTN")
    return (
        f'<svg class="stripes" viewBox="0 0 {SITES} 17" preserveAspectRatio="none" role="img" '
        f'aria-label="Barcode of {SITES} sites: {counts}">{paths}{ticks}</svg>'
    )


def legend(barcode: Barcode, changed: tuple[int, ...] = ()) -> str:
    """Return what the colours of the stripes mean."""
    marks = {base: base for base in "ACGT"}
    if "N" in barcode.sequence:
        marks["N"] = "N, unknown"
    if changed:
        marks["changed"] = "changed"
    spans = "".join(f'<span class="{kind}">{name}</span>' for kind, name in marks.items())
    return f'<p class="stripes-key">{spans}</p>'


def codons(barcode: Barcode, changed: tuple[int, ...] = ()) -> str:
    """Return the first known codons with their amino acids, stop codons and changed codons marked."""
    acids = barcode.amino_acids
    first = next((index for index, acid in enumerate(acids) if acid != "X"), 0)
    cells = []
    for index in range(first, min(first + CODONS_SHOWN, len(acids))):
        sites = range(CODON_START + 3 * index, CODON_START + 3 * index + 3)
        kind = "stop" if acids[index] == "*" else "changed" if set(sites) & set(changed) else "given"
        letters = barcode.sequence[sites.start : sites.stop]
        cells.append(f'<li class="{kind}"><b>{acids[index]}</b>{letters}</li>')
    return f'<ol class="codons" aria-label="Amino acids from codon {first + 1} on">{"".join(cells)}</ol>'


def facts(barcode: Barcode) -> str:
    """Return length, frame and unknown letters of a barcode in words."""
    stops = len(barcode.stop_codons)
    frame = (
        f"starts at site {barcode.offset + 1} of {SITES}"
        if barcode.offset >= 0
        else f"starts {-barcode.offset} before site 1"
    )
    items = [
        f"<b>{barcode.length}</b> letters",
        frame,
        f"<b>{barcode.n_fraction:.1%}</b> N",
        f"<b>{stops or 'no'}</b> stop codon{'s' * (stops != 1)}",
    ]
    if barcode.name:
        items.insert(0, f'<span class="name">{escape(barcode.name)}</span>')
    return '<ul class="facts">' + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def readout(given: Barcode, mutated: Barcode) -> str:
    """Show what was understood of the barcode, drawn after its mutations, in which changed sites are
    marked."""
    changed = given.differences(mutated)
    return (
        stripes(mutated, changed)
        + legend(mutated, changed)
        + facts(given)
        + codons(mutated, changed)
        + notes(given.warnings, "warning")
        + notes(given.notes)
    )


CHANGES_SHOWN = 24


def mutation_readout(given: Barcode, mutated: Barcode) -> str:
    """Say how many and which bases and amino acids have changed."""
    found = changes(given, mutated)
    if not found.bases:
        return note(f"No base changed: all {given.coverage} known bases as given.")
    sentence = (
        f"{len(found.bases)} of {given.coverage} known bases and "
        f"{plural(len(found.amino_acids), 'amino acid')} changed"
    )
    if stops := len(found.new_stops):
        sentence += f"; {plural(stops, 'new stop codon')}"
    return (
        note(sentence + ".")
        + '<details class="changes"><summary>Which ones</summary>'
        + _listing("Bases", found.bases)
        + _listing("Amino acids", found.amino_acids)
        + "</details>"
    )


def _listing(what: str, names: tuple[str, ...]) -> str:
    more = f" and {len(names) - CHANGES_SHOWN} more" if len(names) > CHANGES_SHOWN else ""
    shown = " ".join(names[:CHANGES_SHOWN]) or "none"
    return f"<p><b>{what}</b> <code>{shown}</code>{more}</p>"
