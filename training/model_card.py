"""The model card that goes with a checkpoint: data, training, figures, limits.

    python -m training.model_card --config training/configs/embedded.yaml

It is written from what the run recorded, and again after evaluations whose results lie in `RUN/evaluation`
(the test split, and the tables of `training.sweep` as `sweep*.md`) and `RUN/evaluation_unseen`.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from string import Template

import pandas as pd

from training import bioscan
from training.config import Config, command
from training.data import load_specimens
from training.figures import training_figure
from training.results import read_results

CARD = Template("""\
---
license: apache-2.0
library_name: diffusers
pipeline_tag: image-to-image
tags: [biology, dna-barcode, latent-diffusion, $tag]
---

# G2PDiffusion

A COI barcode and a place go in, a picture of $size x $size pixels comes out, with a CLIBDScore that says
how well the two agree.

$source

## Use it for

$use

## Do not use it for

Identifying, describing or illustrating real species; predicting a phenotype from DNA; any decision about
animals, trade, health, conservation or law; any claim about evolution or climate. $score Barcodes from
outside insects give a picture too: it means nothing.

## Training data

$data

$splits

## Training

$training

![training curves](figures/training.png)

$note

Hardware: $hardware. `python -m training.run --config $config --table TABLE` repeats it.

## Figures

$figures

For reference, the paper reports a relative CLIBDScore of 0.356 (best of 1) and 0.776 (best of 20) and 31.7 %
success (best of 1) on photographs of BIOSCAN-5M: other data and another CLIBD, no comparison.
""")


SIMULATED = {
    "tag": "simulated-data",
    "source": """\
**The pictures this model learned from are simulated.** Barcodes and localities are $barcodes; the specimens
were drawn by `g2pdiff.simulation` from traits that are a known function of barcode and latitude. Body plans
resemble those of real families; the colours and patterns of a species are drawn from its sequence at
random. No picture shows what a real animal looks like.""",
    "use": """\
Teaching and method work: watching guided diffusion, asking what a mutation or a latitude changes, testing an
analysis on data whose truth is known (body length grows 5 % for every 10 degrees of latitude, planted).""",
    "score": "A high CLIBDScore says that picture and barcode agree *within the simulation*.",
    "splits": """\
Splits are decided by a hash (`training/splits.py`): a tenth of the species is held out whole, a tenth of
the other barcodes is the test split, and no barcode lies on two sides. $mutated of the training specimens
carry a barcode mutated at up to $rate, $roaming were set down at a random place on Earth; the simulator
drew them accordingly.""",
}
PHOTOGRAPHED = {
    "tag": "bioscan-5m",
    "source": f"""\
It learned from photographs of real specimens in the package `$package`. A picture it makes is a guess in the
style of those photographs, not a photograph.

{bioscan.ATTRIBUTION}""",
    "use": """\
Research on how far a barcode and a place tell an appearance, and on guided diffusion. Body length can be
compared in its pictures only where the package keeps whole frames (`original_256`, `original_full`).""",
    "score": "A high CLIBDScore says that a CLIBD model finds picture and barcode alike, no more.",
    "splits": """\
Splits are BIOSCAN-5M's own. Most of its specimens come from few places (about 63 % from Costa Rica) and
about half are flies: elsewhere and in other orders the model extrapolates.""",
}


def _training_lines(results: dict) -> str:
    lines = ["| stage | steps | minutes | measured on validation specimens |", "| --- | --- | --- | --- |"]
    notes = {
        "autoencoder": "reconstruction {psnr_db:.1f} dB PSNR",
        "clibd": "retrieval top-1 {retrieval_top1:.1%} of {retrieval_candidates}, overlap {overlap:.1%}, "
        "threshold {threshold:.3f}",
        "diffusion": "{pictures:,} pictures, {noise_draws:,} noise draws",
        "aligner": "",
    }
    for stage, note in notes.items():
        result = results[stage]
        note = note.format(**result) if note else _aligner_note(result)
        lines.append(f"| {stage} | {result['steps']:,} | {result['seconds'] / 60:.0f} | {note} |")
    return "\n".join(lines)


def _aligner_note(result: dict) -> str:
    found = ", ".join(f"{value:.0%} at t={t}" for t, value in result["accuracy_by_timestep"].items())
    return f"right condition among a batch of training specimens: {found}"


def _data_line(config: Config, rows: pd.DataFrame) -> str:
    species, orders = rows["species"].nunique(), rows["order"].value_counts()
    mix = ", ".join(f"{name} {count:,}" for name, count in orders.items())
    kind = "photographed" if config.data.photographed else "simulated"
    return (
        f"{len(rows):,} {kind} specimens of {species:,} species ({mix}), at most "
        f"{config.data.per_species} of a species, at {config.data.image_size} px."
    )


def _evaluation(folder: Path) -> str:
    """The command of an evaluation and its table."""
    settings = json.loads((folder / "results.json").read_text())
    command = (
        f"python -m training.evaluate --split {settings['split']} --barcodes {settings['barcodes']} "
        f"--samples {settings['samples']} --experiments {settings['experiments']}"
    )
    if steps := settings["settings"].get("num_inference_steps"):
        command += f" --steps {steps}"
    return f"`{command}`\n\n" + (folder / "table.md").read_text()


def write_model_card(
    config: Config, folder: Path, config_path: str = "training/configs/embedded.yaml"
) -> None:
    """Write `folder/README.md`, and put the evaluation's figures beside it where there are some."""
    run = Path(config.run)
    rows = load_specimens(config.data, run).table
    evaluation = run / "evaluation"
    (folder / "figures").mkdir(exist_ok=True)
    training_figure(run, folder / "figures" / "training.png")
    figures = "Not evaluated yet: run `python -m training.evaluate`."
    if (evaluation / "table.md").is_file():
        figures = (
            "Barcodes the model never saw, of species it knows:\n\n"
            + _evaluation(evaluation)
            + "\n![truth and prediction](figures/truth_and_prediction.png)\n\n"
            "![score densities](figures/density.png) ![mutations](figures/mutations.png)\n\n"
            "![sweeps](figures/sweeps.png)"
        )
        for figure in evaluation.glob("*.png"):
            shutil.copy(figure, folder / "figures" / figure.name)
    if (run / "evaluation_unseen" / "table.md").is_file():
        figures += "\n\n### Species it never saw\n\n" + _evaluation(run / "evaluation_unseen")
    if sweeps := sorted(evaluation.glob("sweep*.md")):
        figures += (
            "\n\n### How the sampling defaults were chosen\n\n"
            "`python -m training.sweep`, on the validation split alone. The RMS distance to the true picture "
            "tells a better picture from one that only pleases the judge.\n\n"
        ) + "\n".join(sweep.read_text() for sweep in sweeps)
    barcodes = (
        "real ones (insect COI of public BOLD records and of the Integrated and Open Butterfly database)"
        if config.data.table
        else "simulated too (codon-aware evolution along a tree)"
    )
    kind = PHOTOGRAPHED if config.data.photographed else SIMULATED
    values = {
        "barcodes": barcodes,
        "mutated": f"{config.data.mutated_share:.0%}",
        "rate": f"{config.data.max_mutation_rate:.0%}",
        "roaming": f"{config.data.roaming_share:.0%}",
        "package": config.data.package,
    }
    (folder / "README.md").write_text(
        CARD.substitute(
            {name: Template(text).substitute(values) for name, text in kind.items()},
            size=config.data.image_size,
            data=_data_line(config, rows),
            training=_training_lines(read_results(run)),
            hardware=read_results(run)["diffusion"]["hardware"],
            config=config_path,
            note=config.assemble.note,
            figures=figures,
        )
    )


if __name__ == "__main__":
    sys.exit(command(__doc__, lambda config: write_model_card(config, Path(config.assemble.checkpoint))))
