"""Letters as they are pasted or stored, cleaned for framing; what was cleaned is said.

A gap or an unknown letter inside a record may hold the position of a site, as in a record cut out of an
alignment, or stand where nothing is missing. Nobody can tell from the letters alone, so that both readings
are kept: `held`, with N in place of each, and `closed`, without them. `g2pdiff.dna.placing` frames both.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from g2pdiff.dna.foreign import record_name
from g2pdiff.dna.framing import BASES
from g2pdiff.errors import InputError

SHORTEST, LONGEST = 200, 30_000
"""Letters of a text: the longest is that of a mitochondrial genome with room to spare."""

AMBIGUITY_CODES = "RYSWKMBDHV"
GAPS = "-.~?_*\u2010\u2011\u2012\u2013\u2014\u2212"
"""Letters for a site that is not there or was not read. `X`, of a masked base, is one more."""

_NOISE = (
    (re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff]"), "space"),
    (re.compile(r"[53]['′’]"), "end mark"),
    (re.compile(r"[0-9]+"), "line number"),
    (re.compile(r"""["'`´‘’“”„«»]"""), "quotation mark"),
)
_GAP = re.compile(f"[{re.escape(GAPS)}]")
_PLAIN = re.compile(f"[{BASES}N]+")
_IUPAC_CODES = f"{BASES}UN{AMBIGUITY_CODES}"
_DNA_LETTERS = frozenset(_IUPAC_CODES + _IUPAC_CODES.lower())
_AMINO_ACID_LETTERS = frozenset("ACDEFGHIKLMNPQRSTVWYXBZ*acdefghiklmnpqrstvwyxbz")


@dataclass(frozen=True)
class Letters:
    """A cleaned sequence of A, C, G, T, N in its two readings.

    Attributes:
        held: with N for every gap, those before the first and after the last letter too.
        closed: without gaps.
        gaps: gaps between the first and the last letter.
        before, after: gaps before the first and after the last letter.
        notes: what was cleaned, a sentence each; nothing about gaps.
    """

    held: str
    closed: str
    gaps: int = 0
    before: int = 0
    after: int = 0
    notes: tuple[str, ...] = ()


def clean(letters: str) -> Letters:
    """Clean letters of one record.

    Raises:
        InputError: field `barcode`, if they are not IUPAC DNA or a protein's, or there are fewer than 200,
            more than 30,000, or more than half N.
    """
    if _PLAIN.fullmatch(letters):
        _check_amount(letters)
        return Letters(letters, letters)
    if name := record_name(letters):
        raise InputError("barcode", f"The barcode {name}")
    notes = []
    if not letters.isascii():
        letters = unicodedata.normalize("NFKC", letters)  # wide letters, as some keyboards type them
    for pattern, what in _NOISE:
        letters, removed = pattern.subn("", letters)
        if removed:
            notes.append(f"Removed {count(removed, what)}.")
    letters = _GAP.sub("-", letters)
    unread = letters.count("X") + letters.count("x")
    if unread and not _is_protein(letters):
        notes.append(f"Read {count(unread, 'letter')} X as unknown.")
        letters = letters.replace("X", "-").replace("x", "-")
    _check_letters(letters)
    if lower := sum(map(str.islower, letters)):
        notes.append(f"Read {count(lower, 'lower-case letter')} as upper case.")
        letters = letters.upper()
    if uracils := letters.count("U"):
        notes.append(f"Read {count(uracils, 'letter')} U as T.")
        letters = letters.replace("U", "T")
    if ambiguous := sum(letters.count(code) for code in AMBIGUITY_CODES):
        notes.append(f"Read {count(ambiguous, 'ambiguity code')} as N.")
        letters = letters.translate(str.maketrans(AMBIGUITY_CODES, "N" * len(AMBIGUITY_CODES)))
    closed = letters.replace("-", "")
    _check_amount(closed)
    before, after = (len(letters) - len(strip("-")) for strip in (letters.lstrip, letters.rstrip))
    inside = letters.count("-") - before - after
    return Letters(letters.replace("-", "N"), closed, inside, before, after, tuple(notes))


def _is_protein(letters: str) -> bool:
    letters = letters.replace("-", "")
    strange = sum(letter not in _DNA_LETTERS and letter not in "Xx" for letter in letters)
    return len(letters) >= 20 and _AMINO_ACID_LETTERS.issuperset(letters) and strange > 0.05 * len(letters)


def _check_letters(letters: str) -> None:
    """Refuse letters that are not IUPAC DNA, and say so where they are a protein's."""
    if _is_protein(letters):
        raise InputError(
            "barcode", "The barcode looks like a protein: paste the DNA of the COI gene, not its amino acids."
        )
    known = _DNA_LETTERS | {"-"}
    strange = [index for index, letter in enumerate(letters) if letter not in known]
    if not strange:
        return
    letter = letters[strange[0]]
    code = "" if letter.isascii() else f" (U+{ord(letter):04X})"  # a Cyrillic A looks like a Latin one
    first = f"{letter!r}{code} after {count(strange[0], 'letter')}"
    raise InputError(
        "barcode",
        f"The barcode has {count(len(strange), 'character')} that DNA does not have (first {first}): "
        "paste a sequence of A, C, G, T and IUPAC codes alone.",
    )


def _check_amount(letters: str) -> None:
    """Refuse too few or too many letters, and too many N among them."""
    given = count(len(letters), "letter")
    if len(letters) < SHORTEST:
        raise InputError(
            "barcode", f"The barcode is too short ({given}): paste at least {SHORTEST} letters of COI."
        )
    if len(letters) > LONGEST:
        raise InputError(
            "barcode",
            f"The barcode is too long ({given}): cut out the COI barcode region, up to {LONGEST:,} letters.",
        )
    if 2 * letters.count("N") > len(letters):
        share = letters.count("N") / len(letters)
        raise InputError("barcode", f"The barcode is {share:.0%} N: paste a sequence at least half known.")


def count(number: int, what: str) -> str:
    """Return a number and its noun: `1 gap`, `3 gaps`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
