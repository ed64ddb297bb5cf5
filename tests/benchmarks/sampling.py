"""How fast is the app's live run? `python -m tests.benchmarks.sampling`

Alternating in one process, on the same weights, barcodes and places:

a) live: what the app does, `pipeline.stream` at the checkpoint's defaults, with classifier-free guidance,
   alignment guidance, and a picture and a CLIBDScore at every step;
b) stock: the loop of a diffusers pipeline on the same U-Net, autoencoder and prompt embeddings, with
   classifier-free guidance at 25 steps, no alignment, and one picture at the end.

It prints medians and their ratio, where the live run's time goes, what drawing eight pictures together saves,
the seconds that `import g2pdiff` takes, and whether the defaults cost anything: the CLIBDScore of 32 held-out
barcodes (`held_out.csv`, of the `test` split) at the defaults and at 25 steps. The last line is one JSON
object. Timings are ratios of one run: on a machine that does other things they are noise.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch

from g2pdiff import pipeline as pipeline_module
from g2pdiff.analysis.statistics import mean_interval
from g2pdiff.built_in import SIMULATED
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.dna.barcode import Barcode
from g2pdiff.models.conditioner import Condition
from g2pdiff.pipeline import G2PDiffusionPipeline

HELD_OUT = Path(__file__).parent / "held_out.csv"
FULL_STEPS = 25
TOGETHER = 8


def live(pipe: G2PDiffusionPipeline, specimen: pd.Series, seed: int) -> None:
    """Return a run as the app streams it, every step a picture with its score."""
    for step in pipe.stream(Barcode(specimen.dna_barcode), specimen.latitude, specimen.longitude, seed=seed):
        step.image  # noqa: B018 - the app turns every preview into a picture


@torch.no_grad()
def stock(pipe: G2PDiffusionPipeline, condition: Condition, seed: int) -> None:
    """Return the loop of diffusers' Stable Diffusion pipeline: CFG in one batch of two, one decode."""
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    scheduler.set_timesteps(FULL_STEPS)
    both = Condition.cat([pipe.conditioner.null(condition), condition])
    latents = pipe.prepare_latents(1, [torch.Generator().manual_seed(seed)], "cpu")
    for timestep in scheduler.timesteps:
        prediction = pipe.unet(
            both.beside(torch.cat([latents, latents])),
            timestep,
            encoder_hidden_states=both.context,
            class_labels=both.pooled if pipe.unet.config.class_embed_type else None,
        ).sample
        without, with_it = prediction.chunk(2)
        guided = without + pipe.config.default_guidance_scale * (with_it - without)
        latents = scheduler.step(guided, timestep, latents).prev_sample
    pipe.decode(latents)


@contextmanager
def timed_parts(pipe: G2PDiffusionPipeline):
    """Return seconds spent in every part of a run, by name; the parts do not overlap."""
    spent: dict[str, float] = defaultdict(float)

    def timing(name, function):
        def wrapper(*args, **kwargs):
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - began

        return wrapper

    guidance = timing("aligner", pipeline_module.alignment_guidance)
    with (
        patch.object(pipe.unet, "forward", timing("U-Net", pipe.unet.forward)),
        patch.object(pipeline_module, "alignment_guidance", guidance),
        patch.object(pipe, "decode", timing("decoder", pipe.decode)),
        patch.object(pipe.clibd, "score", timing("score", pipe.clibd.score)),
        patch.object(pipe, "encode_condition", timing("conditioner", pipe.encode_condition)),
    ):
        yield spent


def seconds(function, *arguments) -> float:
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


def race(pipe: G2PDiffusionPipeline, specimens: pd.DataFrame, rounds: int) -> dict:
    """Return median seconds of both loops, and the live run's parts."""
    first = specimens.iloc[0]
    place = torch.tensor([[first.latitude, first.longitude]], dtype=torch.float32)
    condition = pipe.encode_condition([Barcode(first.dna_barcode)], place)
    live(pipe, first, 0)
    stock(pipe, condition, 0)  # a warm-up of each
    times = defaultdict(list)
    for round_ in range(rounds):
        times["stock"].append(seconds(stock, pipe, condition, round_))
        times["live"].append(seconds(live, pipe, specimens.iloc[round_ % len(specimens)], round_))
    with timed_parts(pipe) as spent:
        whole = seconds(live, pipe, first, 0)
    shares = {name: part / whole for name, part in spent.items()}
    shares["overhead"] = 1 - sum(shares.values())
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "ratio": medians["live"] / medians["stock"],
        "live_seconds": medians["live"],
        "stock_seconds": medians["stock"],
        "shares": shares,
    }


def batching(pipe: G2PDiffusionPipeline, specimens: pd.DataFrame, rounds: int) -> float:
    """Return how many times faster a picture is when eight are drawn together, as sweeps do, than alone."""
    chosen = specimens.iloc[:TOGETHER]
    barcodes = [Barcode(sequence) for sequence in chosen.dna_barcode]
    places = chosen.latitude.tolist(), chosen.longitude.tolist()

    def together():
        pipe(barcodes, *places, output_type="pt")

    def alone():
        for barcode, latitude, longitude in zip(barcodes, *places, strict=True):
            pipe(barcode, latitude, longitude, output_type="pt")

    pairs = [(seconds(alone), seconds(together)) for _ in range(rounds)]
    return statistics.median(one / other for one, other in pairs)


def quality(pipe: G2PDiffusionPipeline, specimens: pd.DataFrame) -> dict:
    """Return the CLIBDScore of every held-out barcode at the defaults and at 25 steps, guided throughout,
    from the same noise."""

    def scores(**settings) -> np.ndarray:
        found = []
        for start in range(0, len(specimens), TOGETHER):
            part = specimens.iloc[start : start + TOGETHER]
            barcodes = [Barcode(sequence) for sequence in part.dna_barcode]
            places = part.latitude.tolist(), part.longitude.tolist()
            found += pipe(barcodes, *places, output_type="pt", **settings).clibd_scores
        return np.array(found)

    default, full = scores(), scores(num_inference_steps=FULL_STEPS, guidance_below=1000)
    difference = mean_interval(default - full)
    return {
        "barcodes": len(specimens),
        "default_steps": pipe.config.default_steps,
        "default_clibd_score": default.mean(),
        "full_clibd_score": full.mean(),
        "difference": difference.value,
        "difference_interval": [difference.low, difference.high],
    }


def import_seconds() -> float:
    """Return the median of five imports of `g2pdiff`, each in an interpreter of its own."""
    code = "import time; t = time.perf_counter(); import g2pdiff; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(5)]
    return statistics.median(float(run.stdout) for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--checkpoint",
        default=SIMULATED,
        help="folder, hub id or built-in name (%(default)s, which never saw the held-out barcodes)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="runs of each loop (%(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(2)
    specimens = pd.read_csv(HELD_OUT)
    pipe = load_pipeline(given.checkpoint)
    result = race(pipe, specimens, given.rounds)
    result["batch_speedup"] = batching(pipe, specimens, given.rounds)
    result["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["import_seconds"] = import_seconds()
    result |= quality(pipe, specimens)

    print(f"live run, {result['default_steps']} steps  {result['live_seconds']:6.2f} s")
    print(f"stock loop, {FULL_STEPS} steps {result['stock_seconds']:6.2f} s")
    print(f"ratio live / stock    {result['ratio']:6.2f}")
    for name, share in sorted(result["shares"].items(), key=lambda item: -item[1]):
        print(f"  {name:<12} {share:6.1%}")
    print(f"{TOGETHER} together, per picture {result['batch_speedup']:5.2f} x as fast as alone")
    print(f"peak memory           {result['peak_mb']:6.0f} MB")
    print(f"import g2pdiff        {result['import_seconds']:6.3f} s")
    low, high = result["difference_interval"]
    print(
        f"CLIBDScore of {result['barcodes']} held-out barcodes: {result['default_clibd_score']:.3f} at the "
        f"defaults, {result['full_clibd_score']:.3f} at {FULL_STEPS} steps, "
        f"difference {result['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
