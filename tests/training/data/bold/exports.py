"""Run the program on an export, and read what it writes."""

import csv
from pathlib import Path

from tests.training.data.bold.server import write_tsv
from training import bold as program

ROOT = Path(__file__).parents[4]


def fetch(rows, path, out, *options):
    """Run the program quickly on some rows; return its exit code."""
    write_tsv(path, rows)
    return program.main(["--export", str(path), "--out", str(out), "--rate", "500", *options])


def table(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))
