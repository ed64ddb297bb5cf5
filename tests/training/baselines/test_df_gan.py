"""DF-GAN: the parts the paper describes, on tiny networks."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from training.baselines.df_gan import (
    Affine,
    Discriminator,
    GanLoss,
    Generator,
    channels_by_size,
    gradient_penalty,
)

SIZE, CONDITION, WIDTH = 16, 6, 2


class FixedConditioner(nn.Module):
    """Takes the place where a barcode stands for its own condition."""

    def forward(self, input_ids, locality):
        return SimpleNamespace(pooled=input_ids)


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return Generator(SIZE, CONDITION, 4, WIDTH), Discriminator(SIZE, CONDITION, WIDTH)


def batch(count=3):
    generator = torch.Generator().manual_seed(1)
    return {
        "input_ids": torch.randn(count, CONDITION, generator=generator),
        "locality": torch.zeros(count, 3),
        "images": torch.rand(count, 3, SIZE, SIZE, generator=generator) * 2 - 1,
        "noise": torch.randn(count, 4, generator=generator),
    }


def test_an_affine_map_starts_as_the_identity():
    features = torch.randn(2, 5, 4, 4)
    assert_close(Affine(7, 5)(features, torch.randn(2, 7)), features)


def test_channels_double_at_every_halving_up_to_eightfold():
    assert channels_by_size(256, 32) == [32, 64, 128, 256, 256, 256, 256]


def test_pictures_depend_on_noise_and_on_condition_after_training_began(networks):
    generator, _ = networks
    for parameter in generator.parameters():
        nn.init.normal_(parameter, std=0.3)
    inputs = batch(1)
    first = generator(inputs["noise"], inputs["input_ids"])
    assert first.shape == (1, 3, SIZE, SIZE) and first.abs().max() <= 1
    assert not torch.allclose(first, generator(inputs["noise"], -inputs["input_ids"]))
    assert not torch.allclose(first, generator(-inputs["noise"], inputs["input_ids"]))


def test_the_penalty_of_a_linear_judge_is_the_power_of_its_slope(networks):
    """Return the for D(x, c) = a.x + b.c the joint gradient is (a, b) everywhere."""

    class Linear(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.full((3 * 4,), 0.5), torch.full((CONDITION,), 0.25)

        def forward(self, images, pooled):
            return images.flatten(1) @ self.a + pooled @ self.b

    penalty = gradient_penalty(Linear(), torch.randn(2, 3, 2, 2), torch.randn(2, CONDITION))
    slope = (12 * 0.5**2 + CONDITION * 0.25**2) ** 0.5
    assert_close(penalty, torch.full((2,), slope**6))


def test_neither_loss_reaches_the_other_network(networks):
    """Return the generator's gradient is that of -D(G(z)) alone, the discriminator's that of its own three
    terms."""
    generator, discriminator = networks
    for parameter in discriminator.parameters():
        nn.init.normal_(parameter, std=0.2)
    inputs = batch()
    GanLoss(FixedConditioner(), generator, discriminator)(**inputs).backward()
    found = {name: p.grad.clone() for name, p in generator.named_parameters() if p.grad is not None}
    judged = {name: p.grad.clone() for name, p in discriminator.named_parameters()}

    generator.zero_grad()
    pooled = inputs["input_ids"]
    (-discriminator(generator(inputs["noise"], pooled), pooled).mean()).backward()
    for name, parameter in generator.named_parameters():
        assert_close(found[name], parameter.grad)

    discriminator.zero_grad()
    real = discriminator.features(inputs["images"])
    drawn = generator(inputs["noise"], pooled).detach()
    hinge = nn.functional.relu
    total = (
        hinge(1 - discriminator.logits(real, pooled)).mean()
        + hinge(1 + discriminator(drawn, pooled)).mean() / 2
        + hinge(1 + discriminator.logits(real, pooled.roll(1, 0))).mean() / 2
        + 2 * gradient_penalty(discriminator, inputs["images"], pooled).mean()
    )
    total.backward()
    for name, parameter in discriminator.named_parameters():
        assert_close(judged[name], parameter.grad)


def test_the_judge_learns_four_times_as_fast(networks):
    groups = GanLoss(FixedConditioner(), *networks).parameter_groups(1e-4)
    assert [group["lr"] for group in groups] == [1e-4, 4e-4]
    assert sum(len(group["params"]) for group in groups) == sum(len(list(n.parameters())) for n in networks)


def test_saved_and_loaded_generators_draw_the_same(networks, tmp_path):
    generator, _ = networks
    generator.save_pretrained(tmp_path)
    inputs = batch(1)
    same = Generator.from_pretrained(tmp_path)
    assert_close(same(inputs["noise"], inputs["input_ids"]), generator(inputs["noise"], inputs["input_ids"]))
