"""The official CLIBD: parity with a plain forward pass of the published names, and strictness."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.testing import assert_close

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from g2pdiff.models.clibd_official import PAPER_THRESHOLD, OfficialCLIBD, load_official_clibd
from tests.tiny import BARCODE, tiny_pipeline
from training.data.miniature import LAYERS, WIDTH, clibd_weights

OTHER = BARCODE[:200][::-1] + BARCODE[200:600] + "N" * 58


def attend(query, key, value):
    """Return the multi-head attention (B, T, WIDTH) with 64 channels a head."""
    query, key, value = (x.unflatten(-1, (-1, 64)).transpose(1, 2) for x in (query, key, value))
    weights = (query @ key.transpose(-1, -2) / 8).softmax(-1)
    return (weights @ value).transpose(1, 2).flatten(2)


def plain_image_embedding(weights, images, name):
    """Return the picture tower, LoRA kept beside the weights, in functional operations."""
    w = {key.removeprefix(name): value for key, value in weights.items() if key.startswith(name)}

    def linear(x, key):
        return F.linear(x, w[f"{key}.weight"], w[f"{key}.bias"])

    def norm(x, key):
        return F.layer_norm(x, (WIDTH,), w[f"{key}.weight"], w[f"{key}.bias"], 1e-6)

    x = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=16)
    x = torch.cat([w["cls_token"].repeat(len(x), 1, 1), x.flatten(2).mT], 1) + w["pos_embed"]
    for block in range(LAYERS):
        stem = f"blocks.{block}"
        h = norm(x, f"{stem}.norm1")
        lora = f"{stem}.attn.qkv.qkv.weight" in w
        query, key, value = linear(h, f"{stem}.attn.qkv.qkv" if lora else f"{stem}.attn.qkv").chunk(3, -1)
        if lora:
            low = {n: w[f"{stem}.attn.qkv.linear_{n}.weight"] for n in ("a_q", "b_q", "a_v", "b_v")}
            query = query + F.linear(F.linear(h, low["a_q"]), low["b_q"])
            value = value + F.linear(F.linear(h, low["a_v"]), low["b_v"])
        x = x + linear(attend(query, key, value), f"{stem}.attn.proj")
        h = F.gelu(linear(norm(x, f"{stem}.norm2"), f"{stem}.mlp.fc1"))
        x = x + linear(h, f"{stem}.mlp.fc2")
    return F.normalize(linear(norm(x, "norm")[:, 0], "head"), dim=-1)


def plain_barcode_embedding(weights, sequence, name):
    """Return the barcode tower and the mean of its softmax, in functional operations."""
    w = {key.removeprefix(name): value for key, value in weights.items() if key.startswith(name)}

    def linear(x, key):
        return F.linear(x, w[f"{key}.weight"], w[f"{key}.bias"])

    def norm(x, key):
        return F.layer_norm(x, (WIDTH,), w[f"{key}.weight"], w[f"{key}.bias"], 1e-12)

    words = ["<MASK>", "<CLS>", "<UNK>", *("".join(letters) for letters in product("ACGT", repeat=5))]
    vocabulary = {word: index for index, word in enumerate(words)}
    padded = sequence + "N" * (660 - len(sequence))
    ids = [0, *(vocabulary.get(padded[start : start + 5], 2) for start in range(0, 660, 5))]
    assert len(ids) == 133
    tables = [w[f"bert.embeddings.{table}_embeddings.weight"] for table in ("word", "position", "token_type")]
    x = (tables[0][ids] + tables[1][:133] + tables[2][0])[None]
    x = norm(x, "bert.embeddings.LayerNorm")
    for layer in range(LAYERS):
        stem = f"bert.encoder.layer.{layer}"
        parts = (linear(x, f"{stem}.attention.self.{part}") for part in ("query", "key", "value"))
        h = linear(attend(*parts), f"{stem}.attention.output.dense")
        x = norm(x + h, f"{stem}.attention.output.LayerNorm")
        h = linear(F.gelu(linear(x, f"{stem}.intermediate.dense")), f"{stem}.output.dense")
        x = norm(x + h, f"{stem}.output.LayerNorm")
    x = norm(F.gelu(linear(x, "cls.predictions.transform.dense")), "cls.predictions.transform.LayerNorm")
    return F.normalize(linear(x, "cls.predictions.decoder").softmax(-1).mean(1), dim=-1)


@pytest.fixture(scope="module", params=[(False, True), (False, False), (True, True), (True, False)])
def published(request, tmp_path_factory):
    older, lora = request.param
    weights = clibd_weights(older, lora)
    path = tmp_path_factory.mktemp("clibd") / "best.pth"
    torch.save(weights, path)
    names = ("lora_vit", "lora_barcode_bert") if older else ("base_image_encoder", "base_dna_encoder")
    return load_official_clibd(path), weights, (f"image_encoder.{names[0]}.", f"dna_encoder.{names[1]}.")


@torch.no_grad()
def test_both_towers_agree_with_a_plain_forward_pass(published):
    clibd, weights, (image_name, barcode_name) = published
    images = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    expected = plain_image_embedding(weights, images[:, :, 16:240, 16:240], image_name)
    assert_close(clibd.embed_images(images), expected, atol=2e-5, rtol=0)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    barcodes = torch.cat([plain_barcode_embedding(weights, s, barcode_name) for s in (BARCODE, OTHER)])
    assert_close(clibd.embed_barcodes([BARCODE, OTHER]), barcodes, atol=2e-5, rtol=0)
    assert (barcodes[0] - barcodes[1]).abs().max() > 1e-3
    assert_close(clibd.score(images, barcodes), (expected * barcodes).sum(-1), atol=2e-5, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(150, 100), (300, 512), (256, 256)])
def test_pictures_are_resized_and_cropped_as_by_torchvision(height, width):
    clibd = OfficialCLIBD(image_layers=0, image_width=64, barcode_layers=0, barcode_width=64, embed_size=8)
    picture = np.random.default_rng(0).random((height, width), dtype=np.float32)
    short = min(height, width)
    shape = (256 * width // short, 256 * height // short)  # PIL's order
    resized = np.asarray(Image.fromarray(picture).resize(shape, Image.Resampling.BILINEAR))
    top, left = (resized.shape[0] - 224) // 2, (resized.shape[1] - 224) // 2
    expected = torch.from_numpy(resized[top : top + 224, left : left + 224].copy())
    prepared = clibd.prepare_images(torch.from_numpy(picture).expand(1, 3, -1, -1))
    assert prepared.shape == (1, 3, 224, 224)
    assert_close(prepared[0, 1], expected, atol=1e-4, rtol=0)


def test_a_checkpoint_can_hold_it(published, tmp_path):
    clibd, _, _ = published
    assert clibd.config.threshold == PAPER_THRESHOLD
    tiny_pipeline(clibd=clibd).save_pretrained(tmp_path)
    served = load_pipeline(tmp_path)
    assert isinstance(served.clibd, OfficialCLIBD)
    scores = [
        p(BARCODE, 0, 0, num_inference_steps=2).clibd_scores for p in (served, tiny_pipeline(clibd=clibd))
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)


def refusal(tmp_path, weights) -> str:
    path = tmp_path / "best.pth"
    torch.save(weights, path)
    with pytest.raises(InputError) as caught:
        load_official_clibd(path)
    assert caught.value.field == "official"
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


def test_what_does_not_fit_is_said_in_one_sentence(tmp_path):
    weights = clibd_weights(older=False, lora=True)
    image = "image_encoder.base_image_encoder."
    lacking = {name: w for name, w in weights.items() if name != f"{image}norm.bias"}
    assert "lacks 1, such as image_tower.norm.bias" in refusal(tmp_path, lacking)
    assert "it has 1 that are unknown, such as visual.proj" in refusal(
        tmp_path, weights | {"visual.proj": torch.ones(1)}
    )
    half = {name: w for name, w in weights.items() if name != f"{image}blocks.1.attn.qkv.linear_a_v.weight"}
    assert "lacks 2, such as image_tower.blocks.1.attn.qkv.bias" in refusal(tmp_path, half)
    assert "it has 1 of another shape" in refusal(
        tmp_path, weights | {f"{image}pos_embed": torch.ones(1, 50, WIDTH)}
    )
    assert "no picture and barcode tower" in refusal(tmp_path, {"weight": torch.ones(1)})


def test_damaged_and_missing_files_and_pickled_code_are_refused(tmp_path):
    assert "cannot be read as weights" in refusal(tmp_path, {"weight": Image.new("RGB", (1, 1))})
    (tmp_path / "best.pth").write_bytes(b"no weights at all")
    with pytest.raises(InputError, match="cannot be read as weights"):
        load_official_clibd(tmp_path / "best.pth")
    with pytest.raises(InputError, match="no file .*nowhere.pth; download it"):
        load_official_clibd(tmp_path / "nowhere.pth")
