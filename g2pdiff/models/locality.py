"""The locality as a point on the unit sphere.

Degrees are a poor input for a network: longitude jumps from 180 to -180 between neighbouring points, and a
degree of longitude shrinks towards the poles. The unit vector has neither fault.
"""

import torch
from torch import Tensor, nn


def geodesic(latitude: Tensor | float, longitude: Tensor | float) -> Tensor:
    """Return unit vectors (B, 3) of localities, spherical geodesic encoding.

    With latitude b and longitude l: x = cos b cos l, y = cos b sin l, z = sin b.

    >>> north_pole = geodesic(90, 20)
    >>> torch.allclose(north_pole, torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)
    True

    Args:
        latitude: degrees (B,), north positive.
        longitude: degrees (B,), east positive.
    """
    b = torch.deg2rad(torch.as_tensor(latitude, dtype=torch.float32))
    l = torch.deg2rad(torch.as_tensor(longitude, dtype=torch.float32))  # noqa: E741
    return torch.stack([b.cos() * l.cos(), b.cos() * l.sin(), b.sin()], dim=-1)


class EnvironmentEncoder(nn.Module):
    """MLP 3 -> D -> D that turns a locality into one token, which stands before the DNA tokens."""

    def __init__(self, hidden_size: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, hidden_size), nn.SiLU(), nn.Linear(hidden_size, hidden_size))

    def forward(self, locality: Tensor) -> Tensor:
        """Return the token (B, 1, D) of unit vectors (B, 3)."""
        return self.layers(locality)[:, None]
