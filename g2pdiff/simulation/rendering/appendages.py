"""Legs, antennae, snout and ovipositor: chains of segments, wide enough to be seen in a small picture."""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor

from .geometry import segment, smoothstep
from .skeleton import LEGS, antenna_joints, leg_joints
from .sketch import Layer, Sketch

# Femur, tibia and tarsus, each at both ends, in leg widths.
LEG_RADII = ((1.25, 0.95), (0.75, 0.55), (0.46, 0.34))


def legs(sk: Sketch) -> Layer:
    """Return the three legs of one side."""
    aways: list[Tensor] = []
    for leg in range(len(LEGS)):
        joints = leg_joints(sk, leg, sk.reach[:, leg, None, None])
        for i, (start, end) in enumerate(LEG_RADII):
            away, along = segment(sk.x, sk.y, *joints[i], *joints[i + 1])
            swelling = 1 + 0.8 * sk["femur"] * torch.sin(math.pi * along) if i == 0 else 1
            aways.append(away - sk.visible(sk["leg_width"] * (start + (end - start) * along) * swelling))
    distance = reduce(torch.minimum, aways) + sk.streak * 0.0012 * sk["fur"]
    core = (-distance / (sk["leg_width"] + 1e-4)).clamp(0, 1)
    colour = sk.colour("leg_colour") * (0.82 + 0.3 * core)[:, None]
    alpha = sk.cover(distance) * smoothstep(0.0, 0.006, sk["leg_width"])
    return Layer(alpha, colour.clamp(0, 1), core * sk["leg_width"] * 0.9, 0.25, distance)


def antenna(sk: Sketch) -> Layer:
    """Return one antenna: ringed, clubbed or feathered."""
    joints = antenna_joints(sk)
    shares = (sk["scape"], *((1 - sk["scape"]) * share for share in (0.28, 0.36, 0.36)))
    nearest = place = passed = torch.zeros_like(sk.x)
    for i, share in enumerate(shares):
        away, along = segment(sk.x, sk.y, *joints[i], *joints[i + 1])
        along = passed + along * share
        place = along if i == 0 else torch.where(away < nearest, along, place)
        nearest = away if i == 0 else torch.minimum(nearest, away)
        passed = passed + share
    rings = 1 + 0.10 * torch.cos(place * 2 * math.pi * 14)
    club = 1 + sk["club"] * 3.0 * smoothstep(0.78, 0.93, place)
    distance = nearest - sk.visible(sk["antenna_width"] * (1 - 0.35 * place) * rings * club)

    comb = nearest - sk["feather"] * 0.055 * torch.sin(math.pi * (0.08 + 0.9 * place)).clamp(min=0)
    teeth = 0.45 + 0.40 * torch.cos(place * 2 * math.pi * 26 + nearest * 120)
    comb = sk.cover(comb) * teeth * smoothstep(0.02, 0.1, sk["feather"])
    alpha = torch.maximum(sk.cover(distance), comb)
    return Layer(alpha, sk.plain("antenna_colour"), 0.02 * alpha, 0.1, distance)


def rostrum(sk: Sketch) -> Layer:
    """Return the snout or proboscis on the midline, beyond the front of the head."""
    zero = torch.zeros_like(sk["head_length"])
    tip = 0.5 + sk["rostrum_length"]
    away, _ = segment(sk.x, sk.y, zero, 0.5 - 0.4 * sk["head_length"], zero, tip)
    distance = away - sk.visible(sk["rostrum_width"])
    height = 0.012 + 0.8 * (-distance).clamp(min=0)
    return Layer(sk.cover(distance), sk.plain("head_colour"), height, sk["gloss"], distance)


def ovipositor(sk: Sketch) -> Layer:
    """Return a needle on the midline, beyond the tip of the abdomen."""
    zero = torch.zeros_like(sk["ovipositor_length"])
    away, _ = segment(sk.x, sk.y, zero, zero - 0.46, zero, -0.5 - sk["ovipositor_length"])
    distance = away - sk.visible(zero + 0.007)
    alpha = sk.cover(distance) * smoothstep(0.01, 0.03, sk["ovipositor_length"])
    return Layer(alpha, sk.plain("antenna_colour"), torch.full_like(alpha, 0.01), 0.2, distance)
