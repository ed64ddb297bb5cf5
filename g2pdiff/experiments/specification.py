"""One frozen specification per experiment: its arguments, defaults, checks, run and report.

The command line, the endpoints, the MCP tools, the links and the tabs of the app are made from it. To add an
experiment, write one module of this package with one subclass of `Experiment`, and one module for its tab.
Nothing here imports PyTorch before something is drawn.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Container, Generator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, model_validator
from pydantic.fields import FieldInfo

from g2pdiff import experiments
from g2pdiff.coordinates import read_given
from g2pdiff.denoising import Denoising
from g2pdiff.discovery import classes_of
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import MutationModel, edit, mutate, parse_region
from g2pdiff.errors import InputError, quoted
from g2pdiff.experiments.arguments import (
    MAXIMUM_PICTURES,
    BarcodeText,
    Check,
    Flag,
    Kind,
    Latitude,
    Longitude,
    Rate,
    Ratio,
    Region,
    Scale,
    Seed,
    Steps,
    Text,
)

if TYPE_CHECKING:
    from g2pdiff.experiments.drawing import Update
    from g2pdiff.pipeline import G2PDiffusionPipeline


SHARED = (
    *("mutation_rate", "seed", "steps", "guidance_scale", "alignment_scale"),
    *("kind", "transition_transversion_ratio", "no_new_stops", "region", "edits"),
)
"""Arguments that several experiments share, in their order."""


class Specification(BaseModel):
    """The arguments of an experiment. They are checked when it is made, and frozen.

    Values may be given in the fields' types, as text, or as JSON.

    Attributes:
        name: name on the command line, of the endpoint and of the tab.
        position: position in all lists of experiments.
        about: one sentence that says what the experiment does.
        returns: contents of the endpoint's report, in words.

    Raises:
        InputError: for the first wrong argument in the order of `arguments`.
    """

    _locality_notes: list[str] = PrivateAttr(default_factory=list)

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    name: ClassVar[str]
    position: ClassVar[int]
    about: ClassVar[str]
    returns: ClassVar[str]

    def __init__(self, **values: object):
        known = type(self).arguments()
        for name in values:
            if name not in known:
                raise InputError(
                    name, f"There is no argument {quoted(name)} of {self.name}: choose {' or '.join(known)}."
                )
        # A missing argument is read like None, so that its check says what is missing.
        required = {name: None for name, field in known.items() if field.is_required()}
        localities, notes = _read_localities(values, known)
        try:
            super().__init__(**(required | values | localities))
        except ValidationError as error:
            raise _as_input_error(error, list(known)) from None
        self._locality_notes = notes

    @classmethod
    def arguments(cls) -> dict[str, FieldInfo]:
        """Return the fields in the order of the endpoint: first the experiment's own, then the shared
        ones."""
        own = [name for name in cls.model_fields if name not in SHARED]
        shared = [name for name in SHARED if name in cls.model_fields]
        return {name: cls.model_fields[name] for name in (*own, *shared)}

    @classmethod
    def default(cls, name: str) -> Any:
        """Return the default of an argument."""
        return cls.model_fields[name].default

    @classmethod
    def schema_of(cls, name: str) -> dict:
        """Return the JSON schema of an argument, with its default."""
        return cls.model_json_schema()["properties"][name]

    @classmethod
    def read(cls, name: str, value: object) -> Any:
        """Check one argument alone. Raises `InputError(name)`."""
        return check_of(cls.model_fields[name]).read(name, value)

    @property
    def settings(self) -> dict:
        """The arguments as plain data; they repeat the run."""
        plain = self.model_dump(mode="json")
        return {name: plain[name] for name in self.arguments()}

    @property
    def notes(self) -> list[str]:
        """Sentences about how the arguments were read."""
        return self.locality_notes

    @property
    def locality_notes(self) -> list[str]:
        """Sentences about how the localities were read."""
        return list(self._locality_notes)


def _read_localities(values: Mapping[str, object], known: Container[str]) -> tuple[dict, list[str]]:
    """Return the coordinates in `values`, with each locality read as a whole, and notes.

    If one cannot be read, its error becomes the value of the wrong field. The field's check raises it, after
    the checks of the arguments before it.
    """
    found, notes = {}, []
    for prefix in ("", "other_"):
        names = [f"{prefix}latitude", f"{prefix}longitude"]
        if not all(name in known for name in names):
            continue
        try:
            *degrees, said = read_given(values.get(names[0]), values.get(names[1]), prefix)
        except InputError as error:
            found[error.field] = error
        else:
            found |= {name: one for name, one in zip(names, degrees, strict=True) if one is not None}
            notes += said
    return found, notes


def check_of(field: FieldInfo) -> Check:
    """Return the check of an argument."""
    return next(part for part in field.metadata if isinstance(part, Check))


def _as_input_error(error: ValidationError, order: list[str]) -> InputError:
    """Return the first of Pydantic's errors as an `InputError`."""

    def position(found: Any) -> int:
        return order.index(found["loc"][0]) if found["loc"] else len(order)

    first = min(error.errors(), key=position)
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InputError):
        return cause
    field = str(first["loc"][0])
    return InputError(field, f"{field.replace('_', ' ').capitalize()} cannot be {quoted(first['input'])}.")


class DrawingSpecification(Specification):
    """The arguments of every experiment: the seed and the denoising settings."""

    seed: Seed = 0
    steps: Steps = None
    guidance_scale: Scale = Field(
        None, description="classifier-free guidance scale, 1 is off; if empty, the checkpoint's default"
    )
    alignment_scale: Scale = Field(
        None, description="alignment scale, 0 is off; if empty, the checkpoint's default"
    )

    @property
    def denoising(self) -> Denoising:
        """The denoising settings; None stands for the checkpoint's default."""
        return Denoising(self.steps, self.guidance_scale, self.alignment_scale)


class SpecimenSpecification(DrawingSpecification):
    """A barcode, a locality, and the edits and mutations of the barcode."""

    barcode: BarcodeText
    latitude: Latitude
    longitude: Longitude
    kind: Kind = "uniform"
    transition_transversion_ratio: Ratio = None
    no_new_stops: Flag = Field(False, description="never make a stop codon (invertebrate mitochondrial code)")
    region: Region = ""
    edits: Text = Field("", description="point edits made before the mutations, such as A123G, T456C")

    @property
    def model(self) -> MutationModel:
        """The kind of mutation."""
        region = parse_region(self.region)
        return MutationModel(self.kind, self.transition_transversion_ratio, self.no_new_stops, region)

    @property
    def original(self) -> Barcode:
        """The barcode before edits and mutations."""
        return self.barcode

    @cached_property
    def edited(self) -> Barcode:
        """The barcode after the point edits."""
        return edit(self.original, self.edits)

    @model_validator(mode="after")
    def _check_edits(self) -> Self:
        _ = self.edited
        return self

    @property
    def notes(self) -> list[str]:
        """Sentences about what was cleaned in the barcode, and warnings about a picture drawn from it."""
        return [*super().notes, *self.barcode.notes, *self.barcode.warnings]


class MutantSpecification(SpecimenSpecification):
    """A specimen whose barcode is mutated before it is drawn."""

    mutation_rate: Rate = 0

    @cached_property
    def mutated(self) -> Barcode:
        """The barcode after the edits and the mutations."""
        return mutate(self.edited, self.mutation_rate, self.seed, self.model)

    @model_validator(mode="after")
    def _check_mutations(self) -> Self:
        _ = self.mutated
        return self


class AnyReport(Protocol):
    """The report of an experiment, complete or stopped, as plain data."""

    @property
    def rows(self) -> list[dict]: ...

    @property
    def summary(self) -> dict: ...

    def save(self, folder: Path) -> None:
        """Write all files into a folder."""

    def write(self, path: Path) -> None:
        """Write the one file that holds everything."""


class Experiment(Specification):
    """A specification of an experiment that draws many pictures.

    Attributes:
        pictures_per_row: number of pictures per row of the result.
        needs_size: whether it measures body size. Not all checkpoints keep it.
        file: name of the file that `report(...).write` makes.
        file_label: label of that file in the app.
    """

    pictures_per_row: ClassVar[int] = 1
    needs_size: ClassVar[bool] = False
    file: ClassVar[str] = "contact_sheet.png"
    file_label: ClassVar[str] = "contact sheet"

    @property
    @abstractmethod
    def wanted(self) -> int:
        """The number of pictures to draw."""

    @abstractmethod
    def start(self, pipe: G2PDiffusionPipeline) -> Generator[Update]:
        """Draw all pictures, see `g2pdiff.experiments.drawing`.

        Raises:
            InputError: before the first picture, if the checkpoint cannot run the experiment.
        """

    @abstractmethod
    def report(self, pipe: G2PDiffusionPipeline, rows: Sequence) -> AnyReport:
        """Return the report of one or more rows."""


def check_total(field: str, pictures: int) -> None:
    """Raise `InputError(field)` if an experiment has too many pictures."""
    if pictures > MAXIMUM_PICTURES:
        raise InputError(
            field, f"That makes {pictures:,} pictures: choose at most {MAXIMUM_PICTURES} for one run."
        )


@cache
def specifications() -> dict[str, type[Specification]]:
    """Return every specification of this package by name, in the order of `position`."""
    found = [kind for kind in classes_of(experiments, Specification) if "name" in vars(kind)]
    return {kind.name: kind for kind in sorted(found, key=lambda kind: kind.position)}
