"""The grammar of coordinates: text into degrees, one angle or two; nothing is checked against limits here.

- decimal degrees with a point or a comma, a sign (U+2212 too) or a hemisphere letter: `-33.9`, `33,9 S`;
- degrees, minutes and seconds: `33°54'12"S`, `33 54 12 S`, `S 33:54:12`;
- both in one text: `56.6, 11.3`, `56,6 11,3`, `56.6N 11.3E`, `{"lat": 56.6, "lon": 11.3}`, `geo:56.6,11.3`,
  `POINT(11.3 56.6)`, `+56.6+011.3/` (ISO 6709), and the links of Google Maps, OpenStreetMap, Bing Maps, Apple
  Maps and Yandex Maps.
"""

from __future__ import annotations

import math
import re
from unicodedata import normalize
from urllib.parse import unquote

HEMISPHERES = {"latitude": {"N": 1, "S": -1}, "longitude": {"E": 1, "W": -1}}
LONGEST = 2_000  # characters of a link
LONGEST_PAIR = 120  # characters of two coordinates without a link

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

_DATUM = re.compile(r"(?i)\(?\bWGS[-_ ]?(?:19)?84\b\)?[,;:]?")  # degrees are read in no other

NUMBER = r"\d+(?:[.,]\d+)?|[.,]\d+"
_ANGLE = rf"""
    (?P<before>[NSEWO])?\s*(?P<sign>[+-])?\s*
    (?:
      (?P<degrees>{NUMBER})\s*(?P<mark>[°:\s])\s*(?P<minutes>{NUMBER})\s*
        (?:['\s:]\s*(?P<seconds>{NUMBER})\s*"?|'?)
      | (?P<decimal>(?:\d+[.,]?\d*|[.,]\d+)(?:e[+-]?\d+)?)\s*°?
    )
    \s*(?P<after>[NSEWO])?
"""
_ONE = re.compile(rf"(?ix){_ANGLE}")
LABEL = re.compile(
    r"(?i)\b(?:decimal)?(lat|lon)(?:g|gitude|itude)?\b\s*[.:=]?\s*(?=[-+\d.NSEW])|\blng\b\s*[.:=]?\s*"
)
_DECIMAL = r"[-+]?\d{1,3}(?:\.\d+)?"
_LINKS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"!3d({_DECIMAL})!4d({_DECIMAL})",
        rf"[?&#]mlat=({_DECIMAL})&(?:amp;)?mlon=({_DECIMAL})",
        rf"[?&](?:q|ll|sll|query|center|destination|daddr|coordinate|point|loc)=(?:loc:)?"
        rf"({_DECIMAL})(?:\s*,[\s+]*|[\s+]+)({_DECIMAL})",
        rf"[?&#](?:lat|latitude)=({_DECIMAL})&(?:amp;)?(?:lon|lng|long|longitude)=({_DECIMAL})",
        rf"#map=[\d.]+/({_DECIMAL})/({_DECIMAL})",
        rf"[?&]cp=({_DECIMAL})~({_DECIMAL})",
        rf"/@({_DECIMAL}),({_DECIMAL})",
        rf"/(?:place|search|dir)/+({_DECIMAL}),[+\s]*({_DECIMAL})",
    )
)
_LONGITUDE_FIRST = re.compile(rf"(?i)yandex\.\w+/.*[?&](?:ll|pt)=({_DECIMAL})\s*,\s*({_DECIMAL})")
_GEO = re.compile(rf"(?i)geo:({_DECIMAL}),({_DECIMAL})(?:[,;?].*)?")
_POINT = re.compile(
    rf"(?i)(?:srid=\d+;)?point\s*(?:z|m|zm)?\s*\(\s*({_DECIMAL})\s+({_DECIMAL})(?:\s+[-+\d.]+)*\s*\)"
)
_GEOJSON = re.compile(
    rf'(?i).*"coordinates"\s*:\s*\[\s*({_DECIMAL})\s*,\s*({_DECIMAL})[\d\s,.-]*\].*', re.DOTALL
)
_ISO_6709 = re.compile(r"([-+]\d{2}(?:\.\d+)?)([-+]\d{3}(?:\.\d+)?)(?:[-+]\d+(?:\.\d+)?)?(?:CRS\w+)?/?")
_CODE = re.compile(
    r"(?!\d+e\d+$|0x)(?:"  # 1e400 and 0x10 are numbers
    r"[23456789CFGHJMPQRVWX]{2,8}\+[23456789CFGHJMPQRVWX]{0,7}(?:\s.*)?"  # a plus code
    r"|\d{1,2}\s?[C-HJ-NP-X]\s?(?:[A-HJ-NP-Z]{2}\s?)?\d{2,}(?:\s?\d+)?(?:\s?m?[EN]?.*)?"  # UTM, MGRS
    r"|///\w+\.\w+\.\w+)",  # three words
    re.IGNORECASE,
)
_WHOLENUMBERS = re.compile(r"[(\[]?([-+]?[0-9]{1,3})[\s,]+([-+]?[0-9]{1,3})[)\]]?")
_BRACKETS = {"(": ")", "[": "]", "{": "}"}


def read_pair(value: object) -> tuple[float, float] | None:
    """Read latitude and longitude from a text that holds both; None where it does not. Nothing is checked."""
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
    if found := _POINT.fullmatch(text) or _GEOJSON.fullmatch(text):
        return float(found[2]), float(found[1])
    if found := _ISO_6709.fullmatch(text):
        return float(found[1]), float(found[2])
    if re.match(r"(?i)(https?:)?//|www\.|[\w.-]+\.\w{2,}/", text):
        if found := _LONGITUDE_FIRST.search(text):
            return float(found[2]), float(found[1])
        links = (pattern.search(text) for pattern in _LINKS)
        found = next((one for one in links if one), None)
        return found and (float(found[1]), float(found[2]))
    return _read_two(plain(text)) if len(text) <= LONGEST_PAIR else None


def read_announced_pair(value: object) -> tuple[float, float] | None:
    """Read as `read_pair` does a value that is known to hold both, where whole numbers need no letters."""
    if isinstance(value, str) and (found := _WHOLENUMBERS.fullmatch(plain(value[:LONGEST_PAIR]))):
        return float(found[1]), float(found[2])
    return read_pair(value)


def is_place_link(value: object) -> bool:
    """Return whether a text is a link or a URI, not numbers."""
    return isinstance(value, str) and bool(re.match(r"(?i)\s*(https?://|geo:|www\.)", value))


def is_code(text: str) -> bool:
    """Return whether a text names a place without degrees: a plus code, UTM, MGRS, or three words."""
    return bool(_CODE.fullmatch(text))


def _read_two(text: str) -> tuple[float, float] | None:
    """Read the pair in plain text, split where both halves can be read."""
    if len(text) > 2 and _BRACKETS.get(text[0]) == text[-1]:
        text = (text.replace('"', "") if text[0] == "{" else text)[1:-1].strip()
    named = {}
    labels = list(LABEL.finditer(text))
    if len(labels) == 2:
        ends = [labels[1].start(), len(text)]
        for label, end in zip(labels, ends, strict=True):
            field = "latitude" if (label[1] or "lon").lower() == "lat" else "longitude"
            named[field] = text[label.end() : end].strip(" ,;/|")
        if len(named) == 2:
            latitude, longitude = (read_angle(named[field]) for field in HEMISPHERES)
            return (latitude[0], longitude[0]) if latitude and longitude else None
        return None
    for pattern in (r"\s*[;|/]\s*", r"\s*,\s+|\s+,\s*"):
        parts = re.split(pattern, text.strip(" ,;"))
        if len(parts) == 2:
            return _pair_of_numbers(*parts)
    if text.count(",") == 1 and "." in text:  # 56.6,11.3
        return _pair_of_numbers(*text.split(","))
    # A hemisphere letter ends or begins either half: 10 N 20 E, N10 E20.
    for pattern in (
        r"(?i)(.*\d\D*[NSEWO])[\s,]*([-+\d.].*[NSEWO])",
        r"(?i)([NSEWO].*\d\D*?)[\s,]*([NSEWO].*)",
    ):
        if found := re.fullmatch(pattern, text):
            return _pair_of_numbers(found[1], found[2])
    parts = text.split()
    if len(parts) != 2 or not all(re.fullmatch(rf"[-+]?(?:{NUMBER})°?", part) for part in parts):
        return None
    # Two whole numbers, or a whole one before another, may be degrees and minutes.
    is_pair = "." in parts[0] or "," in parts[0] or parts[1][0] in "+-"
    return _pair_of_numbers(*parts) if is_pair else None


def _pair_of_numbers(first: str, second: str) -> tuple[float, float] | None:
    """Return the latitude and longitude of two texts, in the order that their letters say."""
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
    text = _DATUM.sub("", text).strip()
    if len(text) > 2 and text[0] in "\"'":  # as a spreadsheet or a program quotes text
        text = text[1:-1] if text[0] == text[-1] else text[1:]
    for pattern, replacement in _WORDS:
        text = pattern.sub(replacement, text)
    return " ".join(text.split())


def read_angle(text: str) -> tuple[float, str | None] | None:
    """Read degrees from a plain text, and the field that its hemisphere letter is of; None if it is no
    angle."""
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
