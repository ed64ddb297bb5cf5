"""A real pipeline of tiny random components, 32 px, for tests."""

from __future__ import annotations

import torch
from diffusers import DPMSolverMultistepScheduler, UNet2DConditionModel

from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.models.aligner import LatentAligner
from g2pdiff.models.autoencoder import PatchAutoencoder
from g2pdiff.models.clibd import CLIBD
from g2pdiff.models.conditioner import BarcodeConditioner
from g2pdiff.pipeline import G2PDiffusionPipeline

# The start of a real insect's COI, by codons: T L Y F I F G M W A G ...
BARCODE = (
    "AACTTTATATTTTATTTTTGGAATTTGAGCAGGAATAGTAGGAACATCTCTAAGTTTATTAATTCGAGCTGAATTAGGTAATCCAGGATCTTTAATTGGA"
    "GATGATCAAATTTATAATACTATTGTAACAGCTCATGCTTTTATTATAATTTTTTTTATAGTTATACCTATTATAATTGGAGGATTTGGTAATTGATTAG"
    "TTCCTTTAATATTAGGAGCTCCTGATATAGCTTTCCCCCGAATAAATAATATAAGATTTTGACTTTTACCCCCATCATTAACTCTTTTAATTTCAAGAAG"
    "AATTGTAGAAAATGGAGCAGGAACTGGATGAACAGTTTACCCCCCACTTTCATCTAATATTGCTCATGGTGGAAGTTCAGTTGATTTAGCTATTTTTTCA"
    "TTACATTTAGCTGGAATTTCATCAATTTTAGGAGCTATTAATTTTATTACTACAATTATTAATATACGAATTAATAGTTTATCTTTTGATCAAATACCTT"
    "TATTTGTTTGAGCAGTAGGAATTACAGCTTTATTATTATTATTATCTTTACCTGTATTAGCAGGAGCTATTACTATATTATTAACTGATCGAAATTTAAA"
    "TACTTCATTTTTTGATCCTGCTGGAGGAGGAGATCCAATTTTATATCAACATTTATTT"
)


def tiny_components(context: str = "tokens", prediction_type: str = "v_prediction") -> dict:
    """Return every component, with random weights that are the same at every call."""
    torch.manual_seed(0)
    vae = PatchAutoencoder(patch_size=8, latent_channels=4, widths=(8, 8, 8), layers=(1, 1, 1))
    vae.fit_components(torch.randn(400, 3, 8, 8).cumsum(-1).clamp(-1, 1))
    return {
        "vae": vae.eval(),
        "tokenizer": KmerTokenizer(k=4, stride=4),
        "conditioner": BarcodeConditioner(hidden_size=16, num_layers=1, num_heads=2, context=context).eval(),
        "unet": UNet2DConditionModel(
            sample_size=4,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=2,
            norm_num_groups=4,
            cross_attention_dim=16,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=16,
        ).eval(),
        "scheduler": DPMSolverMultistepScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            prediction_type=prediction_type,
            timestep_spacing="trailing",
        ),
        "aligner": LatentAligner(
            latent_channels=4,
            latent_size=4,
            condition_size=16,
            hidden_size=16,
            num_layers=1,
            num_heads=2,
            embed_size=8,
            bank_size=5,
        ).eval(),
        "clibd": CLIBD(
            image_size=32,
            image_widths=(4, 4, 8, 8),
            hidden_size=16,
            barcode_layers=1,
            num_heads=2,
            embed_size=8,
        ).eval(),
    }


def tiny_pipeline(**changes) -> G2PDiffusionPipeline:
    """Return a pipeline of `tiny_components`; keyword arguments replace components or settings."""
    components = tiny_components()
    components["aligner"].bank.copy_(torch.randn(5, 16))
    settings = dict(
        image_size=32,
        default_steps=4,
        truth="simulated",
    )
    pipeline = G2PDiffusionPipeline(**(components | settings | changes))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
