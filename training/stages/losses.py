"""Losses shared by the stages."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as dist_nn
import torch.nn.functional as F
from torch import nn


def gather(embeddings: torch.Tensor) -> torch.Tensor:
    """Gather all processes' rows (B, D) -> (world * B, D), with gradients: everyone is everyone's
    negative."""
    if not (dist.is_available() and dist.is_initialized()):
        return embeddings
    return torch.cat(dist_nn.all_gather(embeddings))


def info_nce(logits: torch.Tensor) -> torch.Tensor:
    """Compute symmetric InfoNCE of logits (B, B) whose diagonal holds the true pairs (van den Oord et al.
    2018)."""
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def denoising_error(
    prediction: torch.Tensor, clean: torch.Tensor, noise: torch.Tensor, gamma: torch.Tensor, kind: str
) -> torch.Tensor:
    """Return the mean squared error of a denoiser's prediction, for every picture (B,).

    Args:
        prediction: what it said (B, C, h, w).
        clean: clean latents, likewise.
        noise: what was mixed in, likewise.
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
    """Set a head's bias so that its outputs for a first batch of features (B, D) have mean zero.

    Fresh towers give nearly the same vector for every input. Once normalised, what the outputs have in common
    would hide how they differ, and InfoNCE would stay at log(B) for long.
    """
    head.bias.copy_(-head.weight @ features.mean(0))


def min_snr_weight(gamma: torch.Tensor, prediction_type: str, limit: float) -> torch.Tensor:
    """Return the min-SNR loss weight of every timestep (Hang et al. 2023).

    For a v-prediction the weight of the noisiest timesteps is about their SNR, and these are where the
    condition decides body plan and colour; the embedded model goes without it.

    Args:
        gamma: cumulative alphas of the timesteps (B,).
        prediction_type: `epsilon` or `v_prediction`.
        limit: the gamma of the paper, about 5.
    """
    snr = gamma / (1 - gamma)
    divisor = snr if prediction_type == "epsilon" else snr + 1
    return snr.clamp(max=limit) / divisor
