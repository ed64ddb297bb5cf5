"""The model card of a checkpoint: data, training, results and limits.

    python -m training.release.model_card --config training/configs/embedded.yaml

It is written from the run's records. Write it again after an evaluation. Results of the test split lie in
`RUN/evaluation`, with the tables of `training.tune_sampling` as `sweep*.md`; those of other worlds lie in
`RUN/evaluation_far`, `_unseen`, `_mutants` and `_places`. If an evaluation used other weights than the run's,
such as those of a run that held species out, its folder has a `note.md` that says so, which replaces the
command.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd

from g2pdiff.about import About
from training.configs.schema import Config, DataConfig, command
from training.data import bioscan, bold
from training.data.species_pictures import load_photographs
from training.data.specimens import load_rows
from training.evaluation.figures import training_figure
from training.evaluation.results import read_results

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {"data.table", "data.cache", "run", "assemble.checkpoint", "assemble.note"}
"""Overrides that the card's command omits: paths and descriptions."""
PLACES = {"data.metadata": "FILE", "data.pictures": "FOLDER", "data.photographs": "PHOTOGRAPHS"}
PLACES |= {"data.bold": "FOLDER"}

OPTIONS = {
    "seed": "--seed",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance-scale",
    "alignment_scale": "--alignment-scale",
}
"""The options of `training.evaluate` for settings that its results.json records."""

FIGURES = {
    "truth_and_prediction.png": ("truth and prediction", "systems"),
    "drawn.png": ("what it draws", "systems"),
    "density.png": ("score densities", "systems"),
    "mutations.png": ("mutations", "mutations"),
    "sweeps.png": ("sweeps", "latitude"),
}
"""An evaluation's figures: file names and captions."""
WITH_TRUTH, WITHOUT_TRUTH = "truth_and_prediction.png", "drawn.png"
"""With photographs, only the second figure is copied: the others show photographs, which may not be passed
on."""

WORLDS = {
    "evaluation_far": "Barcodes that differ from every learned one by 1 % or more",
    "evaluation_unseen": "Species it never saw",
    "evaluation_mutants": "Mutated barcodes",
    "evaluation_places": "Other latitudes",
}
"""Folders of evaluations in other worlds, within the run's folder, and their headings."""

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

$curves

$note

`$command` repeats it.

## Credit and licence

$terms

## Figures

$figures

For reference, the paper reports a relative CLIBDScore of 0.356 (best of 1) and 0.776 (best of 20) and 31.7 %
success (best of 1) on photographs of BIOSCAN-5M: other data, another CLIBD, 25 steps of another sampler, no
comparison. Unlike the paper, tokens are masked in training, the aligner's loss has two further terms, and
unseen species are chosen as `training/data/splits.py` says.
""")


SIMULATED = {
    "tag": "simulated-data",
    "source": """\
**The pictures this model learned from are simulated.** Barcodes and localities are $barcodes; the specimens
were drawn by `g2pdiff.simulation` from traits that are a known function of barcode and latitude. Body plans
resemble those of real families; the colours and patterns of a species are drawn from its sequence at
random. No picture shows what a real animal looks like.

The task is easy by construction: the simulator's genotype map is a principal component analysis of the same
sites that a sketch in the conditioner reads. How much of the condition is BERT's and how much the sketch's is
in the rows "BERT on a random barcode" and "sketch on the mean barcode" of the tables.""",
    "use": """\
Teaching and method work: watching guided diffusion, asking what a mutation or a latitude changes, testing an
analysis on data whose truth is known (body length grows 5 % for every 10 degrees of latitude, planted).""",
    "score": "A high CLIBDScore says that picture and barcode agree *within the simulation*.",
    "splits": """\
Splits are decided by a hash (`training/data/splits.py`): a tenth of the species is held out whole, a tenth of
the other barcodes is the test split, and held-out specimens whose barcode equals a training one at all sites
that both know are left out. Most of the others differ from one by a base or two: a look-up does well, and
stands in the tables. $mutated of the training specimens carry a barcode mutated at up to $rate, $roaming were
set down at a random place on Earth; the simulator drew them accordingly.""",
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

BOLD = {
    "tag": "bold",
    "source": """\
It learned from photographs of the barcoded animals themselves. A picture it makes is a guess in the style of
those photographs, not a photograph.

$credit""",
    "use": """\
Research on how far a barcode and a place tell an appearance, and on guided diffusion. Its pictures say
nothing about size: the photographs were taken from any distance.""",
    "score": PHOTOGRAPHED["score"],
    "splits": """\
Splits are decided by a hash (`training/data/splits.py`): a tenth of the species is held out whole, a tenth of
the other barcodes is the test split, and held-out specimens whose barcode is also a training one are left
out.""",
}


BY_SPECIES = {
    "tag": "photographs",
    "source": """\
It learned from $photographs photographs of spread specimens, one or a few of each species, and from real
barcodes of these species. No photograph shows the animal that a barcode was read from, none is
shipped, and a picture it makes is a guess in their style.

**What it can and cannot show.** With one or a few pictures of a species, and none of the barcoded animals, a
held-out barcode asks which species it is, no more: a look-up of the nearest barcode would do that too.
Mutants and species it never saw ask for more. Size is not in its pictures, as every specimen fills the frame,
and a place tells no more than which of the species lives there.""",
    "use": """\
Teaching and research, not commerce: watching guided diffusion draw real animals, asking what a
mutation changes and what the relatives of an unseen species suggest.""",
    "score": """A high CLIBDScore says that a CLIBD model finds picture and barcode alike, no
more; it learned from the same photographs.""",
    "splits": """\
Splits are decided by a hash (`training/data/splits.py`) of the barcodes: a tenth is the test split, and
held-out barcodes that equal a training one at all sites that both know are left out. Training pictures are
turned, moved, scaled, mirrored and lit a little differently each time.""",
}


def _terms(config: Config) -> str:
    """Return the credits and the terms of the weights and of the shipped barcodes."""
    about = About.check(config.assemble.about)
    licence = f"Weights: {about.licence}" if about.licence else ""
    return (
        "\n\n".join(filter(None, [about.credit, licence, about.barcodes])) or "Weights: Apache License 2.0."
    )


def _kind(data: DataConfig) -> dict[str, str]:
    """Return the texts of a card that depend on the kind of training data."""
    if data.by_species:
        return BY_SPECIES
    if data.bold:
        return BOLD
    return PHOTOGRAPHED if data.by_specimen else SIMULATED


def _training_lines(results: dict) -> str:
    lines = ["| stage | steps | time | measured on validation specimens |", "| --- | --- | --- | --- |"]
    notes = {
        "autoencoder": "reconstruction {psnr_db:.1f} dB PSNR",
        "conditioner": "R2 of the mean latent {held_out_r2[both]:.2f}",
        "clibd": "retrieval top-1 {retrieval_top1:.1%} of {retrieval_candidates}, overlap {overlap:.1%}, "
        "threshold {threshold:.3f}",
        "diffusion": "{pictures:,} pictures, {noise_draws:,} noise draws",
        "aligner": "",
        "decoder": "reconstruction {psnr_db:.1f} dB PSNR, {psnr_db_before:.1f} dB before",
    }
    for stage, note in notes.items():
        if stage not in results:  # a run may lack a stage
            continue
        result = results[stage]
        told = note.format(**result) if note else _aligner_note(result)
        minutes = max(1, round(result["seconds"] / 60))
        lines.append(f"| {stage} | {result['steps']:,} | {minutes} min of {result['hardware']} | {told} |")
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


def _options(config: Config) -> tuple[list[str], list[str]]:
    """Return a run's configuration file, table and other arguments as options.

    A word in capitals stands for a path on the reader's machine.
    """
    option, file, *rest = config.arguments
    path = Path(file).resolve()
    known = [option, str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else file)]
    known += ["--table", "TABLE"] if config.data.table else []
    others = []
    for argument in rest:
        name = argument.partition("=")[0]
        if name not in ELSEWHERE:
            others.append(f"{name}={PLACES[name]}" if name in PLACES else argument)
    return known, others


def repeat(config: Config) -> str:
    """Return the command that repeats the training."""
    known, others = _options(config)
    return shlex.join(["python", "-m", "training.run", *known, *others])


def _evaluation(folder: Path, config: Config) -> str:
    """Return an evaluation's command or note, and its table; `config` is the run's."""
    if (folder / "note.md").is_file():
        return (folder / "note.md").read_text() + "\n" + (folder / "table.md").read_text()
    results = json.loads((folder / "results.json").read_text())
    known, others = _options(config)
    command = ["python", "-m", "training.evaluate", "--checkpoint", "CHECKPOINT", *known]
    command += [argument for argument in others if argument.startswith("data.")]
    drawn = results["systems"]["g2pdiffusion"]
    if drawn.get("memorisation"):
        command += ["--run", "RUN"]
    elif drawn.get("phenotype"):  # a run's folder holds the second judge too
        command += ["--phenotype", "PHENOTYPE"]
    for name in ("split", "barcodes", "samples", "experiments"):
        command += [f"--{name}", str(results[name])]
    settings = results["settings"]
    for name, option in OPTIONS.items():
        command += [option, str(settings[name])] if name in settings else []
    said = f"`{shlex.join([*command, '--out', 'OUT'])}`"
    if beside := [f"{name}={value}" for name, value in settings.items() if name not in OPTIONS]:
        said += f", in Python with `{', '.join(beside)}`"
    return f"{said}\n\n" + (folder / "table.md").read_text()


def _figures(evaluation: Path, folder: Path, photographed: bool) -> str:
    """Copy an evaluation's figures to `folder`; return links to them."""
    results, links = json.loads((evaluation / "results.json").read_text()), []
    left_out = WITH_TRUTH if photographed else WITHOUT_TRUTH
    for name, (title, key) in FIGURES.items():
        if name != left_out and key in results and (evaluation / name).is_file():
            shutil.copy(evaluation / name, folder / name)
            links.append(f"![{title}](figures/{name})")
    return "\n\n".join(links)


def write_model_card(config: Config, folder: Path) -> None:
    """Write `folder/README.md`, and copy the evaluation's figures, if there are any, beside it.

    Args:
        config: configuration of the run, from `training.configs.schema.load`.
        folder: folder of the checkpoint.
    """
    run = Path(config.run)
    rows = load_rows(config.data, run)
    evaluation = run / "evaluation"
    (folder / "figures").mkdir(exist_ok=True)
    has_curves = training_figure(run, folder / "figures" / "training.png")
    figures = "Not evaluated yet: run `python -m training.evaluate`."
    if (evaluation / "table.md").is_file():
        figures = (
            "Barcodes the model never saw, of species it knows:\n\n"
            + _evaluation(evaluation, config)
            + "\n"
            + _figures(evaluation, folder / "figures", config.data.photographed)
        )
    for name, heading in WORLDS.items():
        if (run / name / "table.md").is_file():
            figures += f"\n\n### {heading}\n\n" + _evaluation(run / name, config)
    if sweeps := sorted(evaluation.glob("sweep*.md")):
        figures += (
            "\n\n### How the sampling defaults were chosen\n\n"
            "`python -m training.tune_sampling`, on the validation split alone. The RMS distance to the true "
            "picture tells a better picture from one that only pleases the judge.\n\n"
        ) + "\n".join(sweep.read_text() for sweep in sweeps)
    barcodes = (
        "real ones (insect COI of public BOLD records and of the Integrated and Open Butterfly database)"
        if config.data.table
        else "simulated too (codon-aware evolution along a tree)"
    )
    kind = _kind(config.data)
    photographs = (
        load_photographs(config.data.photographs, config.data.image_size)[0] if config.data.by_species else ()
    )
    values = {
        "photographs": sum(np.isin(photographs, rows["species"].unique())),
        "barcodes": barcodes,
        "mutated": f"{config.data.mutated_share:.0%}",
        "rate": f"{config.data.max_mutation_rate:.0%}",
        "roaming": f"{config.data.roaming_share:.0%}",
        "package": config.data.package,
        "credit": bold.credit(config.data.bold) if config.data.bold else "",
    }
    (folder / "README.md").write_text(
        CARD.substitute(
            {name: Template(text).substitute(values) for name, text in kind.items()},
            size=config.data.image_size,
            data=_data_line(config, rows),
            training=_training_lines(read_results(run)),
            curves="![training curves](figures/training.png)" if has_curves else "",
            command=repeat(config),
            note=config.assemble.note,
            terms=_terms(config),
            figures=figures,
        )
    )


if __name__ == "__main__":
    sys.exit(command(__doc__, lambda config: write_model_card(config, Path(config.assemble.checkpoint))))
