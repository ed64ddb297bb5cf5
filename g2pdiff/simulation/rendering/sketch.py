"""The drawing surface of body parts: the half plane right of the midline, in body lengths.

The body reaches from y = +0.5 (front of the head) to y = -0.5 (tip of the abdomen); x = 0 is the midline.
Only x >= 0 is evaluated, the left half is its mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from ..archetypes import COLOURS, INDEX
from ..colour import oklab_to_srgb
from .geometry import smoothstep

_COLOUR = {colour.name: i for i, colour in enumerate(COLOURS)}
THINNEST = 0.0026  # thinner parts would be invisible at 128 pixels; half the thickness, in picture heights


@dataclass(frozen=True)
class Layer:
    """One painted part: opacity, height above the paper, gloss and signed distance (B, h, w); colour (B, 3,
    h, w)."""

    alpha: Tensor
    colour: Tensor
    height: Tensor
    gloss: Tensor | float
    distance: Tensor


@cache
def texture(size: int, device: torch.device) -> Tensor:
    """Return fixed noise (1, 3, 512, 512) for pictures of ``size`` pixels: broad, speckled and streaked."""
    generator = torch.Generator().manual_seed(7)
    n = 512
    octaves = [
        F.interpolate(torch.randn(1, 1, m, m, generator=generator), (n, n), mode="bicubic") * (8 / m) ** 0.9
        for m in (8, 16, 32, 64)
    ]
    broad = reduce(torch.add, octaves)
    speckle = F.avg_pool2d(torch.randn(1, 1, n + 1, n + 1, generator=generator), 2, 1) * 1.6
    streak = F.avg_pool2d(torch.randn(1, 1, n + 8, n, generator=generator), (9, 1), 1) * 2.6
    noise = torch.cat([broad / broad.std(), speckle, streak], 1)
    step = max(1, round(320 / size))
    if step > 1:
        noise = F.interpolate(F.avg_pool2d(noise, step), (n, n), mode="bilinear")
    return noise.to(device)


class Sketch:
    """Traits and coordinates of B specimens; ``sketch["name"]`` is a trait as (B, 1, 1)."""

    def __init__(self, values: Tensor, reach: Tensor, colours: Tensor, x: Tensor, y: Tensor, noise: Tensor):
        self.values, self.reach, self.colours = values, reach, colours
        self.x, self.y, self.noise = x, y, noise
        self.broad, self.speckle, self.streak = noise.unbind(1)
        self.pixel = (x[:, :1, 1:2] - x[:, :1, :1]) * 0.75  # half the width of an edge

    @classmethod
    def of(cls, values: Tensor, reach: Tensor, size: int, height: int) -> Sketch:
        """Return a sketch of ``height`` by ``height / 2`` points over the right half of a picture of ``size``
        pixels.

        ``values`` (B, D) are the traits, ``reach`` (B, 3) the lengths of the three legs.
        """
        device = values.device
        scale = 1 / values[:, INDEX["body_length"], None, None]
        across = (torch.arange(height // 2, device=device) + 0.5) / height
        down = 0.5 - (torch.arange(height, device=device) + 0.5) / height
        x = (across[None, None] * scale).expand(-1, height, -1)
        y = (down[None, :, None] * scale).expand(-1, -1, height // 2)
        place = torch.stack([x * 0.70 - 0.6, y * 0.70], -1)
        noise = texture(size, device).expand(len(values), -1, -1, -1)
        noise = F.grid_sample(noise, place, padding_mode="reflection", align_corners=False)
        lab = values[:, INDEX[COLOURS[0].name] :].reshape(len(values), len(COLOURS), 3)
        return cls(values, reach, oklab_to_srgb(lab), x, y, noise)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, name: str) -> Tensor:
        return self.values[:, INDEX[name], None, None]

    def select(self, rows: Tensor) -> Sketch:
        """Return the sketch of the specimens ``rows`` only."""
        parts = (self.values, self.reach, self.colours, self.x, self.y, self.noise)
        return Sketch(*(part[rows] for part in parts))

    def colour(self, name: str) -> Tensor:
        """Return a colour as (B, 3, 1, 1) sRGB."""
        return self.colours[:, _COLOUR[name], :, None, None]

    def cover(self, distance: Tensor) -> Tensor:
        """Return the antialiased opacity of a signed distance."""
        return smoothstep(self.pixel, -self.pixel, distance)

    def visible(self, half_thickness: Tensor) -> Tensor:
        """Return a half thickness in body lengths that is wide enough to be visible."""
        return torch.hypot(half_thickness, THINNEST / self["body_length"])

    def plain(self, name: str) -> Tensor:
        """Return a colour for the whole sketch (B, 3, h, w)."""
        return self.colour(name).expand(-1, -1, *self.x.shape[1:])

    def fuzz(self, distance: Tensor, amount: Tensor) -> Tensor:
        """Return an outline frayed by hair."""
        return distance + amount * (0.007 * self.streak + 0.003 * self.speckle)

    def hair(self, colour: Tensor, amount: Tensor) -> Tensor:
        """Return a colour with light and dark strands of hair."""
        return (colour * (1 + amount * (0.13 * self.streak + 0.06 * self.speckle))[:, None]).clamp(0, 1)

    def metallic(self, colour: Tensor, radius: Tensor, along: Tensor) -> Tensor:
        """Return a structural colour: the hue drifts with the angle of the surface."""
        amount = self["metal"] * (1 - 0.85 * self["wing_opacity"] * self["fur"])
        sheen = 0.42 * rainbow(2.2 * radius + 1.5 * along) + 0.15
        return (colour * (1 + amount[:, None] * sheen)).clamp(0, 1)


def rainbow(phase: Tensor) -> Tensor:
    """Return three waves a third of a turn apart, (B, 3, h, w)."""
    return torch.stack([torch.cos(phase), torch.cos(phase + 2.1), torch.cos(phase + 4.2)], 1)


def mix(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Blend from colour ``a`` to ``b`` (B, 3, ...) by a share (B, ...)."""
    return a + (b - a) * share[:, None]


def dome(radius: Tensor, height: Tensor) -> Tensor:
    """Return the height of a rounded part whose outline is at radius 1."""
    return height * (1 - radius * radius).clamp(min=0) ** 0.8


class Canvas:
    """The stack of layers painted so far: colour, opacity, height and gloss, (B, 6, h, w)."""

    def __init__(self, sketch: Sketch):
        self.stack = sketch.x.new_zeros(len(sketch), 6, *sketch.x.shape[1:])

    def paint(self, layer: Layer, rows: Tensor | None, shadow: float) -> None:
        """Put a layer on the specimens ``rows`` (None means all), with a soft shadow on the layers below."""
        below = self.stack if rows is None else self.stack[rows]
        alpha = layer.alpha
        if shadow:
            reach = torch.exp(-layer.distance.clamp(min=0) / 0.022) * alpha.amax((1, 2), keepdim=True)
            below = torch.cat([below[:, :3] * (1 - shadow * reach)[:, None], below[:, 3:]], 1)
        gloss = torch.as_tensor(layer.gloss, device=alpha.device).expand_as(alpha)
        above = torch.stack([*layer.colour.unbind(1), torch.ones_like(alpha), layer.height, gloss], 1)
        painted = torch.lerp(below, above, alpha[:, None])
        if rows is None:
            self.stack = painted
        else:
            self.stack[rows] = painted
