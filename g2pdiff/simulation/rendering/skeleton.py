"""The positions of the parts, and the limits of legs, wings and antennae.

``named`` below is any object that gives a trait by name, so that drawing and fitting share one geometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..archetypes import INDEX
from .geometry import DEGREE

# per leg: position on the thorax, angle of the femur, bends of tibia and tarsus (degrees), relative length
LEGS = ((0.30, 34, 24, 6, 0.85), (0.02, -8, -20, -18, 0.95), (-0.28, -38, -24, -14, 1.0))
LEG_SEGMENTS = (0.40, 0.36, 0.30)  # femur, tibia, tarsus as shares of the leg
ROOM = 0.475  # of a picture's half height of 0.5; the rest is room for the shift of the pose
SWAY = 0.17  # a pose may turn a part by 10 degrees, which moves a point by this share of its other coordinate
ROUNDING = 10  # sharpness of the limit on the reach


class Named(Protocol):
    """Traits by name, as columns that broadcast."""

    def __getitem__(self, name: str, /) -> Tensor: ...


@dataclass(frozen=True)
class Body:
    """Heights of the parts along the midline: thorax centre, its hind end, abdomen front."""

    thorax: Tensor
    waist: Tensor
    abdomen: Tensor

    @classmethod
    def of(cls, named: Named) -> Body:
        thorax = 0.5 - named["head_length"] * 0.92 - named["thorax_length"] / 2
        waist = thorax - named["thorax_length"] / 2
        return cls(thorax, waist, waist + 0.04 - named["waist"])


@dataclass(frozen=True)
class WingFrame:
    """Root (x, y), length to the apex and to the tornus, and the directions of leading and trailing edge."""

    x: Tensor
    y: Tensor
    length: Tensor
    tornus: Tensor
    lead: tuple[Tensor, Tensor]
    trail: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, named: Named, wing: str) -> WingFrame:
        root = Body.of(named).thorax + named[f"{wing}_root"] * named["thorax_length"]
        length = named[f"{wing}_length"]
        lead = named[f"{wing}_angle"] * DEGREE
        trail = lead - named[f"{wing}_opening"] * DEGREE
        return cls(
            named["thorax_width"] * 0.30,
            root,
            length,
            length * named[f"{wing}_tornus"],
            (lead.cos(), lead.sin()),
            (trail.cos(), trail.sin()),
        )

    @property
    def apex(self) -> tuple[Tensor, Tensor]:
        """Tip of the leading edge, from the root."""
        return self.length * self.lead[0], self.length * self.lead[1]

    @property
    def corner(self) -> tuple[Tensor, Tensor]:
        """Inner corner (tornus), from the root."""
        return self.tornus * self.trail[0], self.tornus * self.trail[1]

    def tail(self, named: Named) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the base and tip of the tail, from the root."""
        (ax, ay), (cx, cy) = self.apex, self.corner
        x, y, long = cx * 0.86 + ax * 0.14, cy * 0.86 + ay * 0.14, named["tail"] * self.length
        return x, y, x + long * 0.22, y - long


def leg_joints(named: Named, leg: int, length: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return the hip, knee, ankle and claw of one leg of the given length."""
    place, angle, *bends, _ = LEGS[leg]
    x, y = named["thorax_width"] * 0.30, Body.of(named).thorax + place * named["thorax_length"]
    joints = [(x, y)]
    turned = named["foreleg_forward"] if leg == 0 else torch.zeros_like(x)
    direction = (angle + turned) * DEGREE
    for share, bend in zip(LEG_SEGMENTS, (0, *bends), strict=True):
        direction = direction + bend * DEGREE
        x, y = x + length * share * direction.cos(), y + length * share * direction.sin()
        joints.append((x, y))
    return joints


def antenna_joints(named: Named) -> list[tuple[Tensor, Tensor]]:
    """Return the base, end of the scape, and three further joints of an antenna."""
    x, y = named["head_width"] * 0.17, 0.5 - named["head_length"] * 0.22
    joints = [(x, y)]
    direction = (90 - named["antenna_angle"]) * DEGREE
    scape, rest = named["antenna_length"] * named["scape"], named["antenna_length"] * (1 - named["scape"])
    bends = (named["elbow"], named["antenna_curve"], named["antenna_curve"])
    for long, bend in zip((scape, 0.28 * rest, 0.36 * rest, 0.36 * rest), (None, *bends), strict=True):
        if bend is not None:
            direction = direction - bend * DEGREE
        x, y = x + long * direction.cos(), y + long * direction.sin()
        joints.append((x, y))
    return joints


def fit_to_frame(values: Tensor) -> tuple[Tensor, Tensor]:
    """Shorten parts that would leave the picture. The body itself keeps its length.

    The limit is smooth: a part that is well inside hardly changes.

    Args:
        values: (B, D) traits.

    Returns:
        The traits with shortened parts, and the lengths of the three legs (B, 3).
    """
    values = values.clone()
    named = _Columns(values)
    room = ROOM / named["body_length"]
    for wing in ("forewing", "hindwing"):
        factor = _limit(_wing_outline(named, wing), room)
        values[:, INDEX[f"{wing}_length"]] *= factor
    values[:, INDEX["antenna_length"]] *= _limit(antenna_joints(named), room)
    for part in ("rostrum_length", "ovipositor_length"):
        zero = torch.zeros_like(room)
        values[:, INDEX[part]] *= _limit([(zero, zero + 0.5), (zero, 0.5 + named[part])], room)
    legs = []
    for leg, (*_, relative) in enumerate(LEGS):
        length = named["leg_length"] * relative * (named["hindleg_length"] if leg == 2 else 1)
        legs.append(length * _limit(leg_joints(named, leg, length), room))
    return values, torch.stack(legs, 1)


class _Columns:
    def __init__(self, values: Tensor):
        self.values = values

    def __getitem__(self, name: str) -> Tensor:
        return self.values[:, INDEX[name]]


def _wing_outline(named: Named, wing: str) -> list[tuple[Tensor, Tensor]]:
    """Return the root, then the points of a wing that can reach furthest."""
    frame = WingFrame.of(named, wing)
    (ax, ay), (cx, cy) = frame.apex, frame.corner
    outer = named[f"{wing}_outer_bulge"] + 0.04
    costa = named[f"{wing}_costa_bulge"] * frame.length + 0.035
    lx, ly = frame.lead
    points = [
        (ax * 1.03, ay * 1.03),
        (cx * 1.03, cy * 1.03),
        ((ax + cx) / 2 + (ay - cy) * outer, (ay + cy) / 2 - (ax - cx) * outer),
        (ax * 0.6 - ly * costa, ay * 0.6 + lx * costa),
    ]
    if wing == "hindwing":
        points.append(frame.tail(named)[2:])
    return [(frame.x, frame.y), *((frame.x + x, frame.y + y) for x, y in points)]


def _limit(points: list[tuple[Tensor, Tensor]], room: Tensor) -> Tensor:
    """Return the factor on a part's length that keeps all its points in the room. The first point is its
    root."""
    reach = [torch.maximum(x.abs() + SWAY * y.abs(), y.abs() + SWAY * x.abs()) for x, y in points]
    furthest = torch.stack(reach[1:]).amax(0)
    wanted = (furthest - reach[0]).clamp(min=0) / (room - reach[0]).clamp(min=0.02)
    return (1 + wanted**ROUNDING) ** (-1 / ROUNDING)
