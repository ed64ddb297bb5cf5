"""A link that reproduces a view: the tab and its values in the query string, written on Run, read on load."""

import re
from collections.abc import Callable, Mapping
from functools import partial

from g2pdiff.errors import InputError
from g2pdiff.experiments.generate import Generate
from g2pdiff.validation import check_number

_PLAIN = re.compile(r"-?\d+(\.\d+)?")

MAX_MUTATION = 50  # per cent, the end of the form's slider
LONGEST_FASTA = 4_000  # characters of a batch that a link holds: servers refuse links of tens of thousands


def as_typed(check: Callable[[str], object]) -> Callable[[str], str]:
    """Return a check that leaves a text as it was typed."""

    def read(text: str) -> str:
        check(text)
        return text

    return read


def as_number(check: Callable[[str], float]) -> Callable[[str], float | str]:
    """Return a check that reads a plain number, and leaves other text as typed: it may be a whole place.

    A whole number is an integer, so that it stands in its field without a point.
    """

    def read(text: str) -> float | str:
        value = check(text)
        if not _PLAIN.fullmatch(text):
            return text
        return int(value) if value == int(value) else value

    return read


FORM: dict[str, Callable] = {name: partial(Generate.read, name) for name in Generate.arguments()} | {
    "barcode": as_typed(partial(Generate.read, "barcode")),
    **{name: as_number(partial(Generate.read, name)) for name in ("latitude", "longitude")},
    "mutation_rate": lambda text: check_number("mutation_rate", text, 0, MAX_MUTATION / 100),
}
"""What is read for each value of the form."""


def read(query: Mapping[str, str], checks: Mapping[str, Callable] = FORM) -> tuple[dict, list[str]]:
    """Return the usable values of a query string, and a sentence for each that was ignored."""
    values, ignored = {}, []
    for name, check in checks.items():
        if name in query:
            try:
                values[name] = check(query[name])
            except InputError as error:
                ignored.append(f"The link's {name.replace('_', ' ')} was ignored: {error}")
    return values, ignored
