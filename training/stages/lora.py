"""Stable Diffusion as a base: its frozen parts, and a low-rank adapter (LoRA) that is trained beside its
U-Net.

A base is a folder or a hub id in diffusers' layout: `unet`, `vae` and `scheduler`. Training does not change
its weights. The learned adapter (Hu et al. 2021) is saved separately, with the name of its base; it has a few
megabytes. For serving, both are fused into an ordinary U-Net: with an adapter attached, `save_pretrained`
writes names that no loader can read.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from diffusers import SchedulerMixin, UNet2DConditionModel
from peft import LoraConfig
from safetensors import SafetensorError

from g2pdiff.errors import InputError
from training.configs.schema import LoraSettings

ADAPTER_FOLDER = "unet_lora"
WEIGHTS_FILE = "pytorch_lora_weights.safetensors"


def load_base(kind: Any, base: str | None, part: str, **changes: Any) -> Any:
    """Load a part of a base.

    Args:
        kind: class of the part. A scheduler's settings fit every scheduler class.
        base: folder or hub id in diffusers' layout.
        part: `unet`, `vae` or `scheduler`.
        changes: changes to the part's configuration.

    Raises:
        InputError: field `base`, if there is no such part, or the Hub does not deliver it.
    """
    weights = {} if issubclass(kind, SchedulerMixin) else {"use_safetensors": True}
    try:
        return kind.from_pretrained(base, subfolder=part, **weights, **changes)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(
            "base",
            f"The base {base} gives no {part}: diffusion.base must be a folder in diffusers' layout with "
            "safetensors, or a hub id that the network reaches.",
        ) from error


def add_adapter(unet: UNet2DConditionModel, settings: LoraSettings, base: str | None) -> None:
    """Freeze a base's U-Net and attach an adapter. Untrained, it changes nothing.

    Raises:
        InputError: field `lora`, if no layer has one of the names.
    """
    unet.requires_grad_(False)
    adapter = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=settings.targets,
        init_lora_weights="gaussian",
    )
    try:
        unet.add_adapter(adapter)
    except ValueError as error:
        raise InputError(
            "lora",
            f"No layer of {base} is named as diffusion.lora.targets says: {', '.join(settings.targets)}.",
        ) from error


def save_adapter(unet: UNet2DConditionModel, folder: Path, base: str) -> None:
    """Write the adapter's weights and, in PEFT's `adapter_config.json`, its settings and its base."""
    unet.save_lora_adapter(folder, weight_name=WEIGHTS_FILE)
    settings = unet.peft_config["default"]
    settings.base_model_name_or_path = base  # diffusers removes it when it attaches an adapter
    settings.save_pretrained(folder)


def load_adapted(folder: Path, latent_size: int) -> UNet2DConditionModel:
    """Return the base's U-Net with a saved adapter attached.

    Args:
        folder: folder of `save_adapter`.
        latent_size: height and width of a latent.

    Raises:
        InputError: field `base`, if the adapter's base cannot be loaded.
    """
    base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
    unet = load_base(UNet2DConditionModel, base, "unet", sample_size=latent_size)
    unet.load_lora_adapter(folder, prefix=None, weight_name=WEIGHTS_FILE)
    return unet


def fuse(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Add the adapter to the weights and remove it; return an ordinary U-Net."""
    unet.fuse_lora()
    unet.unload_lora()
    return unet
