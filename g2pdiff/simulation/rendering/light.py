"""Light from the upper left, paper and drop shadow."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .geometry import DEGREE
from .pose import Nuisance, picture_grid
from .sketch import texture

PAPER = (0.955, 0.945, 0.925)
STEEPEST = 2.2
SHADOWS = ((1.6, 0.014, 0.010, 0.30), (4.0, 0.030, 0.022, 0.20))  # blur, shift down and right, darkness


def photograph(posed: Tensor, length: Tensor, nuisance: Nuisance) -> Tensor:
    """Light a posed specimen and lay it on paper.

    Args:
        posed: (B, 6, size, size) premultiplied colour, opacity, height (body lengths), gloss.
        length: (B,) body length as a fraction of the picture.
        nuisance: light and paper of each picture.

    Returns:
        (B, 3, size, size) in [0, 1].
    """
    alpha = posed[:, 3].clamp(0, 1)
    colour = posed[:, :3] / alpha.clamp(min=1e-3)[:, None]
    lit = _shade(colour, alpha, posed[:, 4] * length[:, None, None], posed[:, 5].clamp(0, 1), nuisance)
    paper = _paper(alpha, nuisance)
    return (paper + (lit - paper) * alpha[:, None]).clamp(0, 1)


def _shade(colour: Tensor, alpha: Tensor, height: Tensor, gloss: Tensor, nuisance: Nuisance) -> Tensor:
    size = height.shape[-1]
    padded = F.pad(height[:, None] * size, (1, 1, 1, 1), mode="replicate")[:, 0]
    nx = ((padded[:, 1:-1, :-2] - padded[:, 1:-1, 2:]) * 0.5).clamp(-STEEPEST, STEEPEST)
    ny = ((padded[:, :-2, 1:-1] - padded[:, 2:, 1:-1]) * 0.5).clamp(-STEEPEST, STEEPEST)
    facing = torch.rsqrt(nx * nx + ny * ny + 1)

    angle = (225 + 14 * nuisance.light) * DEGREE
    lx, ly, lz = 0.60 * angle.cos(), 0.60 * angle.sin(), 0.80
    diffuse = ((nx * lx + ny * ly + lz) * facing).clamp(min=0)
    hx, hy, hz = lx / 2, ly / 2, (lz + 1) / 2  # half way to the viewer, straight above
    norm = (hx * hx + hy * hy + hz * hz) ** 0.5
    specular = ((nx * hx + ny * hy + hz) * facing / norm).clamp(min=0)
    sheen = (1 - facing) * (0.5 - 0.5 * ny * facing)

    light = 0.33 + 0.22 * (0.5 + 0.5 * facing) + 0.64 * diffuse
    # the paper reflects a little light from all sides, so that dark bodies keep their relief
    light = light[:, None] * colour + (0.020 * (0.4 + diffuse))[:, None]
    shine = gloss * (0.50 * specular**40 + 0.16 * specular**7 + 0.10 * sheen) * alpha
    return (light + shine[:, None]) * (1 + 0.08 * nuisance.exposure)[:, None]


def _paper(alpha: Tensor, nuisance: Nuisance) -> Tensor:
    size = alpha.shape[-1]
    warmth = nuisance.warmth[..., 0]
    tint = torch.cat([1 + 0.012 * warmth, torch.ones_like(warmth), 1 - 0.020 * warmth], 1)[..., None, None]
    paper = torch.tensor(PAPER, device=alpha.device)[:, None, None] * tint
    paper = paper * (1 + 0.025 * nuisance.paper)[:, None]
    x, y = picture_grid(size, alpha.device)
    falloff = (2 * x + 0.15) ** 2 + (2 * y + 0.15) ** 2
    grain = F.interpolate(texture(size, alpha.device)[:, :1], (size, size), mode="bilinear")[:, 0] * 0.004
    paper = paper * (1 - (0.05 + 0.02 * nuisance.vignette) * falloff + grain)[:, None]

    coarse = F.interpolate(alpha[:, None], (64, 64), mode="area")
    shade = torch.zeros_like(paper[:, :1])
    for sigma, down, right, darkness in SHADOWS:
        shadow = F.interpolate(_blur(coarse, sigma), (size, size), mode="bilinear")
        shift = (max(1, round(size * down)), max(1, round(size * right)))
        shade = shade + darkness * F.pad(shadow, (shift[1], 0, shift[0], 0))[..., :size, :size]
    return paper * (1 - shade)


def _blur(x: Tensor, sigma: float) -> Tensor:
    radius = int(3 * sigma)
    steps = torch.arange(-radius, radius + 1, device=x.device)
    kernel = torch.exp(-((steps / sigma) ** 2) / 2)
    kernel = (kernel / kernel.sum())[None, None, None]
    x = F.conv2d(F.pad(x, (radius, radius, 0, 0), mode="replicate"), kernel)
    return F.conv2d(F.pad(x, (0, 0, radius, radius), mode="replicate"), kernel.transpose(2, 3))
