"""CSV files as this project writes and reads them: every one opens in a spreadsheet as it was written.

A byte order mark tells Excel that the text is UTF-8. Text that a spreadsheet would take for a formula is
marked as text by a leading apostrophe, which `read_csv` takes away again.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO

MARK = "\ufeff"
"""The byte order mark, as a letter."""

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MARKED = re.compile(r"'+[=+\-@\t\r]")


def write_csv(rows: Iterable[Mapping], columns: Sequence[str] = ()) -> bytes:
    """Return rows of equal keys as CSV: UTF-8 with a byte order mark, commas, a line feed at each line's end.

    None and NaN become empty cells. A letter that UTF-8 cannot hold becomes a question mark.

    >>> write_csv([{"species": "Aglais io", "note": "=1+1", "score": None}]).decode("utf-8-sig")
    "species,note,score\\nAglais io,'=1+1,\\n"

    Args:
        rows: one dict a line.
        columns: names and order of the columns; those of the first row where it is empty.
    """
    rows = list(rows)
    columns = list(columns) or list(rows[0] if rows else ())
    text = StringIO()
    if columns:
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(cell) for name, cell in row.items()} for row in rows)
    return (MARK + text.getvalue()).encode("utf-8", "replace")


def read_csv(content: bytes) -> list[dict[str, str]]:
    """Return the rows of a CSV file with commas, with or without a byte order mark, as `write_csv` was given
    them; every cell is text.

    Raises:
        UnicodeDecodeError: the bytes are no UTF-8.
    """
    lines = csv.DictReader(StringIO(content.decode("utf-8-sig"), newline=""))
    return [{str(name): _unmarked(cell or "") for name, cell in line.items()} for line in lines]


def _cell(cell: object) -> object:
    """Return a cell such that no spreadsheet takes text for a formula; numbers stay as they are."""
    if isinstance(cell, float) and math.isnan(cell):
        return ""
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _unmarked(cell: str) -> str:
    return cell[1:] if _MARKED.match(cell) else cell
