"""The one exception that a user can cause: bad input. Its sentence names the field and says how to fix it.

Sentences repeat what a user typed only through `printable` and `quoted`. So nothing that a user types can
break a sentence, reverse its direction, or make it impossible to send.
"""

from unicodedata import category

QUOTED = 40  # characters of the user's text that a sentence repeats
UNPRINTABLE = ("Cc", "Cf", "Cs")  # Unicode's controls, format characters and surrogates


class InputError(ValueError):
    """Input that cannot be used.

    `str(error)` is the sentence to show. `field` is the name of the wrong input, such as `"barcode"`,
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
    """Return text in one line, with single spaces. U+FFFD replaces control characters, marks of direction,
    and lone surrogates, which no file or reply can hold."""
    line = " ".join(text.split())
    return "".join("\ufffd" if category(letter) in UNPRINTABLE else letter for letter in line)


def quoted(value: object) -> str:
    """Return the start of a user's text in quotation marks, for use in a sentence.

    >>> quoted("two\\nlines")
    '"two lines"'
    """
    return f'"{printable(str(value)[:QUOTED])}"'
