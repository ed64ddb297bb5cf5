"""Loading of a saved pipeline: the same pictures as before it was saved, and old names of modules."""

from __future__ import annotations

from typing import Any, Self

import torch
from diffusers import DiffusionPipeline

# The modules that `model_index.json` names in older checkpoints, and where they are now.
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
        """Read `model_index.json` as diffusers does, with today's name for each of `MOVED_MODULES`."""
        loaded = super().load_config(*args, **kwargs)
        config = loaded[0] if isinstance(loaded, tuple) else loaded
        for part in config.values():
            if isinstance(part, list):  # the module and the class of a part
                part[0] = MOVED_MODULES.get(part[0], part[0])
        return loaded

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """Load as diffusers does, then move every weight to aligned memory, and every number to one type.

        Loaded tensors point into the file at any byte; the CPU's kernels for such addresses differ in the
        last bit, and a reloaded pipeline would not repeat a picture exactly. Buffers that are not stored stay
        as they were made, whatever `dtype` was asked for: they follow the part that they belong to.
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
