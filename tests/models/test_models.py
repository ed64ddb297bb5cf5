"""Conditioner, aligner, autoencoder and CLIBD: shapes, invariances, and what training relies on."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.models.aligner import LatentAligner
from g2pdiff.models.autoencoder import PatchAutoencoder
from g2pdiff.models.clibd import CLIBD, success_threshold
from g2pdiff.models.conditioner import BarcodeConditioner, Condition, SequenceSketch
from g2pdiff.models.locality import geodesic
from tests.tiny import BARCODE, tiny_components

OTHER = BARCODE[:300] + BARCODE[300:600][::-1] + BARCODE[600:]


@pytest.fixture(scope="module")
def parts():
    return tiny_components()


def condition(conditioner, sequences=(BARCODE, OTHER), latitude=(10.0, 60.0)):
    ids = KmerTokenizer().ids(list(sequences))
    return conditioner(ids, geodesic(torch.tensor(latitude), torch.zeros(len(sequences))))


@pytest.mark.parametrize(("context", "tokens"), [("pooled", 1), ("tokens", 166)])
def test_condition_shapes(context, tokens):
    conditioner = tiny_components(context)["conditioner"]
    out = condition(conditioner)
    assert out.pooled.shape == (2, 16)
    assert out.context.shape == (2, tokens, 16)
    assert_close(out.context.mean(1), out.pooled)
    null = conditioner.null(out)
    assert null.context.shape == out.context.shape
    assert_close(null.pooled[0], null.context[1, 0])


def test_condition_hears_of_barcode_and_place(parts):
    conditioner = parts["conditioner"]
    base = condition(conditioner).pooled
    assert (condition(conditioner, (OTHER, OTHER)).pooled[0] - base[0]).abs().max() > 1e-4
    assert (condition(conditioner, latitude=(-10.0, 60.0)).pooled[0] - base[0]).abs().max() > 1e-4


def test_without_environment_the_place_does_not_matter():
    torch.manual_seed(0)
    conditioner = BarcodeConditioner(hidden_size=16, num_layers=1, num_heads=2, environment=False).eval()
    a, b = condition(conditioner), condition(conditioner, latitude=(-50.0, 0.0))
    assert a.context.shape == (2, 165, 16)
    assert_close(a.pooled, b.pooled)


def test_the_sketch_is_whitened_principal_components_that_pass_over_unknown_letters():
    rng = np.random.default_rng(0)
    mutants = [Barcode.parse(BARCODE).mutate(0.1, int(seed)).sequence for seed in rng.integers(0, 999, 60)]
    ids = KmerTokenizer().ids(mutants)
    sketch = SequenceSketch(k=4, max_tokens=165, components=8, hidden_size=16)
    kept = sketch.fit_components(ids)
    assert 8 / 60 < kept < 1
    coordinates = sketch._centred(ids) @ sketch.components
    assert_close(coordinates.square().mean(0), torch.ones(8), atol=1e-3, rtol=0)
    unknown = KmerTokenizer().ids(["N" * 658])
    assert sketch._centred(unknown).abs().max() == 0


def test_the_sketch_stands_first_in_the_context_and_changes_the_pooled_condition():
    torch.manual_seed(0)
    settings = dict(hidden_size=16, num_layers=1, num_heads=2, sketch_components=4)
    conditioner = BarcodeConditioner(**settings).eval()
    conditioner.sketch.fit_components(KmerTokenizer().ids([BARCODE, OTHER]))
    out = condition(conditioner)
    assert out.context.shape == (2, 167, 16)
    assert_close(out.pooled, out.context[:, 1:].mean(1) + out.context[:, 0])


def test_conditions_repeat_and_concatenate():
    c = Condition(torch.arange(2.0)[:, None], torch.arange(2.0)[:, None, None])
    assert c.repeat(2).pooled.flatten().tolist() == [0, 0, 1, 1]
    assert Condition.cat([c, c]).context.flatten().tolist() == [0, 1, 0, 1]
    assert c[1:].pooled.flatten().tolist() == [1]


def test_pooled_context_leaves_the_query_projection_without_a_gradient():
    """Return the fact behind `context="tokens"`: attention over one token has nothing to choose."""

    def query_gradient(context):
        parts = tiny_components(context)
        unet = parts["unet"]
        out = condition(parts["conditioner"])
        t = torch.tensor([5, 5])
        sample = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
        unet(
            sample, t, encoder_hidden_states=out.context, class_labels=out.pooled
        ).sample.square().sum().backward()
        weights = [p.grad for name, p in unet.named_parameters() if "attn2.to_q" in name]
        return max(w.abs().max().item() for w in weights)

    assert query_gradient("pooled") < 1e-3 * query_gradient("tokens")


def test_aligner_log_prob_is_a_log_probability(parts):
    aligner = parts["aligner"]
    aligner.bank.copy_(torch.randn(5, 16, generator=torch.Generator().manual_seed(0)))
    latents, t = torch.randn(3, 4, 4, 4), torch.tensor([0, 500, 999])
    with torch.no_grad():
        values = aligner.log_prob(latents, t, torch.randn(3, 16))
        in_bank = torch.stack([aligner.log_prob(latents, t, aligner.bank[[i]]).exp() for i in range(5)])
    assert values.shape == (3,)
    assert (values < 0).all()
    # A candidate that stands in the bank is counted twice: p / (1 + p) each, with the p of the bank summing
    # to 1.
    p = in_bank / (1 - in_bank)
    assert_close(p.sum(0), torch.ones(3), atol=1e-4, rtol=0)


def test_aligner_holds_one_latent_against_many_conditions(parts):
    aligner = parts["aligner"]
    aligner.bank.copy_(torch.randn(5, 16, generator=torch.Generator().manual_seed(0)))
    latent, pooled = torch.randn(1, 4, 4, 4), torch.randn(3, 16)
    with torch.no_grad():
        values = aligner.log_prob(latent, torch.tensor([7]), pooled)
        repeated = aligner.log_prob(latent.expand(3, -1, -1, -1), torch.tensor([7, 7, 7]), pooled)
    assert values.std() > 1e-3
    assert_close(values, repeated, atol=1e-6, rtol=0)


def test_aligner_hears_of_the_noise_level(parts):
    latents = torch.randn(1, 4, 4, 4)
    a, b = (parts["aligner"].embed_latents(latents, torch.tensor([t])) for t in (1, 900))
    assert (a - b).abs().max() > 1e-4
    assert_close(a.norm(dim=-1), torch.ones(1))


def test_aligner_keeps_its_bank(parts, tmp_path):
    parts["aligner"].bank.fill_(2.0)
    parts["aligner"].save_pretrained(tmp_path)
    assert_close(LatentAligner.from_pretrained(tmp_path).bank, torch.full((5, 16), 2.0))


def smooth_patches(count=500):
    generator = torch.Generator().manual_seed(0)
    patches = torch.randn(count, 3, 8, 8, generator=generator).cumsum(-1).cumsum(-2)
    return patches / patches.abs().max()


def test_untrained_autoencoder_is_the_principal_component_codec():
    vae = PatchAutoencoder(latent_channels=12, widths=(8, 8, 8), layers=(1, 1, 1))
    patches = smooth_patches()
    kept = vae.fit_components(patches)
    latents = vae.encode(patches)
    assert latents.shape == (500, 12, 1, 1)
    lost = (vae(patches) - patches).square().sum() / (patches - patches.mean(0)).square().sum()
    assert lost.item() == pytest.approx(1 - kept, abs=1e-3)
    assert 0.8 < kept < 1


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_whitening_levels_the_deviations_of_latent_channels_and_nothing_else(whitening):
    patches = smooth_patches()
    vae = PatchAutoencoder(latent_channels=4, widths=(8, 8, 8), layers=(1, 1, 1), whitening=whitening)
    vae.fit_components(patches)
    latents = vae.encode(patches)
    deviation = latents.std((0, 2, 3))
    assert deviation.square().mean().item() == pytest.approx(1, rel=0.02)
    expected = (vae.scale.flatten() / vae.scale.flatten()[-1]) ** (1 - whitening)
    assert_close(deviation / deviation[-1], expected, rtol=0.02, atol=0)
    white = PatchAutoencoder(latent_channels=4, widths=(8, 8, 8), layers=(1, 1, 1), whitening=1.0)
    white.load_state_dict(vae.state_dict())
    assert_close(white(patches[:5]), vae(patches[:5]))


def test_a_preview_is_the_linear_part_of_the_decoder():
    vae = PatchAutoencoder(latent_channels=12, widths=(8, 8, 8), layers=(1, 1, 1))
    patches = smooth_patches()
    vae.fit_components(patches)
    latents = vae.encode(patches[:4])
    untrained = vae.decode(latents).sample
    torch.nn.init.normal_(vae.conv_out.weight)
    assert_close(vae.decode(latents, refine=False).sample, untrained)
    assert not torch.allclose(vae.decode(latents).sample, untrained, atol=1e-3)


def test_autoencoder_works_on_any_multiple_of_its_patch():
    vae = PatchAutoencoder(latent_channels=4, widths=(8, 8, 8), layers=(1, 1, 1))
    vae.fit_components(smooth_patches())
    images = torch.randn(2, 3, 24, 40)
    assert vae.encode(images).shape == (2, 4, 3, 5)
    assert vae(images).shape == images.shape


def test_clibd_score_is_the_cosine_of_its_embeddings(parts):
    clibd: CLIBD = parts["clibd"]
    images = torch.rand(2, 3, 32, 32)
    scores = clibd.score(images, clibd.embed_barcodes([BARCODE, OTHER]))
    pictures, barcodes = clibd.embed_images(images), clibd.embed_barcodes([BARCODE, OTHER])
    assert_close(scores, (pictures * barcodes).sum(-1).detach())
    assert_close(pictures.norm(dim=-1), torch.ones(2))
    assert (scores.abs() <= 1).all()


def test_clibd_takes_pictures_of_any_size(parts):
    large = torch.rand(1, 3, 64, 64)
    small = torch.nn.functional.interpolate(large, (32, 32), mode="bilinear", antialias=True)
    assert_close(parts["clibd"].embed_images(large), parts["clibd"].embed_images(small))


def test_success_threshold_is_where_two_gaussians_cross():
    rng = np.random.default_rng(0)
    threshold, overlap = success_threshold(rng.normal(0.6, 0.1, 20000), rng.normal(0.0, 0.1, 20000))
    assert threshold == pytest.approx(0.3, abs=0.02)
    assert overlap == pytest.approx(0.00135, abs=0.001)
