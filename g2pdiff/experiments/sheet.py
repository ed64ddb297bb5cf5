"""Contact sheets: many pictures on one sheet, in labelled rows and columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

LABEL_SIZE, LABEL_ROOM = 14, 24  # pixels


def contact_sheet(
    pictures: Mapping[tuple[int, int], Image.Image], columns: Sequence[str], rows: Sequence[str]
) -> Image.Image:
    """Lay pictures of one size on white paper; cells without a picture stay white.

    Args:
        pictures: at least one picture, by row and column from 0.
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
