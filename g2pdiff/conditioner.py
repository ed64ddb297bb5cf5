"""Environment-enhanced DNA conditioner: a barcode and a place become the condition of the diffusion model.

The input to a BERT encoder is `[environment token, DNA tokens]`. The environment token is an MLP of the
geodesic unit vector of the locality (`g2pdiff.environment`). The mean over all tokens is the pooled condition
c of the paper; what the U-Net's cross-attention sees is a matter of configuration:

- `context="pooled"`: c alone, as the paper prints it. Attention over one token is a constant: the softmax
  has nothing to choose from, so the query and key projections get no gradient.
- `context="tokens"`: the whole encoded sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import BertConfig, BertModel

from g2pdiff.environment import EnvironmentEncoder


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
        self.null_token = nn.Parameter(torch.randn(hidden_size) * hidden_size**-0.5)

    def forward(self, input_ids: torch.Tensor, locality: torch.Tensor) -> Condition:
        """Encode barcodes and places.

        Args:
            input_ids: DNA tokens (B, L).
            locality: unit vectors (B, 3) of `g2pdiff.environment.geodesic`.

        Returns:
            The pooled condition (B, D) and the context (B, 1, D) or (B, 1 + L, D).
        """
        embeds = self.bert.embeddings.word_embeddings(input_ids)  # (B, L, D)
        if self.environment_encoder is not None:
            embeds = torch.cat([self.environment_encoder(locality), embeds], dim=1)  # (B, 1 + L, D)
        hidden = self.bert(inputs_embeds=embeds).last_hidden_state
        pooled = hidden.mean(1)
        return Condition(pooled, pooled[:, None] if self.config.context == "pooled" else hidden)

    def null(self, like: Condition) -> Condition:
        """The learned empty condition of classifier-free guidance (Ho & Salimans 2022), shaped as `like`."""
        return Condition(self.null_token.expand_as(like.pooled), self.null_token.expand_as(like.context))
