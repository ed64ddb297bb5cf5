"""A link that reproduces a view: the tab and its values in the query string, written on Run, read on load."""

from collections.abc import Callable, Mapping
from functools import partial

from g2pdiff.errors import InputError
from g2pdiff.experiments.generate import Generate
from g2pdiff.validation import check_number

MAX_MUTATION = 50  # per cent, the end of the form's slider
LONGEST_FASTA = 4_000  # characters of a batch that a link holds: servers refuse links of tens of thousands


def as_typed(check: Callable[[str], object]) -> Callable[[str], str]:
    """Return a check that leaves a text as it was typed."""

    def read(text: str) -> str:
        check(text)
        return text

    return read


FORM: dict[str, Callable] = {name: partial(Generate.read, name) for name in Generate.arguments()} | {
    "barcode": as_typed(partial(Generate.read, "barcode")),
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
