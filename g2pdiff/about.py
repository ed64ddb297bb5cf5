"""A checkpoint's description for people. Reading it needs no weights.

A checkpoint's folder may hold `about.json`, which `training.assemble` writes. Without it, the checkpoint's
name is that of its folder.
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
    """A checkpoint's description for people.

    Attributes:
        name: its title, such as `European butterflies (photographs)`.
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
        """Return the description that a table of texts holds.

        Raises:
            InputError: field `about`, if it is not a table, has an unknown entry, or has a value that is not
                text.
        """
        if not isinstance(values, dict):
            raise InputError("about", f"About must be a table of texts, not {quoted(values)}.")
        known = [field.name for field in fields(cls)]
        for name, text in values.items():
            if name not in known:
                raise InputError("about", f"About has {quoted(name)}: choose {' or '.join(known)}.")
            if not isinstance(text, str):
                raise InputError("about", f"The {name} in about must be text, not {quoted(text)}.")
        return cls(**values)

    @classmethod
    def read(cls, checkpoint: str | Path) -> About:
        """Return the description in a checkpoint's folder. A folder without one, or a hub id, is its own
        name.

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
        """Write the description into a checkpoint's folder."""
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        (checkpoint / FILE).write_text(text + "\n", encoding="utf-8")


def is_simulated(checkpoint: str | Path) -> bool:
    """Return whether a checkpoint learned from simulated specimens, whose truth is known. The answer is False
    for a hub id and for a folder that cannot be read."""
    return _setting(checkpoint, "truth") == "simulated"


def keeps_size(checkpoint: str | Path) -> bool:
    """Return whether a checkpoint's pictures keep the animal's size; True unless its folder says
    otherwise."""
    return _setting(checkpoint, "whole_frames") is not False


def _setting(checkpoint: str | Path, name: str) -> object:
    """Return a setting of a checkpoint's index; None if the folder does not have it."""
    try:
        return json.loads((Path(checkpoint) / INDEX).read_text())[name]
    except (OSError, ValueError, KeyError, TypeError):
        return None
