"""What a picture was drawn from, in words."""

from html import escape

from g2pdiff.experiments.specification import SpecimenSpecification
from g2pdiff.ui.messages import place_name, plural
from g2pdiff.ui.widgets.examples import names


def caption(asked: SpecimenSpecification, mutated: str) -> str:
    """Return species and place of a specimen, and how many of its bases are changed, as HTML.

    Args:
        asked: the specimen; its `latitude` and `longitude` are known.
        mutated: letters of the barcode that is drawn.
    """
    original = asked.original
    name = names().get(original.sequence)
    said = f"<em>{escape(name)}</em>" if name else escape(original.name) or "this barcode"
    place = place_name(asked.latitude, asked.longitude)
    changed = sum(one != other for one, other in zip(original.sequence, mutated, strict=True))
    return f"{said} at {place}" + (f", {plural(changed, 'base')} changed" if changed else "")
