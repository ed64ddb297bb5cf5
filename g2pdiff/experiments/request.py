"""What a script asks for, checked: a barcode with its mutations, a place, and how to denoise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import MutationModel, edit, mutate, parse_ratio, parse_region
from g2pdiff.errors import InputError, quoted
from g2pdiff.validation import check_locality, check_rate, check_scale, check_seed, check_steps

LONGEST_LIST = 1000  # items


@dataclass(frozen=True)
class Denoising:
    """How pictures are drawn; None stands for the checkpoint's default."""

    steps: int | None = None
    guidance_scale: float | None = None
    alignment_scale: float | None = None


@dataclass(frozen=True)
class Variant:
    """One side of a comparison."""

    barcode: Barcode
    latitude: float
    longitude: float
    denoising: Denoising = Denoising()


@dataclass(frozen=True)
class Request:
    """One specimen to draw. The seed chooses both the noise and the mutated sites."""

    given: Barcode  # as typed
    edited: Barcode  # after the point edits
    barcode: Barcode  # after the mutations too
    latitude: float
    longitude: float
    mutation_rate: float
    model: MutationModel
    edits: str
    seed: int
    denoising: Denoising

    @classmethod
    def check(
        cls,
        barcode: object,
        latitude: object,
        longitude: object,
        mutation_rate: object = 0,
        seed: object = 0,
        steps: object = None,
        guidance_scale: object = None,
        alignment_scale: object = None,
        kind: object = "uniform",
        transition_transversion_ratio: object = None,
        no_new_stops: object = False,
        region: object = "",
        edits: object = "",
    ) -> Request:
        """Check what came as text or as JSON.

        Raises:
            InputError: the first thing that is wrong.
        """
        given = Barcode.parse(text_of(barcode))
        latitude, longitude = check_locality(latitude, longitude)
        seed, rate = check_seed(seed), check_rate("mutation_rate", mutation_rate)
        model = mutation_model(kind, transition_transversion_ratio, no_new_stops, region)
        edits = text_of(edits)
        edited = edit(given, edits)
        denoising = check_denoising(steps, guidance_scale, alignment_scale)
        mutated = mutate(edited, rate, seed, model)
        return cls(given, edited, mutated, latitude, longitude, rate, model, edits, seed, denoising)

    @property
    def notes(self) -> list[str]:
        """What was cleaned in the barcode, and what speaks against trusting a picture made from it."""
        return [*self.given.notes, *self.given.warnings]

    @property
    def arguments(self) -> dict:
        """What the pipeline's `stream` and `__call__` take."""
        return {
            "barcode": self.barcode,
            "latitude": self.latitude,
            "longitude": self.longitude,
            "seed": self.seed,
            "num_inference_steps": self.denoising.steps,
            "guidance_scale": self.denoising.guidance_scale,
            "alignment_scale": self.denoising.alignment_scale,
        }

    @property
    def variant(self) -> Variant:
        """One side of a comparison."""
        return Variant(self.barcode, self.latitude, self.longitude, self.denoising)

    @property
    def settings(self) -> dict:
        """The arguments of `check` that ask for this again, as plain data."""
        return {
            "barcode": self.given.sequence,
            "latitude": self.latitude,
            "longitude": self.longitude,
            "mutation_rate": self.mutation_rate,
            "seed": self.seed,
            "steps": self.denoising.steps,
            "guidance_scale": self.denoising.guidance_scale,
            "alignment_scale": self.denoising.alignment_scale,
            "kind": self.model.kind,
            "transition_transversion_ratio": self.model.transition_transversion_ratio,
            "no_new_stops": self.model.no_new_stops,
            "region": "{}-{}".format(*self.model.region) if self.model.region else "",
            "edits": self.edits,
        }


def mutation_model(kind, transition_transversion_ratio, no_new_stops, region) -> MutationModel:
    """The mutation model of four values as text or as JSON. Raises `InputError`."""
    return MutationModel(
        text_of(kind),
        parse_ratio(transition_transversion_ratio),
        bool(no_new_stops),
        parse_region(text_of(region)),
    )


def check_denoising(steps: object, guidance_scale: object, alignment_scale: object) -> Denoising:
    """Settings of the denoising; None stands for the checkpoint's default. Raises `InputError`."""
    return Denoising(
        optional(check_steps, steps),
        optional(partial(check_scale, "guidance_scale"), guidance_scale),
        optional(partial(check_scale, "alignment_scale"), alignment_scale),
    )


def text_of(value: object) -> str:
    """What was given for a text, whatever it is; nothing is empty text.

    A lone surrogate, which JSON can hold and no reply, becomes a question mark.
    """
    return "" if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def optional(check: Callable, value: object):
    """The checked value; None, which stands for the checkpoint's default, as it is."""
    return None if value is None else check(value)


def as_list(field: str, value: object) -> list | None:
    """A list, or text with commas or space between its items; None where there is nothing in it.

    Raises:
        InputError: `field`, if it is neither, or has more than 1,000 items.
    """
    name = field.replace("_", " ").capitalize()
    if value is None or isinstance(value, str):
        value = re.split(r"[\s,;]+", (value or "").strip(" ,;\t\n"))
        value = value if value != [""] else []
    if not isinstance(value, list):
        raise InputError(field, f"{name} must be a list of numbers, not {quoted(value)}.")
    if len(value) > LONGEST_LIST:
        raise InputError(field, f"{name} has {len(value):,} items: give at most {LONGEST_LIST:,}.")
    return value or None
