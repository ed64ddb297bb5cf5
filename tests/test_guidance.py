"""Alignment guidance: the update rule on a problem with an exact answer, and what must not change it."""

from functools import partial

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st

from g2pdiff.guidance import add_noise, alignment_guidance, classifier_free_guidance, to_clean, to_noise
from g2pdiff.models.aligner import LatentAligner

# Two modes of a 1-D density, at -1 and +1. The noise prediction and the log-probability of a mode given a
# noisy sample are both known in closed form, so the guided sampler can be compared with the exact answer.
MODES, SPREAD = torch.tensor([-1.0, 1.0]), 0.25


def mode_log_weights(latents, gamma):
    """Return the log-density (B, 2) of every mode at noisy latents (B, 1), up to a constant that the modes
    share."""
    variance = gamma * SPREAD**2 + 1 - gamma
    return -((latents - gamma.sqrt() * MODES) ** 2) / (2 * variance)


def exact_noise(latents, gamma):
    """Return eps = -sqrt(1 - gamma) times the score of the noisy mixture."""
    with torch.enable_grad():
        latents = latents.detach().requires_grad_(True)
        density = torch.logsumexp(mode_log_weights(latents, gamma), dim=1).sum()
        return -(1 - gamma).sqrt() * torch.autograd.grad(density, latents)[0]


def share_in_right_mode(scheduler_class, scale, rule=alignment_guidance, samples=1000):
    """Return the share of samples that end in the mode at +1, which is asked for, after 25 steps."""
    scheduler = scheduler_class(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    scheduler.set_timesteps(25)
    gammas = scheduler.alphas_cumprod
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(samples, 1, generator=generator)
    noise = {} if scheduler_class is DPMSolverMultistepScheduler else {"generator": generator}

    def log_prob(z, timestep):
        return mode_log_weights(z, gammas[timestep][:, None]).log_softmax(1)[:, 1]

    for timestep in scheduler.timesteps:
        noise_pred = exact_noise(latents, gammas[timestep])
        noise_pred = rule(noise_pred, latents, timestep, log_prob, gammas, scale)
        latents = scheduler.step(noise_pred, timestep, latents, **noise).prev_sample
    return (latents > 0).float().mean().item()


@pytest.mark.parametrize("scheduler_class", [DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler])
def test_guidance_reaches_the_requested_mode(scheduler_class):
    assert share_in_right_mode(scheduler_class, scale=1.0) > 0.99


@pytest.mark.parametrize("scheduler_class", [DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler])
def test_without_guidance_the_modes_share_the_samples(scheduler_class):
    assert share_in_right_mode(scheduler_class, scale=0.0) == pytest.approx(0.5, abs=0.05)


def test_the_rule_as_printed_hardly_guides():
    """Return the sqrt(1 - alpha_t) with the per-step alpha, as the paper prints it, leaves the modes as they
    were."""

    literal = partial(alignment_guidance, rule="literal")
    assert 0.5 < share_in_right_mode(DDIMScheduler, 1.0, literal) < 0.65


def test_the_opposite_sign_leads_away():
    assert share_in_right_mode(DDIMScheduler, scale=-1.0) < 0.35


def random_aligner(bank_size):
    torch.manual_seed(0)
    aligner = LatentAligner(
        latent_channels=3, latent_size=4, condition_size=6, hidden_size=16, num_layers=1, num_heads=2,
        embed_size=8, num_train_timesteps=10, bank_size=bank_size,
    )  # fmt: skip
    aligner.bank.copy_(torch.randn(bank_size, 6))
    return aligner.eval()


def guided(aligner, latents, pooled, scale=3.0):
    return alignment_guidance(
        torch.zeros_like(latents),
        latents,
        torch.tensor(4),
        lambda z, t: aligner.log_prob(z, t, pooled),
        torch.linspace(0.99, 0.01, 10),
        scale,
    )


def test_without_negatives_the_gradient_is_exactly_zero():
    latents, pooled = torch.randn(2, 3, 4, 4), torch.randn(2, 6)
    assert torch.equal(guided(random_aligner(0), latents, pooled), torch.zeros_like(latents))
    assert guided(random_aligner(5), latents, pooled).abs().max() > 1e-4


def test_guidance_does_not_depend_on_the_batch_size():
    aligner = random_aligner(5)
    latents, pooled = torch.randn(4, 3, 4, 4), torch.randn(4, 6)
    together = guided(aligner, latents, pooled)
    alone = torch.cat([guided(aligner, latents[i : i + 1], pooled[i : i + 1]) for i in range(4)])
    assert torch.allclose(together, alone, atol=1e-6)


def test_guidance_raises_the_log_probability():
    aligner = random_aligner(5)
    latents, pooled, t = torch.randn(8, 3, 4, 4), torch.randn(8, 6), torch.full((8,), 4)
    moved = latents - 0.05 * guided(aligner, latents, pooled)  # against the noise, hence towards the picture
    with torch.no_grad():
        assert (aligner.log_prob(moved, t, pooled) > aligner.log_prob(latents, t, pooled)).all()


def test_scale_zero_costs_nothing_and_changes_nothing():
    noise_pred = torch.randn(2, 3)

    def never(latents, timestep):
        raise AssertionError("log_prob is not to be asked")

    same = alignment_guidance(noise_pred, noise_pred, torch.tensor(0), never, torch.ones(1), 0)
    assert same is noise_pred


def test_works_inside_no_grad_and_leaves_latents_alone():
    latents, pooled = torch.randn(2, 3, 4, 4), torch.randn(2, 6)
    with torch.no_grad():
        assert guided(random_aligner(5), latents, pooled).abs().sum() > 0
    assert not latents.requires_grad


@given(gamma=st.floats(0.01, 0.99), seed=st.integers(0, 99))
def test_conversions_agree_with_the_definition(gamma, seed):
    generator = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn(2, 2, 3, generator=generator)
    gammas, t = torch.tensor([gamma]), torch.tensor(0)
    noisy = add_noise(clean, noise, t, gammas)
    assert torch.allclose(noisy, gammas.sqrt() * clean + (1 - gammas).sqrt() * noise)
    velocity = gammas.sqrt() * noise - (1 - gammas).sqrt() * clean
    assert torch.allclose(to_noise(velocity, noisy, t, gammas, "v_prediction"), noise, atol=1e-4)
    assert torch.allclose(to_clean(noise, noisy, t, gammas), clean, atol=1e-3)
    assert to_noise(noise, noisy, t, gammas, "epsilon") is noise


def test_noise_grows_with_the_timestep_as_the_samplers_count_it():
    """Return a training step and a sampler mean the same noise by a timestep."""
    for scheduler_class in (DDPMScheduler, DDIMScheduler):
        scheduler = scheduler_class(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
        clean, noise, timestep = torch.ones(3, 2), torch.randn(3, 2), torch.tensor([0, 500, 999])
        noisy = add_noise(clean, noise, timestep, scheduler.alphas_cumprod)
        assert torch.allclose(noisy, scheduler.add_noise(clean, noise, timestep), atol=1e-6)
    assert (noisy - noise).abs().mean(1).argmin() == 2  # at the last timestep hardly anything else is left


def test_classifier_free_guidance_of_one_is_the_conditional_prediction():
    conditional, unconditional = torch.randn(2, 3), torch.randn(2, 3)
    assert torch.allclose(classifier_free_guidance(conditional, unconditional, 1.0), conditional, atol=1e-6)
    assert torch.equal(classifier_free_guidance(conditional, unconditional, 0.0), unconditional)
