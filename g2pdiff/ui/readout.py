"""The live read-out under the barcode box: what was understood, drawn and in words."""

from html import escape

from g2pdiff.errors import InputError
from g2pdiff.genotype import CODON_START, SITES, Barcode
from g2pdiff.ui.messages import note, notes

CODONS_SHOWN = 16


def stripes(barcode: Barcode, changed: tuple[int, ...] = ()) -> str:
    """The barcode as a barcode: one stripe a site, coloured by base, changed sites ticked above."""
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


def codons(barcode: Barcode, changed: tuple[int, ...] = ()) -> str:
    """The first known codons with their amino acids, stop codons and changed codons marked."""
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


def readout(text: str, mutation_rate: float, seed: int) -> str:
    """What was understood of the text in the barcode box, or the one sentence that says why nothing was.

    Args:
        text: as typed.
        mutation_rate: fraction of the known sites to change, 0 to 1; marked in the drawing.
        seed: chooses the changed sites.
    """
    try:
        barcode = Barcode.parse(text)
    except InputError as error:
        return note(str(error), "error")
    mutated = barcode.mutate(mutation_rate, seed)
    changed = barcode.differences(mutated)
    return (
        stripes(mutated, changed)
        + facts(barcode)
        + codons(mutated, changed)
        + notes(barcode.warnings, "warning")
        + notes(barcode.notes)
    )


def mutation_readout(text: str, mutation_rate: float, seed: int) -> str:
    """How many bases and amino acids the mutation rate changes; empty where the barcode cannot be read."""
    try:
        barcode = Barcode.parse(text)
    except InputError:
        return ""
    mutated = barcode.mutate(mutation_rate, seed)
    bases = len(barcode.differences(mutated))
    if not bases:
        return note(f"No base changed: all {barcode.coverage} known bases as given.")
    acids = sum(a != b for a, b in zip(barcode.amino_acids, mutated.amino_acids, strict=True))
    stops = len(mutated.stop_codons) - len(barcode.stop_codons)
    sentence = f"{bases} of {barcode.coverage} known bases and {acids} amino acids changed"
    if stops > 0:
        sentence += f"; {stops} new stop codon{'s' * (stops != 1)}"
    return note(sentence + ".")
