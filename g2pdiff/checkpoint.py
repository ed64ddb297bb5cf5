"""Loading of a checkpoint from a folder or the Hub. One clear sentence says what is wrong with it."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import torch
from diffusers import ModelMixin
from diffusers.utils import logging
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open

from g2pdiff.about import About
from g2pdiff.built_in import list_checkpoints
from g2pdiff.errors import InputError
from g2pdiff.models.checkpoint_names import named_checkpoints
from g2pdiff.pipeline import G2PDiffusionPipeline

_VARIANT = re.compile(r"[^.]+(?:\.([\w-]+?))??(?:-\d+-of-\d+)?\.safetensors")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def resolve_checkpoint(source: str | Path | None = None) -> Path:
    """Return the local folder of a checkpoint. A hub id is fetched from the Hub.

    Args:
        source: folder, hub id (`owner/name`), or short name of a built-in one, such as `checkpoint`; by
            default the first of `named_checkpoints`.

    Raises:
        InputError: field `checkpoint`, if there is no such folder, or the Hub does not deliver it.
    """
    source = source or named_checkpoints()[0]
    if Path(source).is_dir():
        return Path(source)
    built_in = {folder.name: folder for folder in list_checkpoints()}
    if source in built_in:
        return built_in[str(source)]
    if not _HUB_ID.fullmatch(str(source)):
        raise InputError("checkpoint", f"There is no checkpoint folder {source}; give a folder or a hub id.")
    try:
        return Path(snapshot_download(str(source)))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise InputError(
            "checkpoint",
            f"The checkpoint {source} is neither a folder here nor could it be fetched from the Hub; "
            "check the name and the network.",
        ) from error


def check_checkpoint(folder: Path) -> None:
    """Refuse a folder that is not a complete G2PDiffusion checkpoint, before any weights are read."""
    index = folder / "model_index.json"
    if not index.is_file():
        raise InputError("checkpoint", f"{folder} is not a checkpoint: it has no model_index.json.")
    try:
        parts = json.loads(index.read_text())
        kind = parts["_class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("checkpoint", f"{index} cannot be read; copy the checkpoint again.") from error
    if kind != G2PDiffusionPipeline.__name__:
        raise InputError(
            "checkpoint",
            f"{folder} holds a {kind}, not a {G2PDiffusionPipeline.__name__}; choose another folder.",
        )
    _check_known(folder, "model_index.json", parts, G2PDiffusionPipeline)
    About.read(folder)
    for name, value in parts.items():
        if isinstance(value, list) and len(value) == 2 and value[0] and not (folder / name).is_dir():
            raise InputError(
                "checkpoint", f"The checkpoint {folder} is incomplete: it lacks the folder {name}."
            )
    for shards in folder.glob("*/*.safetensors.index*.json"):
        try:
            listed = set(json.loads(shards.read_text())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError("checkpoint", f"{shards} cannot be read; copy the checkpoint again.") from error
        for shard in listed:
            if not (shards.parent / shard).is_file():
                raise InputError(
                    "checkpoint",
                    f"The checkpoint {folder} is incomplete: it lacks {shards.parent.name}/{shard}.",
                )


def _check_known(folder: Path, where: str, settings: dict, kind: type) -> None:
    """Refuse settings that a class does not have. Diffusers would silently drop them."""
    known = inspect.signature(kind.__init__).parameters
    if unknown := sorted(name for name in settings if not name.startswith("_") and name not in known):
        raise InputError(
            "checkpoint",
            f"The checkpoint {folder} comes from a newer version: {where} has {unknown[0]}, which is unknown "
            "here; update this program, or choose another checkpoint.",
        )


def check_weights(folder: Path, name: str, part: ModelMixin) -> None:
    """Refuse files whose weights do not fit their part. Diffusers would only warn, and use random weights."""
    _check_known(folder, f"{name}/config.json", part.config, type(part))
    stored = set()
    for file in (folder / name).glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            stored |= set(weights.keys())
    if other := sorted(stored ^ set(part.state_dict())):
        said = "has" if other[0] in stored else "lacks"
        raise InputError(
            "checkpoint",
            f"The checkpoint {folder} does not fit this version, or is damaged: {name} {said} the weights "
            f"{other[0]}; copy it again, or update this program.",
        )


def check_fit(folder: Path, pipeline: G2PDiffusionPipeline) -> None:
    """Refuse parts that do not fit each other, such as a U-Net and an autoencoder with other channels."""
    unet, aligner = pipeline.unet.config, pipeline.aligner and pipeline.aligner.config
    shape = (
        pipeline.conditioner.config.latent_shape
    )  # channels of the mean latent, which the U-Net also reads
    beside = shape[0] if shape else 0
    latent = {"unet": unet.in_channels - beside, "vae": pipeline.vae.config.latent_channels}
    size, condition = {"unet": unet.sample_size}, {"conditioner": pipeline.conditioner.config.hidden_size}
    if isinstance(unet.cross_attention_dim, int):
        condition["unet"] = unet.cross_attention_dim
    if shape:
        latent["conditioner"], size["conditioner"] = shape[0], shape[-1]
    if aligner:
        latent["aligner"], size["aligner"] = aligner.latent_channels, aligner.latent_size
        condition["aligner"] = aligner.condition_size
    kinds = {"number of latent channels": latent, "height of latents": size, "width of conditions": condition}
    for what, of_parts in kinds.items():
        if len(set(of_parts.values())) > 1:
            told = ", ".join(f"{number} of the {part}" for part, number in of_parts.items())
            raise InputError(
                "checkpoint",
                f"The parts of the checkpoint {folder} come from different models: the {what} is {told}; "
                "copy it again whole.",
            )


def variant_of(folder: Path) -> str | None:
    """Return the variant of a checkpoint's weights, such as `fp16`; None if they have none."""
    named: dict[Path, set[str | None]] = {}
    for file in folder.glob("*/*.safetensors"):
        if found := _VARIANT.fullmatch(file.name):
            named.setdefault(file.parent, set()).add(found[1])
    variants = {name for names in named.values() if None not in names for name in names if name}
    return min(variants, default=None)


def check_finite(folder: Path, name: str, part: torch.nn.Module) -> None:
    """Refuse weights that are not finite numbers: every picture drawn with them would be black."""
    for weights, tensor in part.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(
                "checkpoint",
                f"The checkpoint {folder} has weights that are not finite numbers ({name}, {weights}): train "
                "it again with a lower learning rate, or choose another checkpoint.",
            )


def load_pipeline(source: str | Path | None = None) -> G2PDiffusionPipeline:
    """Load a checkpoint for inference: float32 and channels last, which is fast and safe on a CPU.

    >>> from g2pdiff.built_in import example_barcode
    >>> pipeline = load_pipeline()
    >>> picture = pipeline(example_barcode(), latitude=40.9, longitude=13.0, seed=0).images[0]
    >>> picture.mode
    'RGB'

    Args:
        source: folder or hub id; by default the first of `named_checkpoints`.

    Raises:
        InputError: field `checkpoint`, if it is missing, incomplete, damaged or of another kind.
    """
    folder = resolve_checkpoint(source)
    check_checkpoint(folder)
    logging.disable_progress_bar()
    try:
        pipeline = G2PDiffusionPipeline.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            variant=variant_of(folder),
        )
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, SafetensorError) as error:
        raise InputError(
            "checkpoint", f"The checkpoint {folder} is damaged or incomplete; copy or train it again."
        ) from error
    for name, part in pipeline.components.items():
        if isinstance(part, ModelMixin):
            check_weights(folder, name, part)
        if isinstance(part, torch.nn.Module):
            check_finite(folder, name, part)
    check_fit(folder, pipeline)
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.unet, pipeline.vae, pipeline.clibd):
        if part is not None:
            part.to(memory_format=torch.channels_last)
    return pipeline
