"""How often does an interval of a sweep hold the planted slope? `python -m tests.benchmarks.slopes`

Sweeps the barcodes of `held_out.csv`, which the shipped checkpoint of simulated insects never saw, along
latitude and, as the null control, along longitude, at the defaults. It prints the share of slopes within a
fifth of the planted one, of intervals over the noises that hold the planted slope, and of null controls that
pass; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.experiments.latitude import Cline, LatitudeSweep, cline

HELD_OUT = Path(__file__).parent / "held_out.csv"
NEAR = 0.2  # of the planted slope


def sweep(pipeline, specimen: dict[str, str], along: str) -> Cline:
    """Return the slope of a held-out specimen's sweep at the defaults."""
    place = {"latitude": specimen["latitude"], "longitude": specimen["longitude"]}
    asked = LatitudeSweep(barcode=specimen["dna_barcode"], along=along, **place)
    found = cline([row for update in asked.start(pipeline) for row in update.rows], planted=True)
    assert found is not None, specimen
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--barcodes", type=int, default=32, help="(%(default)s)")
    parser.add_argument("--checkpoint", default="checkpoint", help="(%(default)s)")
    given = parser.parse_args()
    with HELD_OUT.open() as file:
        specimens = list(csv.DictReader(file))[: given.barcodes]
    pipeline = load_pipeline(given.checkpoint)
    result: dict[str, float] = {"barcodes": len(specimens)}
    for along in ("latitude", "longitude"):
        found = []
        for number, specimen in enumerate(specimens, start=1):
            found.append(sweep(pipeline, specimen, along))
            print(
                f"{along} {number:2d} {found[-1].slope.value:+6.2f} "
                f"({found[-1].slope.low:+.2f} to {found[-1].slope.high:+.2f})",
                flush=True,
            )
        slopes = np.array([one.slope for one in found])
        planted = found[0].planted
        result[f"{along}_mean"] = slopes[:, 0].mean()
        result[f"{along}_standard_deviation"] = slopes[:, 0].std(ddof=1)
        result[f"{along}_covered"] = np.mean((slopes[:, 1] <= planted) & (planted <= slopes[:, 2]))
        if along == "latitude":
            result["near_planted"] = np.mean(np.abs(slopes[:, 0] - planted) <= NEAR * planted)
        else:
            result["null_passed"] = np.mean(["passed" in one.verdict for one in found])
    for name, value in result.items():
        print(f"{name:<32} {value:8.3f}")
    print(json.dumps({name: float(value) for name, value in result.items()}))


if __name__ == "__main__":
    main()
