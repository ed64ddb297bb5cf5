"""The picture that a visitor finds before anything is drawn: the checkpoint's first example.

It is drawn when a checkpoint is assembled, and lies in its folder as `arrival.png`, which says inside what it
was drawn from.

    python -m g2pdiff.arrival assets/butterflies

draws it for a checkpoint that has none.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from g2pdiff.built_in import EXAMPLES
from g2pdiff.spreadsheets import read_csv

if TYPE_CHECKING:
    from g2pdiff.pipeline import G2PDiffusionPipeline

FILE = "arrival.png"
COMMENT = "Comment"  # keyword of PNG's text


@dataclass(frozen=True)
class Arrival:
    """A picture of a checkpoint's first example, drawn from the noise of seed 0."""

    picture: Image.Image
    species: str
    latitude: float
    longitude: float
    clibd_score: float | None

    @classmethod
    def draw(cls, pipe: G2PDiffusionPipeline, folder: Path) -> Arrival:
        """Draw the first example of a checkpoint's folder, or of the table for all, at the defaults."""
        own = folder / EXAMPLES.name
        first = read_csv((own if own.is_file() else EXAMPLES).read_bytes())[0]
        place = float(first["latitude"]), float(first["longitude"])
        drawn = pipe(first["dna_barcode"], *place, seed=0)
        score = drawn.clibd_scores[0] if drawn.clibd_scores else None
        return cls(drawn.images[0], first["name"], *place, score)

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint's folder."""
        told = {
            "species": self.species,
            "latitude": self.latitude,
            "longitude": self.longitude,
            "clibd_score": self.clibd_score,
        }
        info = PngInfo()
        info.add_text(COMMENT, json.dumps(told))
        self.picture.save(folder / FILE, pnginfo=info)

    @classmethod
    def read(cls, folder: str | Path) -> Arrival | None:
        """Return the one of a checkpoint's folder; None if there is none, or it is damaged."""
        try:
            with Image.open(Path(folder) / FILE) as picture:
                picture.load()
                return cls(picture.copy(), **json.loads(picture.info[COMMENT]))
        except (OSError, UnidentifiedImageError, KeyError, TypeError, ValueError):
            return None


def main(folders: list[str]) -> None:
    """Draw the pictures of checkpoints."""
    from g2pdiff.checkpoint import load_pipeline

    for folder in folders:
        Arrival.draw(load_pipeline(folder), Path(folder)).save(Path(folder))


if __name__ == "__main__":
    main(sys.argv[1:])
