"""Stage 5: put the trained parts together into a checkpoint that the app can serve.

    python -m training.assemble --config training/configs/embedded.yaml

Weights go to fp16 safetensors in shards under 10 MB, with the reference species that the app looks for
neighbours among, and a model card that says what the checkpoint learned from.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel

from g2pdiff.aligner import LatentAligner
from g2pdiff.autoencoder import PatchAutoencoder
from g2pdiff.clibd import CLIBD
from g2pdiff.conditioner import BarcodeConditioner
from g2pdiff.pipeline import G2PDiffusionPipeline
from g2pdiff.tokenizer import KmerTokenizer
from training.config import Config, command
from training.model_card import write_model_card
from training.references import write_references


def build_pipeline(config: Config) -> G2PDiffusionPipeline:
    """The pipeline of a run's trained parts."""
    run = Path(config.run)
    diffusion = run / "diffusion"
    return G2PDiffusionPipeline(
        vae=PatchAutoencoder.from_pretrained(run / "autoencoder" / "model"),
        tokenizer=KmerTokenizer.from_pretrained(diffusion / "tokenizer"),
        conditioner=BarcodeConditioner.from_pretrained(diffusion / "conditioner"),
        unet=UNet2DConditionModel.from_pretrained(diffusion / "unet"),
        scheduler=DPMSolverMultistepScheduler.from_pretrained(diffusion / "scheduler"),
        aligner=LatentAligner.from_pretrained(run / "aligner" / "model"),
        clibd=CLIBD.from_pretrained(run / "clibd" / "model"),
        image_size=config.data.image_size,
        default_steps=config.assemble.default_steps,
        default_guidance_scale=config.assemble.default_guidance_scale,
        default_alignment_scale=config.assemble.default_alignment_scale,
        truth="simulated",
    )


def assemble(config: Config) -> Path:
    """Write the checkpoint and its model card; return its folder."""
    folder = Path(config.assemble.checkpoint)
    pipeline = build_pipeline(config).to(torch.float16)
    pipeline.save_pretrained(folder, max_shard_size=config.assemble.max_shard_size)
    write_references(config)
    write_model_card(config, folder)
    return folder


if __name__ == "__main__":
    sys.exit(command(__doc__, assemble))
