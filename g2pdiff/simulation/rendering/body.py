"""Abdomen, wing cases, head, thorax and eyes: tapered egg shapes with relief."""

from __future__ import annotations

import math

import torch

from .geometry import bell, egg, segment, smoothstep
from .skeleton import Body
from .sketch import Layer, Sketch, dome, mix
from .wings import TURN, marking

FUR_RELIEF = 0.005  # height of the strands of a fully furred body


def abdomen(sk: Sketch) -> Layer:
    """Return the segmented abdomen with its petiole."""
    at = Body.of(sk)
    middle, half_length, half_width = (at.abdomen - 0.5) / 2, (at.abdomen + 0.5) / 2, sk["abdomen_width"] / 2
    egg_distance, radius = egg(
        sk.x, sk.y - middle, half_width, half_length, sk["abdomen_taper"], sk["abdomen_square"]
    )
    zero, waist = torch.zeros_like(middle), sk["waist"]
    petiole, _ = segment(sk.x, sk.y, zero, at.waist + 0.03, zero, at.abdomen - 0.03)
    petiole = petiole - 0.016 - 0.35 * (half_width - 0.016).clamp(min=0) * smoothstep(0.04, 0.0, waist)
    node, _ = segment(sk.x, sk.y, zero, at.waist - 0.45 * waist, zero, at.waist - 0.55 * waist - 1e-3)
    node = node - 0.030 * smoothstep(0.02, 0.06, waist)
    distance = torch.minimum(egg_distance, torch.minimum(petiole, node))
    distance = sk.fuzz(distance, sk["fur"] * 0.8)

    v, across = (sk.y - middle) / half_length, (sk.x / half_width) ** 2
    phase = (0.5 - v * 0.5 + 0.10 * across) * sk["band_count"]
    place = phase - phase.floor()  # within a segment
    ring = smoothstep(0.0, 0.12, place) * smoothstep(1.0, 0.90, place)  # low in the groove between segments
    colour = mix(sk.colour("abdomen_colour"), sk.colour("abdomen_tip_colour"), smoothstep(-0.1, -0.95, v))
    width = sk["band_width"] * (1 - 0.45 * (1 - across).clamp(min=0) * sk["band_gap"])
    band = smoothstep(width + 0.07, width - 0.07, place) * smoothstep(-0.02, 0.05, place)
    colour = mix(colour, sk.colour("band_colour"), sk["bands"] * band)
    colour = sk.hair(sk.metallic(colour, radius, v), sk["fur"])
    colour = colour * (0.80 + 0.20 * ring * (1 - 0.5 * sk["fur"]) + 0.10 * sk["fur"])[:, None]
    height = dome(radius, half_width * 0.95) - 0.010 * (1 - ring) * (1 - sk["fur"])
    height = height + sk["fur"] ** 2 * FUR_RELIEF * sk.streak + 0.012
    return Layer(sk.cover(distance), colour.clamp(0, 1), height, sk["gloss"] * 0.9, distance)


def thorax(sk: Sketch) -> Layer:
    """Return the thorax with stripes, coloured sides and scutellum."""
    half_width, half_length = sk["thorax_width"] / 2, sk["thorax_length"] / 2 * 1.08
    y = sk.y - Body.of(sk).thorax
    distance, radius = egg(sk.x, y, half_width, half_length, sk["thorax_taper"], sk["thorax_square"])
    distance = sk.fuzz(distance, sk["fur"])
    u, v = sk.x / half_width, y / half_length
    accent = sk.colour("vitta_colour")
    stripes = (bell((u - 0.22) / 0.10) + bell((u - 0.60) / 0.10)) * smoothstep(-0.9, -0.5, v)
    seam = v - 0.05 * u * u  # the suture in front of the scutellum is an arc
    colour = mix(sk.plain("thorax_colour"), accent, sk["vitta"] * stripes)
    colour = mix(colour, accent, sk["thorax_edge"] * smoothstep(0.62, 0.80, u + 0.1 * v))
    colour = mix(colour, accent, 0.75 * sk["scutellum"] * smoothstep(-0.62, -0.70, seam))
    colour = sk.hair(sk.metallic(colour, radius, v), sk["fur"])
    height = dome(radius, half_width * 0.95) - 0.012 * sk["scutellum"] * bell((seam + 0.64) / 0.05)
    height = height + sk["fur"] ** 2 * FUR_RELIEF * sk.streak + 0.02
    return Layer(sk.cover(distance), colour, height, sk["gloss"], distance)


def elytra(sk: Sketch) -> Layer:
    """Return one wing case, with stripes, spots and punctured grooves."""
    waist = Body.of(sk).waist
    front, end = waist + 0.035, waist - sk["elytra_length"] * (waist + 0.5)
    half_length, half_width = (front - end) / 2, sk["elytra_width"] / 2
    y = sk.y - (front + end) / 2
    taper, square = sk["elytra_taper"], sk["elytra_square"]
    distance, radius = egg(sk.x, y, half_width, half_length, taper, square)
    v = y / half_length
    shape = ((1 + taper * v.clamp(-1, 1)) * (1 - square * v * v)).clamp(min=0.2)
    s = sk.x * shape / (half_width * torch.sqrt((1 - v * v).clamp(min=0.02)))  # suture 0, side 1
    distance = torch.maximum(distance, smoothstep(0.55, 1.0, -v) * 0.02 - sk.x)  # the cases part at the tip

    accent = sk.colour("elytra_spot_colour")
    stripes = smoothstep(0.05, 0.35, torch.cos(TURN * (s * 2.6 + 0.12)))
    colour = mix(sk.plain("elytra_colour"), accent, sk["elytra_stripes"] * stripes)
    colour = mix(colour, accent, sk["elytra_edge"] * smoothstep(0.72, 0.84, s))
    colour = mix(colour, accent, sk["elytra_tip"] * smoothstep(-0.30, -0.62, v + 0.05 * sk.broad))
    rows = (v * 0.5 + 0.5) * sk["elytra_spot_rows"]
    along = (rows - rows.floor() - 0.5) / sk["elytra_spot_rows"] * 2 * half_length
    shift = 0.16 * (rows.floor() % 2)  # every other row is set sideways
    across = torch.minimum((s - 0.30 - shift).abs(), (s - 0.72 - shift).abs()) * half_width
    opacity, grown = marking(sk["elytra_spots"])
    spots = torch.hypot(along, across) - sk["elytra_spot_radius"] * half_width * grown * (1 + 0.10 * sk.broad)
    colour = mix(colour, accent, opacity * sk.cover(spots) * smoothstep(1.02, 0.96, radius))

    groove = sk["striae"] * (0.5 - 0.5 * torch.cos(TURN * s * 5)) ** 3 * smoothstep(1.0, 0.85, radius)
    groove = groove * (0.65 + 0.35 * torch.cos(TURN * v * 17))
    suture = bell(sk.x / (0.006 + sk.pixel))
    colour = sk.metallic(colour, radius, v) * (1 - 0.30 * groove)[:, None]
    colour = sk.hair(colour, sk["pubescence"] * 0.9) * (1 - 0.45 * suture)[:, None]
    height = dome(radius, half_width * 0.85) - 0.010 * groove - 0.012 * suture
    height = height + 0.0015 * sk["pubescence"] * sk.streak + 0.03
    return Layer(sk.cover(distance), colour.clamp(0, 1), height, sk["gloss"] + 0.1, distance)


def head(sk: Sketch) -> Layer:
    """Return the head capsule."""
    y = sk.y - (0.5 - sk["head_length"] * 0.53)
    square = torch.full_like(sk["head_length"], 0.12)
    distance, radius = egg(sk.x, y, sk["head_width"] / 2, sk["head_length"] * 0.53, sk["head_taper"], square)
    distance = sk.fuzz(distance, sk["fur"] * 0.7)
    colour = sk.hair(sk.metallic(sk.plain("head_colour"), radius, y * 4), sk["fur"])
    height = dome(radius, sk["head_width"] * 0.40) + sk["fur"] ** 2 * FUR_RELIEF * sk.streak + 0.015
    return Layer(sk.cover(distance), colour, height, sk["gloss"], distance)


def eyes(sk: Sketch) -> Layer:
    """Return one compound eye, faceted."""
    size = sk["eye_radius"] * sk["head_length"]
    x = sk.x - (sk["head_width"] / 2 - size * 0.60) * sk["eye_spread"]
    y = sk.y - (0.5 - sk["head_length"] * 0.53)
    tilt = math.radians(16)
    along, across = y * math.cos(tilt) - x * math.sin(tilt), x * math.cos(tilt) + y * math.sin(tilt)
    away = torch.hypot(across * 1.15, along * 0.90)
    distance, radius = away - size, away / size
    facets = 1 + 0.05 * torch.cos(sk.x * 420) * torch.cos(sk.y * 420)
    colour = (sk.colour("eye_colour") * facets[:, None]).clamp(0, 1)
    return Layer(sk.cover(distance), colour, dome(radius, size * 0.7) + 0.03, 0.75, distance)
