"""Kinds of arguments: reading and checking of values from forms, JSON, links and the command line.

An argument of a specification is a Pydantic field whose type is one of the annotated types below. Each type
has the check and one sentence of help, and its Python type gives the JSON schema. The schema has no ranges:
with them, an agent's client would refuse a value before our sentence can say why.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from g2pdiff.coordinates import read_coordinate
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import MutationModel, parse_ratio, parse_region
from g2pdiff.errors import InputError, quoted
from g2pdiff.validation import MAXIMUM_SCALE, MAXIMUM_SEED, MAXIMUM_STEPS, check_choice, check_number

LONGEST_LIST = 1000  # items
MAXIMUM_PICTURES = 400  # per experiment

_LONE_COMMA = re.compile(r"[-+\u2212]?\d+,\d+")


@dataclass(frozen=True)
class Check:
    """A check reads the value of an argument before Pydantic sees it.

    Attributes:
        read: `(name of the argument, what was given) -> value`; raises `InputError`.
        file: name for a file whose text the command line takes as the value; empty if it takes no file.
        is_list: whether the command line takes several values.
    """

    read: Callable[[str, object], object]
    file: str = ""
    is_list: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        def read(value: object, info: ValidationInfo) -> object:
            return self.read(str(info.field_name), value)

        # Otherwise Pydantic would copy a barcode field by field.
        is_barcode = source is Barcode or Barcode in get_args(source)
        kind = PlainValidator if is_barcode else BeforeValidator
        return kind(read).__get_pydantic_core_schema__(source, handler)


def number(low: float, high: float, unit: str = "", whole: bool = False) -> Check:
    """Return the check of a number from `low` to `high`, see `check_number`."""

    def read(field: str, value: object) -> float:
        found = check_number(field, value, low, high, unit, whole)
        return int(found) if whole else found

    return Check(read)


def optional(check: Check) -> Check:
    """Return a check that keeps None, which stands for a default."""
    return Check(lambda field, value: None if value is None else check.read(field, value))


def _read_coordinate(field: str, value: object) -> float:
    # A locality is read as a whole. Its error is raised here, when its field is checked.
    if isinstance(value, InputError):
        raise value
    return read_coordinate(field, value)


coordinate = Check(_read_coordinate)
"""Check of a latitude or longitude."""


def choice(*names: str) -> Check:
    """Return the check of a name among `names`."""
    return Check(lambda field, value: check_choice(field, value, names))


def text_of(value: object) -> str:
    """Return a value as text; None becomes empty text.

    A lone surrogate, which JSON can hold but no reply can, becomes a question mark.
    """
    return "" if value is None else str(value).encode("utf-8", "replace").decode("utf-8")


def as_list(field: str, value: object) -> list | None:
    """Return a list, or the items of a text with commas, semicolons or spaces between them; None if empty.

    Raises:
        InputError: `field`, if it is neither, can be read in two ways, or has more than 1,000 items.
    """
    name = field.replace("_", " ").capitalize()
    if value is None or isinstance(value, str):
        value = _items(field, value or "")
    if not isinstance(value, (list, tuple)):
        raise InputError(field, f"{name} must be a list of numbers, not {quoted(value)}.")
    if len(value) > LONGEST_LIST:
        raise InputError(field, f"{name} has {len(value):,} items: give at most {LONGEST_LIST:,}.")
    return list(value) or None


def _items(field: str, text: str) -> list[str]:
    """Return the items of a text. A lone comma between digits must have one clear meaning.

    In a text with semicolons it is a decimal comma. Nobody writes a decimal that ends in 0, so `-60,60` is
    two numbers.
    """
    name, parts, items = field.replace("_", " ").capitalize(), re.split(r"[\s;]+", text), []
    lone = [part for part in parts if _LONE_COMMA.fullmatch(part)]
    for part in parts:
        is_lone = part in lone
        if is_lone and ";" not in text and (len(lone) > 1 or not part.endswith("0")):
            first, second = part.split(",")
            raise InputError(
                field,
                f"{name} {quoted(part)} may be {first}.{second} or two numbers: write {first}.{second}, or "
                f"{first}, {second} with a space.",
            )
        items += [part] if is_lone and ";" in text else [item for item in part.split(",") if item]
    return items


def read_barcode(field: str, value: object) -> Barcode:
    """Read a barcode from letters or FASTA; a `Barcode` stays as it is."""
    return value if isinstance(value, Barcode) else Barcode.parse(text_of(value))


def _read_region(field: str, value: object) -> str:
    region = parse_region(text_of(value))
    return "{}-{}".format(*region) if region else ""


def _read_flag(field: str, value: object) -> bool:
    given = text_of(value).strip().lower()
    if given not in ("true", "false", ""):
        name = field.replace("_", " ").capitalize()
        raise InputError(field, f"{name} must be true or false, not {quoted(given)}.")
    return given == "true"


BarcodeText = Annotated[
    Barcode,
    Check(read_barcode, file="barcode"),
    PlainSerializer(lambda barcode: barcode.sequence, return_type=str),
    WithJsonSchema({"type": "string"}),
    Field(description="COI sequence, 200 to 2,000 letters, raw or FASTA"),
]
PLACE_TYPES = WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}]})
Latitude = Annotated[
    float,
    coordinate,
    PLACE_TYPES,
    Field(description="degrees north, -90 to 90, or text such as 33°54'S"),
]
Longitude = Annotated[
    float,
    coordinate,
    PLACE_TYPES,
    Field(description="degrees east, -180 to 180, or text such as 18°25'E"),
]
OptionalCoordinate = Annotated[
    float | None,
    optional(coordinate),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]}),
]
Rate = Annotated[
    float,
    number(0, 1),
    Field(description="share of the known sites to substitute first, 0 to 1"),
]
Count = Annotated[int, number(1, MAXIMUM_PICTURES, whole=True)]

Seed = Annotated[
    int,
    number(0, MAXIMUM_SEED, whole=True),
    Field(description="chooses the noise and the mutated sites; equal seeds give equal pictures"),
]
Steps = Annotated[
    int | None,
    optional(number(1, MAXIMUM_STEPS, whole=True)),
    Field(description="denoising steps; if empty, the checkpoint's default"),
]
Scale = Annotated[float | None, optional(number(0, MAXIMUM_SCALE))]

Kind = Annotated[
    Literal["uniform", "synonymous", "nonsynonymous"],
    Check(lambda field, value: MutationModel(text_of(value)).kind),
    Field(description="kind of mutation: uniform, synonymous or nonsynonymous"),
]
Ratio = Annotated[
    float | None,
    Check(lambda field, value: parse_ratio(value)),
    Field(description="transitions per transversion; 0.5 is chance; if empty, no ratio is set"),
]
Flag = Annotated[bool, Check(_read_flag)]
Region = Annotated[
    str,
    Check(_read_region),
    Field(description="first and last site that mutations may change, such as 100-200; if empty, all sites"),
]
Text = Annotated[str, Check(lambda field, value: text_of(value))]
