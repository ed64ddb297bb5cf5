"""Environment-enhanced DNA conditioner: turns a barcode and a locality into the condition of the diffusion
model.

The input to a BERT encoder is `[environment token, DNA tokens]`. The environment token is an MLP of the
geodesic unit vector of the locality (`g2pdiff.models.locality`). The mean over all tokens is the pooled
condition c of the paper. The configuration chooses the context that the U-Net's cross-attention sees:

- `context="pooled"`: c alone, as the paper prints it. Attention over one token is a constant: the softmax
  has nothing to choose from, so the query and key projections get no gradient.
- `context="tokens"`: the whole encoded sequence.

An untrained BERT learns slowly how the bases of a barcode act together. The embedded model sees tens of
thousands of barcodes, not millions. So it also has a sketch of the sequence: principal components of the
one-hot barcodes, in closed form, and a small MLP. The sketch is added to the pooled condition, and it is the
first token of the context.

With a `latent_shape` the conditioner also predicts the picture before any denoising: it regresses the mean
latent from the pooled condition and the locality. The U-Net reads it as further channels beside the noisy
latent, so it need not work out positions from a vector alone. The paper has no mean latent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn
from transformers import BertConfig, BertModel

from g2pdiff.dna.tokenizer import SPECIAL_TOKENS
from g2pdiff.models.locality import EnvironmentEncoder


@dataclass
class Condition:
    """The conditioner's output for a batch of barcodes and localities."""

    pooled: torch.Tensor  # (B, D), the paper's c
    context: torch.Tensor  # (B, 1, D) or (B, 1 + L, D), for cross-attention
    mean_latent: torch.Tensor | None = None  # (B, C, h, w), if the conditioner regresses one

    def _map(self, function: Callable[..., torch.Tensor], *others: Condition) -> Condition:
        """Apply a function to each tensor, together with the same tensors of other conditions."""
        values: dict[str, Any] = {}
        for name in (field.name for field in fields(self)):
            row = [getattr(one, name) for one in (self, *others)]
            values[name] = None if row[0] is None else function(*row)
        return Condition(**values)

    def __getitem__(self, index: Any) -> Condition:
        return self._map(lambda tensor: tensor[index])

    def to(self, dtype: torch.dtype) -> Condition:
        """Return the condition in another precision."""
        return self._map(lambda tensor: tensor.to(dtype))

    def cpu(self) -> Condition:
        """Return the condition in the machine's memory."""
        return self._map(lambda tensor: tensor.cpu())

    def repeat(self, times: int) -> Condition:
        """Repeat each barcode `times` times: (B, ...) -> (B * times, ...)."""
        return self._map(lambda tensor: tensor.repeat_interleave(times, 0))

    def where(self, chosen: torch.Tensor, other: Condition) -> Condition:
        """Return this condition's rows where `chosen` (B,) is true, and another condition's rows
        elsewhere."""
        return self._map(
            lambda ours, theirs: torch.where(chosen.view(-1, *[1] * (ours.ndim - 1)), ours, theirs), other
        )

    def beside(self, latents: torch.Tensor) -> torch.Tensor:
        """Return the U-Net's input: noisy latents (B, C, h, w), with the mean latent as further channels."""
        if self.mean_latent is None:
            return latents
        return torch.cat([latents, self.mean_latent.to(latents.dtype)], dim=1)

    @staticmethod
    def cat(conditions: list[Condition]) -> Condition:
        """Join conditions to one batch."""
        first, *others = conditions
        return first._map(lambda *tensors: torch.cat(tensors), *others)


class SequenceSketch(nn.Module):
    """Whitened principal components of one-hot barcodes, then an MLP to the condition's width.

    Args:
        k: letters per token.
        max_tokens: tokens per framed barcode.
        components: principal components.
        hidden_size: width D of the condition.
    """

    letters: torch.Tensor
    mean: torch.Tensor
    components: torch.Tensor

    def __init__(self, k: int, max_tokens: int, components: int, hidden_size: int):
        super().__init__()
        digits = torch.cartesian_prod(*[torch.arange(4)] * k).reshape(
            -1, k
        )  # (4**k, k), in the order of the tokens
        letters = torch.cat([torch.zeros(len(SPECIAL_TOKENS), k, 4), F.one_hot(digits, 4).float()])
        self.register_buffer("letters", letters.flatten(1), persistent=False)  # (V, 4k), zeros where unknown
        self.register_buffer("mean", torch.zeros(max_tokens, 4 * k))
        self.register_buffer("components", torch.zeros(max_tokens * 4 * k, components))
        self.mlp = nn.Sequential(
            nn.Linear(components, 2 * hidden_size), nn.SiLU(), nn.Linear(2 * hidden_size, hidden_size)
        )

    def _centred(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return one-hot letters (B, 4kL) minus their mean. Unknown letters count as the mean, so they are
        zero."""
        letters = self.letters[input_ids].to(self.mean.dtype)  # (B, L, 4k)
        known = letters.sum(-1, keepdim=True) > 0
        return ((letters - self.mean) * known).flatten(1)

    @torch.no_grad()
    def fit_components(self, input_ids: torch.Tensor) -> float:
        """Compute the principal components of the barcodes (N, L) of a training set.

        Returns:
            The share of the variance that they explain.
        """
        letters = self.letters[input_ids]
        known = (letters.sum(-1, keepdim=True) > 0).sum(0).clamp(min=1)
        self.mean.copy_(letters.sum(0) / known)
        centred = self._centred(input_ids)
        kept = self.components.shape[1]
        if len(centred) < centred.shape[1]:  # the smaller of two matrices with the same variances
            variances, within = torch.linalg.eigh((centred @ centred.T).double() / len(centred))  # ascending
            vectors = centred.T.double() @ within[:, -kept:]
            vectors = F.pad(F.normalize(vectors, dim=0), (kept - vectors.shape[1], 0))
            variances = F.pad(variances, (max(0, kept - len(variances)), 0))
        else:
            variances, vectors = torch.linalg.eigh((centred.T @ centred).double() / len(centred))
        vectors = vectors[:, -kept:]
        held = variances[-kept:] > 1e-5 * variances[-1]  # too few barcodes leave components empty
        self.components.copy_(torch.where(held, vectors * variances[-kept:].abs().rsqrt(), 0.0))
        return (variances[-kept:].sum() / variances.sum()).item()

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Map token ids (B, L) to sketches (B, D)."""
        return self.mlp(self.principal(input_ids))

    def principal(self, input_ids: torch.Tensor) -> torch.Tensor:
        """Return principal components (B, components) of token ids (B, L). Those of the mean barcode are
        zero."""
        return self._centred(input_ids) @ self.components


class MeanLatentHead(nn.Module):
    """An MLP from the pooled condition and the locality to the mean latent of their pictures.

    Args:
        condition_size: width D of the condition.
        latent_shape: (C, h, w) of a latent.
        hidden_size: width of the hidden layers.
    """

    def __init__(self, condition_size: int, latent_shape: tuple[int, int, int], hidden_size: int):
        super().__init__()
        self.latent_shape = tuple(latent_shape)
        self.mlp = nn.Sequential(
            nn.LayerNorm(condition_size + 3),
            nn.Linear(condition_size + 3, 2 * hidden_size),
            nn.SiLU(),
            nn.Linear(2 * hidden_size, hidden_size),
            nn.SiLU(),
            nn.Linear(hidden_size, math.prod(self.latent_shape)),
        )

    def forward(self, pooled: torch.Tensor, locality: torch.Tensor) -> torch.Tensor:
        """Map conditions (B, D) and unit vectors (B, 3) to mean latents (B, C, h, w)."""
        joined = torch.cat([pooled, locality.to(pooled.dtype)], dim=1)
        return self.mlp(joined).unflatten(1, self.latent_shape)


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
        environment: whether the locality conditions the picture.
        sketch_components: principal components of the sequence sketch; 0 means no sketch, as in the paper.
        k: letters per token, for the sketch.
        latent_shape: (C, h, w) of the mean latent; None means no mean latent, as in the paper.
    """

    config: Any  # diffusers types it as a dict, but its entries are attributes too

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
        latent_shape: tuple[int, int, int] | None = None,
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
        self.mean_latent_head = (
            MeanLatentHead(hidden_size, latent_shape, hidden_size) if latent_shape else None
        )
        self.null_token = nn.Parameter(torch.randn(hidden_size) * hidden_size**-0.5)

    def forward(self, input_ids: torch.Tensor, locality: torch.Tensor) -> Condition:
        """Encode barcodes and localities.

        Args:
            input_ids: DNA tokens (B, L).
            locality: unit vectors (B, 3) of `g2pdiff.models.locality.geodesic`.

        Returns:
            The condition: pooled (B, D), context (B, 1, D) or (B, 1 + L, D), with one more token for a
            sketch, and mean latent (B, C, h, w) if there is a head for it.
        """
        return self.join(*self.encode(input_ids, locality), locality)

    def join(self, hidden: torch.Tensor, sketch: torch.Tensor | None, locality: torch.Tensor) -> Condition:
        """Join the two outputs of `encode`, for localities (B, 3), to the condition that `forward`
        returns."""
        pooled = hidden.mean(1)
        if sketch is not None:
            pooled, hidden = pooled + sketch, torch.cat([sketch[:, None], hidden], dim=1)
        return Condition(
            pooled,
            pooled[:, None] if self.config.context == "pooled" else hidden,
            self.mean_latent_head(pooled, locality) if self.mean_latent_head is not None else None,
        )

    def encode(
        self, input_ids: torch.Tensor, locality: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Encode barcodes and localities. Return the two parts of the condition.

        Args:
            input_ids: DNA tokens (B, L).
            locality: unit vectors (B, 3).

        Returns:
            BERT's output (B, 1 + L, D), and the sketch (B, D) or None.
        """
        embeds = self.bert.embeddings.word_embeddings(input_ids)  # (B, L, D)
        if self.environment_encoder is not None:
            embeds = torch.cat([self.environment_encoder(locality), embeds], dim=1)  # (B, 1 + L, D)
        hidden = self.bert(inputs_embeds=embeds).last_hidden_state
        return hidden, self.sketch(input_ids) if self.sketch is not None else None

    def null(self, like: Condition) -> Condition:
        """Return the empty condition of classifier-free guidance (Ho & Salimans 2022), shaped as `like`.

        Its token is learned. Its mean latent is zero, the mean of all latents.
        """
        return Condition(
            self.null_token.expand_as(like.pooled),
            self.null_token.expand_as(like.context),
            None if like.mean_latent is None else torch.zeros_like(like.mean_latent),
        )
