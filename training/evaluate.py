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

from g2pdiff import experiments
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.clibd import overlap
from g2pdiff.errors import InputError
from g2pdiff.genotype import Barcode
from g2pdiff.morphometrics import body_length, dominant_hue
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.simulation import Simulator
from g2pdiff.statistics import Estimate, mean_interval
from training.config import DataConfig
from training.data import draw_specimens, load_table
from training.figures import comparison_grid, density_figure, mutation_figure, sweep_figure
from training.metrics import best_of_k, bootstrap_interval, r_squared, success_of_k

RANKS = (1, 5, 10, 20, 50, 100)
BATCH = 8
NOTHING = Estimate(float("nan"), float("nan"), float("nan"))  # of pictures without a specimen
PAIRED_SAMPLES = 4  # of every barcode, with and without alignment


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
        """How well traits measured on pictures (N, count, 3, H, W) recover those of the true pictures."""
        count = images.shape[1]
        lengths, hues = body_length(self.truth), dominant_hue(self.truth)
        found = [(body_length(sample), dominant_hue(sample)) for sample in images.unbind(1)]
        return {
            "body_length_r2": r_squared(
                torch.cat([length for length, _ in found]).numpy(), lengths.repeat(count).numpy()
            ),
            "hue_r2": r_squared(torch.cat([hue for _, hue in found]).numpy(), hues.repeat(count, 1).numpy()),
            "family_agreement": float(np.mean([self.family_agreement(s) for s in images.unbind(1)])),
        }

    def ceiling(self) -> dict:
        """What the measurements themselves allow: the traits of other true pictures of the same specimens."""
        others = torch.stack([self.draw(self.specimens, self.specimens["seed"] + n) for n in (1, 2)], dim=1)
        return self.traits(others)

    @torch.no_grad()
    def reconstruction(self) -> dict:
        """What the autoencoder costs: PSNR in dB and CLIBDScore of true pictures that passed through it."""
        decoded = [self.pipeline.vae(part * 2 - 1) for part in self.truth.split(BATCH)]
        images = torch.cat(decoded).div(2).add(0.5).clamp(0, 1)
        error = (images - self.truth).square().mean((1, 2, 3))
        return {
            "psnr_db": (-10 * error.log10()).mean().item(),
            "clibd_score": float(self.scores(images[:, None]).mean()),
        }

    def alignment(self, aligned: torch.Tensor) -> dict:
        """CLIBDScore with and without alignment guidance at the same seeds, and the difference over barcodes.

        Args:
            aligned: pictures with alignment (N, count, 3, H, W).
        """
        count = min(PAIRED_SAMPLES, aligned.shape[1])
        with_it = self.scores(aligned[:, :count]).mean(1)
        without = self.scores(self.samples(count, alignment_scale=0.0)).mean(1)
        return {
            "with": float(with_it.mean()),
            "without": float(without.mean()),
            "difference": mean_interval(with_it - without),
        }

    @property
    def denoising(self) -> experiments.Denoising:
        steps = self.settings.get("num_inference_steps")
        scales = {name: self.settings.get(name) for name in ("guidance_scale", "alignment_scale")}
        return experiments.Denoising(steps, **scales)

    def experiment(self, kind, count: int, **arguments) -> list[list]:
        """Rows of an experiment of `g2pdiff.experiments` on each of the first `count` specimens."""
        rows = []
        for _, row in tqdm(list(self.specimens.iloc[:count].iterrows()), desc=kind.__name__):
            place = row["coord-lat"], row["coord-lon"]
            updates = kind(
                self.pipeline, Barcode(row["dna_barcode"]), *place, denoising=self.denoising, **arguments
            )
            rows.append([row for update in updates for row in update.rows])
        return rows

    def sweep(self, along: str, count: int, replicates: int = 2) -> dict:
        """Body length along latitude, or along longitude as the null control; barcode and noise stay fixed.

        A slope is fitted for every barcode; the interval is that of their mean.
        """
        swept = self.experiment(experiments.sweep, count, along=along, replicates=replicates)
        clines = [experiments.cline(rows, planted=True) for rows in swept]
        slopes = [found.slope for found in clines if found] or [NOTHING]
        slope = mean_interval([one.value for one in slopes]) if len(slopes) > 1 else slopes[0]
        degrees = [row.degrees for row in swept[0] if row.replicate == 0]
        relative = np.stack([experiments.relative_lengths(rows) for rows in swept])
        return {
            "slope_percent_per_10_degrees": slope.value,
            "interval": [slope.low, slope.high],
            "slopes": [one.value for one in slopes],
            "degrees": degrees,
            "relative_length": relative.reshape(count, len(degrees), replicates).mean((0, 2)).tolist(),
        }

    def mutations(self, count: int) -> dict:
        """Appearance drift under mutation, generated and true."""
        series = self.experiment(experiments.mutations, count, replicates=1)
        generated = np.array([[row.drift for row in rows] for rows in series])
        true = np.array([[row.true_drift for row in rows] for rows in series])
        return {
            "rates": [row.rate for row in series[0]],
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
        "overlap": overlap(threshold, true_scores, shuffled),
        "ground_truth": {
            "clibd_score": float(true_scores.mean()),
            "success": float((true_scores >= threshold).mean()),
            "retrieval": run.species_retrieval(run.truth),
            "traits": run.ceiling(),
        },
        "reconstruction": run.reconstruction(),
        "random": {"clibd_score": float(shuffled.mean()), "success": float((shuffled >= threshold).mean())},
        "systems": {
            "g2pdiffusion": {
                "top": ranked(scores, true_scores, threshold),
                "retrieval": run.species_retrieval(images[:, 0]),
                "traits": run.traits(images),
            }
        },
        "latitude": run.sweep("latitude", experiments),
        "longitude": run.sweep("longitude", experiments),
        "mutations": run.mutations(experiments),
        "alignment": run.alignment(images),
        "settings": {"seed": seed, **settings},
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
    traits, ceiling = system["traits"], truth["traits"]
    reconstruction, alignment = result["reconstruction"], result["alignment"]
    slopes = {along: (result[along], planted) for along, planted in (("latitude", 5), ("longitude", 0))}
    facts = [
        ("species retrieved from the picture", f"{system['retrieval']:.1%} (truth {truth['retrieval']:.1%})"),
        (
            "family agreement of the picture",
            f"{traits['family_agreement']:.1%} (truth {ceiling['family_agreement']:.1%})",
        ),
        *(
            (f"R2 of {name}", f"{traits[key]:.2f} (other true pictures {ceiling[key]:.2f})")
            for name, key in (("body length", "body_length_r2"), ("dominant hue", "hue_r2"))
        ),
        *(
            (
                f"body length per 10 degrees of {along}",
                _interval(sweep["slope_percent_per_10_degrees"], *sweep["interval"], "%")
                + f"; planted {planted} %",
            )
            for along, (sweep, planted) in slopes.items()
        ),
        (
            "Spearman of mean picture drift over mutation rates",
            f"{result['mutations']['spearman_of_means']:.2f}",
        ),
        (
            "CLIBDScore with / without alignment, same seeds",
            f"{alignment['with']:.3f} / {alignment['without']:.3f}, difference "
            + _interval(*alignment["difference"]),
        ),
        ("overlap of true and shuffled pairs", f"{result['overlap']:.1%}"),
        (
            "true pictures through the autoencoder",
            f"{reconstruction['psnr_db']:.1f} dB PSNR, CLIBDScore {reconstruction['clibd_score']:.3f}",
        ),
    ]
    lines += ["", "| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in facts)]
    head = (
        f"{result['barcodes']} barcodes of the `{result['split']}` split, {result['samples']} samples each, "
    )
    return head + f"success from CLIBDScore {result['threshold']:.3f}.\n\n" + "\n".join(lines) + "\n"


def _interval(value: float, low: float, high: float, unit: str = "") -> str:
    decimals = 2 if unit else 3
    return f"{value:.{decimals}f} {unit} ({low:.{decimals}f} to {high:.{decimals}f})".replace("  ", " ")


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
