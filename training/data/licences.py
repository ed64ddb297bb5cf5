"""Licences of pictures as people write them, reduced to one name each.

In BOLD everyone types a licence as free text: its exports contain "CreativeCommons - Attribution
Share-Alike", "Creative Commons-by-nc-sa" and "No Rights Reserved (nrr)". Only a clear permission counts: a
text without a complete licence name is `unclear`, and of two licences in one text the narrower counts.
"""

from __future__ import annotations

import re
from functools import lru_cache

OPEN = ("cc0", "cc-by", "cc-by-sa")
"""Licences under which everyone may use and pass on pictures, if the holder is named."""

NON_COMMERCIAL = ("cc-by-nc", "cc-by-nc-sa")
"""Licences that a user can allow too. Those without derivatives are excluded: a model may be a derivative."""

MISSING, RESERVED, UNCLEAR = "missing", "all rights reserved", "unclear"

# "by" as part of a licence's name is followed only by its other parts, a version and a country. In
# "CreativeCommons by Jane Doe" it names a person.
_BY = re.compile(
    r"(?:\b|cc)by(?:[\W_]*(?:nc|sa|nd))*[\W_]*(?:\d\.\d)?[\W_]*"
    r"(?:international|unported|generic|(?:deed|legalcode)(?:\.[a-z]+)?)?[\W_]*$"
)
_ZERO = re.compile(r"\bcc[\W_]*[0o]\b")


@lru_cache
def canonical(text: str) -> str:
    """Return the name of the licence in a text.

    Args:
        text: a licence in any spelling, or the address of one.

    Returns:
        `cc0`, `cc-by`, `cc-by-sa`, `cc-by-nc`, `cc-by-nd`, `cc-by-nc-sa`, `cc-by-nc-nd`; `missing` if there
        is no text, `all rights reserved`, or `unclear`. "No Rights Reserved" and "public domain" are `cc0`.
    """
    text = text.lower().strip()
    if not text:
        return MISSING
    letters = re.sub("[^a-z]", "", text)
    parts = set(re.findall("[a-z]+", text))
    for part in tuple(parts):
        if joined := re.fullmatch("(?:cc)?by(nc)?(sa|nd)?", part):
            parts |= set(joined.groups(default="by"))
    if "allrightsreserved" in letters:
        return RESERVED
    non_commercial = "nc" in parts or "merc" in letters or "nonco" in letters  # a common misspelling
    no_derivatives = "nd" in parts or "deriv" in letters
    share_alike = "sa" in parts or ("share" in letters and "alike" in letters)
    restricted = non_commercial or no_derivatives or share_alike
    if _is_zero(text, letters):
        return UNCLEAR if restricted else "cc0"
    commons = "creativecom" in letters or any(part.startswith("cc") for part in parts)
    if not commons or not ("tribution" in letters or _BY.search(text)):
        return UNCLEAR
    named = ["cc-by"]
    named += ["nc"] if non_commercial else []
    named += ["nd"] if no_derivatives else ["sa"] if share_alike else []
    return "-".join(named)


def _is_zero(text: str, letters: str) -> bool:
    """Return whether a text waives all rights."""
    given_up = any(words in letters for words in ("norightsreserved", "publicdomain", "commonszero"))
    return given_up or bool(_ZERO.search(text))
