"""CLIBD dual encoder and the CLIBDScore, which measures how well a picture and a barcode agree.

A picture tower and a barcode tower (BERT over k-mers, mean pooled) are trained contrastively on pairs of
pictures and barcodes, as in CLIBD (Gong et al. 2024). CLIBD's picture tower is a ViT pretrained on ImageNet.
This small one starts untrained and sees only tens of thousands of pictures, so it is a ResNet, which needs
far fewer. CLIBDScore is the plain cosine of the two embeddings: no factor, no clamp. It is used for judging
only, not for sampling or for training the generator: that would leak the metric.

The success threshold is the score at which the densities of true and shuffled pairs cross, on held-out
specimens. It is stored in the configuration beside its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import BertConfig, BertModel, ResNetConfig, ResNetModel

from g2pdiff.dna.tokenizer import KmerTokenizer


class Judge(nn.Module):
    """The interface of every CLIBD model: embeddings of pictures and barcodes in one space, and their
    score."""

    config: Any  # from diffusers; `threshold` is the lowest CLIBDScore that counts as a success
    device: torch.device

    def embed_images(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures (B, 3, H, W) in [0, 1] to unit vectors (B, E)."""
        raise NotImplementedError

    def embed_barcodes(self, sequences: Sequence[str]) -> torch.Tensor:
        """Map framed barcodes, B strings of one length, to unit vectors (B, E)."""
        raise NotImplementedError

    @torch.no_grad()
    def score(self, images: torch.Tensor, barcode_embeddings: torch.Tensor) -> torch.Tensor:
        """Return CLIBDScores (B,) of pictures (B, 3, H, W) in [0, 1] and their barcodes' unit vectors (B,
        E)."""
        return (self.embed_images(images) * barcode_embeddings).sum(-1)


class CLIBD(Judge, ModelMixin, ConfigMixin):
    """Contrastive picture and barcode encoder.

    Args:
        image_size: height and width of the picture tower's input, in pixels.
        image_widths: channels of the picture tower's four stages; each has one residual block.
        hidden_size: width of the barcode tower.
        barcode_layers: layers of the barcode tower.
        num_heads: attention heads per layer.
        embed_size: width E of the shared space.
        k: letters per k-mer.
        stride: letters between the starts of two k-mers.
        sites: length of a framed barcode.
        threshold: lowest CLIBDScore that counts as a success.
        overlap: share of true and shuffled pairs on the wrong side of the threshold, if it was measured.
    """

    config: Any  # diffusers types it as a dict, but its entries are attributes too

    @register_to_config
    def __init__(
        self,
        image_size: int = 128,
        image_widths: tuple[int, ...] = (48, 96, 192, 384),
        hidden_size: int = 192,
        barcode_layers: int = 4,
        num_heads: int = 4,
        embed_size: int = 192,
        k: int = 4,
        stride: int = 4,
        sites: int = 658,
        threshold: float = 0.25,
        overlap: float | None = None,
    ):
        super().__init__()
        self._tokenizer = KmerTokenizer(k=k, stride=stride)
        self.image_tower = ResNetModel(
            ResNetConfig(
                embedding_size=image_widths[0],
                hidden_sizes=list(image_widths),
                depths=[1] * len(image_widths),
                layer_type="basic",
            )
        )
        self.barcode_tower = BertModel(
            BertConfig(
                vocab_size=self._tokenizer.vocab_size,
                hidden_size=hidden_size,
                num_hidden_layers=barcode_layers,
                num_attention_heads=num_heads,
                intermediate_size=4 * hidden_size,
                max_position_embeddings=self._tokenizer.token_count(sites),
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
            ),
            add_pooling_layer=False,
        )
        self.image_head = nn.Linear(image_widths[-1], embed_size)
        self.barcode_head = nn.Linear(hidden_size, embed_size)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def image_features(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures (B, 3, H, W) in [0, 1] to the picture tower's output (B, D), before the head."""
        size = self.config.image_size
        if images.shape[-1] != size:
            # In float32: CPUs do not resize in half precision.
            images = F.interpolate(images.float(), (size, size), mode="bilinear", antialias=True)
        return self.image_tower(images.to(self.dtype)).pooler_output.flatten(1)

    def barcode_features(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Map k-mer ids (B, L) to the barcode tower's mean over tokens (B, D), before the head."""
        return self.barcode_tower(input_ids).last_hidden_state.mean(1)

    def embed_images(self, images: torch.Tensor) -> torch.Tensor:
        """Map pictures (B, 3, H, W) in [0, 1] to unit vectors (B, E). As in CLIBD, pixels are not
        normalised."""
        return F.normalize(self.image_head(self.image_features(images)), dim=-1)

    def embed_barcodes(self, sequences: Sequence[str]) -> torch.Tensor:
        """Map framed barcodes, B strings of one length, to unit vectors (B, E)."""
        return self.embed_tokens(self._tokenizer.ids(sequences).to(self.device))

    def embed_tokens(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Map k-mer ids (B, L) to unit vectors (B, E)."""
        return F.normalize(self.barcode_head(self.barcode_features(input_ids)), dim=-1)

    def forward(self, images: torch.Tensor, input_ids: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, B) of all pictures with all barcodes, for the contrastive loss."""
        return self.logit_scale.exp() * self.embed_images(images) @ self.embed_tokens(input_ids).T


def success_threshold(true_scores: np.ndarray, shuffled_scores: np.ndarray) -> tuple[float, float]:
    """Find the score at which the densities of true and shuffled pairs cross, and their overlap there.

    The densities are Gaussian kernel estimates on a grid. The last crossing between the two medians is taken.
    If there is none, because the judge does not separate the pairs, it is the median of the shuffled pairs.

    Args:
        true_scores: scores of true pairs (N,).
        shuffled_scores: scores of shuffled pairs (M,).

    Returns:
        The threshold, and the `overlap` there.
    """
    from scipy.stats import gaussian_kde

    true_scores, shuffled_scores = np.asarray(true_scores), np.asarray(shuffled_scores)
    grid = np.linspace(np.median(shuffled_scores), np.median(true_scores), 2001)
    difference = gaussian_kde(true_scores)(grid) - gaussian_kde(shuffled_scores)(grid)
    threshold = float(grid[max(np.flatnonzero(difference <= 0), default=0)])
    return threshold, overlap(threshold, true_scores, shuffled_scores)


def overlap(threshold: float, true_scores: np.ndarray, shuffled_scores: np.ndarray) -> float:
    """Return the mean of two shares: true pairs (N,) below the threshold, and shuffled pairs (M,) above
    it."""
    return float((np.mean(true_scores < threshold) + np.mean(shuffled_scores >= threshold)) / 2)
