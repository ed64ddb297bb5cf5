"""Look for barcodes that a held-out split shares with the learned ones.

    python -m training.audit --table barcodes.parquet --out leaks.json

Any table of barcodes that training reads will do. It is split by its own column `split`, or by the rule of
`training.data.splits`. For every held-out split the audit counts distinct barcodes that are learned too:
`exact` ones, letter for letter; `contained` ones, which differ in length but agree at all sites that both
know; and `near` ones, at least 99 % identical. Half of the shorter barcode's sites are enough for a
comparison, so that short reads are found. The same is counted of what an evaluation uses (`kept`). It leaves
out exact and contained barcodes, but compares only pairs that share half of the region.

`leaks.json` names the records. A near barcode is no fault by itself: individuals of a species differ by less.
But a look-up finds it, so a model must be compared with one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from g2pdiff.errors import InputError
from training.configs.schema import DataConfig
from training.data.specimens import load_table
from training.data.splits import learned_barcodes, nearest_difference, unlearned
from training.data.storage import write_json

NEAR = 0.01  # share of sites
KINDS = ("exact", "contained", "near")
LISTED = 1_000  # most record ids per kind


def audit(table: pd.DataFrame) -> dict[str, dict]:
    """Count the barcodes of each held-out split that are learned too.

    Args:
        table: rows of all splits with framed `dna_barcode`, `processid` and `split`.

    Returns:
        For each split but `train`: the number of distinct `barcodes`, and of those of each kind of `KINDS`;
        the `records` of each kind; and the same numbers of what an evaluation uses, as `kept`.
    """
    found = {}
    for split in (name for name in table["split"].unique() if name != "train"):
        learned = learned_barcodes(table, split).unique().tolist()
        rows = table[table["split"] == split]
        if not learned:
            continue
        barcodes = rows["dna_barcode"].drop_duplicates().reset_index(drop=True)
        kinds = pd.Series(_kinds(barcodes.tolist(), learned), index=barcodes.to_numpy())
        ids = rows["processid"].groupby(rows["dna_barcode"].map(kinds)).apply(list)
        kept = unlearned(rows, table, split)["dna_barcode"].drop_duplicates()
        found[split] = (
            {"barcodes": len(barcodes)}
            | _count(kinds)
            | {"kept": {"barcodes": len(kept)} | _count(kinds[kept])}
            | {"records": {kind: sorted(map(str, ids.get(kind, [])))[:LISTED] for kind in KINDS}}
        )
    return found


def _kinds(barcodes: list[str], learned: list[str]) -> list[str]:
    """Return the kind of each framed barcode, empty if it is none of `KINDS`."""
    difference = nearest_difference(barcodes, learned, of_shorter=True)
    known = set(learned)
    near = np.where(difference == 0, "contained", np.where(difference <= NEAR, "near", ""))
    return ["exact" if barcode in known else str(kind) for barcode, kind in zip(barcodes, near, strict=True)]


def _count(kinds: pd.Series) -> dict[str, int]:
    return {kind: int((kinds == kind).sum()) for kind in KINDS}


def report(found: dict[str, dict]) -> str:
    """Return the counts as a Markdown table."""
    lines = ["| split | barcodes | exact | contained | near (99 %) |", "| --- | --- | --- | --- | --- |"]
    for split, result in found.items():
        for name, counts in ((split, result), (f"{split}, as evaluated", result["kept"])):
            cells = (f"{counts[kind]:,}" for kind in ("barcodes", *KINDS))
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.audit", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--table", required=True, help="table of barcodes")
    parser.add_argument("--out", type=Path, help="JSON file for counts and record ids")
    given = parser.parse_args(arguments)
    try:
        found = audit(load_table(DataConfig(table=given.table)))
        if not found:
            raise InputError("table", f"{given.table} has no held-out split beside learned barcodes.")
        if given.out:
            write_json(given.out, found)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(report(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
