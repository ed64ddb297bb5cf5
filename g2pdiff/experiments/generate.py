"""One specimen, drawn step by step."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, ClassVar

from g2pdiff.experiments.specification import MutantSpecification

if TYPE_CHECKING:
    from g2pdiff.outputs import DenoisingStep
    from g2pdiff.pipeline import G2PDiffusionPipeline


class Generate(MutantSpecification):
    """A specimen to draw. The seed chooses both the noise and the mutated sites."""

    name: ClassVar[str] = "generate"
    position: ClassVar[int] = 1
    about: ClassVar[str] = (
        "Draw a specimen from a COI barcode and a locality, step by step; the last picture is the result."
    )
    returns: ClassVar[str] = (
        "the picture; and its CLIBDScore, the success threshold, step and steps, notes on the barcode, "
        "settings"
    )

    @property
    def call(self) -> dict:
        """The arguments of the pipeline's `stream` and `__call__`."""
        return {
            "barcode": self.mutated,
            "latitude": self.latitude,
            "longitude": self.longitude,
            "seed": self.seed,
            **self.denoising.arguments,
        }

    @property
    def changed_bases(self) -> int:
        """The number of bases that the edits and mutations change."""
        return len(self.barcode.differences(self.mutated))

    def start(self, pipe: G2PDiffusionPipeline) -> Generator[DenoisingStep]:
        """Draw the specimen. Closing the generator stops the run."""
        return pipe.stream(**self.call)
