"""Measure a checkpoint on barcodes it never saw, and write results.json, table.md and figures.

    python -m training.evaluate --checkpoint assets/checkpoint --table barcodes.parquet --split test \
        --barcodes 64 --samples 20 --out results

Ground truth is the simulated specimen of a barcode and its locality. "Random" pairs a true picture with the
barcode of another specimen. Scores at rank k are the best of k samples of a barcode, estimated without bias
from all of them. Traits are measured on the pictures alone, the generated and the true ones alike.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from g2pdiff.checkpoint import load_pipeline
from g2pdiff.errors import InputError
from g2pdiff.genotype import Barcode
from g2pdiff.morphometrics import body_length, dominant_hue
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.simulation import Simulator
from training.config import DataConfig
from training.data import draw_specimens, load_table
from training.figures import comparison_grid, density_figure, mutation_figure, sweep_figure
from training.metrics import best_of_k, bootstrap_interval, r_squared, relative_slope, success_of_k

RANKS = (1, 5, 10, 20, 50, 100)
MUTATION_RATES = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.5)
SWEEP = tuple(range(-80, 81, 10))
BATCH = 8


class Evaluation:
    """A checkpoint, the simulator and the held-out specimens of one run.

    Args:
        pipeline: the checkpoint.
        specimens: held-out rows of a prepared table, one a species.
        reference: training rows whose true pictures name the family of a picture that looks like them.
    """

    def __init__(
        self, pipeline: G2PDiffusionPipeline, specimens: pd.DataFrame, reference: pd.DataFrame, **settings
    ):
        self.pipeline, self.specimens, self.settings = pipeline, specimens, settings
        self.simulator = Simulator.default()
        self.size = pipeline.config.image_size
        self.truth = self.draw(specimens, specimens["seed"])
        self.barcode_embeddings = self.embed_barcodes(specimens)
        self.reference_families = reference["family"].to_numpy()
        self.reference_embeddings = self.embed(self.draw(reference, reference["seed"]))

    @torch.no_grad()
    def draw(self, rows: pd.DataFrame, seeds) -> torch.Tensor:
        """True pictures of rows (N, 3, H, W)."""
        return torch.cat(
            [
                self.simulator.specimens(
                    some["dna_barcode"].tolist(), some["coord-lat"].to_numpy(), self.size, list(picks)
                )
                for some, picks in (
                    (rows.iloc[i : i + 64], list(seeds)[i : i + 64]) for i in range(0, len(rows), 64)
                )
            ]
        )

    @torch.no_grad()
    def embed(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.pipeline.clibd.embed_images(some) for some in images.split(64)])

    @torch.no_grad()
    def embed_barcodes(self, rows: pd.DataFrame) -> torch.Tensor:
        return self.pipeline.clibd.embed_barcodes(rows["dna_barcode"].tolist())

    def generate(self, sequences, latitudes, longitudes, seeds, **settings) -> torch.Tensor:
        """Pictures of N barcodes at N places (N, 3, H, W), a few at a time."""
        images = []
        for start in range(0, len(sequences), BATCH):
            part = slice(start, start + BATCH)
            images.append(
                self.pipeline(
                    [Barcode(sequence) for sequence in sequences[part]],
                    list(latitudes[part]),
                    list(longitudes[part]),
                    seed=list(map(int, seeds[part])),
                    output_type="pt",
                    **(self.settings | settings),
                ).images
            )
        return torch.cat(images)

    def samples(self, count: int, **settings) -> torch.Tensor:
        """`count` pictures of every specimen: (N, count, 3, H, W)."""
        rows = self.specimens
        return torch.stack(
            [
                self.generate(
                    rows["dna_barcode"].tolist(),
                    rows["coord-lat"].tolist(),
                    rows["coord-lon"].tolist(),
                    [seed] * len(rows),
                    **settings,
                )
                for seed in tqdm(range(count), desc="samples")
            ],
            dim=1,
        )

    def scores(self, images: torch.Tensor) -> np.ndarray:
        """CLIBDScores (N, count) of pictures (N, count, 3, H, W)."""
        embedded = self.embed(images.flatten(0, 1)).unflatten(0, images.shape[:2])
        return (embedded * self.barcode_embeddings[:, None]).sum(-1).numpy()

    def family_agreement(self, images: torch.Tensor) -> float:
        """Share of pictures (N, 3, H, W) whose nearest five reference pictures are mostly of their family."""
        nearest = (self.embed(images) @ self.reference_embeddings.T).topk(5, dim=1).indices.numpy()
        votes = [pd.Series(self.reference_families[row]).mode()[0] for row in nearest]
        return float(np.mean(np.array(votes) == self.specimens["family"].to_numpy()))

    def species_retrieval(self, images: torch.Tensor) -> float:
        """Share of pictures (N, 3, H, W) nearest to their own barcode among all N."""
        found = (self.embed(images) @ self.barcode_embeddings.T).argmax(1)
        return float((found == torch.arange(len(images))).float().mean())

    def traits(self, images: torch.Tensor) -> dict:
        """How well traits measured on pictures (N, 3, H, W) recover those of the true pictures."""
        return {
            "body_length_r2": r_squared(body_length(images).numpy(), body_length(self.truth).numpy()),
            "hue_r2": r_squared(dominant_hue(images).numpy(), dominant_hue(self.truth).numpy()),
            "family_agreement": self.family_agreement(images),
        }

    def sweep(self, along: str, count: int, seeds: int = 2) -> dict:
        """Body length along latitude, or along longitude as the null control; barcode and noise stay fixed.

        The slope is fitted to body lengths relative to every barcode's own mean.
        """
        lengths = []
        for _, row in self.specimens.iloc[:count].iterrows():
            for seed in range(seeds):
                places = [(d, 0.0) if along == "latitude" else (30.0, 2.0 * d) for d in SWEEP]
                images = self.generate(
                    [row["dna_barcode"]] * len(SWEEP), *zip(*places, strict=True), [seed] * len(SWEEP)
                )
                lengths.append(body_length(images).numpy())
        lengths = np.array(lengths)
        relative = lengths / lengths.mean(1, keepdims=True).clip(min=1e-3)
        tens = (np.abs(SWEEP) - 30) / 10 if along == "latitude" else np.array(SWEEP) / 10
        slope, low, high = relative_slope(relative.ravel(), np.tile(tens, len(relative)))
        return {
            "slope_percent": slope,
            "interval": [low, high],
            "degrees": list(SWEEP) if along == "latitude" else [2 * d for d in SWEEP],
            "relative_length": relative.mean(0).tolist(),
        }

    def mutations(self, count: int) -> dict:
        """Drift of pictures under mutation, generated and true: RMS pixel distance at 32 px from rate 0."""

        def drift(images):
            small = torch.nn.functional.interpolate(images, (32, 32), mode="area")
            return (small - small[:1]).square().mean((1, 2, 3)).sqrt().numpy()

        generated, true = [], []
        for _, row in self.specimens.iloc[:count].iterrows():
            series = [Barcode(row["dna_barcode"]).mutate(rate, seed=0).sequence for rate in MUTATION_RATES]
            place = [[row[name]] * len(series) for name in ("coord-lat", "coord-lon")]
            generated.append(drift(self.generate(series, *place, [0] * len(series))))
            true.append(drift(self.simulator.specimens(series, place[0], self.size, None)))
        generated, true = np.array(generated), np.array(true)
        return {
            "rates": list(MUTATION_RATES),
            "generated": generated.mean(0).tolist(),
            "true": true.mean(0).tolist(),
            "spearman_of_means": float(spearmanr(generated.mean(0), true.mean(0)).statistic),
            "spearman_of_pictures": float(spearmanr(generated[:, 1:].ravel(), true[:, 1:].ravel()).statistic),
        }


def ranked(scores: np.ndarray, truth: np.ndarray, threshold: float) -> dict:
    """Scores and success at every rank that the samples allow, absolute and relative to ground truth."""
    top = {}
    for k in (k for k in RANKS if k <= scores.shape[1]):
        best = best_of_k(scores, k)
        top[str(k)] = {
            "clibd_score": float(best.mean()),
            "relative": float(best.mean() / truth.mean()),
            "success": float(success_of_k(scores, k, threshold).mean()),
            "interval": list(bootstrap_interval(best)),
        }
    return top


def evaluate(
    pipeline: G2PDiffusionPipeline,
    table: pd.DataFrame,
    split: str,
    barcodes: int,
    samples: int,
    out: Path,
    seed: int = 0,
    experiments: int = 6,
    **settings,
) -> dict:
    """Measure a checkpoint and write everything to `out`; return what results.json holds.

    Args:
        pipeline: the checkpoint.
        table: a prepared table, see `training.data.prepare`.
        split: `val`, `test` or `test_unseen`.
        barcodes: held-out barcodes, each of another species.
        samples: pictures of each.
        out: folder for results.json, table.md and the figures.
        seed: of the choice of barcodes.
        experiments: barcodes in the latitude, longitude and mutation experiments.
        settings: of the pipeline's call, such as `alignment_scale`.
    """
    began = time.monotonic()
    draw = DataConfig(seed=seed)
    held_out = draw_specimens(table, split, draw, per_species=1).iloc[:barcodes].reset_index(drop=True)
    natural = DataConfig(seed=seed, mutated_share=0.0, roaming_share=0.0)
    reference = draw_specimens(table, "train", natural, per_species=1)
    run = Evaluation(pipeline, held_out, reference, **settings)

    threshold = pipeline.clibd.config.threshold
    true_scores = run.scores(run.truth[:, None])[:, 0]
    all_pairs = (run.embed(run.truth) @ run.barcode_embeddings.T).numpy()
    shuffled = all_pairs[~np.eye(len(held_out), dtype=bool)]
    images = run.samples(samples)
    scores = run.scores(images)
    result = {
        "split": split,
        "barcodes": len(held_out),
        "samples": samples,
        "experiments": experiments,
        "threshold": threshold,
        "overlap": float(((true_scores < threshold).mean() + (shuffled >= threshold).mean()) / 2),
        "ground_truth": {
            "clibd_score": float(true_scores.mean()),
            "success": float((true_scores >= threshold).mean()),
            "retrieval": run.species_retrieval(run.truth),
            "traits": {"family_agreement": run.family_agreement(run.truth)},
        },
        "random": {"clibd_score": float(shuffled.mean()), "success": float((shuffled >= threshold).mean())},
        "systems": {
            "g2pdiffusion": {
                "top": ranked(scores, true_scores, threshold),
                "retrieval": run.species_retrieval(images[:, 0]),
                "traits": run.traits(images[:, 0]),
            }
        },
        "latitude": run.sweep("latitude", experiments),
        "longitude": run.sweep("longitude", experiments),
        "mutations": run.mutations(experiments),
        "settings": {"seed": seed, **settings},
    }
    unguided = run.samples(min(samples, 2), alignment_scale=0.0)
    result["alignment"] = {
        "with": float(scores[:, : unguided.shape[1]].mean()),
        "without": float(run.scores(unguided).mean()),
    }
    result["seconds"] = time.monotonic() - began

    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(result, indent=2))
    (out / "table.md").write_text(results_table(result))
    comparison_grid(run.truth[:24], images[:24, 0], held_out.iloc[:24], out / "truth_and_prediction.png")
    density_figure(true_scores, shuffled, scores.ravel(), threshold, out / "density.png")
    sweep_figure(result["latitude"], result["longitude"], out / "sweeps.png")
    mutation_figure(result["mutations"], out / "mutations.png")
    return result


def results_table(result: dict) -> str:
    """The figures of results.json as Markdown."""
    system = result["systems"]["g2pdiffusion"]
    truth, random = result["ground_truth"], result["random"]
    lines = ["| | CLIBDScore | relative to truth | success |", "| --- | --- | --- | --- |"]
    lines.append(f"| ground truth | {truth['clibd_score']:.3f} | 1.000 | {truth['success']:.1%} |")
    for k, row in system["top"].items():
        low, high = row["interval"]
        lines.append(
            f"| G2PDiffusion, best of {k} | {row['clibd_score']:.3f} ({low:.3f} to {high:.3f}) "
            f"| {row['relative']:.3f} | {row['success']:.1%} |"
        )
    share = random["clibd_score"] / truth["clibd_score"]
    lines.append(f"| random pairs | {random['clibd_score']:.3f} | {share:.3f} | {random['success']:.1%} |")
    traits, latitude, longitude = system["traits"], result["latitude"], result["longitude"]
    slope, null = latitude["slope_percent"], longitude["slope_percent"]
    facts = [
        ("species retrieved from the picture", f"{system['retrieval']:.1%} (truth {truth['retrieval']:.1%})"),
        (
            "family agreement of the picture",
            f"{traits['family_agreement']:.1%} (truth {truth['traits']['family_agreement']:.1%})",
        ),
        ("R2 of body length", f"{traits['body_length_r2']:.2f}"),
        ("R2 of dominant hue", f"{traits['hue_r2']:.2f}"),
        ("body length per 10 degrees of latitude", _interval(slope, latitude["interval"]) + "; planted 5 %"),
        (
            "body length per 10 steps of 2 degrees of longitude",
            _interval(null, longitude["interval"]) + "; planted 0",
        ),
        (
            "Spearman of mean picture drift over mutation rates",
            f"{result['mutations']['spearman_of_means']:.2f}",
        ),
        (
            "CLIBDScore with / without alignment, same seeds",
            f"{result['alignment']['with']:.3f} / {result['alignment']['without']:.3f}",
        ),
        ("overlap of true and shuffled pairs", f"{result['overlap']:.1%}"),
    ]
    lines += ["", "| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in facts)]
    head = (
        f"{result['barcodes']} barcodes of the `{result['split']}` split, {result['samples']} samples each, "
    )
    return head + f"success from CLIBDScore {result['threshold']:.3f}.\n\n" + "\n".join(lines) + "\n"


def _interval(value: float, interval: list[float]) -> str:
    return f"{value:.2f} % ({interval[0]:.2f} to {interval[1]:.2f})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default=None, help="folder or hub id; by default the embedded one")
    parser.add_argument("--table", help="barcode table; without one, barcodes evolved along a tree")
    parser.add_argument("--split", default="test", choices=["val", "test", "test_unseen"])
    parser.add_argument("--barcodes", type=int, default=64)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--experiments", type=int, default=6, help="barcodes in the sweeps and mutation series"
    )
    parser.add_argument("--out", type=Path, required=True)
    for name, kind in (("steps", int), ("guidance-scale", float), ("alignment-scale", float)):
        parser.add_argument(f"--{name}", type=kind)
    given = parser.parse_args(arguments)
    settings = {
        "num_inference_steps": given.steps,
        "guidance_scale": given.guidance_scale,
        "alignment_scale": given.alignment_scale,
    }
    try:
        result = evaluate(
            load_pipeline(given.checkpoint),
            load_table(DataConfig(table=given.table)),
            given.split,
            given.barcodes,
            given.samples,
            given.out,
            given.seed,
            given.experiments,
            **{name: value for name, value in settings.items() if value is not None},
        )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(results_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
