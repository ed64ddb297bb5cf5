"""A link that reproduces a view: the form's values in the query string, written on Run and read on load."""

import json
from collections.abc import Mapping

from g2pdiff.checks import check_number, check_scale, check_seed, check_steps
from g2pdiff.environment import check_locality
from g2pdiff.errors import InputError
from g2pdiff.genotype import Barcode

MAX_MUTATION = 50  # per cent, the end of the form's slider


def check_text(barcode: str) -> str:
    Barcode.parse(barcode)
    return barcode


READ = {
    "barcode": check_text,
    "latitude": lambda text: check_locality(text, 0)[0],
    "longitude": lambda text: check_locality(0, text)[1],
    "mutation_rate": lambda text: check_number("mutation_rate", text, 0, MAX_MUTATION / 100),
    "seed": check_seed,
    "steps": check_steps,
    "guidance_scale": lambda text: check_scale("guidance_scale", text),
    "alignment_scale": lambda text: check_scale("alignment_scale", text),
}

# A function of the form's values in the order of READ, which it passes on; empty values leave the link.
# The form's mutation rate is in per cent. Inside a Hugging Face Space the page around the app is told too.
WRITE = """(...form) => {
  const query = new URLSearchParams(location.search);
  NAMES.forEach((name, i) => {
    const value = name === 'mutation_rate' ? form[i] / 100 : form[i];
    if (value === null || value === '') query.delete(name); else query.set(name, value);
  });
  history.replaceState(null, '', '?' + query);
  if (parent !== window) parent.postMessage({queryString: query.toString()}, 'https://huggingface.co');
  return form;
}""".replace("NAMES", json.dumps(list(READ)))


def read(query: Mapping[str, str]) -> tuple[dict, list[str]]:
    """The usable values of a query string, and a sentence for each that was ignored."""
    values, ignored = {}, []
    for name, check in READ.items():
        if name in query:
            try:
                values[name] = check(query[name])
            except InputError as error:
                ignored.append(f"The link's {name.replace('_', ' ')} was ignored: {error}")
    return values, ignored
