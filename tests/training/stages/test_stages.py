"""What single stages promise, on hand-made inputs."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from g2pdiff.guidance import add_noise
from g2pdiff.models.autoencoder import PatchAutoencoder
from tests.tiny import tiny_components
from training.aligner import AlignerLoss, reference_rows
from training.autoencoder import detail_weight
from training.clibd import augment
from training.configs.schema import DataConfig
from training.data.specimens import SpecimenSet, load_specimens
from training.diffusion import DiffusionLoss, cache_latents
from training.stages.losses import centre, info_nce


def specimens(count=6, size=16):
    pictures = np.random.default_rng(0).integers(0, 256, (count, 3, size, size), dtype=np.uint8)
    return SpecimenSet(pd.DataFrame({"species": list("abcdef")[:count]}), pictures)


def fitted_autoencoder(seed=0):
    vae = PatchAutoencoder(latent_channels=4, widths=(8, 8, 8), layers=(1, 1, 1))
    vae.fit_components(torch.randn(300, 3, 8, 8, generator=torch.Generator().manual_seed(seed)).cumsum(-1))
    return vae


def test_detail_weighs_edges_and_leaves_paper_at_one():
    images = torch.zeros(1, 3, 32, 32)
    images[..., 16:] = 1
    weight = detail_weight(images, 3.0)
    assert_close(weight[0, 0, :, :10], torch.ones(32, 10))
    assert weight[0, 0, 16, 16] == pytest.approx(4.0)


def test_augmented_pictures_stay_pictures_of_the_same_thing():
    images = torch.full((4, 3, 32, 32), 0.9)
    images[:, :, 12:20, 12:20] = 0.1
    out = augment(images, torch.Generator().manual_seed(0))
    assert out.shape == images.shape and out.min() >= 0 and out.max() <= 1
    assert not torch.equal(out, images)
    assert (out - images).abs().mean() < 0.1
    assert torch.equal(out, augment(images, torch.Generator().manual_seed(0)))


def test_latents_are_cached_until_the_encoder_changes(tmp_path):
    data, vae = specimens(), fitted_autoencoder()
    latents = cache_latents(vae, data, tmp_path)
    expected = vae.encode(data.images(np.arange(6)) * 2 - 1)
    assert_close(torch.from_numpy(np.array(latents)).float(), expected, atol=5e-3, rtol=1e-2)
    (path,) = tmp_path.iterdir()
    stamp = path.stat().st_mtime_ns
    cache_latents(vae, data, tmp_path)
    assert path.stat().st_mtime_ns == stamp
    other = cache_latents(fitted_autoencoder(seed=1), data, tmp_path)
    assert path.stat().st_mtime_ns != stamp
    assert not np.allclose(other, np.array(latents), atol=1e-2)
    assert list(tmp_path.iterdir()) == [path]


def test_latents_follow_the_specimens_though_the_first_stays_the_same(tmp_path):
    vae, first_pictures = fitted_autoencoder(), []
    for rate in (0.5, 0.2, 0.5):
        config = DataConfig(
            simulated_species=8,
            simulated_per_species=4,
            image_size=16,
            mutated_share=0.5,
            max_mutation_rate=rate,
        )
        data = load_specimens(config, tmp_path)
        images = data.images(np.arange(len(data)))
        latents = torch.from_numpy(np.array(cache_latents(vae, data, tmp_path / "data"))).float()
        assert_close(latents, vae.encode(images * 2 - 1), atol=5e-3, rtol=1e-2)
        first_pictures.append(images[0])
    assert all(torch.equal(image, first_pictures[0]) for image in first_pictures)
    assert len(list((tmp_path / "data").glob("latents-*.npy"))) == 2


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_diffusion_loss_of_a_perfect_denoiser_is_zero(prediction):
    parts = tiny_components(prediction_type=prediction)
    loss = DiffusionLoss(parts["conditioner"], parts["unet"], parts["scheduler"])
    clean, noise = torch.randn(2, 4, 4, 4), torch.randn(2, 3, 4, 4, 4)
    timesteps = torch.tensor([[0, 300, 999], [10, 500, 800]])
    gamma = parts["scheduler"].alphas_cumprod[timesteps.flatten()].view(-1, 1, 1, 1)
    flat = noise.flatten(0, 1)
    velocity = gamma.sqrt() * flat - (1 - gamma).sqrt() * clean.repeat_interleave(3, 0)
    target = flat if prediction == "epsilon" else velocity

    def perfect(module, args, output):
        noisy, steps = args
        # What the U-Net sees agrees with what it is told: the target follows from clean latents and input.
        seen = (noisy - gamma.sqrt() * clean.repeat_interleave(3, 0)) / (1 - gamma).sqrt()
        assert_close(seen, flat, atol=1e-3, rtol=0)
        assert torch.equal(steps, timesteps.flatten())
        output.sample = target

    parts["unet"].register_forward_hook(perfect)
    ids = torch.randint(3, 259, (2, 165))
    dropped = torch.tensor([[True, False, False], [False, False, True]])
    value = loss(clean, noise, timesteps, dropped, input_ids=ids, locality=torch.randn(2, 3))
    assert value.item() == pytest.approx(0, abs=1e-10)


def test_centred_heads_start_with_mean_zero():
    head, features = nn.Linear(5, 3), torch.randn(40, 5) + 7
    centre(head, features)
    assert_close(head(features).mean(0), torch.zeros(3), atol=1e-5, rtol=0)


def test_the_bank_holds_every_species_once_as_it_was_found():
    table = pd.DataFrame({"species": list("aabbcc"), "mutation_rate": [0, 0, 0.3, 0, 0.2, 0.1]})
    bank = reference_rows(table, size=5, seed=0).tolist()
    assert len(bank) == 2
    assert set(bank) <= {0, 1, 3} and 3 in bank


def test_a_reference_of_the_own_species_is_no_wrong_answer():
    parts = tiny_components()
    aligner = parts["aligner"]
    torch.manual_seed(0)
    aligner.bank.copy_(torch.randn_like(aligner.bank))
    count = len(aligner.bank)
    batch = {
        "latents": torch.randn(2, 4, 4, 4),
        "noise": torch.randn(2, 4, 4, 4),
        "timesteps": torch.tensor([10, 900]),
        "pooled": torch.randn(2, 16),
        "species": torch.tensor([0, 1]),
    }
    foreign = torch.full((count,), 7)

    def loss(species):
        return AlignerLoss(aligner, parts["scheduler"], species)(**batch)

    # With no reference left, InfoNCE over the batch is all there is; each foreign one adds to it.
    with torch.no_grad():
        noisy = add_noise(
            batch["latents"], batch["noise"], batch["timesteps"], parts["scheduler"].alphas_cumprod
        )
        alone = info_nce(aligner(noisy, batch["timesteps"], batch["pooled"]))
        recognised = -aligner.log_prob(noisy, batch["timesteps"], batch["pooled"]).mean()
        assert_close(loss(foreign), alone + recognised)
        own = foreign.clone()
        own[: count // 2] = 0
        assert alone < loss(own) < loss(foreign)
