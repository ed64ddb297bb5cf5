"""One run as a visitor asked for it: checked before it is queued, then streamed, named and written down."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from g2pdiff.checks import check_rate, check_scale, check_seed, check_steps
from g2pdiff.environment import check_locality
from g2pdiff.genotype import Barcode
from g2pdiff.ui.examples import names

if TYPE_CHECKING:
    from g2pdiff.pipeline import DenoisingStep, G2PDiffusionPipeline

SHOWN = 512  # pictures are shown at this many pixels, enlarged here because JPEG is kinder to large pictures


@dataclass(frozen=True)
class Run:
    """Checked settings of one run; None stands for the checkpoint's default."""

    given: Barcode  # as typed
    barcode: Barcode  # after mutation
    latitude: float
    longitude: float
    mutation_rate: float
    seed: int
    steps: int | None
    guidance_scale: float | None
    alignment_scale: float | None

    @classmethod
    def check(
        cls, barcode, latitude, longitude, mutation_rate, seed, steps, guidance_scale, alignment_scale
    ) -> Run:
        """Check everything a visitor gave; raises the `InputError` of the first thing that is wrong.

        The seed chooses both the noise and the mutated sites.
        """
        given = Barcode.parse(barcode)
        latitude, longitude = check_locality(latitude, longitude)
        rate, seed = check_rate("mutation_rate", mutation_rate), check_seed(seed)
        return cls(
            given=given,
            barcode=given.mutate(rate, seed),
            latitude=latitude,
            longitude=longitude,
            mutation_rate=rate,
            seed=seed,
            steps=given_or_default(check_steps, steps),
            guidance_scale=given_or_default(partial(check_scale, "guidance_scale"), guidance_scale),
            alignment_scale=given_or_default(partial(check_scale, "alignment_scale"), alignment_scale),
        )

    def stream(self, pipe: G2PDiffusionPipeline) -> Iterator[DenoisingStep]:
        return pipe.stream(
            self.barcode,
            self.latitude,
            self.longitude,
            seed=self.seed,
            num_inference_steps=self.steps,
            guidance_scale=self.guidance_scale,
            alignment_scale=self.alignment_scale,
        )

    @property
    def settings(self) -> dict:
        """Everything needed to do this run again."""
        return {
            "barcode": self.given.sequence,
            "latitude": self.latitude,
            "longitude": self.longitude,
            "mutation_rate": self.mutation_rate,
            "seed": self.seed,
            "steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "alignment_scale": self.alignment_scale,
        }

    @property
    def title(self) -> str:
        """The species, where the barcode is an example's; else the FASTA header; else empty."""
        return names().get(self.given.sequence) or self.given.name

    @property
    def file_name(self) -> str:
        """Such as `Vanessa-cardui_56.60_11.30_mutated10_seed0.png`: nothing typed but letters and digits."""
        title = re.sub(r"[^A-Za-z0-9]+", "-", self.title).strip("-")[:40] or "barcode"
        mutated = f"_mutated{self.mutation_rate:.0%}".rstrip("%") if self.mutation_rate else ""
        return f"{title}_{self.latitude:.2f}_{self.longitude:.2f}{mutated}_seed{self.seed}.png"


def given_or_default(check, value):
    """The checked value; None, which stands for the checkpoint's default, as it is."""
    return None if value is None else check(value)


def enlarge(picture: Image.Image) -> Image.Image:
    return picture.resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)


def download_link(run: Run, picture: Image.Image) -> str:
    """A link that saves the picture at its own size as PNG, with the settings inside; it needs no file."""
    info = PngInfo()
    info.add_text("Title", "Specimen drawn by G2PDiffusion; not a photograph")
    info.add_text("Comment", json.dumps(run.settings))
    png = io.BytesIO()
    picture.save(png, "PNG", pnginfo=info)
    data = base64.b64encode(png.getvalue()).decode()
    return (
        f'<a class="download" download="{run.file_name}" href="data:image/png;base64,{data}">'
        f"Download picture ({picture.width} x {picture.height} PNG)</a>"
    )
