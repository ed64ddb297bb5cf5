"""Signed distances and smooth steps, elementwise on tensors of one shape. Lengths are in body lengths."""

from __future__ import annotations

import math

import torch
from torch import Tensor

DEGREE = math.pi / 180


def smoothstep(start: Tensor | float, end: Tensor | float, x: Tensor) -> Tensor:
    """Return 0 at ``start`` and 1 at ``end`` (which may be the smaller), with zero slope at both."""
    t = ((x - start) / (end - start)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def bell(x: Tensor) -> Tensor:
    """Return exp(-x^2)."""
    return torch.exp(-x * x)


def smooth_max(a: Tensor, b: Tensor, radius: Tensor) -> Tensor:
    """Return the maximum with the crease rounded off over ``radius``."""
    h = (1 - (a - b).abs() / radius).clamp(min=0)
    return torch.maximum(a, b) + h * h * (radius * 0.25)


def segment(x: Tensor, y: Tensor, x0: Tensor, y0: Tensor, x1: Tensor, y1: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distance to the segment from (x0, y0) to (x1, y1), and the nearest point on it, 0 to 1."""
    vx, vy = x1 - x0, y1 - y0
    dx, dy = x - x0, y - y0
    t = ((dx * vx + dy * vy) / (vx * vx + vy * vy + 1e-9)).clamp(0, 1)
    return torch.hypot(dx - t * vx, dy - t * vy), t


def egg(
    x: Tensor, y: Tensor, half_width: Tensor, half_length: Tensor, taper: Tensor, square: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the signed distance to a tapered, squared ellipse, and the radius relative to its outline."""
    v = y / half_length
    inside = v.clamp(-1.1, 1.1)
    u = x * (1 + taper * inside) * (1 - square * inside * inside) / half_width
    radius = torch.sqrt(u * u + v * v + 1e-9)
    slope = torch.sqrt((u / half_width) ** 2 + (v / half_length) ** 2 + 1e-9)
    return (radius - 1) * radius / slope, radius
