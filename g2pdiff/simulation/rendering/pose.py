"""Variation between pictures of one specimen: pose, light and paper. Its seed is not the barcode's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..archetypes import INDEX
from .geometry import DEGREE, smoothstep
from .skeleton import Body

ROTATION = 6 * DEGREE
SHIFT = 0.015  # of the picture
SWING = 3.5 * DEGREE  # turn of one side's wings, legs and antenna
BEND = 0.05  # sideways curve of the abdomen, body lengths at half a body length behind the waist


@dataclass(frozen=True)
class Nuisance:
    """Draws in [-1, 1], each (B, 1, 1); zero is the plain specimen."""

    rotation: Tensor
    right: Tensor
    down: Tensor
    swing_left: Tensor
    swing_right: Tensor
    fan_left: Tensor
    fan_right: Tensor
    bend: Tensor
    light: Tensor
    exposure: Tensor
    warmth: Tensor
    paper: Tensor
    vignette: Tensor

    @classmethod
    def draw(cls, seeds: Sequence[int] | None, count: int, device: torch.device) -> Nuisance:
        """Draw one row of numbers per seed; without seeds, ``count`` rows without variation."""
        names = list(cls.__dataclass_fields__)
        if seeds is None:
            draws = torch.zeros(count, len(names))
        else:
            generators = [torch.Generator().manual_seed(int(seed) & 0xFFFFFFFF) for seed in seeds]
            draws = torch.stack([torch.rand(len(names), generator=g) for g in generators]) * 2 - 1
        return cls(*draws.to(device)[..., None, None].unbind(1))


def picture_grid(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return pixel centres, x to the right and y down, from -0.5 to 0.5: two (1, size, size) tensors."""
    line = (torch.arange(size, device=device) + 0.5) / size - 0.5
    return line.expand(1, size, size), line[:, None].expand(1, size, size)


def pose(half: Tensor, values: Tensor, nuisance: Nuisance, size: int) -> Tensor:
    """Mirror the half plane (B, C, h, h / 2) and place the specimen in its picture: (B, C, size, size)."""
    whole = torch.cat([half.flip(3), half], 3)
    x, y = picture_grid(size, half.device)
    x, y = x - SHIFT * nuisance.right, y - SHIFT * nuisance.down
    angle = ROTATION * nuisance.rotation
    x, y = x * angle.cos() + y * angle.sin(), -x * angle.sin() + y * angle.cos()

    # in body lengths, y up: the point of the symmetric specimen that each point of the picture shows
    trait = {name: values[:, INDEX[name], None, None] for name in ("head_length", "thorax_length", "waist")}
    at = Body.of(trait)
    length = values[:, INDEX["body_length"], None, None]
    u, v = x / length, -y / length
    behind = (at.waist - v).clamp(0, 1)
    u = u - BEND * nuisance.bend * behind * behind * 2
    right = u > 0
    swing = torch.where(right, nuisance.swing_right, nuisance.swing_left)
    fan = torch.where(right, nuisance.fan_right, nuisance.fan_left)
    turn = SWING * (0.75 * swing + 0.5 * fan * (v - at.thorax).clamp(-0.8, 0.8))
    turn = turn * smoothstep(0.06, 0.45, u.abs()) * torch.sign(u)  # the body itself does not turn
    rise = v - at.thorax
    u, v = u * turn.cos() + rise * turn.sin(), rise * turn.cos() - u * turn.sin() + at.thorax

    place = torch.stack([u * length * 2, -v * length * 2], -1)
    return F.grid_sample(whole, place, mode="bicubic", padding_mode="zeros", align_corners=False)
