"""A link that reproduces a view: the tab and its values in the query string, written on Run, read on load."""

from collections.abc import Callable, Mapping

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import MutationModel, parse_ratio, parse_region
from g2pdiff.errors import InputError
from g2pdiff.validation import check_locality, check_number, check_scale, check_seed, check_steps

MAX_MUTATION = 50  # per cent, the end of the form's slider
LONGEST_FASTA = 4_000  # characters of a batch that a link holds: servers refuse links of tens of thousands


def check_text(barcode: str) -> str:
    Barcode.parse(barcode)
    return barcode


def check_region(text: str) -> str:
    parse_region(text)
    return text


FORM: dict[str, Callable] = {
    "barcode": check_text,
    "latitude": lambda text: check_locality(text, 0)[0],
    "longitude": lambda text: check_locality(0, text)[1],
    "mutation_rate": lambda text: check_number("mutation_rate", text, 0, MAX_MUTATION / 100),
    "kind": lambda text: MutationModel(text).kind,
    "transition_transversion_ratio": parse_ratio,
    "no_new_stops": lambda text: text == "true",
    "region": check_region,
    "edits": str,  # they depend on the barcode: the form says what is wrong with them
    "seed": check_seed,
    "steps": check_steps,
    "guidance_scale": lambda text: check_scale("guidance_scale", text),
    "alignment_scale": lambda text: check_scale("alignment_scale", text),
}
"""What is read for each value of the form, in the order of the form."""


def read(query: Mapping[str, str], checks: Mapping[str, Callable] = FORM) -> tuple[dict, list[str]]:
    """The usable values of a query string, and a sentence for each that was ignored."""
    values, ignored = {}, []
    for name, check in checks.items():
        if name in query:
            try:
                values[name] = check(query[name])
            except InputError as error:
                ignored.append(f"The link's {name.replace('_', ' ')} was ignored: {error}")
    return values, ignored
