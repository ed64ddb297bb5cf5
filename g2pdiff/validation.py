"""Checks of values that a user gives. Each returns the value in its type or raises `InputError`."""

import math
import re
from collections.abc import Iterable
from typing import Any

from g2pdiff.coordinates import read_locality
from g2pdiff.errors import InputError, quoted

MAXIMUM_SEED = 2**32 - 1
MAXIMUM_STEPS = 1000
MAXIMUM_SCALE = 1000

_COMMA = re.compile(r"[+-]?(?:0?,\d+|\d+,(?:\d{1,2}|\d{4,}))")


def check_number(
    field: str, value: Any, low: float, high: float, unit: str = "", whole: bool = False
) -> float:
    """Check a number from `low` to `high`, given as a number or as text, and return it.

    >>> check_number("latitude", "56.6", -90, 90, "degrees")
    56.6
    >>> check_number("latitude", "north", -90, 90, "degrees")
    Traceback (most recent call last):
    g2pdiff.errors.InputError: Latitude must be a number between -90 and 90 degrees, not "north".

    Args:
        field: name of the input, as in `InputError.field`. The sentence shows its underscores as spaces.
        value: the user's value. None and blank text count as missing. A decimal comma is allowed.
        low, high: the range, ends included.
        unit: unit in the sentence, such as `"degrees"`.
        whole: whether it must be a whole number, such as `25`, `25.0` or `"25"`.

    Raises:
        InputError: `field`, if the value is missing, not a number, or out of range.
    """
    name = field.replace("_", " ").capitalize()
    wanted = f"a {'whole ' * whole}number between {low:,} and {high:,} {unit}".rstrip()
    given = "" if value is None else str(value.item() if hasattr(value, "item") else value).strip()
    if not given:
        raise InputError(field, f"{name} is missing: give {wanted}.")
    try:
        # Python reads 1_0 as 10, which nobody means. 1,5 is a number in most languages, but 1,500 may be
        # 1500.
        text = given.replace("\u2212", "-")
        text = text.replace(",", ".") if _COMMA.fullmatch(text) and not whole else text
        number = math.nan if "_" in text else float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high or (whole and not number.is_integer()):
        raise InputError(field, f"{name} must be {wanted}, not {quoted(given)}.")
    return number


def check_locality(latitude: object, longitude: object) -> tuple[float, float]:
    """Check latitude and longitude in decimal degrees (WGS 84), from numbers or text, and return them.

    `g2pdiff.coordinates.read_locality` reads them; its notes are dropped here.

    Raises:
        InputError: field `latitude` or `longitude`, if one is missing or cannot be read.
    """
    locality = read_locality(latitude, longitude)
    return locality.latitude, locality.longitude


def check_seed(seed: object) -> int:
    """Check the seed of a picture, 0 to 2^32 - 1, and return it. Raises `InputError("seed")`."""
    return int(check_number("seed", seed, 0, MAXIMUM_SEED, whole=True))


def check_steps(steps: object) -> int:
    """Check the number of denoising steps, 1 to 1000, and return it. Raises `InputError("steps")`."""
    return int(check_number("steps", steps, 1, MAXIMUM_STEPS, whole=True))


def check_rate(field: str, rate: object) -> float:
    """Check a rate, 0 to 1, such as a mutation rate, and return it. Raises `InputError(field)`."""
    return check_number(field, rate, 0, 1)


def check_scale(field: str, scale: object) -> float:
    """Check a guidance or alignment scale, 0 (off) to 1000, and return it. Raises `InputError(field)`."""
    return check_number(field, scale, 0, MAXIMUM_SCALE)


def check_choice(field: str, value: object, choices: Iterable[str]) -> str:
    """Check that a name is among `choices`, and return it.

    Raises:
        InputError: field `field`, if it is not one of them.
    """
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        name = field.replace("_", " ").capitalize()
        raise InputError(field, f"{name} {quoted(value)} is unknown: choose {' or '.join(choices)}.")
    return value
