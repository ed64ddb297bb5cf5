"""Published weights: reading of a file, and one sentence if it does not fit.

The conditioner's encoder can start from BarcodeBERT (Arias et al. 2023). Its files come in two generations,
with `[MASK] [UNK]` or `<MASK> <CLS> <UNK>` before the k-mers. Both order the k-mers as
`g2pdiff.dna.tokenizer` does.
"""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from g2pdiff.dna.tokenizer import SPECIAL_TOKENS
from g2pdiff.errors import InputError
from g2pdiff.models.conditioner import BarcodeConditioner

BARCODEBERT = "bioscan-ml/BarcodeBERT"
"""Hub id of the published encoder."""

BARCODEBERT_SPECIALS = {2: ("[MASK]", "[UNK]"), 3: ("[MASK]", "[CLS]", "[UNK]")}
"""The special tokens before the k-mers, by their number."""

_NOT_OF_THE_ENCODER = ("classifier.", "cls.", "pooler.", "embeddings.position_ids")


def read_weights(path: Path, field: str, source: str) -> tuple[dict[str, torch.Tensor], dict]:
    """Read a safetensors file or a pickle of tensors. No code in a pickle is run.

    Args:
        path: the file.
        field: field of the `InputError`.
        source: hub id of a repository with such a file, for the message.

    Returns:
        Tensors by name in float32, without the prefix `module.` of a parallel run, and the file's other
        entries beside its `model`.

    Raises:
        InputError: `field`, if there is no such file, or it holds no weights.
    """
    if not path.is_file():
        raise InputError(field, f"There is no file {path}; download it from huggingface.co/{source}.")
    try:
        if path.suffix == ".safetensors":
            saved: dict[str, Any] = dict(load_file(path))
        else:
            # BarcodeBERT's training stores its command line, a Namespace, beside the weights.
            with torch.serialization.safe_globals([Namespace]):
                saved = torch.load(path, map_location="cpu", weights_only=True)
        weights = saved.get("model", saved)
        weights = {name.removeprefix("module."): tensor.float() for name, tensor in weights.items()}
    except (OSError, RuntimeError, EOFError, AttributeError, UnpicklingError, SafetensorError) as error:
        raise InputError(
            field, f"{path} cannot be read as weights; download it again from huggingface.co/{source}."
        ) from error
    return weights, saved if weights is not saved else {}


def check_weights(
    found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], field: str, path: Path, name: str
) -> None:
    """Refuse weights whose names or shapes are not those of a model.

    Raises:
        InputError: `field`; the sentence counts the differences and gives an example of each kind.
    """
    has, wants = [{key: tuple(tensor.shape) for key, tensor in state.items()} for state in (found, expected)]
    faults = [
        ("it lacks {}", sorted(wants.keys() - has.keys())),
        ("it has {} that are unknown", sorted(has.keys() - wants.keys())),
        (
            "it has {} of another shape",
            sorted(k for k in has.keys() & wants.keys() if has[k] != wants[k]),
        ),
    ]
    told = [f"{fault.format(len(keys))}, such as {keys[0]}" for fault, keys in faults if keys]
    if told:
        raise InputError(field, f"{path} does not hold the weights of {name}: {', and '.join(told)}.")


def _barcodebert_file(source: Path) -> Path:
    """Return the weights file in a published folder, or the path itself if it is a file."""
    if not source.is_dir():
        return source
    return next((path for path in source.glob("*.safetensors")), source / "pytorch_model.bin")


def start_from_barcodebert(conditioner: BarcodeConditioner, source: str | Path) -> None:
    """Copy BarcodeBERT's weights into the conditioner's encoder.

    Rows of the token table move to this repository's ids. With an environment token in front, a DNA token
    stands one position later than in BarcodeBERT, so the rows of the position table move by one. Positions
    that BarcodeBERT does not know, `[PAD]` and the environment token keep their initial weights. Its
    classifier is left out.

    Args:
        conditioner: a conditioner with the same k, layers, heads and width as BarcodeBERT.
        source: folder of `bioscan-ml/BarcodeBERT`, or a weights file of either generation.

    Raises:
        InputError: field `conditioner_init`, if the file is missing, damaged, or of another model or size.
    """
    field, path = "conditioner_init", _barcodebert_file(Path(source))
    weights, told = read_weights(path, field, BARCODEBERT)
    config_file = path.parent / "config.json"
    settings = json.loads(config_file.read_text()) if config_file.is_file() else told.get("bert_config", {})
    weights = {name.removeprefix("bert."): tensor for name, tensor in weights.items()}
    weights = {name: w for name, w in weights.items() if not name.startswith(_NOT_OF_THE_ENCODER)}

    state = {name: tensor.clone() for name, tensor in conditioner.bert.state_dict().items()}
    words, positions = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"
    tables = {name: weights[name] for name in (words, positions) if name in weights}  # of any length
    check_weights(
        weights,
        state | tables,
        field,
        path,
        f"BarcodeBERT with {conditioner.config.num_layers} layers, {conditioner.config.hidden_size} wide, as "
        "diffusion.conditioner asks",
    )
    heads = settings.get("num_attention_heads", 12)
    if heads != conditioner.config.num_heads:
        raise InputError(
            field, f"{path} has {heads} attention heads; set diffusion.conditioner.num_heads={heads}."
        )
    k = conditioner.config.k
    specials = BARCODEBERT_SPECIALS.get(len(weights[words]) - 4**k)
    if specials is None:
        raise InputError(
            field,
            f"{path} has {len(weights[words])} tokens, not BarcodeBERT's for k={k}; set diffusion.tokenizer "
            "and diffusion.conditioner to its k.",
        )
    for token in ("[MASK]", "[UNK]"):
        state[words][SPECIAL_TOKENS.index(token)] = weights[words][specials.index(token)]
    state[words][len(SPECIAL_TOKENS) :] = weights[words][len(specials) :]
    first = 0 if conditioner.environment_encoder is None else 1
    count = min(len(weights[positions]), len(state[positions]) - first)
    state[positions][first : first + count] = weights[positions][:count]
    conditioner.bert.load_state_dict(weights | {name: state[name] for name in (words, positions)})
