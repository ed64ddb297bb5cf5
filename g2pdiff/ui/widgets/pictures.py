"""Pictures as the page shows them."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

import gradio as gr
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 512  # pictures are shown at this many pixels, enlarged here because JPEG is kinder to large pictures
SMALL = 160  # pixels of a side of a picture in a grid, at most


def pil(image: Tensor) -> Image.Image:
    """Return a picture (3, H, W) in [0, 1] as it is."""
    return Image.fromarray((image.permute(1, 2, 0) * 255).round().byte().cpu().numpy())


def enlarge(picture: Image.Image) -> Image.Image:
    """Return a picture enlarged to the size that the page shows."""
    return picture.resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)


def picture_box(label: str, elem_id: str) -> gr.Image:
    """Build a square picture to look at. JPEG, as every step is encoded and WebP takes ten times as long."""
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
    """Return a small copy of a picture as a data URI, for grids of many."""
    small = picture.copy()
    small.thumbnail((SMALL, SMALL))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
