"""OKLab colour: equal steps look equally large, so a blend of two body plans keeps clear colours.

Matrices: B. Ottosson, "A perceptual color space for image processing", 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LMS = torch.tensor(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = torch.tensor(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_LMS_INVERSE = torch.linalg.inv(_LMS.double()).float()
_LAB_INVERSE = torch.linalg.inv(_LAB.double()).float()


def srgb_to_oklab(srgb: Tensor) -> Tensor:
    """Convert sRGB in [0, 1], shape (..., 3), to OKLab (lightness, a, b) of the same shape."""
    linear = torch.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055).clamp(min=0) ** 2.4)
    cones = (linear @ _LMS.to(srgb).T).clamp(min=0) ** (1 / 3)
    return cones @ _LAB.to(srgb).T


def oklab_to_srgb(lab: Tensor) -> Tensor:
    """Convert OKLab, shape (..., 3), to sRGB in [0, 1]; colours outside the gamut are clipped."""
    cones = lab @ _LAB_INVERSE.to(lab).T
    linear = (cones**3 @ _LMS_INVERSE.to(lab).T).clamp(0, 1)
    return torch.where(
        linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=1e-8) ** (1 / 2.4) - 0.055
    )


def hex_to_oklab(code: str) -> Tensor:
    """Convert an HTML colour such as ``"#7d6547"`` to OKLab, shape (3,)."""
    return srgb_to_oklab(torch.tensor([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)]))
