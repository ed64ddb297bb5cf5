"""Measurements on a picture of a specimen: body length, dominant colour, drift of its appearance.

They use the picture alone, so simulated and generated pictures are measured in the same way. First the
specimen is separated from the paper: the paper's colour is the median of the picture's rim, and a drop shadow
keeps the paper's hue and most of its light.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from g2pdiff.simulation.colour import srgb_to_oklab

COARSE = 64  # side of the coarse picture in which holes and the axis are searched, in pixels
PASSABLE = 0.75  # the background spreads through coarse pixels that are covered less than this
TILT = math.radians(10)  # the body axis is searched within this angle from upright
SHIFT = 0.06  # and within this distance from the middle, a share of the picture
ANGLES, SHIFTS = 41, 13
NEAR = 0.25  # symmetry counts most up to this distance from the axis, a share of the picture
ROWS_PER_PIXEL = 2
STRIP = 0.05  # half width of the strip along the axis, a share of the picture
STRIP_SAMPLES = 41
THIN = 0.05  # ends thinner than this share of the length are a snout or an ovipositor
GAP = 1 / 4  # gaps up to this share of the picture (a petiole, a body as pale as the paper) are bridged
SPECK = 1 / 50  # a shorter run on the axis is noise


def foreground(images: Tensor) -> Tensor:
    """Measure how much each pixel belongs to the specimen: (B, 3, H, W) in [0, 1] to (B, H, W) in [0, 1]."""
    rim = max(2, images.shape[-1] // 32)
    edges = (images[..., :rim, :], images[..., -rim:, :], images[..., :, :rim], images[..., :, -rim:])
    paper = torch.cat([edge.flatten(2) for edge in edges], 2).median(2).values
    relative = (images / paper.clamp(min=1e-3)[..., None, None]).clamp(min=1e-3)
    light = relative.mean(1)
    chroma = (relative.amax(1) - relative.amin(1)) / light
    return torch.maximum(torch.sigmoid((0.70 - light) / 0.03), torch.sigmoid((chroma - 0.13) / 0.02))


def fill_holes(mask: Tensor) -> Tensor:
    """Fill holes that the specimen encloses, such as a pale wing cell or a highlight: (B, H, W) to (B, H,
    W)."""
    coarse = F.interpolate(mask[:, None], (COARSE, COARSE), mode="area")
    passable = (coarse < PASSABLE).float()
    outside = F.pad(torch.zeros_like(passable[..., 1:-1, 1:-1]), (1, 1, 1, 1), value=1.0) * passable
    reached = 0
    while int(outside.sum()) > reached:
        reached = int(outside.sum())
        outside = F.max_pool2d(outside, 3, 1, 1) * passable
    near_outside = F.interpolate(F.max_pool2d(outside, 3, 1, 1), mask.shape[1:], mode="nearest")[:, 0]
    return torch.where(near_outside > 0, mask, 1.0)


def symmetry_axis(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Find the axis of symmetry of masks (B, H, W): tilt (radians) and sideways shift (share of the
    picture)."""
    small = F.interpolate(mask[:, None], (COARSE, COARSE), mode="bilinear", antialias=True)
    angles = torch.linspace(-TILT, TILT, ANGLES, device=mask.device)
    shifts = torch.linspace(-SHIFT, SHIFT, SHIFTS, device=mask.device)
    across = (torch.arange(COARSE, device=mask.device) + 0.5) / COARSE - 0.5
    weight = torch.exp(-((across / NEAR) ** 2))
    scores = []
    for angle in angles:  # one tilt at a time saves memory
        x, y = _axis_grid(COARSE, COARSE, 0.5, angle, shifts[:, None, None])  # x for every shift, y for all
        turned = _sample(small, x.flatten(0, 1), y.repeat(SHIFTS, 1)).unflatten(1, (SHIFTS, COARSE))
        score = (turned * turned.flip(3) * weight).sum((2, 3))
        scores.append(score / (turned.square() * weight).sum((2, 3)).clamp(min=1e-6))
    best = torch.stack(scores, 1).flatten(1).argmax(1)
    return angles[best // SHIFTS], shifts[best % SHIFTS]


@torch.no_grad()
def body_length(images: Tensor) -> Tensor:
    """Measure the length from the front of the head to the tip of the abdomen.

    The length is measured along the axis of symmetry. At both ends, rows that are too thin for a body (a
    snout, a proboscis, an ovipositor) are left out.

    Args:
        images: (B, 3, H, W) in [0, 1], a specimen upright on paper.

    Returns:
        Fractions of the picture's height (B,); 0 if nothing lies on the axis.
    """
    mask = fill_holes(foreground(images))
    angle, shift = symmetry_axis(mask)
    rows = mask.shape[1] * ROWS_PER_PIXEL
    grid = _axis_grid(rows, STRIP_SAMPLES, STRIP, angle[:, None, None], shift[:, None, None])
    strip = _sample(mask[:, None], *grid)  # (B, rows, STRIP_SAMPLES)

    middle = STRIP_SAMPLES // 2
    right = strip[..., middle:].cummin(-1).values.sum(-1)
    left = strip[..., : middle + 1].flip(-1).cummin(-1).values.sum(-1)
    width = (
        (left + right - strip[..., middle]) / STRIP_SAMPLES * 2 * STRIP
    )  # (B, rows), a share of the picture
    on_axis = _open(strip[..., middle] > 0.5, round(rows * SPECK / 2))
    run = _longest_run(_close(on_axis, round(rows * GAP / 2)))
    thick = run & (width > THIN * run.sum(1, keepdim=True) / rows)
    place = torch.arange(rows, device=mask.device)
    first = torch.where(thick, place, rows).amin(1)
    last = torch.where(thick, place, -1).amax(1)
    return (last - first + 1).clamp(min=0) / rows


@torch.no_grad()
def dominant_hue(images: Tensor) -> Tensor:
    """Measure the dominant colour of the specimen in the plane of OKLab's a and b.

    The direction of the vector is the hue, its length the chroma (0 for grey, about 0.3 for the purest
    colours). It is the mean of a and b over the specimen's pixels. Each pixel is weighted by its chroma, so
    that a coloured wing or wing case counts more than dark legs and grey outlines.

    Args:
        images: (B, 3, H, W) in [0, 1].

    Returns:
        a and b (B, 2); zero if there is no specimen.
    """
    mask = foreground(images)
    plane = srgb_to_oklab(images.movedim(1, -1))[..., 1:]  # (B, H, W, 2)
    weight = (mask * plane.norm(dim=-1))[..., None]
    return (plane * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1e-6)


def _axis_grid(rows: int, columns: int, reach: float, angle: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return points along an axis: x and y in [-1, 1], (..., rows, columns); `reach` is half the width."""
    down = ((torch.arange(rows, device=angle.device) + 0.5) / rows * 2 - 1)[:, None]
    across = ((torch.arange(columns, device=angle.device) + 0.5) / columns * 2 - 1) * 2 * reach
    return (
        across * angle.cos() - down * angle.sin() + 2 * shift,
        across * angle.sin() + down * angle.cos(),
    )


def _sample(mask: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read a mask (B, 1, H, W) at points (h, w) or (B, h, w)."""
    points = torch.stack([x, y], -1)
    points = points.expand(len(mask), *points.shape[-3:])
    return F.grid_sample(mask, points, align_corners=False)[:, 0]


def _grow(on: Tensor, radius: int) -> Tensor:
    """Lengthen runs of true values in rows of booleans (B, N) at both ends."""
    return F.max_pool1d(on.float()[:, None], 2 * radius + 1, 1, radius)[:, 0] > 0.5


def _close(on: Tensor, radius: int) -> Tensor:
    """Fill gaps of up to twice ``radius``."""
    return ~_grow(~_grow(on, radius), radius)


def _open(on: Tensor, radius: int) -> Tensor:
    """Drop runs of up to twice ``radius``."""
    return _grow(~_grow(~on, radius), radius)


def _longest_run(on: Tensor) -> Tensor:
    """Keep only the longest run of true values in each row of (B, N)."""
    place = torch.arange(1, on.shape[1] + 1, device=on.device).expand_as(on)
    start = torch.where(on, 0, place).cummax(1).values  # position of the last false value before or at each
    length, end = (place - start).max(1, keepdim=True)
    return (place > end + 1 - length) & (place <= end + 1)


DRIFT_PIXELS = 32  # so coarse that colour and outline count, and the position of a leg hardly does


def appearance_drift(images: Tensor, reference: Tensor) -> Tensor:
    """Measure how far pictures have drifted from a reference: the RMS difference of their coarse pixels.

    Args:
        images: (B, 3, H, W) in [0, 1].
        reference: (B, 3, H, W), or (1, 3, H, W) for all.

    Returns:
        Drifts (B,); 0 for equal pictures.
    """
    coarse = [F.interpolate(x, (DRIFT_PIXELS, DRIFT_PIXELS), mode="area") for x in (images, reference)]
    return (coarse[0] - coarse[1]).square().mean((1, 2, 3)).sqrt()
