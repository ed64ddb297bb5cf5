"""Which bases matter: a specimen is drawn, then its barcode is occluded codon by codon."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import asdict
from typing import TYPE_CHECKING, ClassVar

from g2pdiff.experiments.generate import Generate

if TYPE_CHECKING:
    from torch import Tensor

    from g2pdiff.analysis.attribution import Attribution, Occlusion
    from g2pdiff.pipeline import G2PDiffusionPipeline


class Bases(Generate):
    """A specimen to draw and explain, see `g2pdiff.analysis.attribution`."""

    name: ClassVar[str] = "bases"
    position: ClassVar[int] = 5
    about: ClassVar[str] = "Draw a specimen, and tell which codons of its barcode the model reads."
    returns: ClassVar[str] = "the picture; the importance of every codon; settings"

    def occlude(self, pipe: G2PDiffusionPipeline, latents: Tensor) -> Generator[Occlusion]:
        """Occlude every codon of the barcode, given the clean latents of its picture (1, C, h, w).

        Raises:
            InputError: field `checkpoint`, if it has no aligner.
        """
        from g2pdiff.analysis.attribution import attributing

        return attributing(pipe, self.mutated, self.latitude, self.longitude, latents)

    def report(self, attribution: Attribution | None) -> dict:
        """Return the settings and the importances as plain data; without an attribution there are none."""
        return self.settings | {
            "experiment": self.name,
            "log_prob": attribution.log_prob if attribution else None,
            "codons": [asdict(row) for row in attribution.rows()] if attribution else [],
        }
