"""Losses that several stages share."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from torch import nn


def gather(embeddings: torch.Tensor) -> torch.Tensor:
    """Gather the rows (B, D) of all processes to (processes * B, D), with gradients, so that all rows are
    negatives."""
    if not (dist.is_available() and dist.is_initialized()):
        return embeddings
    return torch.cat(dist_nn.all_gather(embeddings))


def info_nce(logits: torch.Tensor) -> torch.Tensor:
    """Compute symmetric InfoNCE (van den Oord et al. 2018) of logits (B, B) with the true pairs on the
    diagonal."""
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def denoising_error(
    prediction: torch.Tensor, clean: torch.Tensor, noise: torch.Tensor, gamma: torch.Tensor, kind: str
) -> torch.Tensor:
    """Return the mean squared error (B,) of a denoiser's predictions, one per picture.

    Args:
        prediction: the denoiser's output (B, C, h, w).
        clean: clean latents (B, C, h, w).
        noise: the added noise (B, C, h, w).
        gamma: cumulative alphas of the timesteps (B,).
        kind: `epsilon`, or `v_prediction` (Salimans & Ho 2022) for v = sqrt(gamma) eps - sqrt(1 - gamma) z_0.
    """
    target = noise
    if kind == "v_prediction":
        root = gamma.view(-1, 1, 1, 1)
        target = root.sqrt() * noise - (1 - root).sqrt() * clean
    return F.mse_loss(prediction.float(), target, reduction="none").mean((1, 2, 3))


@torch.no_grad()
def centre(head: nn.Linear, features: torch.Tensor) -> None:
    """Set a head's bias such that its outputs for a batch of features (B, D) have mean zero.

    Untrained towers give nearly the same vector for every input. After normalisation, this common part would
    hide the differences, and InfoNCE would long stay at log(B).
    """
    head.bias.copy_(-head.weight @ features.mean(0))


def min_snr_weight(gamma: torch.Tensor, prediction_type: str, limit: float) -> torch.Tensor:
    """Return min-SNR loss weights (B,) of timesteps (Hang et al. 2023).

    For a v-prediction the weight of the noisiest timesteps is about their SNR, which is small. But the
    condition decides body plan and colour there, so the embedded model does not use these weights.

    Args:
        gamma: cumulative alphas of the timesteps (B,).
        prediction_type: `epsilon` or `v_prediction`.
        limit: gamma of that paper, about 5.
    """
    snr = gamma / (1 - gamma)
    divisor = snr if prediction_type == "epsilon" else snr + 1
    return snr.clamp(max=limit) / divisor
