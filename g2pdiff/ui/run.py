"""One run as a visitor asked for it: checked before it is queued, then streamed, named and written down."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from g2pdiff.checks import check_rate, check_scale, check_seed, check_steps
from g2pdiff.environment import check_locality
from g2pdiff.genotype import Barcode
from g2pdiff.mutation import MutationModel, edit, mutate, parse_ratio, parse_region
from g2pdiff.ui.examples import names

if TYPE_CHECKING:
    from g2pdiff.experiments import Denoising
    from g2pdiff.pipeline import DenoisingStep, G2PDiffusionPipeline


@dataclass(frozen=True)
class Run:
    """Checked values of the form; None stands for the checkpoint's default."""

    given: Barcode  # as typed
    edited: Barcode  # after the point edits
    barcode: Barcode  # after the mutations too
    latitude: float
    longitude: float
    mutation_rate: float
    model: MutationModel
    edits: str
    seed: int
    steps: int | None
    guidance_scale: float | None
    alignment_scale: float | None

    @classmethod
    def check(
        cls,
        barcode,
        latitude,
        longitude,
        mutation_rate=0,
        kind="uniform",
        transition_transversion_ratio=None,
        no_new_stops=False,
        region="",
        edits="",
        seed=0,
        steps=None,
        guidance_scale=None,
        alignment_scale=None,
    ) -> Run:
        """Check everything a visitor gave; raises the `InputError` of the first thing that is wrong.

        The arguments are the form's values in its order, but for the mutation rate, which is a share. The
        seed chooses both the noise and the mutated sites.
        """
        given = Barcode.parse(barcode)
        latitude, longitude = check_locality(latitude, longitude)
        rate, seed = check_rate("mutation_rate", mutation_rate), check_seed(seed)
        model = mutation_model(kind, transition_transversion_ratio, no_new_stops, region)
        edited = edit(given, edits)
        return cls(
            given=given,
            edited=edited,
            barcode=mutate(edited, rate, seed, model),
            latitude=latitude,
            longitude=longitude,
            mutation_rate=rate,
            model=model,
            edits=edits,
            seed=seed,
            steps=given_or_default(check_steps, steps),
            guidance_scale=given_or_default(partial(check_scale, "guidance_scale"), guidance_scale),
            alignment_scale=given_or_default(partial(check_scale, "alignment_scale"), alignment_scale),
        )

    @property
    def denoising(self) -> Denoising:
        """The settings of the denoising, as experiments take them."""
        from g2pdiff.experiments import Denoising

        return Denoising(self.steps, self.guidance_scale, self.alignment_scale)

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
            "kind": self.model.kind,
            "transition_transversion_ratio": self.model.transition_transversion_ratio,
            "no_new_stops": self.model.no_new_stops,
            "region": "{}-{}".format(*self.model.region) if self.model.region else "",
            "edits": self.edits,
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
    def file_stem(self) -> str:
        """Such as `Vanessa-cardui_56.60_11.30_mutated10_seed0`: nothing typed but letters and digits."""
        title = re.sub(r"[^A-Za-z0-9]+", "-", self.title).strip("-")[:40] or "barcode"
        mutated = f"_mutated{self.mutation_rate:.0%}".rstrip("%") if self.mutation_rate else ""
        edited = "_edited" if self.edited != self.given else ""
        return f"{title}_{self.latitude:.2f}_{self.longitude:.2f}{edited}{mutated}_seed{self.seed}"


def given_or_default(check, value):
    """The checked value; None, which stands for the checkpoint's default, as it is."""
    return None if value is None else check(value)


def mutation_model(kind, transition_transversion_ratio, no_new_stops, region) -> MutationModel:
    """The mutation model of the form's four values; raises `InputError`."""
    ratio = parse_ratio(transition_transversion_ratio)
    return MutationModel(kind, ratio, bool(no_new_stops), parse_region(region))


def mutant(given: Barcode, rate, seed, model: MutationModel, edits: str) -> Barcode:
    """A barcode after point edits and mutations; raises `InputError`."""
    return mutate(edit(given, edits), check_rate("mutation_rate", rate), check_seed(seed), model)
