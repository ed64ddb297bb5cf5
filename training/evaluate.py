"""Measure a checkpoint on held-out barcodes, and write results.json, table.md and figures.

    python -m training.evaluate --checkpoint assets/checkpoint --table barcodes.parquet --split test \
        --barcodes 64 --samples 20 --out results
    python -m training.evaluate --checkpoint FOLDER --config training/configs/butterflies.yaml \
        data.table=barcodes.parquet data.photographs=dorsal_256.parquet --phenotype RUN/phenotype/model \
        --barcodes 200 --samples 1 --out results

Ground truth is the simulated specimen of a barcode and its locality, or a photograph if the configuration
names photographs. `--split` chooses the world (`training.evaluation.worlds`). The checkpoint is compared with
look-ups in its training specimens (`training.evaluation.nulls`). A second judge
(`training.evaluation.likeness`) comes from `--phenotype` or `--run`. "Random" pairs a true picture with the
barcode of another specimen. Scores at rank k are the best of k samples per barcode, estimated without bias
from all samples. Traits of generated and true pictures are measured in the same way, on the pictures alone.

Samples are kept in `OUT/samples`, so an interrupted evaluation continues. Under `accelerate launch` every
process draws a share. With photographs, `OUT` also gets true pictures, alone and beside predictions: do not
pass these on without the photographs' licence. `drawn.png` shows drawn pictures only.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from diffusers import AutoencoderKL

from g2pdiff.analysis.statistics import mean_interval
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.denoising import Denoising
from g2pdiff.errors import InputError
from g2pdiff.models.autoencoder import PatchAutoencoder
from g2pdiff.pipeline import G2PDiffusionPipeline
from training.configs.schema import DataConfig, join_processes, load
from training.data.specimens import load_table
from training.data.storage import write_json, write_whole, writing_to
from training.evaluation.copies import Memory
from training.evaluation.figures import (
    comparison_grid,
    density_figure,
    mutation_figure,
    prediction_grid,
    sweep_figure,
)
from training.evaluation.library import load_library
from training.evaluation.measures import Measures
from training.evaluation.nulls import against_nulls, leads
from training.evaluation.regression import regressions
from training.evaluation.results import hardware
from training.evaluation.sampling import Samples, sample
from training.evaluation.summary import results_table
from training.evaluation.systems import PipelineSystem, System, partly_deaf
from training.evaluation.trials import Trials
from training.evaluation.worlds import WORLDS, load_world
from training.phenotype import PhenotypeEncoder, load_phenotype
from training.stages.parts import on_device, reconstruct

PAIRED_SAMPLES = 4  # samples per barcode, with and without alignment, and of the ablations
SHOWN = 48  # barcodes on the sheet of truth and prediction
NO_LENGTHS = (
    "The experiments are left out: this checkpoint learned from crops in which every animal fills the "
    "picture, so body lengths say nothing."
)


@torch.no_grad()
def reconstruction(vae: PatchAutoencoder | AutoencoderKL, measures: Measures) -> dict:
    """Measure the autoencoder's loss: PSNR in dB and CLIBDScore of reconstructed true pictures."""
    truth = measures.world.truth
    decoded = [reconstruct(vae, part.to(vae.device) * 2 - 1).float().cpu() for part in truth.split(8)]
    images = torch.cat(decoded).div(2).add(0.5).clamp(0, 1)
    error = (images - truth).square().mean((1, 2, 3))
    scores = (measures.embed(images) * measures.barcodes).sum(-1)
    return {"psnr_db": (-10 * error.log10()).mean().item(), "clibd_score": float(scores.mean())}


def alignment(measures: Measures, aligned: Samples, unaligned: Samples) -> dict:
    """Measure CLIBDScore with and without alignment guidance from the same seeds, and the difference."""
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
    phenotype: PhenotypeEncoder | None = None,
    **settings,
) -> dict:
    """Measure a checkpoint and write everything to `out`; return what results.json holds.

    Args:
        pipeline: the checkpoint.
        data: source of the specimens. With a run, it must be the run's.
        split: the world, one of `training.evaluation.worlds.WORLDS`.
        barcodes: number of held-out barcodes, of distinct species.
        samples: pictures per barcode.
        out: folder for results.json, table.md and the figures.
        experiments: most barcodes in the experiments along latitude and longitude and, if there is a truth,
            with mutations; 0 for none. A checkpoint that learned from crops gets none: its pictures do not
            keep an animal's size.
        run: folder of the run that made the checkpoint. Its training pictures are searched for copies.
        seed: seed that chooses the held-out barcodes; by default that of `data`.
        phenotype: encoder of the second judge.
        settings: arguments of the pipeline's call, such as `alignment_scale`.
    """
    began, state = time.monotonic(), PartialState()
    if experiments and not pipeline.config.whole_frames:
        if state.is_main_process:
            print(NO_LENGTHS, file=sys.stderr)
        experiments = 0
    data = replace(data, image_size=pipeline.config.image_size)
    seed = data.seed if seed is None else seed
    table = load_table(data)
    world = load_world(data, split, barcodes, out / "data", seed, table)
    experiments = min(experiments, len(world.specimens))
    library = load_library(data, table, world.references, run)
    memory = None if library.originals is None else Memory(library.originals)
    judge = pipeline.clibd
    measures = Measures(world, judge, memory, phenotype)

    def draw(name: str, system: System, count: int) -> Samples:
        return sample(system, world, judge, count, out / "samples" / name, name, phenotype)

    paired = min(samples, PAIRED_SAMPLES)
    drawn = draw("aligned", PipelineSystem(pipeline, settings), samples)
    unaligned = draw("unaligned", PipelineSystem(pipeline, settings | {"alignment_scale": 0.0}), paired)
    barcodes_learned = library.specimens.table["dna_barcode"].tolist()
    deaf = partly_deaf(pipeline, barcodes_learned, denoising(settings))
    parts = {name: draw(name.replace(" ", "_"), system, paired) for name, system in deaf.items()}
    regressed = regressions(pipeline, library)
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
        **against_nulls(measures, drawn, pipeline, library, out / "samples"),
        "parts": {
            name: measures.system(found) | {"lead": leads(measures, drawn, found)}
            for name, found in parts.items()
        },
        "regressions": None if regressed is None else regressed.measure(world),
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
    shown = SHOWN if data.photographed else SHOWN // 2
    comparison_grid(world, drawn.pictures[:shown, 0], out / "truth_and_prediction.png")
    prediction_grid(world, drawn.pictures[:shown, 0], out / "drawn.png")
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


def denoising(settings: dict) -> Denoising:
    """Return arguments of the pipeline's call as `Denoising`."""
    return Denoising(
        steps=settings.get("num_inference_steps"),
        **{name: value for name, value in settings.items() if name != "num_inference_steps"},
    )


def second_judge(folder: Path | None, run: Path | None) -> PhenotypeEncoder | None:
    """Load the second judge from its folder, or from the run's folder if it has one.

    Raises:
        InputError: field `phenotype`, if the folder does not hold one.
    """
    if folder is None and run is not None and (run / "phenotype" / "model" / "config.json").is_file():
        folder = run / "phenotype" / "model"
    if folder is None:
        return None
    if not (folder / "config.json").is_file():
        raise InputError(
            "phenotype", f"There is no phenotype encoder in {folder}; training.phenotype makes one."
        )
    return on_device(load_phenotype(folder), PartialState().device)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--checkpoint", default=None, help="folder or hub id; by default the embedded one")
    parser.add_argument("--table", help="barcode table; without one, barcodes evolved along a tree")
    parser.add_argument("--config", help="YAML file whose `data` says where specimens come from")
    parser.add_argument("--run", type=Path, help="folder of the run that made it, to look for copies")
    parser.add_argument(
        "--phenotype", type=Path, help="folder of the second judge; by default RUN/phenotype/model"
    )
    parser.add_argument("--split", default="test", choices=WORLDS, help="the world")
    parser.add_argument("--barcodes", type=int, default=64)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--seed", type=int, help="of the choice of barcodes; by default the data's")
    parser.add_argument(
        "--experiments", type=int, default=6, help="barcodes at most in the sweeps and mutation series"
    )
    parser.add_argument("--out", type=Path, required=True)
    for name, kind in (("steps", int), ("guidance-scale", float), ("alignment-scale", float)):
        parser.add_argument(f"--{name}", type=kind)
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="of the configuration, such as data.table=FILE"
    )
    given = parser.parse_intermixed_args(arguments)
    settings = {
        "num_inference_steps": given.steps,
        "guidance_scale": given.guidance_scale,
        "alignment_scale": given.alignment_scale,
    }
    try:
        if given.overrides and not given.config:
            raise InputError("config", "A key=value changes a configuration: give one with --config.")
        data = load(given.config, given.overrides).data if given.config else DataConfig()
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
                second_judge(given.phenotype, given.run),
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
