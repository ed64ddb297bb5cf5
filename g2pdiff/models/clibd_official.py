"""The official CLIBD (Gong et al. 2024; bioscan-ml/clibd), loaded from `best.pth` as published.

A ViT-B/16 and a BERT over 5-mers with one vector space. Its code does the following, which its paper does not
mention:

- pictures are not normalised: they are raw [0, 1] pixels; the short side is resized to 256, and the centre is
  cropped to 224;
- a barcode is padded with N to 660 letters and cut into 5-mers; the first token is `<MASK>`, not `<CLS>`, and
  there is no attention mask;
- a barcode's embedding is the mean over tokens of the *softmax* of its re-initialised prediction head;
- the low-rank updates (LoRA) of the picture tower's attention are still separate; they are merged here.

The CLIBDScore does not need the text tower, so it is left out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import BertConfig, BertForMaskedLM

from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.errors import InputError
from g2pdiff.models.clibd import Judge
from g2pdiff.models.pretrained import check_weights, read_weights

HUB_ID = "bioscan-ml/clibd"

PAPER_THRESHOLD = 0.255
"""Success threshold of the G2PDiffusion paper, used until one is measured on the user's pictures."""

PATCH, HEAD_WIDTH, K, SITES, MASK = 16, 64, 5, 660, 0

# Names in today's files and in older files, and the names here.
_NAMES = (
    ("lora_barcode_bert", "base_dna_encoder"),
    ("lora_vit", "base_image_encoder"),
    ("image_encoder.base_image_encoder.", "image_tower."),
    ("dna_encoder.base_dna_encoder.", "barcode_tower."),
)
_LEFT_OUT = ("language_encoder.", "barcode_tower.bert.embeddings.position_ids")


class Attention(nn.Module):
    """Self-attention with timm's names."""

    def __init__(self, width: int):
        super().__init__()
        self.heads = width // HEAD_WIDTH
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value)  # (B, heads, P, HEAD_WIDTH)
        return self.proj(attended.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Pre-norm transformer block with timm's names."""

    def __init__(self, width: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            OrderedDict(fc1=nn.Linear(width, 4 * width), act=nn.GELU(), fc2=nn.Linear(4 * width, width))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """ViT (Dosovitskiy et al. 2021) with timm's names and a linear head on the class token."""

    def __init__(self, image_size: int, layers: int, width: int, embed_size: int):
        super().__init__()
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH)})
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (image_size // PATCH) ** 2, width))
        self.blocks = nn.Sequential(*[Block(width) for _ in range(layers)])
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, embed_size)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures (B, 3, S, S) to (B, E)."""
        patches = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)  # (B, P, D)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.pos_embed
        return self.head(self.norm(self.blocks(tokens))[:, 0])


class OfficialCLIBD(Judge, ModelMixin, ConfigMixin):
    """The published picture and barcode encoder, with the interface of `g2pdiff.models.clibd.CLIBD`.

    Args:
        image_size: height and width of the picture tower's input, in pixels.
        image_layers: layers of the picture tower.
        image_width: its width; each attention head has 64 channels.
        barcode_layers: layers of the barcode tower.
        barcode_width: its width; each attention head has 64 channels.
        embed_size: width E of the shared space.
        threshold: lowest CLIBDScore that counts as a success.
        overlap: share of true and shuffled pairs on the wrong side of the threshold, if it was measured.
    """

    config: Any  # diffusers types it as a dict, but its entries are attributes too

    @register_to_config
    def __init__(
        self,
        image_size: int = 224,
        image_layers: int = 12,
        image_width: int = 768,
        barcode_layers: int = 12,
        barcode_width: int = 768,
        embed_size: int = 768,
        threshold: float = PAPER_THRESHOLD,
        overlap: float | None = None,
    ):
        super().__init__()
        # Its special tokens <MASK> <CLS> <UNK> have the ids of [PAD] [MASK] [UNK] here. The 5-mers follow in
        # the same order.
        self._tokenizer = KmerTokenizer(k=K, stride=K)
        self.image_tower = VisionTransformer(image_size, image_layers, image_width, embed_size)
        self.barcode_tower = BertForMaskedLM(
            BertConfig(
                vocab_size=self._tokenizer.vocab_size,
                hidden_size=barcode_width,
                num_hidden_layers=barcode_layers,
                num_attention_heads=barcode_width // HEAD_WIDTH,
                intermediate_size=4 * barcode_width,
            )
        )
        self.barcode_tower.cls.predictions.decoder = nn.Linear(barcode_width, embed_size)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def prepare_images(self, images: torch.Tensor) -> torch.Tensor:
        """Resize the short side of pictures (B, 3, H, W) to 8/7 of the tower's input; crop the centre."""
        size, (height, width) = self.config.image_size, images.shape[-2:]
        short, resized = min(height, width), size * 8 // 7
        shape = (resized * height // short, resized * width // short)
        # In float32: CPUs do not resize in half precision.
        images = F.interpolate(images.float(), shape, mode="bilinear", antialias=True)
        top, left = (round((side - size) / 2) for side in shape)
        return images[..., top : top + size, left : left + size]

    def barcode_ids(self, sequences: Sequence[str]) -> torch.Tensor:
        """Map B barcodes to `<MASK>` and the ids of 132 5-mers (B, 133)."""
        letters = [sequence[:SITES].ljust(SITES, "N") for sequence in sequences]
        return F.pad(self._tokenizer.ids(letters), (1, 0), value=MASK)

    def embed_images(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures (B, 3, H, W) in [0, 1] to unit vectors (B, E)."""
        return F.normalize(self.image_tower(self.prepare_images(images).to(self.dtype)), dim=-1)

    def embed_barcodes(self, sequences: Sequence[str]) -> torch.Tensor:
        """Map framed barcodes, B strings, to unit vectors (B, E)."""
        logits = self.barcode_tower(self.barcode_ids(sequences).to(self.device)).logits  # (B, 133, E)
        return F.normalize(logits.softmax(-1).mean(1), dim=-1)


def _merge_lora(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Add the low-rank updates of query and value to their weights.

    An attention with incomplete updates stays as it is: `check_weights` then names the extra weights.
    """
    merged = dict(weights)
    for name in [name for name in weights if name.endswith(".attn.qkv.qkv.weight")]:
        stem = name.removesuffix("qkv.weight")
        updates = {part: [f"{stem}linear_{side}_{part}.weight" for side in "ba"] for part in "qv"}
        if not all(key in merged for keys in updates.values() for key in keys):
            continue
        weight = merged.pop(name).clone()  # (3D, D): query, key, value
        width = weight.shape[1]
        for part, rows in (("q", slice(width)), ("v", slice(2 * width, None))):
            after, before = (merged.pop(key) for key in updates[part])
            weight[rows] += after @ before
        merged[stem + "weight"] = weight
        merged[stem + "bias"] = merged.pop(stem + "qkv.bias")
    return merged


def _sizes(weights: dict[str, torch.Tensor], path: Path) -> dict[str, int]:
    """Return the model's sizes, computed from the shapes of its weights."""
    image, word = "image_tower.head.weight", "barcode_tower.bert.embeddings.word_embeddings.weight"
    if image not in weights or word not in weights:
        raise InputError(
            "official",
            f"{path} is not CLIBD's best.pth: it has no picture and barcode tower; download it from "
            f"huggingface.co/{HUB_ID}.",
        )

    def layers(stem: str) -> int:
        return len({name.removeprefix(stem).split(".")[0] for name in weights if name.startswith(stem)})

    embed_size, image_width = weights[image].shape
    return {
        "image_layers": layers("image_tower.blocks."),
        "image_width": image_width,
        "barcode_layers": layers("barcode_tower.bert.encoder.layer."),
        "barcode_width": weights[word].shape[1],
        "embed_size": embed_size,
    }


def load_official_clibd(path: str | Path) -> OfficialCLIBD:
    """Load `best.pth` of bioscan-ml/clibd, with new or old names, with or without LoRA.

    Raises:
        InputError: field `official`, if the file is missing or damaged, or its weights are not exactly those
            of CLIBD.
    """
    path = Path(path)
    weights, _ = read_weights(path, "official", HUB_ID)
    for published, here in _NAMES:
        weights = {name.replace(published, here): tensor for name, tensor in weights.items()}
    weights = {name: w for name, w in _merge_lora(weights).items() if not name.startswith(_LEFT_OUT)}
    model = OfficialCLIBD(**_sizes(weights, path))
    check_weights(weights, model.state_dict(), "official", path, "CLIBD")
    model.load_state_dict(weights)
    return model.eval()
