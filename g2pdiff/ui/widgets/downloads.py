"""Links that save something at once: the data is in the link itself, so that no file stays on the server."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from html import escape

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from g2pdiff.experiments.specification import MutantSpecification, SpecimenSpecification
from g2pdiff.spreadsheets import write_csv
from g2pdiff.ui.widgets.examples import names

TITLE = "Specimen drawn by G2PDiffusion; not a photograph"
FRAME_MILLISECONDS = 120
LAST_FRAME_MILLISECONDS = 1500


def file_stem(asked: SpecimenSpecification) -> str:
    """Return a name such as `Vanessa-cardui_56.60_11.30_mutated10_seed0`.

    It begins with the species where the barcode is an example's, else with the FASTA header, and holds
    nothing typed but letters and digits.
    """
    title = names().get(asked.barcode.sequence) or asked.barcode.name
    parts = [
        re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-")[:40] or "barcode",
        f"{asked.latitude:.2f}",
        f"{asked.longitude:.2f}",
    ]
    if asked.edited != asked.original:
        parts.append("edited")
    if isinstance(asked, MutantSpecification) and asked.mutation_rate:
        parts.append(f"mutated{asked.mutation_rate:.0%}".rstrip("%"))
    return "_".join([*parts, f"seed{asked.seed}"])


def data_link(label: str, name: str, kind: str, data: bytes) -> str:
    """Return a link that saves `data` of a MIME type under a name."""
    encoded = base64.b64encode(data).decode()
    return (
        f'<a class="download" download="{escape(name)}" href="data:{kind};base64,{encoded}">'
        f"{escape(label)}</a>"
    )


def png(picture: Image.Image, settings: Mapping) -> bytes:
    """Encode a picture at its own size as PNG, with everything needed to draw it again inside."""
    info = PngInfo()
    info.add_text("Title", TITLE)
    info.add_text("Comment", json.dumps(settings))
    file = io.BytesIO()
    picture.save(file, "PNG", pnginfo=info)
    return file.getvalue()


def gif(frames: Sequence[Image.Image]) -> bytes:
    """Encode an animation that plays again and again and rests on its last frame."""
    durations = [FRAME_MILLISECONDS] * (len(frames) - 1) + [LAST_FRAME_MILLISECONDS]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return file.getvalue()


def picture_link(picture: Image.Image, stem: str, settings: Mapping) -> str:
    """Return a link that saves a picture as PNG with its settings inside."""
    size = f"{picture.width} x {picture.height}"
    return data_link(f"Picture ({size} PNG)", f"{stem}.png", "image/png", png(picture, settings))


def animation_link(frames: Sequence[Image.Image], stem: str) -> str:
    """Return a link that saves frames as an animated GIF."""
    return data_link("Denoising (GIF)", f"{stem}.gif", "image/gif", gif(frames))


def table_link(rows: Sequence[Mapping], stem: str) -> str:
    """Return a link that saves rows as CSV."""
    return data_link("Rows (CSV)", f"{stem}.csv", "text/csv", write_csv(rows))


def settings_link(settings: Mapping, stem: str) -> str:
    """Return a link that saves settings as JSON."""
    data = json.dumps(settings, indent=2).encode()
    return data_link("Settings (JSON)", f"{stem}.json", "application/json", data)
