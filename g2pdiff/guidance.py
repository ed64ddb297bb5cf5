"""Alignment guidance and the conversions around it, as pure functions of tensors.

Notation: gamma_t is the cumulative product `scheduler.alphas_cumprod[t]`, so that
z_t = sqrt(gamma_t) z_0 + sqrt(1 - gamma_t) eps. Everything here holds for variance-preserving schedulers
(DDPM, DDIM, DPM-Solver++).
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def _gamma(alphas_cumprod: torch.Tensor, timestep: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return gamma_t, shaped to broadcast against `like`; `timestep` is a scalar or (B,)."""
    gamma = alphas_cumprod.to(like.device, like.dtype)[timestep.to(like.device)]
    return gamma.reshape(-1, *[1] * (like.ndim - 1))


def _printed_alpha(alphas_cumprod: torch.Tensor, timestep: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return the per-step alpha_t = gamma_t / gamma_(t-1), shaped to broadcast against `like`."""
    per_step = alphas_cumprod / torch.cat([torch.ones_like(alphas_cumprod[:1]), alphas_cumprod[:-1]])
    return _gamma(per_step, timestep, like)


# The guidance factor is sqrt(1 - value). The value is gamma_t, or alpha_t as the paper prints it.
RULES = {"corrected": _gamma, "literal": _printed_alpha}


def alignment_guidance(
    noise_pred: torch.Tensor,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    log_prob: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    alphas_cumprod: torch.Tensor,
    scale: float,
    rule: str = "corrected",
) -> torch.Tensor:
    """Steer a noise prediction towards latents that the aligner matches with the condition.

    The score of the guided density p(z_t | c) p_phi(c | z_t)^w is
    -eps_theta / sqrt(1 - gamma_t) + w grad log p_phi(c | z_t), hence

        eps_hat = eps_theta - w sqrt(1 - gamma_t) grad_z log p_phi(c | z_t)

    and `scheduler.step(eps_hat, t, z_t)` follows as usual. This is the paper's Eq. 8, corrected. The paper
    prints sqrt(1 - alpha_t) with the per-step alpha_t, which makes the guidance almost zero. The signs of its
    Algorithm 1 contradict Eq. 8. The gradient passes through the aligner only, never through the U-Net. The
    log-probabilities are summed before autograd, so a row's guidance does not depend on the batch size.

    Args:
        noise_pred: eps_theta (B, ...).
        latents: z_t (B, ...).
        timestep: scalar or (B,), integer.
        log_prob: (latents (B, ...), timestep (B,)) -> (B,).
        alphas_cumprod: gamma of every timestep (T,).
        scale: the alignment scale w; 0 returns `noise_pred` itself.
        rule: `"corrected"`, or `"literal"` for the factor as the paper prints it, for comparison.

    Returns:
        eps_hat (B, ...).
    """
    if scale == 0:
        return noise_pred
    timestep = torch.as_tensor(timestep, device=latents.device)
    with torch.enable_grad():
        latents = latents.detach().requires_grad_(True)
        total = log_prob(latents, timestep.expand(len(latents))).sum()
        gradient = torch.autograd.grad(total, latents)[0]
    kept = RULES[rule](alphas_cumprod, timestep, latents)
    return noise_pred - scale * (1 - kept).sqrt() * gradient


def classifier_free_guidance(
    conditional: torch.Tensor, unconditional: torch.Tensor, scale: float
) -> torch.Tensor:
    """Extrapolate from the unconditional prediction (Ho & Salimans 2022); a scale of 1 means no guidance."""
    return unconditional + scale * (conditional - unconditional)


def add_noise(
    clean: torch.Tensor, noise: torch.Tensor, timestep: torch.Tensor, alphas_cumprod: torch.Tensor
) -> torch.Tensor:
    """Apply the forward process: z_t = sqrt(gamma) z_0 + sqrt(1 - gamma) eps, for (B, ...) at timesteps (B,).

    The scheduler's own `add_noise` is no substitute: in diffusers' multistep solvers it depends on the
    timesteps of a run, and without a run it counts from the wrong end.
    """
    gamma = _gamma(alphas_cumprod, timestep, clean)
    return gamma.sqrt() * clean + (1 - gamma).sqrt() * noise


def to_noise(
    prediction: torch.Tensor,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    alphas_cumprod: torch.Tensor,
    prediction_type: str,
) -> torch.Tensor:
    """Convert a U-Net's output to a noise prediction.

    `v_prediction` (Salimans & Ho 2022) predicts v = sqrt(gamma) eps - sqrt(1 - gamma) z_0, hence
    eps = sqrt(gamma) v + sqrt(1 - gamma) z_t.
    """
    if prediction_type == "epsilon":
        return prediction
    gamma = _gamma(alphas_cumprod, timestep, latents)
    return gamma.sqrt() * prediction + (1 - gamma).sqrt() * latents


def to_clean(
    noise_pred: torch.Tensor, latents: torch.Tensor, timestep: torch.Tensor, alphas_cumprod: torch.Tensor
) -> torch.Tensor:
    """Return the clean latent z_0 = (z_t - sqrt(1 - gamma) eps) / sqrt(gamma) of a noise prediction."""
    gamma = _gamma(alphas_cumprod, timestep, latents)
    return (latents - (1 - gamma).sqrt() * noise_pred) / gamma.sqrt()
