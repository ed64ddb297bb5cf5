"""Compare sampling settings of a checkpoint on the validation split, to choose its defaults.

    python -m training.tune_sampling --checkpoint assets/checkpoint --table barcodes.parquet --barcodes 32 \
        --guidance-scales 1 2 3 --alignment-scales 0 1 3 10 --guidance-below 900 1000 --steps 25

prints a table, and writes it with `--out FILE.md`. For every combination it has the mean CLIBDScore, also
relative to that of the true pictures, the share of successes, the root mean square distance to the true
picture (a picture that only pleases the judge is far from it), R2 of body length, and seconds per picture.
The test split is not used.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from g2pdiff.analysis.morphometrics import body_length
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from g2pdiff.pipeline import G2PDiffusionPipeline
from training.configs.schema import DataConfig, join_processes
from training.evaluation.measures import Measures
from training.evaluation.metrics import r_squared
from training.evaluation.systems import PipelineSystem
from training.evaluation.worlds import load_world


def tune(
    pipeline: G2PDiffusionPipeline, measures: Measures, values: dict[str, Sequence[float]]
) -> pd.DataFrame:
    """Measure every combination of settings' values, with one picture per specimen of the measures' world.
    Rows name settings as in a call."""
    world, rows = measures.world, []
    true_lengths = body_length(world.truth).numpy()
    for combination in itertools.product(*values.values()):
        began = time.monotonic()
        settings = dict(zip(values, combination, strict=True))
        system = PipelineSystem(pipeline, settings)
        images = torch.cat([system.draw(specimen, [0]).cpu() for _, specimen in world.specimens.iterrows()])
        seconds = (time.monotonic() - began) / len(images)
        scores = (measures.embed(images) * measures.barcodes).sum(-1).numpy()
        rows.append(
            settings
            | {
                "clibd_score": scores.mean(),
                "relative": scores.mean() / measures.true_scores.mean(),
                "success": (scores >= measures.threshold).mean(),
                "rms_to_truth": (images - world.truth).square().mean().sqrt().item(),
                "length_r2": r_squared(body_length(images).numpy(), true_lengths),
                "seconds": seconds,
            }
        )
    return pd.DataFrame(rows)


def markdown(result: pd.DataFrame, barcodes: int) -> str:
    """Return the table as Markdown, settings first."""
    lines = [
        f"{barcodes} barcodes of the `val` split, one picture each.",
        "",
        "| steps | guidance | alignment | guided below | CLIBDScore | relative | success | RMS | length R2 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in result.itertuples():
        lines.append(
            f"| {row.num_inference_steps} | {row.guidance_scale:g} | {row.alignment_scale:g} "
            f"| {row.guidance_below} "
            f"| {row.clibd_score:.3f} | {row.relative:.3f} | {row.success:.1%} | {row.rms_to_truth:.4f} "
            f"| {row.length_r2:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.tune_sampling", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--checkpoint", help="folder or hub id; by default the embedded one")
    parser.add_argument("--table", help="barcode table; without one, barcodes evolved along a tree")
    parser.add_argument("--barcodes", type=int, default=32)
    parser.add_argument("--guidance-scales", type=float, nargs="+", default=[1, 2, 3])
    parser.add_argument("--alignment-scales", type=float, nargs="+", default=[0, 1, 3, 10])
    parser.add_argument("--guidance-below", type=int, nargs="+", default=[1000])
    parser.add_argument("--steps", type=int, nargs="+", default=[25])
    parser.add_argument("--out", type=Path, help="Markdown file to write the table to")
    given = parser.parse_args(arguments)
    try:
        pipeline = load_pipeline(given.checkpoint).to(join_processes().device)
        data = DataConfig(table=given.table, image_size=pipeline.config.image_size)
        with tempfile.TemporaryDirectory() as folder:
            world = load_world(data, "val", given.barcodes, Path(folder))
            measures = Measures(world, pipeline.clibd)
            values = {
                "num_inference_steps": given.steps,
                "guidance_scale": given.guidance_scales,
                "alignment_scale": given.alignment_scales,
                "guidance_below": given.guidance_below,
            }
            result = tune(pipeline, measures, values)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(result.to_string(index=False, float_format="{:.3g}".format))
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(markdown(result, len(world.specimens)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
