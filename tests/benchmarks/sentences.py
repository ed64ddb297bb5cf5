"""All sentences that a user can see, in one list to read and correct.

    python -m tests.benchmarks.sentences > sentences.txt
    python -m tests.benchmarks.sentences g2pdiff/experiments

prints the texts of the app and the command line, grouped by file: errors, labels, help and notes from the
syntax trees of `g2pdiff/`, texts from its scripts, and the lesson. Braces stand for values: `{field}`.
A fragment that is joined to others at run time is printed as it stands in the source.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
SHOWN = ROOT / "g2pdiff"

_TAG = re.compile(r"<[^<>]*>")
_WORDS = re.compile(r"[^\W\d_]{2,}(?:['’][a-z]+)?[,:;.]? (?:[^\W\d_]|\{)|\} [^\W\d_]{2,}")
_CODE = re.compile(
    r"\(\?|\\[sdw]|::|=>|[#.][\w-]+ \{|^[#.][a-z][\w-]* [a-z]|\w\(.*\);|var\(--|^--|^[\w.-]+ > |\d+px"
)
_SCRIPT_TEXT = re.compile(r"([\"'`])((?:(?!\1)[^\\\n]|\\.)*)\1")


class Sentence(NamedTuple):
    """A text that a user can see.

    Attributes:
        line: line in its file.
        field: the input that an `InputError` names; empty for other texts.
        text: the text, with values in braces.
    """

    line: int
    field: str
    text: str


def text_of(node: ast.expr) -> str | None:
    """Return the text of a string or an f-string, with its values in braces; None for other expressions."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = (
            part.value if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}"
            for part in node.values
            if isinstance(part, (ast.Constant, ast.FormattedValue))
        )
        return "".join(map(str, parts))
    return None


def is_prose(text: str) -> bool:
    """Return whether a text has words that a person reads, and is not code, a selector or markup alone."""
    return bool(_WORDS.search(_TAG.sub(" ", text))) and not _CODE.search(text)


def sentences_of(source: str) -> list[Sentence]:
    """Return the texts of a Python module that a user can see, in order. Docstrings are left out."""
    found: list[Sentence] = []

    def visit(node: ast.AST, field: str) -> None:
        if isinstance(node, ast.Expr) and text_of(node.value) is not None:
            return  # a docstring
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError":
            field = ast.unparse(node.args[0]).strip("'\"") if node.args else ""
        text = text_of(node) if isinstance(node, ast.expr) else None
        if text is not None:
            if is_prose(text):
                found.append(Sentence(node.lineno, field, text))
            return
        for child in ast.iter_child_nodes(node):
            visit(child, field)

    visit(ast.parse(source), "")
    return found


def script_sentences(source: str) -> list[Sentence]:
    """Return the texts of a JavaScript file that a user can see, in order."""
    return [
        Sentence(number, "", found[2])
        for number, line in enumerate(source.splitlines(), start=1)
        if not line.lstrip().startswith(("//", "*", "/*"))
        for found in _SCRIPT_TEXT.finditer(line)
        if is_prose(found[2])
    ]


def list_sentences(folder: Path = SHOWN) -> Iterator[tuple[Path, list[Sentence]]]:
    """Yield each file below a folder that has texts for users, with these texts."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".py":
            found = sentences_of(path.read_text(encoding="utf-8"))
        elif path.suffix == ".js":
            found = script_sentences(path.read_text(encoding="utf-8"))
        elif path.suffix == ".md":
            lines = path.read_text(encoding="utf-8").splitlines()
            found = [Sentence(number, "", line) for number, line in enumerate(lines, start=1) if line.strip()]
        else:
            continue
        if found:
            yield path, found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=SHOWN, help="part of g2pdiff/ to list")
    folder = parser.parse_args(arguments).folder.resolve()
    for path, found in list_sentences(folder):
        print(f"\n{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")
        for sentence in found:
            field = f"[{sentence.field}] " if sentence.field else ""
            print(f"{sentence.line:5}  {field}{' '.join(sentence.text.split())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
