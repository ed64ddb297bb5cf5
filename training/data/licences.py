"""Licences of pictures as people write them, brought to one name each.

BOLD lets everyone type a licence: "CreativeCommons - Attribution Share-Alike", "Creative Commons-by-nc-sa"
and "No Rights Reserved (nrr)" are all found in its exports. What a text does not clearly allow is not
allowed: one that names no licence in full is `unclear`, and one that says two things has the narrower.
"""

from __future__ import annotations

import re
from functools import lru_cache

OPEN = ("cc0", "cc-by", "cc-by-sa")
"""Licences under which pictures may be used and passed on by everyone, where their holder is named."""

NON_COMMERCIAL = ("cc-by-nc", "cc-by-nc-sa")
"""Licences that can be asked for beside these. Those that allow no derivatives cannot: a model derives."""

MISSING, RESERVED, UNCLEAR = "missing", "all rights reserved", "unclear"

# "by" as part of a licence's name is followed by its other parts, a version and where that holds, and no
# more: "CreativeCommons by Jane Doe" names a person.
_BY = re.compile(
    r"(?:\b|cc)by(?:[\W_]*(?:nc|sa|nd))*[\W_]*(?:\d\.\d)?[\W_]*"
    r"(?:international|unported|generic|(?:deed|legalcode)(?:\.[a-z]+)?)?[\W_]*$"
)
_ZERO = re.compile(r"\bcc[\W_]*[0o]\b")


@lru_cache
def canonical(text: str) -> str:
    """Return the name of the licence that a text gives.

    Args:
        text: as somebody typed it, in any spelling; the address of a licence will do.

    Returns:
        `cc0`, `cc-by`, `cc-by-sa`, `cc-by-nc`, `cc-by-nd`, `cc-by-nc-sa`, `cc-by-nc-nd`; `missing` where
        there is no text, `all rights reserved`, or `unclear`. "No Rights Reserved" and "public domain" are
        `cc0`.
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
    non_commercial = "nc" in parts or "merc" in letters or "nonco" in letters  # it is often misspelt
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
    """Return whether a text gives up all rights."""
    given_up = any(words in letters for words in ("norightsreserved", "publicdomain", "commonszero"))
    return given_up or bool(_ZERO.search(text))
