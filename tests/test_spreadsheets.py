"""CSV files: what is written opens in a spreadsheet, and comes back as it was."""

import ast
import io
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from g2pdiff.spreadsheets import read_csv, write_csv

ROOT = Path(__file__).parents[1]
# A line feed stays in a cell; a lone carriage return would end its line in some readers.
cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"))


@given(st.lists(st.tuples(cells, cells), min_size=1))
def test_what_is_written_comes_back(pairs):
    rows = [{"name": name, "Ort": place} for name, place in pairs]
    assert read_csv(write_csv(rows)) == rows


@given(st.text())
def test_no_text_of_a_cell_begins_a_formula(text):
    table = pd.read_csv(io.BytesIO(write_csv([{"a": text, "b": "x"}])), dtype=str, keep_default_na=False)
    assert not table["a"].iloc[0].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_excel_is_told_the_encoding_and_numbers_stay_numbers():
    content = write_csv([{"species": "Ä. ö", "n": -12.5, "m": np.float64(0.25), "empty": None, "x": np.nan}])
    assert content == b"\xef\xbb\xbf" + "species,n,m,empty,x\nÄ. ö,-12.5,0.25,,\n".encode()
    assert read_csv(content[3:]) == read_csv(content)
    assert write_csv([], ["a", "b"]).endswith(b"a,b\n") and read_csv(write_csv([])) == []


def test_every_csv_has_one_writer():
    for path in [*ROOT.glob("g2pdiff/**/*.py"), *ROOT.glob("training/**/*.py")]:
        if path.name == "spreadsheets.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "attr", getattr(node, "id", ""))
            assert name not in ("DictWriter", "DictReader"), path
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "to_csv":
                assert not node.args, path  # of a file; a text is none that somebody opens
