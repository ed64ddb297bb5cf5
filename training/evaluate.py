"""Measure a checkpoint on barcodes it never saw, and write results.json, table.md and figures.

    python -m training.evaluate --checkpoint assets/checkpoint --table barcodes.parquet --split test \
        --barcodes 64 --samples 20 --out results

Ground truth is the simulated specimen of a barcode and its locality, or the photograph where a configuration
(`--config`) names photographs. "Random" pairs a true picture with the barcode of another specimen. Scores at
rank k are the best of k samples of a barcode, estimated without bias from all of them. Traits are measured on
the pictures alone, the generated and the true ones alike. Samples are kept in `OUT/samples`: an evaluation
that was interrupted goes on where it stopped, and under `accelerate launch` every process takes its share.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from scipy.stats import spearmanr
from tqdm.auto import tqdm

from g2pdiff.analysis.statistics import Estimate, mean_interval
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.dna.barcode import Barcode
from g2pdiff.errors import InputError
from g2pdiff.experiments.latitude import LatitudeSweep, cline, relative_lengths
from g2pdiff.experiments.mutations import Mutations
from g2pdiff.experiments.specification import Experiment
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.simulation.traits import PLANTED_SLOPE
from training.configs.schema import DataConfig, join_processes, load
from training.data.specimens import load_specimens
from training.data.storage import write_json, write_whole, writing_to
from training.evaluation.figures import comparison_grid, density_figure, mutation_figure, sweep_figure
from training.evaluation.measures import Measures, thumbnails
from training.evaluation.results import hardware
from training.evaluation.sampling import Samples, sample
from training.evaluation.systems import PipelineSystem
from training.evaluation.worlds import World, load_world
from training.stages.parts import reconstruct

NOTHING = Estimate(float("nan"), float("nan"), float("nan"))  # of pictures without a specimen
PAIRED_SAMPLES = 4  # of every barcode, with and without alignment
NO_LENGTHS = (
    "The experiments are left out: this checkpoint learned from crops in which every animal fills the "
    "picture, so body lengths say nothing."
)


class Trials:
    """Experiments with a checkpoint on a world's first few specimens.

    Args:
        pipeline: the checkpoint.
        world: held-out specimens.
        settings: of the pipeline's call, such as `alignment_scale`.
    """

    def __init__(self, pipeline: G2PDiffusionPipeline, world: World, settings: dict):
        self.pipeline, self.world = pipeline, world
        scales = {name: settings.get(name) for name in ("guidance_scale", "alignment_scale")}
        self.denoising = {"steps": settings.get("num_inference_steps")} | scales

    def rows(self, kind: type[Experiment], count: int, **arguments) -> list[list]:
        """Return the rows of an experiment on each of the first `count` specimens there are."""
        rows = []
        for _, specimen in tqdm(list(self.world.specimens.iloc[:count].iterrows()), desc=kind.name):
            experiment = kind(
                barcode=Barcode(specimen["dna_barcode"]),
                latitude=specimen["coord-lat"],
                longitude=specimen["coord-lon"],
                **self.denoising,
                **arguments,
            )
            rows.append([row for update in experiment.start(self.pipeline) for row in update.rows])
        return rows

    def sweep(self, along: str, count: int, replicates: int = 2) -> dict:
        """Body length along latitude, or along longitude as the null control; barcode and noise stay fixed.

        A slope is fitted for every barcode; the interval is that of their mean.
        """
        simulated = self.pipeline.config.truth == "simulated"
        swept = self.rows(LatitudeSweep, count, along=along, replicates=replicates)
        clines = [cline(rows, planted=simulated) for rows in swept]
        slopes = [found.slope for found in clines if found] or [NOTHING]
        slope = mean_interval([one.value for one in slopes]) if len(slopes) > 1 else slopes[0]
        degrees = [row.degrees for row in swept[0] if row.replicate == 0]
        relative = np.stack([relative_lengths(rows) for rows in swept])
        planted = 100 * PLANTED_SLOPE if along == "latitude" else 0.0
        return {
            "slope_percent_per_10_degrees": slope.value,
            "interval": [slope.low, slope.high],
            "planted_percent_per_10_degrees": planted if simulated else None,
            "slopes": [one.value for one in slopes],
            "degrees": degrees,
            "relative_length": relative.reshape(len(swept), len(degrees), replicates).mean((0, 2)).tolist(),
        }

    def mutations(self, count: int) -> dict:
        """Appearance drift under mutation, generated and true."""
        series = self.rows(Mutations, count, replicates=1)
        generated = np.array([[row.drift for row in rows] for rows in series])
        true = np.array([[row.true_drift for row in rows] for rows in series])
        return {
            "rates": [row.rate for row in series[0]],
            "generated": generated.mean(0).tolist(),
            "true": true.mean(0).tolist(),
            "spearman_of_means": float(spearmanr(generated.mean(0), true.mean(0)).statistic),
            "spearman_of_pictures": float(spearmanr(generated[:, 1:].ravel(), true[:, 1:].ravel()).statistic),
        }


@torch.no_grad()
def reconstruction(vae, measures: Measures) -> dict:
    """What the autoencoder costs: PSNR in dB and CLIBDScore of true pictures that passed through it."""
    truth = measures.world.truth
    decoded = [reconstruct(vae, part.to(vae.device) * 2 - 1).float().cpu() for part in truth.split(8)]
    images = torch.cat(decoded).div(2).add(0.5).clamp(0, 1)
    error = (images - truth).square().mean((1, 2, 3))
    scores = (measures.embed(images) * measures.barcodes).sum(-1)
    return {"psnr_db": (-10 * error.log10()).mean().item(), "clibd_score": float(scores.mean())}


def alignment(measures: Measures, aligned: Samples, unaligned: Samples) -> dict:
    """CLIBDScore with and without alignment guidance at the same seeds, and the difference over barcodes."""
    without = measures.scores(unaligned).mean(1)
    with_it = measures.scores(aligned)[:, : unaligned.embeddings.shape[1]].mean(1)
    return {
        "with": float(with_it.mean()),
        "without": float(without.mean()),
        "difference": mean_interval(with_it - without),
    }


def evaluate(
    pipeline: G2PDiffusionPipeline,
    data: DataConfig,
    split: str,
    barcodes: int,
    samples: int,
    out: Path,
    experiments: int = 6,
    run: Path | None = None,
    seed: int | None = None,
    **settings,
) -> dict:
    """Measure a checkpoint and write everything to `out`; return what results.json holds.

    Args:
        pipeline: the checkpoint.
        data: where specimens come from; as the run had it, where one is given.
        split: `val`, `test` or `test_unseen`.
        barcodes: held-out barcodes, each of another species.
        samples: pictures of each.
        out: folder for results.json, table.md and the figures.
        experiments: barcodes at most in the latitude, longitude and, where there is a truth to compare with,
            mutation experiments; 0 for none. A checkpoint that learned from crops gets none either: its
            pictures do not keep an animal's size.
        run: folder of the run that made the checkpoint, whose training pictures copies are looked for in.
        seed: chooses the held-out barcodes; by default the data's.
        settings: of the pipeline's call, such as `alignment_scale`.
    """
    began, state = time.monotonic(), PartialState()
    if experiments and not pipeline.config.whole_frames:
        if state.is_main_process:
            print(NO_LENGTHS, file=sys.stderr)
        experiments = 0
    data = replace(data, image_size=pipeline.config.image_size)
    seed = data.seed if seed is None else seed
    world = load_world(data, split, barcodes, out / "data", seed)
    experiments = min(experiments, len(world.specimens))
    measures = Measures(world, pipeline.clibd, thumbnails(load_specimens(data, run)) if run else None)

    drawn, unaligned = (
        sample(PipelineSystem(pipeline, chosen), world, pipeline.clibd, count, out / "samples" / name, name)
        for name, chosen, count in (
            ("aligned", settings, samples),
            ("unaligned", settings | {"alignment_scale": 0.0}, min(samples, PAIRED_SAMPLES)),
        )
    )
    result = {
        "split": split,
        "barcodes": len(world.specimens),
        "samples": samples,
        "experiments": experiments,
        "threshold": measures.threshold,
        "overlap": measures.overlap(),
        "ground_truth": measures.ground_truth(),
        "reconstruction": reconstruction(pipeline.vae, measures),
        "random": measures.random(),
        "systems": {"g2pdiffusion": measures.system(drawn)},
        "alignment": alignment(measures, drawn, unaligned),
        "settings": {"seed": seed, **settings},
        "hardware": hardware(),
        "processes": state.num_processes,
    }
    if not state.is_main_process:
        return result
    density_figure(
        measures.true_scores,
        measures.shuffled_scores,
        measures.scores(drawn).ravel(),
        measures.threshold,
        out / "density.png",
    )
    comparison_grid(world, drawn.pictures[:24, 0], out / "truth_and_prediction.png")
    if experiments:
        trials = Trials(pipeline, world, settings)
        result |= {along: trials.sweep(along, experiments) for along in ("latitude", "longitude")}
        sweep_figure(result["latitude"], result["longitude"], out / "sweeps.png")
    if experiments and pipeline.config.truth == "simulated":
        result["mutations"] = trials.mutations(experiments)
        mutation_figure(result["mutations"], out / "mutations.png")
    result["seconds"] = time.monotonic() - began
    write_json(out / "results.json", result)
    write_whole(out / "table.md", results_table(result))
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
    lines += ["", "| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in _facts(result))]
    head = (
        f"{result['barcodes']} barcodes of the `{result['split']}` split, {result['samples']} samples each, "
    )
    return head + f"success from CLIBDScore {result['threshold']:.3f}.\n\n" + "\n".join(lines) + "\n"


def _facts(result: dict) -> list[tuple[str, str]]:
    """What there is to say beside the scores, in pairs of name and value."""
    system, truth = result["systems"]["g2pdiffusion"], result["ground_truth"]
    reconstruction, alignment = result["reconstruction"], result["alignment"]
    facts = [
        (
            f"{name} told from the picture",
            f"{system['retrieval'][name]:.1%} (truth {truth['retrieval'][name]:.1%})",
        )
        for name in ("species", "family")
    ]
    if system["traits"]:
        facts += [
            (f"R2 of {name}", f"{system['traits'][key]:.2f} (other true pictures {truth['traits'][key]:.2f})")
            for name, key in (("body length", "body_length_r2"), ("dominant hue", "hue_r2"))
        ]
    for along in ("latitude", "longitude"):
        if swept := result.get(along):
            slope = _interval(swept["slope_percent_per_10_degrees"], *swept["interval"], "%")
            planted = swept["planted_percent_per_10_degrees"]
            told = slope if planted is None else f"{slope}; planted {planted:g} %"
            facts.append((f"body length per 10 degrees of {along}", told))
    if "mutations" in result:
        facts.append(
            (
                "Spearman of mean picture drift over mutation rates",
                f"{result['mutations']['spearman_of_means']:.2f}",
            )
        )
    facts += [
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
    if copies := system["memorisation"]:
        facts.append(("pictures nearer to a training picture than any two are", f"{copies['copies']:.1%}"))
    return facts


def _interval(value: float, low: float, high: float, unit: str = "") -> str:
    decimals = 2 if unit else 3
    return f"{value:.{decimals}f} {unit} ({low:.{decimals}f} to {high:.{decimals}f})".replace("  ", " ")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", default=None, help="folder or hub id; by default the embedded one")
    parser.add_argument("--table", help="barcode table; without one, barcodes evolved along a tree")
    parser.add_argument("--config", help="YAML file whose `data` says where specimens come from")
    parser.add_argument("--run", type=Path, help="folder of the run that made it, to look for copies")
    parser.add_argument("--split", default="test", choices=["val", "test", "test_unseen"])
    parser.add_argument("--barcodes", type=int, default=64)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--seed", type=int, help="of the choice of barcodes; by default the data's")
    parser.add_argument(
        "--experiments", type=int, default=6, help="barcodes at most in the sweeps and mutation series"
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
        data = load(given.config).data if given.config else DataConfig()
        pipeline = load_pipeline(given.checkpoint).to(join_processes().device)
        with writing_to(given.out, "out"):
            result = evaluate(
                pipeline,
                replace(data, table=given.table or data.table),
                given.split,
                given.barcodes,
                given.samples,
                given.out,
                given.experiments,
                given.run,
                given.seed,
                **{name: value for name, value in settings.items() if value is not None},
            )
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    if PartialState().is_main_process:
        print(results_table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
