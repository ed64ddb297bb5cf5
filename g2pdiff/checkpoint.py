"""Loading a checkpoint from a folder or the Hub, with one clear sentence for whatever is wrong with it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import torch
from diffusers.utils import logging
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError

from g2pdiff.errors import InputError
from g2pdiff.pipeline import G2PDiffusionPipeline

DEFAULT_CHECKPOINT = Path(__file__).resolve().parent.parent / "assets" / "checkpoint"
ENVIRONMENT_VARIABLE = "G2PDIFF_CHECKPOINT"

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def resolve_checkpoint(source: str | Path | None = None) -> Path:
    """The local folder of a checkpoint, fetched from the Hub where `source` is a hub id.

    Args:
        source: folder or hub id (`owner/name`); by default `$G2PDIFF_CHECKPOINT`, then the embedded
            checkpoint.

    Raises:
        InputError: there is no such folder, or the Hub does not give it.
    """
    source = source or os.environ.get(ENVIRONMENT_VARIABLE) or DEFAULT_CHECKPOINT
    if Path(source).is_dir():
        return Path(source)
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
    for name, value in parts.items():
        if isinstance(value, list) and len(value) == 2 and value[0] and not (folder / name).is_dir():
            raise InputError(
                "checkpoint", f"The checkpoint {folder} is incomplete: it lacks the folder {name}."
            )
    for shards in folder.glob("*/*.safetensors.index.json"):
        for shard in set(json.loads(shards.read_text())["weight_map"].values()):
            if not (shards.parent / shard).is_file():
                raise InputError(
                    "checkpoint",
                    f"The checkpoint {folder} is incomplete: it lacks {shards.parent.name}/{shard}.",
                )


def load_pipeline(source: str | Path | None = None) -> G2PDiffusionPipeline:
    """Load a checkpoint for inference: float32 and channels last, the fast and safe choice on a CPU.

    Args:
        source: folder or hub id; by default `$G2PDIFF_CHECKPOINT`, then the embedded checkpoint.

    Raises:
        InputError: field `checkpoint`, if it is missing, incomplete, damaged or of another kind.
    """
    folder = resolve_checkpoint(source)
    check_checkpoint(folder)
    logging.disable_progress_bar()
    try:
        pipeline = G2PDiffusionPipeline.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, local_files_only=True
        )
    except (OSError, ValueError, TypeError, RuntimeError, KeyError, SafetensorError) as error:
        raise InputError(
            "checkpoint", f"The checkpoint {folder} is damaged or incomplete; copy or train it again."
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    return pipeline
