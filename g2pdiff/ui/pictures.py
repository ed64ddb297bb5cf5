"""Pictures as the page shows them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import gradio as gr
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 512  # pictures are shown at this many pixels, enlarged here because JPEG is kinder to large pictures
SMALL = 160  # pixels of a side of a picture in a grid, at most
LABEL_SIZE, LABEL_ROOM = 14, 24  # pixels, of the labels of a contact sheet


def pil(image: Tensor) -> Image.Image:
    """A picture (3, H, W) in [0, 1] as it is."""
    return Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().cpu().numpy())


def enlarge(picture: Image.Image) -> Image.Image:
    return picture.resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)


def picture_box(label: str, elem_id: str) -> gr.Image:
    """A square picture to look at. JPEG, as every step is encoded and WebP takes ten times as long."""
    return gr.Image(
        label=label,
        show_label=False,
        alt_text=label,
        format="jpeg",
        interactive=False,
        buttons=["fullscreen"],
        elem_id=elem_id,
        elem_classes="specimen",
    )


def thumbnail(picture: Image.Image) -> str:
    """A small copy of a picture as a data URI, for grids of many."""
    small = picture.copy()
    small.thumbnail((SMALL, SMALL))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def contact_sheet(
    pictures: Mapping[tuple[int, int], Image.Image], columns: Sequence[str], rows: Sequence[str]
) -> Image.Image:
    """Pictures of one size on white paper, labelled; places without a picture stay white.

    Args:
        pictures: by row and column, from 0.
        columns: labels above the columns.
        rows: labels left of the rows.
    """
    font = ImageFont.load_default(LABEL_SIZE)
    width, height = next(iter(pictures.values())).size
    left = round(max(map(font.getlength, rows))) + 12
    across = max(width, *(round(font.getlength(label)) for label in columns)) + 4
    down = max(height + 4, LABEL_ROOM)
    sheet = Image.new("RGB", (left + across * len(columns), LABEL_ROOM + down * len(rows)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, label in enumerate(columns):
        pen.text((left + across * column + width / 2, LABEL_ROOM / 2), label, "black", font, anchor="mm")
    for row, label in enumerate(rows):
        pen.text((left - 6, LABEL_ROOM + down * row + height / 2), label, "black", font, anchor="rm")
    for (row, column), picture in pictures.items():
        sheet.paste(picture, (left + across * column, LABEL_ROOM + down * row))
    return sheet
