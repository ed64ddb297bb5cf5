"""Rendering of traits as pictures of pinned specimens, by signed distance functions.

The parts are painted on the half plane from the lowest to the highest, mirrored and posed. Light comes last,
so that light and shadow are not mirrored with the body.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..archetypes import INDEX
from . import appendages, body, wings
from .light import photograph
from .pose import Nuisance, pose
from .skeleton import fit_to_frame
from .sketch import Canvas, Sketch

__all__ = ["fit_to_frame", "paint", "render"]

SUPERSAMPLING = 1.25
PIXELS_AT_ONCE = {"cpu": 2**18, "cuda": 2**24}

# from the paper upwards: the part, the trait that it needs (with its least value), and its shadow
PARTS = (
    (appendages.legs, "leg_width", 1e-3, 0.0),
    (appendages.antenna, None, 0.0, 0.0),
    (wings.hindwing, "wings", 0.5, 0.0),
    (wings.forewing, "wings", 0.5, 0.34),
    (appendages.ovipositor, "ovipositor_length", 0.01, 0.0),
    (body.abdomen, None, 0.0, 0.38),
    (body.elytra, "elytra", 0.5, 0.40),
    (appendages.rostrum, "rostrum_length", 0.005, 0.0),
    (body.head, None, 0.0, 0.38),
    (body.thorax, None, 0.0, 0.38),
    (body.eyes, None, 0.0, 0.30),
)


@torch.no_grad()
def render(values: Tensor, size: int = 256, seeds: Sequence[int] | None = None) -> Tensor:
    """Draw specimens.

    Args:
        values: (B, D) traits.
        size: height and width of the pictures in pixels.
        seeds: one per specimen for pose, light and paper; without seeds the plain specimen is drawn.

    Returns:
        (B, 3, size, size) in [0, 1], on the device of ``values``.
    """
    chunk = max(1, PIXELS_AT_ONCE[values.device.type] // size**2)
    slices = [slice(i, i + chunk) for i in range(0, len(values), chunk)]
    parts = [_render(values[rows], size, None if seeds is None else seeds[rows]) for rows in slices]
    return torch.cat(parts) if parts else values.new_zeros(0, 3, size, size)


def _render(values: Tensor, size: int, seeds: Sequence[int] | None) -> Tensor:
    nuisance = Nuisance.draw(seeds, len(values), values.device)
    posed = pose(paint(values, size), values, nuisance, size)
    return photograph(posed, values[:, INDEX["body_length"]], nuisance)


def paint(values: Tensor, size: int) -> Tensor:
    """Paint the right half of each specimen, unlit: (B, 6, h, h / 2) colour, opacity, height, gloss."""
    fitted, reach = fit_to_frame(values.float())
    sketch = Sketch.of(fitted, reach, size, round(size * SUPERSAMPLING / 2) * 2)
    canvas = Canvas(sketch)
    for part, trait, least, shadow in PARTS:
        rows = None if trait is None else (fitted[:, INDEX[trait]] > least).nonzero()[:, 0]
        if rows is None or len(rows) == len(fitted):
            canvas.paint(part(sketch), None, shadow)
        elif len(rows):
            canvas.paint(part(sketch.select(rows)), rows, shadow)
    return canvas.stack
