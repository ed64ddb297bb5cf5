"""Choose a checkpoint's sampling defaults on the validation split.

    python -m training.sweep --checkpoint assets/checkpoint --table barcodes.parquet --barcodes 32 \
        --guidance-scales 1 2 3 --alignment-scales 0 1 3 10 --steps 25

prints, and with `--out FILE.md` writes, for every combination the mean CLIBDScore, how much is left of it
relative to the true pictures, the share of successes, the pixel distance to the true picture (a picture that
pleases the judge alone drifts away from it) and seconds a picture. The test split takes no part.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

import pandas as pd

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from training.config import DataConfig
from training.data import draw_specimens, load_table
from training.evaluate import Evaluation


def sweep(run: Evaluation, guidance_scales, alignment_scales, steps) -> pd.DataFrame:
    """One row for every combination of settings, one picture for every specimen of `run`."""
    threshold = run.pipeline.clibd.config.threshold
    true_score = run.scores(run.truth[:, None]).mean()
    rows = []
    for count, guidance, alignment in itertools.product(steps, guidance_scales, alignment_scales):
        began = time.monotonic()
        settings = dict(num_inference_steps=count, guidance_scale=guidance, alignment_scale=alignment)
        images = run.samples(1, **settings)
        seconds = (time.monotonic() - began) / len(images)
        scores = run.scores(images)
        rows.append(
            settings
            | {
                "clibd_score": scores.mean(),
                "relative": scores.mean() / true_score,
                "success": (scores >= threshold).mean(),
                "rms_to_truth": (images[:, 0] - run.truth).square().mean().sqrt().item(),
                "seconds": seconds,
            }
        )
    return pd.DataFrame(rows)


def markdown(result: pd.DataFrame, barcodes: int) -> str:
    """The table as Markdown, settings first."""
    lines = [
        f"{barcodes} barcodes of the `val` split, one picture each.",
        "",
        "| steps | guidance scale | alignment scale | CLIBDScore | relative | success | RMS to truth |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result.itertuples():
        lines.append(
            f"| {row.num_inference_steps} | {row.guidance_scale:g} | {row.alignment_scale:g} "
            f"| {row.clibd_score:.3f} | {row.relative:.3f} | {row.success:.1%} | {row.rms_to_truth:.4f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.sweep", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", help="folder or hub id; by default the embedded one")
    parser.add_argument("--table", help="barcode table; without one, barcodes evolved along a tree")
    parser.add_argument("--barcodes", type=int, default=32)
    parser.add_argument("--guidance-scales", type=float, nargs="+", default=[1, 2, 3])
    parser.add_argument("--alignment-scales", type=float, nargs="+", default=[0, 1, 3, 10])
    parser.add_argument("--steps", type=int, nargs="+", default=[25])
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    given = parser.parse_args(arguments)
    try:
        table = load_table(DataConfig(table=given.table))
        specimens = draw_specimens(table, "val", DataConfig(), per_species=1).iloc[: given.barcodes]
        run = Evaluation(load_pipeline(given.checkpoint), specimens, reference=specimens)
        result = sweep(run, given.guidance_scales, given.alignment_scales, given.steps)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(result.to_string(index=False, float_format="{:.3g}".format))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(markdown(result, len(run.specimens)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
