"""The nearest known species of a barcode, for checkpoints whose truth nobody knows."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from g2pdiff.ui.messages import note

if TYPE_CHECKING:
    from PIL import Image

    from g2pdiff.analysis.references import Neighbour, References
    from g2pdiff.dna.barcode import Barcode


def warning(bank: References | None, barcode: Barcode | None) -> str:
    """Return the warning that stands above a picture where its barcode is unlike all references, as HTML."""
    if bank is None or barcode is None:
        return ""
    from g2pdiff.analysis.references import DRAWN_ALL_THE_SAME

    found = bank.verdict(bank.nearest_barcodes(barcode, 2))
    return note(f"{found.sentence} {DRAWN_ALL_THE_SAME}", "warning") if found.kind == "unlike" else ""


def card(bank: References, neighbours: list[Neighbour]) -> str:
    """Return what is to be said of the nearest of `bank.nearest_barcodes`, and of its picture, as HTML."""
    from g2pdiff.analysis.references import percent

    nearest, found = neighbours[0], bank.verdict(neighbours)
    identity = f"{percent(nearest.similarity)} identical over {nearest.compared} sites"
    said = (
        f'<p class="note"><b>Nearest known species</b>: <em>{escape(nearest.species)}</em> '
        f"({escape(nearest.family)}), {identity}. "
        f"Its picture: {escape(bank.origin)}.</p>"
    )
    return said + (note(found.sentence) if found.kind == "relative" else "")


def picture(bank: References, nearest: Neighbour, size: int) -> Image.Image | None:
    """Return the reference picture of a species, enlarged; None where there is none."""
    from g2pdiff.ui.widgets.pictures import enlarge, pil

    shown = bank.pictures([nearest.row], size)
    return None if shown is None else enlarge(pil(shown[0]))
