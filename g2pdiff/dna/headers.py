"""Places in FASTA headers, in the spellings of GenBank, BOLD and everybody else.

    >moth 1 lat=56.6 lon=11.3
    >moth 2 [lat_lon=56.6 N 11.3 E]
    >moth 3 latitude: 56,6; longitude: 11,3
    >ABCD123-10|Vanessa cardui|COI-5P|56.62|11.31

What looks like a place and cannot be read is told, so that no animal is set down elsewhere without a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from g2pdiff.angles import plain, read_angle, read_announced_pair, read_pair
from g2pdiff.coordinates import Locality, read_locality
from g2pdiff.errors import InputError, quoted

LONGEST = 2_000  # characters

_BOTH = r"lat[-_ ]?(?:lon|lng|long)|latitude[-_ ]longitude|coord(?:inate)?s?|geo|gps|location"
_LATITUDE = r"(?:decimal[-_ ]?|coord[-_])?lat(?:itude)?"
_LONGITUDE = r"(?:decimal[-_ ]?|coord[-_])?(?:long?(?:itude)?|lng)"
_KEY = re.compile(
    rf"(?i)(?<![A-Za-z0-9_])[/\"']?(?:(?P<both>{_BOTH})|(?P<latitude>{_LATITUDE})|(?P<longitude>{_LONGITUDE}))"
    r"(?P<unit>[-_ ]?(?:deg|dd|decimal))?"
    r"(?:[\"']?\s*[=:]\s*|\.?\s+(?=[-+\u2212]?\d))"
)
_END = re.compile(r"[]|;)}]|\t")
_QUOTED = re.compile(r"""\s*(["'])(.*?)\1""")
_WORDS_END = re.compile(r"\s+|,(?!\d)|$")
_COMPASS = re.compile(r"(?i)(?<![\w.])\d[\d.,°′″'\" :]*[NS][\s,]+\d[\d.,°′″'\" :]*[EW](?!\w)")
_LOOSE = re.compile(
    r"(?i)(?:^|[\s_|;,([])(?:"
    r"[NS]?\s?\d{1,3}[.,]\d+\s?°?\s?[NS]?[\s_,;]+[EW]\s?\d{1,3}[.,]\d+|"  # N10.5 E20.5
    r"\d{1,3}[.,]\d+\s?°?\s?[NS][\s_,;]+\d{1,3}[.,]\d+\s?°?\s?[EW]|"  # 10.5N_20.5E
    r"[([@][-+\u2212]?\d{1,2}[.,]\d+[,;\s]\s*[-+\u2212]?\d{1,3}[.,]\d+[])]?(?:\s|$)|"  # (10.5, 20.5)
    r"(?:lat[a-z]*|breite\w*)[\s_=:-]*[-+\u2212]?\d[\d.,]*.{0,6}?(?:lon[a-z]*|l(?:ä|ae)nge\w*)[\s_=:-]*"
    r"[-+\u2212]?\d[\d.,]*)"
)
"""What may be a place, in a spelling that has other meanings too."""

_FRACTION = re.compile(r"\s*[-+\u2212]?\d{1,3}[.,]\d+\s*")


@dataclass(frozen=True)
class Header:
    """A FASTA header and the place that it names.

    Attributes:
        name: the rest of the header; not yet shortened.
        locality: None where it names none that can be read.
        warning: why a place that it seems to name was ignored, a sentence; empty where there is none.
    """

    name: str
    locality: Locality | None = None
    warning: str = ""


def read_header(header: str) -> Header:
    """Take the place out of the beginning of a FASTA header; what is behind 2,000 characters goes."""
    header = header[:LONGEST]
    keys = list(_KEY.finditer(header))
    if not keys:
        return _without_keys(header)
    found: dict[str, list[str]] = {"both": [], "latitude": [], "longitude": []}
    rest, at = [], 0
    for key, after in zip(keys, [*keys[1:], None], strict=True):
        kind = key.lastgroup if key.lastgroup != "unit" else None
        kind = kind or next(name for name in found if key[name])
        value, end = _value(header[key.end() : after.start() if after else len(header)], kind)
        found[kind].append(value)
        rest.append(header[at : key.start()])
        at = key.end() + end
    name = _tidy(" ".join([*rest, header[at:]]))
    return _read(name, found, header)


def _value(text: str, kind: str) -> tuple[str, int]:
    """Return the value at the beginning of a text, and where it ends with what closes it."""
    if held := _QUOTED.match(text):
        return held[2].strip(), _closed(text, held.end())
    opened = re.match(r"\s*[([{]", text)
    cut = _END.search(text, opened.end() if opened else 0)
    end = cut.start() if cut else len(text)
    if opened and cut and kind == "both":
        end = cut.end()
    whole = text[:end]
    readable = read_announced_pair if kind == "both" else lambda part: read_angle(plain(part))
    ends = [found.start() for found in _WORDS_END.finditer(whole)]
    for stop in reversed(ends):
        if whole[:stop].strip() and readable(whole[:stop].strip(" ,/")):
            return whole[:stop].strip(" ,/"), _closed(text, stop)
    first = ends[0] if ends else end
    return whole[:first].strip(" ,/"), _closed(text, first)


def _closed(text: str, end: int) -> int:
    """Return one past the delimiter behind a value."""
    found = re.compile(r"\s*[]|;,)}]?").match(text, end)
    return found.end() if found else end


def _read(name: str, found: dict[str, list[str]], header: str) -> Header:
    """Return the header's place, of the values that its keys have."""
    ignored = "The header's place was ignored"
    if found["both"]:
        read = {value: read_announced_pair(value) for value in found["both"]}
        wrong = next((value for value, place in read.items() if place is None), None)
        if wrong is not None:
            if not re.search(r"\d", "".join(found["both"])) and not found["latitude"] + found["longitude"]:
                return Header(" ".join(header.split()).rstrip("|;, "))  # location: Denmark
            return Header(name, None, f'{ignored}: "{wrong[:40]}" is no latitude and longitude.')
        pairs = [tuple(map(str, place)) for place in set(read.values()) if place is not None]
        for field, index in (("latitude", 0), ("longitude", 1)):
            found[field] += [pair[index] for pair in pairs]
    if not (found["latitude"] and found["longitude"]):
        return Header(name, None, "The header has only one of lat and lon, so its place was ignored.")
    for field in ("latitude", "longitude"):
        values = {(read_angle(plain(value)) or (value,))[0] for value in found[field]}
        if len(values) > 1:
            return Header(name, None, f"{ignored}: it names more than one {field}.")
    try:
        return Header(name, read_locality(found["latitude"][0], found["longitude"][0]))
    except InputError as error:
        return Header(name, None, f"{ignored}: {error}")


def _without_keys(header: str) -> Header:
    """Return a place between the bars of a BOLD header, or in compass letters."""
    name = " ".join(header.split()).rstrip("|;, ")
    fields = header.split("|")
    spans = [(index, index + 1) for index in range(len(fields)) if _is_whole_place(fields[index])]
    spans += [
        (index, index + 2)
        for index in range(len(fields) - 1)
        if _FRACTION.fullmatch(fields[index]) and _FRACTION.fullmatch(fields[index + 1])
    ]
    if len(fields) > 1 and spans:
        start, end = spans[0]
        given = (fields[start], fields[end - 1]) if end - start == 2 else (fields[start], None)
        rest = _tidy("|".join(fields[:start] + fields[end:]))
        try:
            return Header(rest, read_locality(*given))
        except InputError as error:
            return Header(name, None, f"The header's place was ignored: {error}")
    compass = _COMPASS.search(header)
    if compass and (pair := read_pair(compass[0].strip(" ,"))):
        rest = _tidy(header[: compass.start()] + " " + header[compass.end() :])
        try:
            return Header(rest, read_locality(*pair))
        except InputError as error:
            return Header(name, None, f"The header's place was ignored: {error}")
    if loose := _LOOSE.search(header):
        seen = quoted(loose[0].strip(" _|;,"))
        return Header(name, None, f"The header may name a place, {seen}: write it as lat=10.5 lon=20.5.")
    return Header(name)


def _is_whole_place(field: str) -> bool:
    return bool(re.search(r"\d[.,°]|\d ?[NSEW]|geo:", field) and read_pair(field.strip()))


def _tidy(name: str) -> str:
    """Return what is left of a header, without brackets that lost what they held."""
    name = re.sub(r"[\[({]\s*[\])}]|[\[({]\s*$", " ", name)
    name = re.sub(r"[\[({]\s+(?=[\[({]|$)|\s[\])}](?=\s|$)|(?<=\s)[\[({](?=\s)", " ", name)
    return " ".join(name.split()).rstrip("|;,[({ ")
