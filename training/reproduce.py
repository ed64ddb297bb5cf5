"""Reproduce the paper's comparison in one command: baselines, ablations, tables and figures.

    python -m training.reproduce --config training/configs/embedded_baselines.yaml --table barcodes.parquet

trains what is not trained yet: G2PDiffusion, ControlNet and DF-GAN on the same specimens for the same number
    of steps, and the ablations that need their own training. Then every system draws the same held-out
    barcodes from the same seeds. Stable Diffusion is the U-Net of G2PDiffusion without alignment guidance.
    The systems are compared with nulls, which look up training pictures, and by a second judge if the run's
    phenotype stage trained one. `comparison.samples` names the worlds: `test`, `test_unseen`, `far`,
    `mutants` and `places`. `RUN/comparison/SPLIT` gets results.json, table.md, table.tex, table.csv and the
    figures as PNG and SVG. `RUN/comparison/README.md` shows everything, and `RUN/served` has the baselines
    that the app can serve.

An interrupted run continues where it stopped, also within a stage or a system. Under `accelerate launch -m
training.reproduce` the processes share batches and barcodes; the samples are the same.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from accelerate import PartialState

from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.mutation import UNIFORM, mutate
from g2pdiff.models.conditioner import BarcodeConditioner
from g2pdiff.models.controlnet import BarcodeControlNet
from g2pdiff.pipeline import G2PDiffusionPipeline
from training import conditioner, diffusion, run
from training.assemble import build_pipeline
from training.baselines import controlnet, df_gan
from training.configs.schema import Config, command, parse_arguments
from training.data.specimens import load_table
from training.data.storage import whole_folder, write_json, write_whole
from training.evaluation import tables
from training.evaluation.copies import Memory
from training.evaluation.figures import density_figure, picture_grid
from training.evaluation.library import Library, load_library
from training.evaluation.measures import Measures
from training.evaluation.nulls import against_nulls, leads
from training.evaluation.regression import Regressions, regressions
from training.evaluation.results import hardware, read_results
from training.evaluation.sampling import Samples, sample
from training.evaluation.systems import PipelineSystem, System
from training.evaluation.worlds import World, load_world
from training.phenotype import PhenotypeEncoder, load_phenotype
from training.stages.parts import load_unet, on_device

BASELINES = {"controlnet": controlnet, "df_gan": df_gan}
SHARED = ("data", "autoencoder", "clibd")  # parts that a variant takes from the original run
SERVED = ("stable_diffusion", "controlnet")  # baselines that denoise; the app can serve them
SHOWN = 8  # barcodes per qualitative grid
GRID_RATES, GRID_LATITUDES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5), (60, 30, 0, -30, -60)


def variant_config(config: Config, name: str) -> Config:
    """Return the configuration of an ablation that needs training. Its folder lies within the run's.

    The file is read again, so that `--max-steps` also limits a variant's own number of steps.
    """
    varied = parse_arguments(name, [*config.arguments, *config.comparison.variants[name]])
    varied.run = str(Path(config.run) / "variants" / name.replace(" ", "_"))
    return varied


def train(config: Config) -> None:
    """Train the parts of the comparison that are not trained yet."""
    run.run(config)
    for name, stage in BASELINES.items():
        if name not in read_results(Path(config.run)):
            stage.train(config)
    for name in config.comparison.variants:
        varied = variant_config(config, name)
        folder = Path(varied.run)
        if PartialState().is_main_process:
            folder.mkdir(parents=True, exist_ok=True)
            for shared in SHARED:
                if not (folder / shared).exists():
                    (folder / shared).symlink_to(Path(config.run).resolve() / shared)
        PartialState().wait_for_everyone()
        for part, stage in (("conditioner", conditioner), ("diffusion", diffusion)):
            if run.is_wanted(varied, part) and part not in read_results(folder):
                stage.train(varied)


def with_parts(pipeline: G2PDiffusionPipeline, **changes) -> G2PDiffusionPipeline:
    """Return a copy of a pipeline with some parts replaced."""
    parts = pipeline.components | changes
    settings = {name: value for name, value in pipeline.config.items() if name not in parts}
    settings = {name: value for name, value in settings.items() if not name.startswith("_")}
    changed = G2PDiffusionPipeline(**parts, **settings)
    changed.set_progress_bar_config(disable=True)
    return changed


def systems(config: Config, pipeline: G2PDiffusionPipeline) -> dict[str, System]:
    """Return the compared systems by name."""
    folder = Path(config.run)
    generator = on_device(df_gan.Generator.from_pretrained(folder / "df_gan" / "model"), pipeline.device)
    trained = on_device(BarcodeControlNet.from_pretrained(folder / "controlnet" / "model"), pipeline.device)
    return {
        "df_gan": df_gan.DFGANSystem(generator, pipeline),
        "stable_diffusion": PipelineSystem(with_parts(pipeline, aligner=None)),
        "controlnet": PipelineSystem(with_parts(pipeline, aligner=None, controlnet=trained)),
        "g2pdiffusion": PipelineSystem(pipeline),
    }


def write_checkpoints(config: Config, pipelines: dict[str, G2PDiffusionPipeline]) -> None:
    """Write every pipeline as a checkpoint for the app, to `RUN/served/NAME`."""
    for name, pipeline in pipelines.items():
        with whole_folder(Path(config.run) / "served" / name) as folder:
            pipeline.save_pretrained(folder, max_shard_size=config.assemble.max_shard_size)
            shutil.copytree(Path(config.assemble.checkpoint) / "references", folder / "references")


def ablations(config: Config, pipeline: G2PDiffusionPipeline) -> dict[str, System]:
    """Return variants of G2PDiffusion with one change each, by a description of the change."""
    wanted, default = config.comparison, pipeline.config
    found: dict[str, System] = {"as compared": PipelineSystem(pipeline)}
    for scale in (0.0, *wanted.alignment_scales):
        found[f"alignment scale {scale:g}"] = PipelineSystem(pipeline, {"alignment_scale": scale})
    scale = default.default_alignment_scale
    found[f"guidance rule as printed, scale {scale:g}"] = PipelineSystem(
        pipeline, {"alignment_rule": "literal"}
    )
    for steps in wanted.steps:
        found[f"{steps} steps"] = PipelineSystem(pipeline, {"num_inference_steps": steps})
    for name in wanted.variants:
        folder = Path(variant_config(config, name).run)
        varied = with_parts(
            pipeline,
            aligner=None,
            conditioner=BarcodeConditioner.from_pretrained(folder / "diffusion" / "conditioner").eval(),
            unet=load_unet(folder, pipeline.unet.config.sample_size).eval(),
        )
        found[f"{name}, alignment scale 0"] = PipelineSystem(varied.to(pipeline.device))
    return found


@dataclass
class Learned:
    """The training specimens of a run's systems, and the second judge."""

    table: pd.DataFrame  # rows of all splits
    library: Library
    memory: Memory | None
    phenotype: PhenotypeEncoder | None
    regressions: Regressions | None

    @classmethod
    def load(cls, config: Config, pipeline: G2PDiffusionPipeline) -> Learned:
        """Load them from the run's folder. Without a phenotype stage there is no second judge."""
        run, table = Path(config.run), load_table(config.data)
        first = next(iter(config.comparison.samples))
        references = load_world(config.data, first, 1, run / "comparison" / "data", table=table).references
        library = load_library(config.data, table, references, run)
        judge = run / "phenotype" / "model"
        return cls(
            table,
            library,
            None if library.originals is None else Memory(library.originals),
            on_device(load_phenotype(judge), pipeline.device) if judge.is_dir() else None,
            regressions(pipeline, library),
        )


def compare(
    config: Config,
    split: str,
    pipeline: G2PDiffusionPipeline,
    compared: dict[str, System],
    learned: Learned,
) -> dict:
    """Let every system draw a world, write tables and figures, and return the contents of results.json.

    Args:
        config: of the run. split: name of the world.
        pipeline: G2PDiffusion. Its ablations are drawn in the first world.
        compared: systems by name, see `systems`.
        learned: training specimens and second judge.
    """
    wanted, folder = config.comparison, Path(config.run) / "comparison" / split
    judge, count = pipeline.clibd, config.comparison.samples[split]
    store = Path(config.run) / "comparison" / "data"
    world = load_world(config.data, split, wanted.barcodes, store, table=learned.table)
    measures = Measures(world, judge, learned.memory, learned.phenotype)

    drawn = {
        name: sample(system, world, judge, count, folder / "samples" / name, name, learned.phenotype)
        for name, system in compared.items()
    }
    changed = {}
    if split == next(iter(wanted.samples)):
        for name, system in ablations(config, pipeline).items():
            place = folder / "samples" / "ablations" / name.replace(" ", "_")
            few = wanted.ablation_samples
            changed[name] = sample(system, world, judge, few, place, name, learned.phenotype)

    result = {
        "split": split,
        "barcodes": len(world.specimens),
        "samples": count,
        "threshold": measures.threshold,
        "overlap": measures.overlap(),
        "ground_truth": measures.ground_truth(),
        "random": measures.random(),
        "systems": {name: measures.system(found) for name, found in drawn.items()},
        "lead": {
            name: leads(measures, drawn["g2pdiffusion"], found)
            for name, found in drawn.items()
            if name != "g2pdiffusion"
        },
        **against_nulls(measures, drawn["g2pdiffusion"], pipeline, learned.library, folder / "samples"),
        "regressions": learned.regressions and learned.regressions.measure(world),
        "ablations": {
            name: {"samples": wanted.ablation_samples} | measures.system(found)
            for name, found in changed.items()
        },
        "training": {
            name: {key: stage[key] for key in ("steps", "seconds", "hardware")}
            for name, stage in read_results(Path(config.run)).items()
        },
        "seed": config.data.seed,
        "hardware": hardware(),
        "processes": PartialState().num_processes,
        "seconds": sum(found.seconds for found in (*drawn.values(), *changed.values())),
    }
    if PartialState().is_main_process:
        write_json(folder / "results.json", result)
        tables.write_tables(result, folder)
        figures(measures, drawn, folder)
    return result


def figures(measures: Measures, drawn: dict[str, Samples], folder: Path) -> None:
    """Draw the qualitative grid (Fig. 3 and 5 of the paper) and the densities (Fig. 4) of a world."""
    world = measures.world
    pictures = [world.truth[:SHOWN], *(drawn[name].pictures[:SHOWN, 0] for name in tables.TITLES)]
    picture_grid(
        torch.stack(pictures),
        ["ground truth", *tables.TITLES.values()],
        world.specimens["species"].iloc[:SHOWN].tolist(),
        folder / "systems.png",
    )
    density_figure(
        measures.true_scores,
        measures.shuffled_scores,
        measures.scores(drawn["g2pdiffusion"]).ravel(),
        measures.threshold,
        folder / "density.png",
    )


def mutation_latitude_figure(pipeline: G2PDiffusionPipeline, world: World, path: Path) -> None:
    """Draw one barcode with more mutations to the right, at localities further south below (Fig. 6 of the
    paper)."""
    first = world.specimens.iloc[0]
    barcode = Barcode(first["dna_barcode"])
    mutants = [mutate(barcode, rate, 0, UNIFORM) if rate else barcode for rate in GRID_RATES]
    rows = [
        pipeline(mutants, latitude, first["coord-lon"], seed=0, output_type="pt").images
        for latitude in GRID_LATITUDES
    ]
    picture_grid(
        torch.stack(rows).cpu(),
        [
            f"{abs(latitude)} {'N' if latitude > 0 else 'S' if latitude else ''}"
            for latitude in GRID_LATITUDES
        ],
        [f"{rate:.0%} mutated" for rate in GRID_RATES],
        path,
        first["species"],
    )


def reproduce(config: Config) -> dict[str, dict]:
    """Train, compare in every world, and return the results by split."""
    train(config)
    state = PartialState()
    pipeline = build_pipeline(config).to(state.device)
    pipeline.set_progress_bar_config(disable=True)
    compared: dict[str, Any] = dict(systems(config, pipeline))
    learned = Learned.load(config, pipeline)
    results = {
        split: compare(config, split, pipeline, compared, learned) for split in config.comparison.samples
    }
    if state.is_main_process:
        write_checkpoints(config, {name: compared[name].pipeline for name in SERVED})
        folder = Path(config.run) / "comparison"
        first = next(iter(results))
        world = load_world(config.data, first, 1, folder / "data", table=learned.table)
        mutation_latitude_figure(pipeline, world, folder / "mutation_latitude.png")
        write_whole(folder / "README.md", tables.report(results, not config.data.photographed))
        print("\n".join(tables.markdown(result) for result in results.values()))
    return results


if __name__ == "__main__":
    sys.exit(command(__doc__, reproduce))
