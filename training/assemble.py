"""Stage 5: assemble the trained parts into a checkpoint that the app can serve.

    python -m training.assemble --config training/configs/embedded.yaml

Weights are saved as fp16 safetensors in shards under 10 MB. The checkpoint also gets the reference species,
the examples for the app with a picture of the first one, a description for people, and a model card. An
adapter is fused into its base, so a run on Stable Diffusion also ends in an ordinary checkpoint.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler

from g2pdiff.about import About
from g2pdiff.arrival import Arrival
from g2pdiff.checkpoint import load_pipeline
from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.errors import InputError
from g2pdiff.models.aligner import LatentAligner
from g2pdiff.models.conditioner import BarcodeConditioner
from g2pdiff.pipeline import G2PDiffusionPipeline
from training.configs.schema import Config, DataConfig, command
from training.data.bioscan import WHOLE_FRAMES
from training.data.bold import ATTRIBUTION
from training.data.storage import whole_folder
from training.examples import write_examples
from training.release.model_card import write_model_card
from training.release.references import write_references
from training.stages.parts import load_clibd, load_final_autoencoder, load_unet


def keeps_size(data: DataConfig) -> bool:
    """Return whether pictures show an animal's size. They do not if every animal fills the picture, or if the
    distance to the camera varies."""
    if data.by_specimen:
        return not data.bold and data.package in WHOLE_FRAMES
    return not data.by_species


def build_pipeline(config: Config) -> G2PDiffusionPipeline:
    """Build the pipeline of a run's trained parts."""
    run = Path(config.run)
    diffusion = run / "diffusion"
    aligner = LatentAligner.from_pretrained(run / "aligner" / "model")
    return G2PDiffusionPipeline(
        vae=load_final_autoencoder(run),
        tokenizer=KmerTokenizer.from_pretrained(diffusion / "tokenizer"),
        conditioner=BarcodeConditioner.from_pretrained(diffusion / "conditioner"),
        unet=load_unet(run, aligner.config.latent_size),
        scheduler=DPMSolverMultistepScheduler.from_pretrained(diffusion / "scheduler"),
        aligner=aligner,
        clibd=load_clibd(run / "clibd" / "model"),
        image_size=config.data.image_size,
        default_steps=config.assemble.default_steps,
        default_guidance_scale=config.assemble.default_guidance_scale,
        default_alignment_scale=config.assemble.default_alignment_scale,
        default_guidance_below=config.assemble.default_guidance_below,
        truth=None if config.data.photographed else "simulated",
        whole_frames=keeps_size(config.data),
    )


def assemble(config: Config) -> Path:
    """Write the checkpoint with its references and model card; return its folder. An older one is replaced.

    Raises:
        InputError: field `checkpoint`, if the folder holds something else than a checkpoint.
    """
    folder = Path(config.assemble.checkpoint)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "model_index.json").is_file():
        raise InputError(
            "checkpoint",
            f"The folder {folder} holds something else than a checkpoint; choose another with "
            "assemble.checkpoint=FOLDER, or empty it.",
        )
    with whole_folder(folder) as partial:
        pipeline = build_pipeline(config).to(torch.float16)
        pipeline.save_pretrained(partial, max_shard_size=config.assemble.max_shard_size)
        if config.assemble.about:
            About.check(config.assemble.about).save(partial)
        here = replace(config, assemble=replace(config.assemble, checkpoint=str(partial)))
        write_examples(here)
        Arrival.draw(load_pipeline(partial), partial).save(partial)
        write_references(here)
        write_model_card(config, partial)
        if config.data.bold:
            shutil.copy(Path(config.data.bold) / ATTRIBUTION, partial)
    return folder


if __name__ == "__main__":
    sys.exit(command(__doc__, assemble))
