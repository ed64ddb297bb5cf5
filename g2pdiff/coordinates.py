"""Latitude and longitude as people write them, read into decimal degrees (WGS 84) and checked.

The form, the links, the command line, the endpoints, FASTA headers and tables all read localities here, in
the grammar of `g2pdiff.angles`. What can be read in two ways is refused with a sentence that says how to
write it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from g2pdiff.angles import (
    LABEL,
    LONGEST_PAIR,
    NUMBER,
    is_code,
    is_place_link,
    plain,
    read_angle,
    read_pair,
)
from g2pdiff.errors import InputError, quoted

LIMITS = {"latitude": 90, "longitude": 180}

_WHOLE_NUMBER = "[-+]?(?:0|[1-9][0-9]{0,2})"
_WHOLE_PAIR = re.compile(rf"\s*{_WHOLE_NUMBER},{_WHOLE_NUMBER}\s*")  # a decimal comma where there is more
_THREE = re.compile(r".*\d.*[,;]\s.*\d.*[,;]\s.*\d.*|[^,]*\d,[^,]*\d,[^,]*\d[^,]*")


@dataclass(frozen=True)
class Locality:
    """A locality: a point on Earth.

    Attributes:
        latitude, longitude: degrees, north and east positive.
        notes: what was read in another way than it was typed, a sentence each.
    """

    latitude: float
    longitude: float
    notes: tuple[str, ...] = ()


def read_locality(latitude: object, longitude: object, prefix: str = "") -> Locality:
    """Read a locality from its two coordinates, or from one text that holds both where the other is empty.

    Args:
        latitude, longitude: numbers or text; None and blank text count as missing.
        prefix: of the fields' names in errors, such as `other_`.

    Raises:
        InputError: field `latitude` or `longitude`, if one is missing, cannot be read, or lies outside of
            -90 to 90 or -360 to 360 degrees. A longitude outside of -180 to 180 is wrapped, with a note.
    """
    north, east, notes = read_given(latitude, longitude, prefix)
    return Locality(_needed(f"{prefix}latitude", north), _needed(f"{prefix}longitude", east), notes)


def read_given(
    latitude: object, longitude: object, prefix: str = ""
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Read as `read_locality` does, where what is missing may stay so: latitude, longitude, and notes.

    Args:
        latitude, longitude: numbers or text; None and blank text count as missing.
        prefix: of the fields' names in errors, such as `other_`.
    """
    given = {"latitude": latitude, "longitude": longitude}
    for axis, other in (("latitude", "longitude"), ("longitude", "latitude")):
        pair, field = _pair_beside(given[axis], given[other]), prefix + axis
        if pair and _is_missing(given[other]):
            return _checked(*pair, (f"Read latitude {pair[0]:g} and longitude {pair[1]:g} from one text.",))
        if pair and not _is_same(given[other], other, pair):
            raise InputError(
                field,
                f"{_name(field)} holds both coordinates, {pair[0]:g}, {pair[1]:g}: "
                f"leave {other} empty, or give one number in each.",
            )
        if pair:
            return _checked(*pair, (), prefix)
    found, notes = {}, ()
    for axis, value in given.items():
        found[axis] = None
        if not _is_missing(value):
            found[axis], said = _read_one(prefix + axis, value)
            notes += said
    return _checked(found["latitude"], found["longitude"], notes, prefix)


def read_coordinate(field: str, value: object) -> float:
    """Read one coordinate, or its half of a text that holds both.

    Args:
        field: of the coordinate, such as `latitude` or `other_longitude`.
        value: a number or text.

    Raises:
        InputError: `field`, if it is missing, cannot be read, or lies outside of the limits.
    """
    axis = _axis(field)
    prefix = field.removesuffix(axis)
    if pair := read_pair(value):
        checked = _checked(*pair, (), prefix)
    else:
        degrees = None if _is_missing(value) else _read_one(field, value)[0]
        is_latitude = axis == "latitude"
        checked = _checked(degrees if is_latitude else None, None if is_latitude else degrees, (), prefix)
    return _needed(field, checked[0] if axis == "latitude" else checked[1])


def spread(latitude: object, longitude: object) -> tuple[object, object]:
    """Return two coordinates, both from the one text that holds them, else as they are.

    >>> spread("56.6, 11.3", "18.4")
    ('56.6', '11.3')
    """
    pairs = _pair_beside(latitude, longitude), _pair_beside(longitude, latitude)
    found = [pair for pair in pairs if pair]
    if len(found) != 1:
        return latitude, longitude
    north, east = (f"{degrees:.10g}" for degrees in found[0])
    return north, east


def _pair_beside(value: object, other: object) -> tuple[float, float] | None:
    """Return both coordinates if one text holds them; beside an empty one, whole numbers need no letters."""
    pair = read_pair(value)
    if pair is None and _is_missing(other) and _WHOLE_PAIR.fullmatch(str(value)):
        first, second = str(value).split(",")
        return float(first), float(second)
    return pair


def _axis(field: str) -> str:
    return field.rpartition("_")[2]


def _name(field: str) -> str:
    return field.replace("_", " ").capitalize()


def _wanted(field: str) -> str:
    limit = LIMITS[_axis(field)]
    return f"a number between {-limit} and {limit} degrees"


def _needed(field: str, degrees: float | None) -> float:
    if degrees is None:
        raise InputError(field, f"{_name(field)} is missing: give {_wanted(field)}.")
    return degrees


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _is_same(value: object, field: str, pair: tuple[float, float]) -> bool:
    """Return whether one field says the same as the pair that the other one holds."""
    if read_pair(value) == pair:
        return True
    try:
        return math.isclose(_read_one(field, value)[0], pair[field == "longitude"], abs_tol=1e-6)
    except InputError:
        return False


def _read_one(field: str, value: Any) -> tuple[float, tuple[str, ...]]:
    """Read degrees of one coordinate that is there, not yet checked, and notes."""
    name, wanted = _name(field), _wanted(field)
    if not isinstance(value, str):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number) or isinstance(value, bool):
            raise InputError(field, f"{name} must be {wanted}, not {quoted(value)}.")
        return number, ()
    text = plain(value[:LONGEST_PAIR])
    angle = read_angle(LABEL.sub("", text, count=1) if LABEL.match(text) else text)
    if angle is None:
        raise InputError(field, _why_not(field, text, wanted))
    degrees, of = angle
    if of not in (None, _axis(field)):
        raise InputError(
            field,
            f"{name} {quoted(text)} has the letter of a {of}: are latitude and longitude swapped?",
        )
    is_comma = "," in text
    return degrees, ((f"Read {quoted(text)} as {name.lower()} {degrees:g}.",) if is_comma else ())


def _why_not(field: str, text: str, wanted: str) -> str:
    """Say in a sentence why a text is no coordinate."""
    name, said = _name(field), quoted(text)
    if is_place_link(text):
        return f"{name} {said} is a link without coordinates: copy the coordinates themselves."
    if is_code(text):
        return f"{name} {said} is a code of a grid: give degrees, such as 56.6, 11.3."
    if re.search(r"(?i)(?<![a-z])O(?![a-z])", text) and re.search(r"\d", text):
        return f"{name} {said} has the letter O, east in one language and west in another: write E or W."
    if _THREE.fullmatch(text):
        return f"{name} {said} holds more than two numbers: give latitude and longitude alone."
    if re.match(r"(?i)([NSEW]\s*)?-", text) and re.search(r"(?i)[NSEW]\s*$|^[NSEW]", text):
        return f"{name} {said} has a minus and a hemisphere letter: give one of them."
    if re.fullmatch(rf"[-+]?(?:{NUMBER})(?: (?:{NUMBER}))+", text):
        return (
            f"{name} {said} may be degrees and minutes or two numbers: write 33.9 or 33°54', and "
            "a locality as 33.9, 18.4."
        )
    if re.search(r"""[°'":]""", text) and re.search(r"\d", text):
        angle = "write degrees, minutes and seconds as 33°54'12\"S, both below 60"
        return f"{name} {said} is not an angle: {angle}."
    return f"{name} must be {wanted}, not {said}."


def _checked(
    latitude: float | None = None,
    longitude: float | None = None,
    notes: tuple[str, ...] = (),
    prefix: str = "",
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Check coordinates against their limits, None where missing; longitudes are wrapped, with a note."""
    if latitude is not None and not -90 <= latitude <= 90:
        field = f"{prefix}latitude"
        sentence = f'{_name(field)} must be {_wanted(field)}, not "{latitude:g}"'
        if longitude is not None and abs(longitude) <= 90 and abs(latitude) <= 180:
            sentence += (
                f": are latitude and longitude swapped? Then it is latitude {longitude:g}, "
                f"longitude {latitude:g}"
            )
        raise InputError(field, f"{sentence}.")
    if longitude is not None and not -360 <= longitude <= 360:
        field = f"{prefix}longitude"
        raise InputError(field, f'{_name(field)} must be {_wanted(field)}, not "{longitude:g}".')
    if longitude is not None and not -180 <= longitude <= 180:
        wrapped = round((longitude + 180) % 360 - 180, 10)
        notes += (f"Longitude {longitude:g} is {wrapped:g} within -180 to 180 degrees.",)
        longitude = wrapped
    # Minus zero becomes zero.
    return (
        None if latitude is None else latitude + 0.0,
        None if longitude is None else longitude + 0.0,
        notes,
    )
