"""Loading of a saved pipeline, such that it repeats its pictures exactly and old checkpoints still load."""

from __future__ import annotations

from typing import Any, Self

import torch
from diffusers import DiffusionPipeline

# Modules that `model_index.json` names in older checkpoints, and their names today.
MOVED_MODULES = {
    "g2pdiff.aligner": "g2pdiff.models.aligner",
    "g2pdiff.autoencoder": "g2pdiff.models.autoencoder",
    "g2pdiff.clibd": "g2pdiff.models.clibd",
    "g2pdiff.clibd_official": "g2pdiff.models.clibd_official",
    "g2pdiff.conditioner": "g2pdiff.models.conditioner",
    "g2pdiff.controlnet": "g2pdiff.models.controlnet",
    "g2pdiff.tokenizer": "g2pdiff.dna.tokenizer",
}


class SavedPipeline(DiffusionPipeline):
    """A diffusers pipeline whose checkpoints load after modules were moved, and repeat pictures exactly."""

    config: Any  # diffusers calls it a dict, which hides that its entries are attributes too

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """Read `model_index.json` as diffusers does, and replace the names in `MOVED_MODULES`."""
        loaded = super().load_config(*args, **kwargs)
        config = loaded[0] if isinstance(loaded, tuple) else loaded
        for part in config.values():
            if isinstance(part, list):  # the module and the class of a part
                part[0] = MOVED_MODULES.get(part[0], part[0])
        return loaded

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """Load as diffusers does, then move all weights to aligned memory and all buffers to their part's
        dtype.

        Loaded tensors point to any byte of the file. The CPU's results differ in the last bit for such
        addresses, and a reloaded pipeline would not repeat a picture exactly. Diffusers does not convert
        buffers that are not stored to the `dtype` that was asked for, so this is done here.
        """
        pipeline = super().from_pretrained(*args, **kwargs)
        for part in pipeline.components.values():
            if isinstance(part, torch.nn.Module):
                for tensor in (*part.parameters(), *part.buffers()):
                    tensor.data = tensor.data.clone()
                stored = part.state_dict().keys()
                for name, buffer in part.named_buffers():
                    if name not in stored and buffer.is_floating_point():
                        buffer.data = buffer.data.to(next(part.parameters()).dtype)
        return pipeline
