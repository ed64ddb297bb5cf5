"""The one exception a user can cause: bad input, said in a sentence that names the field and how to fix it.

Sentences and names hold what was typed as `printable` and `quoted` give it, so that nothing typed can break a
sentence in two, turn its direction, or keep it from being sent.
"""

from unicodedata import category

QUOTED = 40  # characters of what was typed that a sentence repeats
UNPRINTABLE = ("Cc", "Cf", "Cs")  # Unicode's controls, format characters and surrogates


class InputError(ValueError):
    """Input that cannot be used.

    `str(error)` is the sentence to show; `field` is the name of the input it belongs to, such as `"barcode"`,
    `"latitude"` or `"steps"`, so that an interface can place the sentence beside it.

    >>> error = InputError("latitude", "Latitude is missing: give a number between -90 and 90 degrees.")
    >>> error.field, isinstance(error, ValueError)
    ('latitude', True)
    """

    def __init__(self, field: str, message: str):
        super().__init__(message)
        self.field = field

    def __reduce__(self):
        return type(self), (self.field, str(self))


def printable(text: str) -> str:
    """Return text in one line: runs of space become one space; U+FFFD stands for control characters, for
    marks of direction and the like, and for lone surrogates, which no file or reply can hold."""
    line = " ".join(text.split())
    return "".join("\ufffd" if category(letter) in UNPRINTABLE else letter for letter in line)


def quoted(value: object) -> str:
    """Return the start of what was typed, in quotation marks, as a sentence repeats it.

    >>> quoted("two\\nlines")
    '"two lines"'
    """
    return f'"{printable(str(value)[:QUOTED])}"'
