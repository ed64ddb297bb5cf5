"""The words of the field that the page explains where they stand, on hover and on focus."""

from html import escape

TERMS = {
    "CLIBDScore": (
        "How well a picture and the barcode that it was drawn from (after mutations) belong together for "
        "CLIBD, a model that learned pairs of pictures and barcodes: the cosine of its two vectors, at "
        "most 1. Chance gives about 0."
    ),
    "threshold": (
        "The CLIBDScore that best separates true pairs of picture and barcode from mismatched ones, "
        "measured on specimens kept out of training. Above it the judge takes a pair for a true one. It "
        "can be wrong."
    ),
    "drift": (
        "How far a picture has moved away from the one without mutations: the root mean square difference "
        "of their coarse pixels, 0 for equal pictures."
    ),
    "guidance": (
        "Classifier-free guidance: every step goes further in the direction that the barcode adds to a "
        "guess without it. 1 is off."
    ),
    "alignment": (
        "At every step the aligner compares the noisy picture with the barcode, and its gradient pushes "
        "the picture towards the barcode. 0 is off."
    ),
    "codon": ("Three bases of a gene, which stand for one amino acid of the protein, or for its end."),
}


def _id(name: str) -> str:
    return f"glossary-{name.lower()}"


def term(name: str, shown: str = "") -> str:
    """Return a word of `TERMS` with its explanation, as HTML.

    Args:
        name: key of `TERMS`.
        shown: what stands on the page; by default the name.
    """
    tip = escape(TERMS[name])
    return (
        f'<span class="term" tabindex="0" aria-describedby="{_id(name)}" data-tip="{tip}">'
        f"{escape(shown or name)}</span>"
    )


def glossary() -> str:
    """Return all explanations as HTML that is not shown: screen readers read them beside the words."""
    rows = (f'<p id="{_id(name)}">{escape(tip)}</p>' for name, tip in TERMS.items())
    return f"<div hidden>{''.join(rows)}</div>"
