"""The aligner measures how well a *noisy* latent agrees with a condition.

A small transformer reads the noisy latent z_t in patches. A learned row of a timestep table replaces the
class token, as in GLIDE's noised CLIP (Nichol et al. 2022): it tells the model the noise level. The output is
compared with the condition c in a shared contrastive space. The negatives come from the reference bank: the
conditions of known barcodes, stored with the weights. This gives log p(c | z_t) even for a single picture.
Without negatives the softmax would have one entry, and its gradient would be exactly zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import nn


class LatentAligner(ModelMixin, ConfigMixin):
    """Contrastive model of noisy latents and conditions, g_phi of the paper's Eq. 9.

    Args:
        latent_channels: channels of a latent.
        latent_size: height and width of a latent.
        condition_size: width of the pooled condition.
        patch_size: latent pixels along the side of a patch.
        hidden_size: width of the transformer.
        num_layers: layers of the transformer.
        num_heads: attention heads per layer.
        embed_size: width of the contrastive space.
        num_train_timesteps: rows of the timestep table.
        bank_size: number of conditions in the reference bank.
    """

    config: Any  # diffusers types it as a dict, but its entries are attributes too

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        latent_size: int = 16,
        condition_size: int = 256,
        patch_size: int = 2,
        hidden_size: int = 192,
        num_layers: int = 4,
        num_heads: int = 4,
        embed_size: int = 128,
        num_train_timesteps: int = 1000,
        bank_size: int = 512,
    ):
        super().__init__()
        patches = (latent_size // patch_size) ** 2
        self.patch_embed = nn.Conv2d(latent_channels, hidden_size, patch_size, patch_size)
        self.position = nn.Parameter(torch.randn(1, patches, hidden_size) * 0.02)
        self.timestep_table = nn.Embedding(num_train_timesteps, hidden_size)
        layer = nn.TransformerEncoderLayer(
            hidden_size, num_heads, 4 * hidden_size, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, num_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(hidden_size)
        self.latent_head = nn.Linear(hidden_size, embed_size)
        self.condition_head = nn.Linear(condition_size, embed_size)
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        self.register_buffer("bank", torch.zeros(bank_size, condition_size))

    def latent_features(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Map noisy latents (B, C, H, W) at timesteps (B,) to the transformer's output (B, D)."""
        patches = self.patch_embed(latents).flatten(2).transpose(1, 2) + self.position  # (B, P, D)
        time = self.timestep_table(timestep)[:, None]  # (B, 1, D)
        hidden = self.transformer(torch.cat([time, patches], dim=1))[:, 0]
        return self.norm(hidden)

    def embed_latents(self, latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        """Map noisy latents (B, C, H, W) at timesteps (B,) to unit vectors (B, E)."""
        return F.normalize(self.latent_head(self.latent_features(latents, timestep)), dim=-1)

    def embed_condition(self, pooled: torch.Tensor) -> torch.Tensor:
        """Map pooled conditions (B, D) to unit vectors (B, E)."""
        return F.normalize(self.condition_head(pooled), dim=-1)

    def log_prob_of(self, pooled: torch.Tensor) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Return `log_prob` as a function of latents. Conditions and reference bank are embedded only once.

        Args:
            pooled: pooled conditions (B, D).

        Returns:
            A function of noisy latents (B, C, H, W) and timesteps (B,) -> log-probabilities (B,). A single
            latent, (1, C, H, W) and (1,), is compared with all conditions.
        """
        right, bank = self.embed_condition(pooled), self.embed_condition(self.bank)  # (B, E), (N, E)

        def log_prob(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
            picture = self.logit_scale.exp() * self.embed_latents(latents, timestep)  # (B, E)
            own = (picture * right).sum(-1, keepdim=True)  # (B, 1)
            others = (picture @ bank.T).expand(len(own), -1)  # (B, N)
            return torch.log_softmax(torch.cat([own, others], dim=1), dim=1)[:, 0]

        return log_prob

    def log_prob(self, latents: torch.Tensor, timestep: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        """Return log p(c | z_t): the log-softmax over the right condition and the reference bank (Eq. 9).

        Every row has the same negatives, so a row's value does not depend on the other rows of the batch.

        Args:
            latents: noisy latents (B, C, H, W), or a single one for all conditions.
            timestep: timesteps (B,), or (1,).
            pooled: pooled conditions (B, D).

        Returns:
            Log-probabilities (B,), differentiable in `latents`.
        """
        return self.log_prob_of(pooled)(latents, timestep)

    def forward(self, latents: torch.Tensor, timestep: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, B) of all latents with all conditions, for the contrastive loss."""
        picture = self.embed_latents(latents, timestep)
        return self.logit_scale.exp() * picture @ self.embed_condition(pooled).T
