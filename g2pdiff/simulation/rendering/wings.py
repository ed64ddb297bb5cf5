"""Spread wings: outline, pattern, veins.

On a wing, ``t`` runs from the root (0) to the outer margin (1), ``s`` from the leading (0) to the trailing
edge (1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .geometry import bell, segment, smooth_max, smoothstep
from .skeleton import WingFrame
from .sketch import Layer, Sketch, mix, rainbow

TURN = 2 * math.pi
ROOT = 0.035  # half the width of the wing's base


@dataclass(frozen=True)
class Wing:
    """A wing in its own coordinates. All tensors are (B, h, w), except traits (B, 1, 1)."""

    name: str
    frame: WingFrame
    x: Tensor  # from the root
    y: Tensor
    lead: Tensor  # signed distance beyond the leading edge
    outer: Tensor  # beyond the outer margin
    distance: Tensor  # beyond the whole outline
    radius: Tensor  # from the root
    t: Tensor
    s: Tensor
    width: Tensor  # width across the wing at this point
    cell: Tensor  # s in cells between veins

    def off(self, towards_apex: float, towards_corner: float) -> tuple[Tensor, Tensor]:
        """Return offsets from a point given as shares of the apex and of the corner."""
        (ax, ay), (cx, cy) = self.frame.apex, self.frame.corner
        x, y = ax * towards_apex + cx * towards_corner, ay * towards_apex + cy * towards_corner
        return self.x - x, self.y - y


def forewing(sketch: Sketch) -> Layer:
    """Return the forewing, over the hindwing."""
    return _draw(sketch, _outline(sketch, "forewing"))


def hindwing(sketch: Sketch) -> Layer:
    """Return the hindwing with its tail."""
    return _draw(sketch, _outline(sketch, "hindwing"))


def _outline(sk: Sketch, name: str) -> Wing:
    frame = WingFrame.of(sk, name)
    long = frame.length
    x, y = sk.x - frame.x, sk.y - frame.y
    (lx, ly), (tx, ty) = frame.lead, frame.trail
    (ax, ay), (cx, cy) = frame.apex, frame.corner

    along = ((x * lx + y * ly) / long).clamp(0, 1)
    lead = -x * ly + y * lx - sk[f"{name}_costa_bulge"] * long * 4 * along * (1 - along) - ROOT
    along = ((x * tx + y * ty) / frame.tornus).clamp(0, 1)
    inner = x * ty - y * tx - sk[f"{name}_inner_bulge"] * long * 4 * along * (1 - along) - ROOT
    ex, ey = cx - ax, cy - ay
    edge = torch.hypot(ex, ey)
    along = (((x - ax) * ex + (y - ay) * ey) / (edge * edge)).clamp(-0.1, 1.1)
    bulge = sk[f"{name}_outer_bulge"] * edge * 4 * along * (1 - along)
    scallop = sk["scallop"] * 0.018 * long * torch.cos(along * sk["vein_count"] * TURN)
    outer = (-(x - ax) * ey + (y - ay) * ex) / edge - bulge + scallop

    rounding = sk[f"{name}_rounding"] * long
    distance = smooth_max(smooth_max(lead, outer, rounding), inner, rounding * 1.3)
    if name == "hindwing":
        distance = _with_tail(sk, frame, x, y, distance)
    distance = distance + sk.speckle * sk["fringe"] * 0.004

    radius = torch.sqrt(x * x + y * y + 1e-6)
    t = radius / (radius + (-outer).clamp(min=0) + 1e-4)
    from_lead, from_inner = (-lead).clamp(min=1e-3), (-inner).clamp(min=1e-3)
    width = from_lead + from_inner
    s = from_lead / width
    return Wing(name, frame, x, y, lead, outer, distance, radius, t, s, width, s * sk["vein_count"])


def _with_tail(sk: Sketch, frame: WingFrame, x: Tensor, y: Tensor, distance: Tensor) -> Tensor:
    away, along = segment(x, y, *frame.tail(sk))
    tail = away - (0.020 + 0.03 * along) * (0.3 + 2 * sk["tail"]).clamp(max=1)
    join = (1 - (distance - tail).abs() / 0.06).clamp(min=0)
    return torch.where(sk["tail"] > 0.02, torch.minimum(distance, tail) - join * join * 0.015, distance)


def _draw(sk: Sketch, wing: Wing) -> Layer:
    scaled = sk["wing_opacity"]
    dark = sk.colour("dark_marking_colour")
    line = (0.0035 + 0.45 * sk.pixel).clamp(max=0.02)  # half width of a vein
    veins = _veins(sk, wing, line)
    stigma = sk["stigma"] * smoothstep(0.11, 0.06, wing.s) * smoothstep(0.60, 0.64, wing.t)
    stigma = stigma * smoothstep(0.80, 0.76, wing.t)
    dark_veins = torch.maximum(veins, bell((wing.lead + 0.006) / (line * 1.9)) * (1 - scaled)) * sk["veins"]

    colour = _pattern(sk, wing)
    colour = mix(colour, dark, dark_veins * (0.30 + 0.65 * (1 - scaled)))
    colour = mix(colour, dark, stigma)
    colour = _scales(sk, wing, colour)
    film = (1 - scaled) * 0.055 * (1 - dark_veins)  # thin-film tint of clear wings
    colour = colour + rainbow(9 * wing.t + 5 * wing.s) * film[:, None]

    body = scaled + (1 - scaled) * (0.14 + 0.80 * torch.maximum(dark_veins, stigma))
    rim = bell((wing.distance + 0.004) / (line * 1.2)) * (1 - scaled) * 0.55
    alpha = sk.cover(wing.distance) * torch.maximum(body, rim)
    colour = mix(colour, dark, rim)
    colour = colour * (1 - 0.22 * scaled * bell((wing.distance + 0.004) / (0.007 + sk.pixel)))[:, None]

    fold = 0.016 * torch.sin((wing.s * 2.2 + 0.3) * math.pi) * wing.t * scaled
    relief = scaled * (0.0012 * sk["speckle"] * sk.speckle - 0.008 * veins)
    height = 0.02 + fold + relief - 0.012 * smoothstep(-0.05, 0.0, wing.distance)
    gloss = 0.05 + 0.25 * sk["metal"] * scaled + 0.25 * (1 - scaled)
    return Layer(alpha, colour.clamp(0, 1), height, gloss, wing.distance)


def _pattern(sk: Sketch, wing: Wing) -> Tensor:
    """Return the ground colour and markings (B, 3, h, w). Each marking is painted over the ones before."""
    fore = wing.name == "forewing"
    strength = 1.0 if fore else sk["hindwing_pattern"]
    dark, pale = sk.colour("dark_marking_colour"), sk.colour("pale_marking_colour")
    long = wing.frame.length
    wave = sk["wave"] * (0.030 * sk.broad + 0.022 * torch.cos(TURN * wing.cell))
    t = wing.t + wave + sk["chevron"] * 0.03 * (2 * wing.s - 1)
    colour = mix(
        sk.colour(f"{wing.name}_colour"),
        sk.colour(f"{wing.name}_outer_colour"),
        sk["gradient"] * smoothstep(0.25, 0.95, t),
    )

    inner, outer, width = sk["inner_line"], sk["outer_line"], sk["line_width"]
    edge = sk.pixel / long * 1.2 + 0.006
    band = smoothstep(inner - edge, inner + edge, t) * smoothstep(outer + edge, outer - edge, t)
    colour = mix(colour, dark, band * sk["median_band"] * strength * 0.75)
    lines = sk["lines"] * strength
    for place, companion in ((inner, -1.7), (outer, 1.7)):  # dark line, pale companion outside
        u = (t - place) / width
        colour = mix(colour, pale, lines * 0.55 * bell(u - companion))
        colour = mix(colour, dark, lines * 0.85 * bell(u))
    marginal = bell((t - (0.5 * outer + 0.48)) / (width * 0.8))
    colour = mix(colour, pale, lines * 0.55 * marginal * (0.7 + 0.3 * sk.broad.clamp(-1, 1)))

    if fore:
        x, y = wing.off(1.02, 0)
        from_apex = torch.hypot(x, y) / long + 0.03 * sk.broad
        patch = smoothstep(sk["apex_radius"] + 0.05, sk["apex_radius"] - 0.05, from_apex)
        colour = mix(colour, sk.colour("apex_colour"), sk["apex_patch"] * patch)
    margin = sk["margin"] * smoothstep(-edge - 0.01, edge + 0.01, t - (1 - sk["margin_width"]))
    colour = mix(colour, dark, margin if fore else margin * (0.35 + 0.65 * strength))
    return _spots(sk, wing, colour, strength)


def _spots(sk: Sketch, wing: Wing, colour: Tensor, strength: Tensor | float) -> Tensor:
    """Return the row of pale spots, the discal spot and the eyespot."""
    fore = wing.name == "forewing"
    dark, pale = sk.colour("dark_marking_colour"), sk.colour("pale_marking_colour")
    long = wing.frame.length

    number = sk["spot_row_count"]
    row = wing.s * number
    across = (row - row.floor() - 0.5) / number * wing.width
    along = (wing.t - (0.93 - sk["margin_width"] * 0.5)) * (wing.radius + (-wing.outer).clamp(min=0))
    opacity, grown = marking(sk["spot_row"])
    size = sk["spot_row_radius"] * long * grown
    away = torch.sqrt(across**2 * 1.1 + along**2 + 1e-8)
    colour = mix(colour, pale, opacity * strength * _disc(sk, away, size))

    x, y = wing.off(0.46, 0.14) if fore else wing.off(0.36, 0.24)
    away = torch.hypot(x * 1.25, y)
    opacity, grown = marking(sk["discal_spot"])
    size = sk["discal_radius"] * long * grown
    colour = mix(colour, pale, opacity * strength * 0.6 * bell((away - size) / (size * 0.3 + sk.pixel)))
    colour = mix(colour, dark, opacity * strength * 0.9 * _disc(sk, away, size))

    away = torch.hypot(*(wing.off(0.60, 0.22) if fore else wing.off(0.40, 0.38)))
    opacity, _ = marking(sk["eyespot"] * (1.0 if fore else sk["hindwing_eyespot"]))
    size = sk["eyespot_radius"] * long
    for share, ring in ((1.0, "pale_marking"), (0.76, "dark_marking"), (0.40, "apex"), (0.18, "pupil")):
        colour = mix(colour, sk.colour(f"{ring}_colour"), opacity * _disc(sk, away, size * share))
    return colour


def marking(amount: Tensor) -> tuple[Tensor, Tensor]:
    """Return the opacity and relative size of a marking. A weak marking is small and crisp, not faint."""
    return smoothstep(0.04, 0.30, amount), 0.5 + 0.5 * amount


def _disc(sk: Sketch, away: Tensor, radius: Tensor) -> Tensor:
    return smoothstep(radius + sk.pixel, radius - sk.pixel, away)


def _veins(sk: Sketch, wing: Wing, line: Tensor) -> Tensor:
    """Return long veins between the cells and two rows of cross veins."""
    number = sk["vein_count"]
    column = wing.cell.floor()
    from_vein = (0.5 - (wing.cell - column - 0.5).abs()) / number * wing.width
    veins = bell(from_vein / line) * smoothstep(0.12, 0.45, wing.t + 0.25 * wing.s)
    middle = smoothstep(0.08, 0.16, wing.s) * smoothstep(0.75, 0.6, wing.s)
    for place in (0.42, 0.69):
        away = (wing.t - place - 0.10 * (column % 2)) * (wing.radius + 0.1)
        veins = torch.maximum(veins, bell(away / (line * 0.9)) * middle * sk["cross_veins"])
    return veins


def _scales(sk: Sketch, wing: Wing, colour: Tensor) -> Tensor:
    """Return the colour with the features of scaled wings: fur at the base, speckles, a chequered fringe."""
    scaled = sk["wing_opacity"]
    colour = mix(colour, sk.colour("thorax_colour"), scaled * 0.55 * smoothstep(0.30, 0.02, wing.t))
    speckle = sk["speckle"] * (0.11 * sk.speckle + 0.04 * sk.streak) + 0.035 * sk.broad
    colour = colour * (1 + scaled * speckle)[:, None]
    fringe = scaled * sk["fringe"] * smoothstep(-0.030, -0.014, wing.outer)
    fringe = fringe * (0.65 + 0.35 * torch.cos(TURN * wing.cell))
    return mix(colour, sk.colour("pale_marking_colour"), 0.7 * fringe)
