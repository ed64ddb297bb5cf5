"""Latitude and longitude as people write them, read into decimal degrees (WGS 84).

One grammar for the form, the links, the command line, the endpoints, FASTA headers and tables:

- decimal degrees with a point or a comma, a sign (U+2212 too) or a hemisphere letter: `-33.9`, `33,9 S`;
- degrees, minutes and seconds: `33°54'12"S`, `33 54 12 S`, `S 33:54:12`;
- both in one text: `56.6, 11.3`, `56,6 11,3`, `56.6N 11.3E`, `geo:56.6,11.3`, `POINT(11.3 56.6)`, and the
  links of Google Maps, OpenStreetMap, Bing Maps and Apple Maps.

Text that can be read in two ways is refused. The message says how to write it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize
from urllib.parse import unquote

from g2pdiff.errors import InputError, quoted

LIMITS = {"latitude": 90, "longitude": 180}
HEMISPHERES = {"latitude": {"N": 1, "S": -1}, "longitude": {"E": 1, "W": -1}}
LONGEST = 2_000  # characters
LONGEST_PAIR = 120  # characters

_SIGNS = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-"))
_MARKS = str.maketrans(dict.fromkeys("º˚◦", "°") | dict.fromkeys("′’‘`´ʹ", "'") | dict.fromkeys("″”“„ʺ", '"'))
_WORDS = (
    (re.compile(r"(?i)(?<=[\d\s.])\s*(?:degrees?|deg\.?)(?![a-z]{2})"), "°"),
    (re.compile(r"(?i)(?<=[\d\s.])\s*(?:minutes?|min\.?)(?![a-z]{2})"), "'"),
    (re.compile(r"(?i)(?<=[\d\s.])\s*(?:seconds?|sec\.?)(?![a-z]{2})"), '"'),
    (re.compile(r"(?i)(?<=\d)d(?=[\s\d])"), "°"),
    (re.compile(r"(?i)(?<=\d)m(?=[\s\d])"), "'"),
    (re.compile(r"(?i)(?<=\d)s(?=\s*[NSEW]$)"), '"'),
    (re.compile(r"(?i)\b(north|south|east|west)\b\.?"), lambda found: found[1][0].upper()),
    (re.compile(r"''"), '"'),
)

_NUMBER = r"\d+(?:[.,]\d+)?|[.,]\d+"
_ANGLE = rf"""
    (?P<before>[NSEWO])?\s*(?P<sign>[+-])?\s*
    (?:
      (?P<degrees>{_NUMBER})\s*(?P<mark>[°:\s])\s*(?P<minutes>{_NUMBER})\s*
        (?:['\s:]\s*(?P<seconds>{_NUMBER})\s*"?|'?)
      | (?P<decimal>(?:\d+[.,]?\d*|[.,]\d+)(?:e[+-]?\d+)?)\s*°?
    )
    \s*(?P<after>[NSEWO])?
"""
_ONE = re.compile(rf"(?ix){_ANGLE}")
_LABEL = re.compile(
    r"(?i)\b(?:decimal)?(lat|lon)(?:g|gitude|itude)?\b\s*[.:=]?\s*(?=[-+\d.NSEW])|\blng\b\s*[.:=]?\s*"
)
_DECIMAL = r"[-+]?\d{1,3}(?:\.\d+)?"
_LINKS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"!3d({_DECIMAL})!4d({_DECIMAL})",
        rf"[?&#]mlat=({_DECIMAL})&(?:amp;)?mlon=({_DECIMAL})",
        rf"[?&](?:q|ll|sll|query|center|destination|daddr|coordinate|point|loc)=(?:loc:)?"
        rf"({_DECIMAL})\s*,[\s+]*({_DECIMAL})",
        rf"[?&#](?:lat|latitude)=({_DECIMAL})&(?:amp;)?(?:lon|lng|long|longitude)=({_DECIMAL})",
        rf"#map=[\d.]+/({_DECIMAL})/({_DECIMAL})",
        rf"[?&]cp=({_DECIMAL})~({_DECIMAL})",
        rf"/@({_DECIMAL}),({_DECIMAL})",
        rf"/(?:place|search|dir)/({_DECIMAL}),[+\s]*({_DECIMAL})",
    )
)
_GEO = re.compile(rf"(?i)geo:({_DECIMAL}),({_DECIMAL})(?:[,;?].*)?")
_POINT = re.compile(rf"(?i)(?:srid=\d+;)?point\s*\(\s*({_DECIMAL})\s+({_DECIMAL})\s*\)")
_WHOLE_PAIR = re.compile(r"\s*[-+]?[0-9]{1,3},[-+]?[0-9]{1,3}\s*")  # or a decimal comma
_WHOLE_NUMBERS = re.compile(r"[(\[]?([-+]?[0-9]{1,3})[\s,]+([-+]?[0-9]{1,3})[)\]]?")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Locality:
    """A locality: a point on Earth.

    Attributes:
        latitude, longitude: degrees, north and east positive.
        notes: one sentence for each value that was read in another way than it was typed.
    """

    latitude: float
    longitude: float
    notes: tuple[str, ...] = ()


def read_locality(latitude: object, longitude: object, prefix: str = "") -> Locality:
    """Read a locality from its two coordinates, or from one text that holds both if the other is empty.

    Args:
        latitude, longitude: numbers or text; None and blank text count as missing.
        prefix: of the fields' names in errors, such as `other_`.

    Raises:
        InputError: field `latitude` or `longitude`, if one is missing, cannot be read, or lies outside -90 to
            90 or -360 to 360 degrees. A longitude outside -180 to 180 is wrapped, with a note.
    """
    north, east, notes = read_given(latitude, longitude, prefix)
    return Locality(_needed(f"{prefix}latitude", north), _needed(f"{prefix}longitude", east), notes)


def read_given(
    latitude: object, longitude: object, prefix: str = ""
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Read as `read_locality` does, but allow missing values. Return latitude, longitude and notes.

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
        field: name of the coordinate, such as `latitude` or `other_longitude`.
        value: a number or text.

    Raises:
        InputError: `field`, if it is missing, cannot be read, or lies outside the limits.
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
    """Return two coordinates. If one of the texts holds both, both come from it; else they stay as they are.

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
    """Return the pair in one of two texts. If the other text is empty, whole numbers need no letters."""
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


def read_pair(value: object) -> tuple[float, float] | None:
    """Read latitude and longitude from a text that holds both; None if it does not. They are not checked."""
    if not isinstance(value, str):
        if isinstance(value, (list, tuple)) and len(value) == 2:
            return _pair_of_numbers(*map(str, value))
        return None
    if len(value) > LONGEST:
        return None
    text = unquote(value.strip())
    text = text.translate(_SIGNS)
    if found := _GEO.fullmatch(text):
        return float(found[1]), float(found[2])
    if found := _POINT.fullmatch(text):
        return float(found[2]), float(found[1])
    if re.match(r"(?i)(https?:)?//|www\.|[\w.-]+\.\w{2,}/", text):
        links = (pattern.search(text) for pattern in _LINKS)
        found = next((one for one in links if one), None)
        return found and (float(found[1]), float(found[2]))
    return _read_two(plain(text)) if len(text) <= LONGEST_PAIR else None


def read_announced_pair(value: object) -> tuple[float, float] | None:
    """Read a value that is known to hold both coordinates: whole numbers then need no letters."""
    if isinstance(value, str) and (found := _WHOLE_NUMBERS.fullmatch(plain(value[:LONGEST_PAIR]))):
        return float(found[1]), float(found[2])
    return read_pair(value)


def is_map_link(value: object) -> bool:
    """Return whether a text is a link or a URI, not numbers."""
    return isinstance(value, str) and bool(re.match(r"(?i)\s*(https?://|geo:|www\.)", value))


def _read_two(text: str) -> tuple[float, float] | None:
    """Read the pair in plain text. The text is split where both halves can be read."""
    if len(text) > 2 and _BRACKETS.get(text[0]) == text[-1]:
        text = text[1:-1].strip()
    named = {}
    labels = list(_LABEL.finditer(text))
    if len(labels) == 2:
        ends = [labels[1].start(), len(text)]
        for label, end in zip(labels, ends, strict=True):
            field = "latitude" if (label[1] or "lon").lower() == "lat" else "longitude"
            named[field] = text[label.end() : end].strip(" ,;/|")
        if len(named) == 2:
            latitude, longitude = (read_angle(named[field]) for field in LIMITS)
            return (latitude[0], longitude[0]) if latitude and longitude else None
        return None
    for pattern in (r"\s*[;|/]\s*", r"\s*,\s+|\s+,\s*"):
        parts = re.split(pattern, text.strip(" ,;"))
        if len(parts) == 2:
            return _pair_of_numbers(*parts)
    if text.count(",") == 1 and "." in text:  # 56.6,11.3
        return _pair_of_numbers(*text.split(","))
    # A hemisphere letter ends or begins each half: 10 N 20 E, N10 E20.
    for pattern in (
        r"(?i)(.*\d\D*[NSEWO])[\s,]*([-+\d.].*[NSEWO])",
        r"(?i)([NSEWO].*\d\D*?)[\s,]*([NSEWO].*)",
    ):
        if found := re.fullmatch(pattern, text):
            return _pair_of_numbers(found[1], found[2])
    parts = text.split()
    if len(parts) != 2 or not all(re.fullmatch(rf"[-+]?(?:{_NUMBER})°?", part) for part in parts):
        return None
    # Two whole numbers, or a whole number before another number, may be degrees and minutes.
    is_pair = "." in parts[0] or "," in parts[0] or parts[1][0] in "+-"
    return _pair_of_numbers(*parts) if is_pair else None


def _pair_of_numbers(first: str, second: str) -> tuple[float, float] | None:
    """Return the latitude and longitude of two texts, in the order of their hemisphere letters."""
    one, two = read_angle(plain(first)), read_angle(plain(second))
    if one is None or two is None:
        return None
    if one[1] == "longitude" or two[1] == "latitude":
        one, two = two, one
    if one[1] == "longitude" or two[1] == "latitude":
        return None
    return one[0], two[0]


def plain(text: str) -> str:
    """Rewrite text with one kind of minus, degree sign and prime, on one line."""
    text = normalize("NFKC", text.translate(_MARKS)).translate(_SIGNS).translate(_MARKS)
    text = re.sub(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff]", "", text)
    for pattern, replacement in _WORDS:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def read_angle(text: str) -> tuple[float, str | None] | None:
    """Read degrees from a plain text, and the field of its hemisphere letter; None if it is not an angle."""
    found = _ONE.fullmatch(text.strip())
    if not found:
        return None
    letters = [letter.upper() for letter in (found["before"], found["after"]) if letter]
    if len(letters) > 1 or "O" in letters or (letters and found["sign"] == "-"):
        return None
    if found["decimal"]:
        degrees = float(found["decimal"].replace(",", "."))
    else:
        parts = [found[name].replace(",", ".") for name in ("degrees", "minutes", "seconds") if found[name]]
        numbers = [float(part) for part in parts]
        if any("." in part for part in parts[:-1]) or any(number >= 60 for number in numbers[1:]):
            return None
        if found["mark"].isspace() and not letters and "'" not in text:
            return None  # 5 6 may be two numbers
        degrees = sum(number / 60**power for power, number in enumerate(numbers))
    field = next((f for f, sides in HEMISPHERES.items() if letters and letters[0] in sides), None)
    sign = -1 if found["sign"] == "-" or (letters and letters[0] in "SW") else 1
    return (sign * degrees, field) if math.isfinite(degrees) else None


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _is_same(value: object, field: str, pair: tuple[float, float]) -> bool:
    """Return whether one field agrees with the pair in the other field."""
    if read_pair(value) == pair:
        return True
    try:
        return math.isclose(_read_one(field, value)[0], pair[field == "longitude"], abs_tol=1e-6)
    except InputError:
        return False


def _read_one(field: str, value: Any) -> tuple[float, tuple[str, ...]]:
    """Read degrees and notes from one coordinate that is not empty. The limits are not checked yet."""
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
    angle = read_angle(_LABEL.sub("", text, count=1) if _LABEL.match(text) else text)
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
    """Return a sentence that says why a text is not a coordinate."""
    name, said = _name(field), quoted(text)
    if is_map_link(text):
        return f"{name} {said} is a link without coordinates in it: copy the numbers themselves."
    if re.search(r"(?i)(?<![a-z])O(?![a-z])", text) and re.search(r"\d", text):
        return f"{name} {said} has the letter O, east in one language and west in another: write E or W."
    if re.match(r"(?i)([NSEW]\s*)?-", text) and re.search(r"(?i)[NSEW]\s*$|^[NSEW]", text):
        return f"{name} {said} has a minus and a hemisphere letter: give one of them."
    if re.fullmatch(rf"[-+]?(?:{_NUMBER})(?: (?:{_NUMBER}))+", text):
        return (
            f"{name} {said} may be degrees and minutes or two numbers: write 33.9 or 33°54', and "
            "both coordinates as 33.9, 18.4."
        )
    if re.search(r"""[°'":]""", text) and re.search(r"\d", text):
        return f"{name} {said} is not an angle: write it as 33°54'12\"S, minutes and seconds below 60."
    return f"{name} must be {wanted}, not {said}."


def _checked(
    latitude: float | None = None,
    longitude: float | None = None,
    notes: tuple[str, ...] = (),
    prefix: str = "",
) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Check coordinates against their limits. Missing ones stay None. Longitudes are wrapped, with a note."""
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
