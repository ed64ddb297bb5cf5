"""The embedded model's autoencoder: a principal-component encoder and a convolutional decoder.

The encoder is linear: the leading principal components of the pictures' patches, computed in closed form. The
decoder starts as the transposed components, which is the best linear codec for these patches. A small
convolutional network adds what the neighbouring patches tell: thin legs, veins and edges that cross a patch.

A closed-form encoder has two advantages. The latents are known before any training, so the diffusion model
does not wait for the decoder, and a better decoder can be trained later without changing the diffusion model.
And on two cores the codec starts at a quality that a convolutional autoencoder of the same cost reaches after
hours.

The components' deviations span several orders of magnitude. Latents are whitened only in part (`whitening`).
With fully white latents the diffusion model decides shape and fine texture at the same noise level, and
texture that is decided before its shape looks crackled (Skorokhodov et al. 2025, "Improving the Diffusability
of Autoencoders"). Components that stay larger are decided first, like low frequencies in pixels.

Pictures are in [-1, 1]. Latents have unit variance on average over channels, so `scaling_factor` is 1. The
call `decode(latents).sample` is that of diffusers' autoencoders.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import nn


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with group norm. The block starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(self.norm(x)))))


class PatchAutoencoder(ModelMixin, ConfigMixin):
    """Principal-component encoder and convolutional decoder.

    Args:
        patch_size: side of a patch in pixels; the factor between picture and latent.
        latent_channels: principal components per patch, C.
        widths: channels of the decoder at latent resolution, at twice that resolution, and so on. The last
            level's resolution divides the picture's.
        layers: residual blocks per level.
        whitening: share of the components' spread that is removed. 1 gives latents with unit variance in
            every channel, 0 latents with the pixels' own variances.
        scaling_factor: factor on latents before diffusion, as in diffusers' autoencoders.
    """

    config: Any  # diffusers types it as a dict, but its entries are attributes too

    @register_to_config
    def __init__(
        self,
        patch_size: int = 8,
        latent_channels: int = 16,
        widths: tuple[int, ...] = (160, 96, 48),
        layers: tuple[int, ...] = (3, 3, 2),
        whitening: float = 0.5,
        scaling_factor: float = 1.0,
    ):
        super().__init__()
        patch = (latent_channels, 3, patch_size, patch_size)
        self.register_buffer("components", torch.zeros(patch))
        self.register_buffer("mean", torch.zeros(1, 3, patch_size, patch_size))
        # Standard deviations of the components.
        self.register_buffer("scale", torch.ones(1, latent_channels, 1, 1))
        stages: list[nn.Module] = []
        channels = latent_channels
        for level, (width, count) in enumerate(zip(widths, layers, strict=True)):
            if level == 0:
                stages += [nn.Conv2d(channels, width, 3, padding=1)]
            else:
                stages += [nn.Conv2d(channels, 4 * width, 3, padding=1), nn.PixelShuffle(2)]
            stages += [ResidualBlock(width) for _ in range(count)]
            channels = width
        self.refine = nn.Sequential(*stages)
        self.left = patch_size // 2 ** (len(widths) - 1)  # from the last level to pixels
        self.conv_out = nn.Conv2d(channels, 3 * self.left**2, 3, padding=1)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def fit_components(self, patches: torch.Tensor) -> float:
        """Set the principal components from example patches.

        Args:
            patches: pixels (N, 3, patch_size, patch_size) in [-1, 1].

        Returns:
            The share of the patches' variance that the components hold.
        """
        rows = patches.flatten(1).double()
        mean = rows.mean(0)
        variances, vectors = torch.linalg.eigh(torch.cov(rows.T))  # ascending
        kept = self.config.latent_channels
        self.components.copy_(vectors[:, -kept:].flip(1).T.reshape(self.components.shape))
        self.mean.copy_(mean.reshape(self.mean.shape))
        self.scale.copy_(variances[-kept:].flip(0).sqrt().reshape(self.scale.shape))
        return (variances[-kept:].sum() / variances.sum()).item()

    def _spread(self) -> torch.Tensor:
        """Return the standard deviation of every latent channel (1, C, 1, 1), with a mean square of 1."""
        spread = self.scale ** (1 - self.config.whitening)
        return spread / spread.square().mean().sqrt()

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures (B, 3, H, W) in [-1, 1] to latents (B, C, H / patch_size, W / patch_size)."""
        size = self.config.patch_size
        repeats = (1, 1, images.shape[2] // size, images.shape[3] // size)
        coefficients = F.conv2d(images - self.mean.tile(repeats), self.components, stride=size)
        return coefficients / self.scale * self._spread()

    def decode(self, latents: torch.Tensor, refine: bool = True) -> DecoderOutput:
        """Map latents (B, C, h, w) to pictures (B, 3, H, W) in about [-1, 1], as `.sample`.

        Without `refine` it uses only the transposed components. This fast decoder for previews agrees with
        the full one without any training.
        """
        size = self.config.patch_size
        white = latents / self._spread()
        linear = F.conv_transpose2d(white * self.scale, self.components, stride=size)
        linear = linear + self.mean.tile(1, 1, *latents.shape[2:])
        if not refine:
            return DecoderOutput(sample=linear)
        residual = self.conv_out(self.refine(white))
        return DecoderOutput(sample=linear + F.pixel_shuffle(residual, self.left))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Reconstruct pictures."""
        return self.decode(self.encode(images)).sample
