"""Stylesheets, scripts and the lesson, each in a file of its own kind.

`css/` holds the look, `js/page.js` the functions that events of the page call, every other file in `js/` what
a widget runs once it is on the page, `lesson/` the activities of the Learn tab.
"""

import json
from functools import cache
from importlib.resources import files


@cache
def text(name: str) -> str:
    """Return the text of a file, such as `js/map.js`."""
    return files(__name__).joinpath(name).read_text("utf-8")


def call(function: str, *parameters) -> str:
    """Return what an event's `js=` takes: a call of a function of `js/page.js`.

    Args:
        function: its name.
        parameters: what it is given before the values of the event's inputs; they travel as JSON.
    """
    return f"(...values) => g2pdiff.{function}(...{json.dumps(parameters)}, ...values)"
