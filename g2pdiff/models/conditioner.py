"""Environment-enhanced DNA conditioner: a barcode and a place become the condition of the diffusion model.

The input to a BERT encoder is `[environment token, DNA tokens]`. The environment token is an MLP of the
geodesic unit vector of the locality (`g2pdiff.models.locality`). The mean over all tokens is the pooled
condition c of the paper; what the U-Net's cross-attention sees is a matter of configuration:

- `context="pooled"`: c alone, as the paper prints it. Attention over one token is a constant: the softmax
  has nothing to choose from, so the query and key projections get no gradient.
- `context="tokens"`: the whole encoded sequence.

A BERT that starts from nothing learns slowly what a barcode's bases mean together. The embedded model, which
sees tens of thousands of barcodes rather than millions, also has a sketch of the sequence: principal
components of the one-hot barcodes, in closed form, and a small MLP. The sketch is added to the pooled
condition and stands first in the context.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import BertConfig, BertModel

from g2pdiff.dna.tokenizer import SPECIAL_TOKENS
from g2pdiff.models.locality import EnvironmentEncoder


@dataclass
class Condition:
    """What the conditioner says of a batch of barcodes and places."""

    pooled: torch.Tensor  # (B, D), the paper's c
    context: torch.Tensor  # (B, 1, D) or (B, 1 + L, D), for cross-attention

    def __getitem__(self, index) -> Condition:
        return Condition(self.pooled[index], self.context[index])

    def repeat(self, times: int) -> Condition:
        """Repeat each barcode `times` times: (B, ...) -> (B * times, ...)."""
        return Condition(self.pooled.repeat_interleave(times, 0), self.context.repeat_interleave(times, 0))

    @staticmethod
    def cat(conditions: list[Condition]) -> Condition:
        return Condition(
            torch.cat([c.pooled for c in conditions]), torch.cat([c.context for c in conditions])
        )


class SequenceSketch(nn.Module):
    """Whitened principal components of one-hot barcodes, then an MLP to the condition's width.

    Args:
        k: letters in a token.
        max_tokens: tokens of a framed barcode.
        components: principal components.
        hidden_size: width D of the condition.
    """

    def __init__(self, k: int, max_tokens: int, components: int, hidden_size: int):
        super().__init__()
        digits = torch.cartesian_prod(*[torch.arange(4)] * k).reshape(
            -1, k
        )  # (4**k, k), in the tokens' order
        letters = torch.cat(
            [torch.zeros(len(SPECIAL_TOKENS), k, 4), nn.functional.one_hot(digits, 4).float()]
        )
        self.register_buffer("letters", letters.flatten(1), persistent=False)  # (V, 4k), zeros where unknown
        self.register_buffer("mean", torch.zeros(max_tokens, 4 * k))
        self.register_buffer("components", torch.zeros(max_tokens * 4 * k, components))
        self.mlp = nn.Sequential(
            nn.Linear(components, 2 * hidden_size), nn.SiLU(), nn.Linear(2 * hidden_size, hidden_size)
        )

    def _centred(self, input_ids: torch.Tensor) -> torch.Tensor:
        """One-hot letters (B, 4kL) less their mean; unknown letters are the mean, and so zero."""
        letters = self.letters[input_ids]  # (B, L, 4k)
        known = letters.sum(-1, keepdim=True) > 0
        return ((letters - self.mean) * known).flatten(1)

    @torch.no_grad()
    def fit_components(self, input_ids: torch.Tensor) -> float:
        """Set the principal components from the barcodes (N, L) of a training set.

        Returns:
            The share of the variance that they hold.
        """
        letters = self.letters[input_ids]
        known = (letters.sum(-1, keepdim=True) > 0).sum(0).clamp(min=1)
        self.mean.copy_(letters.sum(0) / known)
        centred = self._centred(input_ids)
        variances, vectors = torch.linalg.eigh((centred.T @ centred).double() / len(centred))  # ascending
        kept = self.components.shape[1]
        held = variances[-kept:] > 1e-5 * variances[-1]  # fewer barcodes than components leave empty ones
        self.components.copy_(torch.where(held, vectors[:, -kept:] * variances[-kept:].abs().rsqrt(), 0.0))
        return (variances[-kept:].sum() / variances.sum()).item()

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Token ids (B, L) -> (B, D)."""
        return self.mlp(self._centred(input_ids) @ self.components)


class BarcodeConditioner(ModelMixin, ConfigMixin):
    """BERT over `[environment token, DNA tokens]`.

    Args:
        vocab_size: size of the k-mer tokenizer's vocabulary.
        max_tokens: longest sequence of DNA tokens.
        hidden_size: width D of the encoder and of the condition.
        num_layers: BERT layers.
        num_heads: attention heads of a layer.
        dropout: dropout inside BERT.
        context: `"pooled"` or `"tokens"`, see the module's docstring.
        environment: whether a locality conditions the picture at all.
        sketch_components: principal components of the sequence sketch; 0 leaves it out, as in the paper.
        k: letters in a token, which the sketch reads them by.
    """

    @register_to_config
    def __init__(
        self,
        vocab_size: int = 259,
        max_tokens: int = 165,
        hidden_size: int = 256,
        num_layers: int = 4,
        num_heads: int = 4,
        dropout: float = 0.0,
        context: str = "tokens",
        environment: bool = True,
        sketch_components: int = 0,
        k: int = 4,
    ):
        super().__init__()
        config = BertConfig(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=4 * hidden_size,
            max_position_embeddings=max_tokens + 1,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        self.environment_encoder = EnvironmentEncoder(hidden_size) if environment else None
        self.sketch = (
            SequenceSketch(k, max_tokens, sketch_components, hidden_size) if sketch_components else None
        )
        self.null_token = nn.Parameter(torch.randn(hidden_size) * hidden_size**-0.5)

    def forward(self, input_ids: torch.Tensor, locality: torch.Tensor) -> Condition:
        """Encode barcodes and places.

        Args:
            input_ids: DNA tokens (B, L).
            locality: unit vectors (B, 3) of `g2pdiff.models.locality.geodesic`.

        Returns:
            The pooled condition (B, D) and the context: (B, 1, D), or (B, 1 + L, D), a token longer with a
            sketch.
        """
        embeds = self.bert.embeddings.word_embeddings(input_ids)  # (B, L, D)
        if self.environment_encoder is not None:
            embeds = torch.cat([self.environment_encoder(locality), embeds], dim=1)  # (B, 1 + L, D)
        hidden = self.bert(inputs_embeds=embeds).last_hidden_state
        pooled = hidden.mean(1)
        if self.sketch is not None:
            sketch = self.sketch(input_ids)
            pooled, hidden = pooled + sketch, torch.cat([sketch[:, None], hidden], dim=1)
        return Condition(pooled, pooled[:, None] if self.config.context == "pooled" else hidden)

    def null(self, like: Condition) -> Condition:
        """The learned empty condition of classifier-free guidance (Ho & Salimans 2022), shaped as `like`."""
        return Condition(self.null_token.expand_as(like.pooled), self.null_token.expand_as(like.context))
