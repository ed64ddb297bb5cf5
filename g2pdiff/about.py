"""What a checkpoint says of itself to people, read without its weights.

A checkpoint's folder may hold `about.json`, written by `training.assemble`. One without it goes by the name
of its folder.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from g2pdiff.errors import InputError, quoted

FILE = "about.json"
INDEX = "model_index.json"


@dataclass(frozen=True)
class About:
    """What people are told of a checkpoint.

    Attributes:
        name: what it is called, such as `European butterflies (photographs)`.
        description: what it learned from, in one sentence.
        limits: what its pictures can and cannot show.
        credit: who made the pictures that it learned from.
        licence: the terms of its weights.
        barcodes: terms and citation of the barcodes that are shipped with it.
    """

    name: str = ""
    description: str = ""
    limits: str = ""
    credit: str = ""
    licence: str = ""
    barcodes: str = ""

    @classmethod
    def check(cls, values: object) -> About:
        """Return what a table of texts says.

        Raises:
            InputError: field `about`, if it is no table, or something in it is unknown or no text.
        """
        if not isinstance(values, dict):
            raise InputError("about", f"About must be a table of texts, not {quoted(values)}.")
        known = [field.name for field in fields(cls)]
        for name, text in values.items():
            if name not in known:
                raise InputError("about", f"About has {quoted(name)}: choose {' or '.join(known)}.")
            if not isinstance(text, str):
                raise InputError("about", f"About has no text as its {name}, but {quoted(text)}.")
        return cls(**values)

    @classmethod
    def read(cls, checkpoint: str | Path) -> About:
        """Return what a checkpoint's folder says; a folder that says nothing, or a hub id, is its own name.

        Raises:
            InputError: field `checkpoint`, if the file cannot be read.
        """
        path = Path(checkpoint) / FILE
        unnamed = Path(checkpoint).name if Path(checkpoint).is_dir() else str(checkpoint)
        if not path.is_file():
            return cls(name=unnamed)
        try:
            found = cls.check(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, InputError) as error:
            raise InputError("checkpoint", f"{path} cannot be read; copy the checkpoint again.") from error
        return cls(**asdict(found) | {"name": found.name or unnamed})

    def save(self, checkpoint: Path) -> None:
        """Write it into a checkpoint's folder."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (checkpoint / FILE).write_text(text + "\n", encoding="utf-8")


def is_simulated(checkpoint: str | Path) -> bool:
    """Return whether a checkpoint's folder says that it learned from simulated specimens, whose truth is
    known. Of a hub id, or a folder that cannot be read, nothing is known before it is loaded."""
    return _setting(checkpoint, "truth") == "simulated"


def keeps_size(checkpoint: str | Path) -> bool:
    """Return whether a checkpoint's pictures keep an animal's size, as far as its folder says."""
    return _setting(checkpoint, "whole_frames") is not False


def _setting(checkpoint: str | Path, name: str) -> object:
    """Return a setting of a checkpoint's index; None where the folder does not say."""
    try:
        return json.loads((Path(checkpoint) / INDEX).read_text())[name]
    except (OSError, ValueError, KeyError, TypeError):
        return None
