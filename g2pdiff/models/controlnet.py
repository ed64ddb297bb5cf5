"""ControlNet with a barcode as hint: a baseline of the comparison, served like any checkpoint.

ControlNet (Zhang et al. 2023) locks a diffusion model. A trainable copy of its encoder steers it from a
picture-like hint. A barcode is not a picture, and the G2PDiffusion paper does not say how it became one. Here
a linear map turns the conditioner's pooled condition c into a coarse map of three channels, which is enlarged
to picture size: a learned layout of the barcode. The condition is that of G2PDiffusion itself. The locked
U-Net and its copy both get the empty condition, so barcode and locality reach the picture through the hint
only.

The copy acts through convolutions that start at zero: an untrained `BarcodeControlNet` changes nothing.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ControlNetModel, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config
from torch import nn

from g2pdiff.models.conditioner import Condition

# Arguments that a ControlNet shares with its U-Net.
_SHARED = (
    "in_channels", "down_block_types", "mid_block_type", "block_out_channels", "layers_per_block",
    "attention_head_dim", "norm_num_groups", "cross_attention_dim", "class_embed_type",
    "projection_class_embeddings_input_dim", "resnet_time_scale_shift",
)  # fmt: skip


class BarcodeControlNet(ModelMixin, ConfigMixin):
    """A hint made from the pooled condition, and diffusers' `ControlNetModel`, which reads it.

    Args:
        condition_size: width D of the pooled condition.
        latent_size: height and width of a latent.
        hint_size: height and width of the hint before it is enlarged.
        embedding_widths: channels of the convolutions that reduce the hint from picture to latent size. Three
            of them have stride 2.
        unet: the arguments that the ControlNet shares with its U-Net.
    """

    config: Any  # diffusers types it as a dict, but its entries are attributes too

    @register_to_config
    def __init__(
        self,
        condition_size: int = 256,
        latent_size: int = 16,
        hint_size: int = 16,
        embedding_widths: tuple[int, ...] = (8, 16, 32, 64),
        unet: dict | None = None,
    ):
        super().__init__()
        self.hint = nn.Linear(condition_size, 3 * hint_size**2)
        self.controlnet = ControlNetModel(
            conditioning_channels=3,
            conditioning_embedding_out_channels=tuple(embedding_widths),
            **(unet or {}),
        )

    @classmethod
    def from_unet(cls, unet: UNet2DConditionModel, condition_size: int, **settings) -> BarcodeControlNet:
        """Return a new ControlNet whose encoder is a copy of a U-Net's encoder.

        Args:
            unet: the U-Net to steer.
            condition_size: width D of the pooled condition.
            settings: `hint_size` and `embedding_widths`.
        """
        shared = {name: unet.config[name] for name in _SHARED}
        model = cls(condition_size, unet.config["sample_size"], unet=shared, **settings)
        for part in ("conv_in", "time_embedding", "class_embedding", "down_blocks", "mid_block"):
            if (source := getattr(unet, part)) is not None:
                getattr(model.controlnet, part).load_state_dict(source.state_dict())
        return model

    def forward(
        self, latents: torch.Tensor, timestep: torch.Tensor, condition: Condition, null: Condition
    ) -> dict:
        """Return the residuals for the U-Net's skip connections and its middle block.

        Args:
            latents: noisy latents (B, C, h, w).
            timestep: scalar or (B,).
            condition: the condition; its pooled part becomes the hint.
            null: the empty condition, which the copy gets as its own.

        Returns:
            Keyword arguments for the U-Net's call.
        """
        size = self.config.hint_size
        hint = self.hint(condition.pooled).unflatten(1, (3, size, size))
        picture = F.interpolate(hint, 8 * self.config.latent_size)  # (B, 3, H, W)
        down, middle = self.controlnet(
            null.beside(latents),
            timestep,
            encoder_hidden_states=null.context,
            controlnet_cond=picture,
            class_labels=null.pooled if self.controlnet.config["class_embed_type"] else None,
            return_dict=False,
        )
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
