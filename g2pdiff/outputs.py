"""The outputs of a run: its steps, its result, and tensors as pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import BaseOutput
from PIL import Image


@dataclass
class DenoisingStep:
    """One step of a run over B pictures."""

    index: int  # 1 .. total
    total: int
    timestep: int  # of the diffusion process
    is_last: bool  # True if no step follows, because this is the last one or the run was interrupted
    latents: torch.Tensor  # (B, C, h, w), the estimate of the clean latents
    noisy: torch.Tensor  # (B, C, h, w), the latents z_t that the step began with
    noise_share: float  # of the variance of `noisy`, 1 - gamma_t: 1 is noise alone, 0 none
    images: torch.Tensor | None = None  # (B, 3, H, W) in [0, 1], the decoded latents; None between previews
    clibd_scores: list[float] | None = None  # B cosines; None without a CLIBD model and between previews

    @property
    def image(self) -> Image.Image:
        """The first picture. Between previews there is none."""
        assert self.images is not None
        return to_pil(self.images[:1])[0]

    @property
    def clibd_score(self) -> float | None:
        """The first picture's score."""
        return self.clibd_scores[0] if self.clibd_scores else None


@dataclass
class G2PDiffusionOutput(BaseOutput):
    """B pictures, and their CLIBDScores if the checkpoint has a CLIBD model."""

    images: Any  # B PIL pictures, an array (B, H, W, 3) or a tensor (B, 3, H, W), as `output_type` says
    clibd_scores: list[float] | None


def to_pil(images: torch.Tensor) -> list[Image.Image]:
    """Map pictures (B, 3, H, W) in [0, 1] to B PIL pictures."""
    return VaeImageProcessor.numpy_to_pil(VaeImageProcessor.pt_to_numpy(images))
