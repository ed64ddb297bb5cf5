"""What a text is that holds no sequence to read: another file format, or the name of a record.

People paste what lies at hand: an accession number, an alignment as Clustal, a page. A sentence that names
the thing helps more than one that counts wrong letters.
"""

from __future__ import annotations

import re

from g2pdiff.errors import quoted

LONGEST_NAMES = 2_000
"""Characters of a text that may be names of records alone; a sequence of so few letters is too short or has
no blanks."""


def _compiled(*entries: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return patterns, which ignore case, with what each names."""
    return tuple((re.compile(pattern, re.IGNORECASE), name) for pattern, name in entries)


_FORMATS = _compiled(
    (r"CLUSTAL", "a Clustal alignment"),
    (r"#NEXUS", "a NEXUS file"),
    (r"# STOCKHOLM", "a Stockholm alignment"),
    (r"\d+[ \t]+\d+[ \t]*[\r\n]", "a PHYLIP alignment"),
    (r"@\S[^\r\n]*[\r\n]+[A-Za-z.*-]+[\r\n]+\+", "a FASTQ file"),
    (r"[{\[]\s*[\"'{\[]", "JSON"),
    (r"<[!?A-Za-z]", "a web page or XML"),
)
_NAMES = _compiled(
    (r"BOLD:[A-Z]{3}\d{4}", "is a BIN of BOLD"),
    (r"[A-Z]{2,8}\d{2,5}-\d{2}(?:\.COI-\dP)?", "is a process id of BOLD"),
    (r"(?:[A-Z]{1,2}\d{5,8}|[A-Z]{2}_\d{6,9})(?:\.\d{1,2})?", "is an accession number of GenBank"),
    (r"(?:https?://|www\.)\S+", "is a link"),
)
_NO_DNA = re.compile(r"[EFIJLOPQZ]", re.IGNORECASE)
_SPECIES = re.compile(r"[A-Z][a-z]+\s[a-z-]{2,}(?:\s[a-z-]{2,})?")


def other_format(text: str) -> str | None:
    """Return the end of a sentence that names the format of a text, if it is one that is not read.

    >>> other_format("#NEXUS\\nbegin data;")
    'is a NEXUS file: save it as FASTA.'
    """
    start = text.lstrip()[:4_000]
    name = next((name for pattern, name in _FORMATS if pattern.match(start)), None)
    return name and f"is {name}: save it as FASTA."


def record_name(text: str) -> str | None:
    """Return the end of a sentence that says what a text names, if it holds names of records alone.

    >>> record_name("KJ123456.1")
    'is an accession number of GenBank ("KJ123456.1"): paste the sequence of that record.'
    """
    text = text.strip()
    if not text or len(text) > LONGEST_NAMES:
        return None
    names = re.split(r"[\s,;]+", text)
    for pattern, what in _NAMES:
        if all(map(pattern.fullmatch, names)):
            return f"{what} ({quoted(names[0])}): paste the sequence of that record."
    if _SPECIES.fullmatch(text):
        return f"is the name of a species ({quoted(text)}): paste a COI sequence of it."
    return None


def headless(text: str) -> str | None:
    """Return the end of a sentence on a first line that is no DNA above lines that are, as of a FASTA text
    that lost its `>`."""
    first, _, rest = text.strip().partition("\n")
    if len(rest) >= len(first) and _NO_DNA.search(first) and not _NO_DNA.search(rest):
        return f"begins with a line that is no DNA ({quoted(first)}): put > before it if it is a name."
    return None
