"""Stage 3: the U-Net, trained on cached latents, and with it the conditioner if it had no stage of its own.

    python -m training.diffusion --config training/configs/embedded.yaml

The loss can have min-SNR weights (Hang et al. 2023), and the weights are averaged. For classifier-free
guidance, a tenth of the conditions is replaced by the learned empty condition. Encoding a barcode costs as
much as the small U-Net, so several noise draws of a picture share one encoded barcode.

After a conditioner stage (`training.conditioner`), the conditioner is frozen: conditions are computed once,
and the U-Net reads the mean latent beside the noisy latent.

On a base (`diffusion.base`), such as Stable Diffusion, the base's U-Net is frozen, and an adapter is trained
instead (`training.stages.lora`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import set_seed
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from torch import nn
from tqdm.auto import tqdm

from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.errors import InputError
from g2pdiff.guidance import add_noise
from g2pdiff.models.autoencoder import PatchAutoencoder
from g2pdiff.models.conditioner import BarcodeConditioner, Condition
from g2pdiff.models.pretrained import start_from_barcodebert
from training.configs.schema import Config, DiffusionConfig, command
from training.data.specimens import (
    SpecimenSet,
    draw_rows,
    load_specimens,
    localities_of,
    mask_tokens,
    species_batches,
)
from training.data.storage import new_array, whole_folder
from training.evaluation.results import record_result
from training.stages.loop import fit
from training.stages.lora import ADAPTER_FOLDER, add_adapter, load_base, save_adapter
from training.stages.losses import denoising_error, min_snr_weight
from training.stages.parts import load_autoencoder, on_device, schedule_on_device, start_weights, to_latents

SKETCH_BARCODES = 8192
"""Number of training barcodes for the sketch's components, unless the settings say otherwise."""


@torch.no_grad()
def cache_latents(
    vae: PatchAutoencoder | AutoencoderKL, specimens: SpecimenSet, folder: Path, batch: int = 64
) -> np.ndarray:
    """Encode every picture once. The processes share the work.

    The file is named after the specimens, so each set of a run has its own. It is made again if the encoder
    has changed, which is noticed from the first latent.

    Returns:
        Latents (N, C, h, w) float16, memory-mapped.
    """
    state = PartialState()
    vae = on_device(vae, state.device)

    def encode(rows: Sequence[int]) -> np.ndarray:
        return to_latents(vae, specimens.images(rows).to(state.device) * 2 - 1).half().cpu().numpy()

    path = folder / f"latents-{specimens.name}.npy"
    first = encode([0])[0]
    stale = not path.exists() or not (
        (saved := np.load(path, mmap_mode="r")).shape == (len(specimens), *first.shape)
        and np.allclose(saved[0], first, atol=1e-2)
    )
    state.wait_for_everyone()
    if stale:
        partial = path.with_suffix(".partial")
        if state.is_main_process:
            folder.mkdir(parents=True, exist_ok=True)
            new_array(partial, np.float16, (len(specimens), *first.shape)).flush()
        state.wait_for_everyone()
        latents = np.load(partial, mmap_mode="r+")
        starts = range(state.process_index * batch, len(specimens), state.num_processes * batch)
        for start in tqdm(starts, desc="encode latents", disable=not state.is_main_process):
            rows = list(range(start, min(start + batch, len(specimens))))
            latents[rows] = encode(rows)
        latents.flush()
        state.wait_for_everyone()
        if state.is_main_process:
            os.replace(partial, path)
        state.wait_for_everyone()
    return np.load(path, mmap_mode="r")


def denoising_errors(
    unet: UNet2DConditionModel,
    scheduler: DPMSolverMultistepScheduler,
    condition: Condition,
    latents: torch.Tensor,
    noise: torch.Tensor,
    timesteps: torch.Tensor,
    steer: Callable[[torch.Tensor, torch.Tensor], dict] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the errors of a U-Net's predictions for K noise draws of each of B specimens.

    Args:
        unet: the U-Net that predicts.
        scheduler: the noise schedule.
        condition: conditions of the draws (B * K rows).
        latents: clean latents (B, C, h, w).
        noise: the draws (B, K, C, h, w).
        timesteps: likewise (B, K).
        steer: function of noisy latents (B * K, C, h, w) and timesteps (B * K,) that returns further
            arguments of the U-Net.

    Returns:
        Mean squared errors (B * K,), and the cumulative alphas of their timesteps (B * K,).
    """
    clean = latents.repeat_interleave(noise.shape[1], 0)
    noise, timesteps = noise.flatten(0, 1), timesteps.flatten()
    noisy = add_noise(clean, noise, timesteps, scheduler.alphas_cumprod)
    prediction = unet(
        condition.beside(noisy),
        timesteps,
        encoder_hidden_states=condition.context,
        class_labels=condition.pooled if unet.config["class_embed_type"] else None,
        **(steer(noisy, timesteps) if steer else {}),
    ).sample
    gamma = scheduler.alphas_cumprod.to(noisy.device)[timesteps]
    return denoising_error(prediction, clean, noise, gamma, scheduler.config["prediction_type"]), gamma


def condition_of(conditioner: BarcodeConditioner, specimens: dict[str, torch.Tensor]) -> Condition:
    """Return the condition of B specimens, which was computed before or is encoded now.

    Args:
        conditioner: encodes. specimens: the tensors of a `Condition`, or `input_ids` (B, L) and `locality`
            (B, 3).
    """
    return Condition(**specimens) if "pooled" in specimens else conditioner(**specimens)


class DiffusionLoss(nn.Module):
    """Conditioner and U-Net. forward() returns the weighted denoising loss of a batch.

    Args:
        conditioner: learns with the U-Net, unless batches have conditions instead of barcodes.
        unet: the U-Net, which learns.
        scheduler: the noise schedule.
        min_snr_gamma: limit of the min-SNR weight; with None all timesteps have the same weight.
    """

    def __init__(
        self,
        conditioner: BarcodeConditioner,
        unet: UNet2DConditionModel,
        scheduler: DPMSolverMultistepScheduler,
        min_snr_gamma: float | None = None,
    ):
        super().__init__()
        self.conditioner, self.unet, self.scheduler = conditioner, unet, scheduler
        self.min_snr_gamma = min_snr_gamma

    def forward(
        self,
        latents: torch.Tensor,
        noise: torch.Tensor,
        timesteps: torch.Tensor,
        dropped: torch.Tensor,
        **specimens: torch.Tensor,
    ) -> torch.Tensor:
        """Return the denoising loss of a batch.

        Args:
            latents: clean latents (B, C, h, w).
            noise: K draws per specimen (B, K, C, h, w).
            timesteps: likewise (B, K).
            dropped: whether the empty condition replaces the condition (B, K).
            specimens: `input_ids` (B, L) and `locality` (B, 3) of the specimens, or the tensors of their
                `Condition`.
        """
        condition = condition_of(self.conditioner, specimens).repeat(noise.shape[1])
        seen = condition.where(~dropped.flatten(), self.conditioner.null(condition))
        errors, gamma = denoising_errors(self.unet, self.scheduler, seen, latents, noise, timesteps)
        if self.min_snr_gamma is not None:
            kind = self.scheduler.config["prediction_type"]
            errors = errors * min_snr_weight(gamma, kind, self.min_snr_gamma)
        return errors.mean()


def fresh_conditioner(
    config: Config, tokenizer: KmerTokenizer, input_ids: torch.Tensor, **shape: tuple[int, int, int]
) -> BarcodeConditioner:
    """Return an untrained conditioner. Its sketch is fitted to training barcodes.

    Args:
        config: configuration; `diffusion.conditioner` describes the model.
        tokenizer: tokenizer of the barcodes.
        input_ids: tokens of the training barcodes (N, L).
        shape: `latent_shape`, if the conditioner regresses a mean latent.
    """
    described = {"max_tokens": input_ids.shape[1], **config.diffusion.conditioner, **shape}
    conditioner = BarcodeConditioner(vocab_size=tokenizer.vocab_size, k=tokenizer.k, **described)
    if config.diffusion.conditioner_init:
        start_from_barcodebert(conditioner, config.diffusion.conditioner_init)
    if conditioner.sketch is not None:
        barcodes = config.diffusion.settings.get("sketch_barcodes", SKETCH_BARCODES)
        conditioner.sketch.fit_components(input_ids[:barcodes])
    return conditioner


@torch.no_grad()
def cache_conditions(
    conditioner: BarcodeConditioner, input_ids: torch.Tensor, localities: torch.Tensor, batch: int = 64
) -> Condition:
    """Return the conditions of N specimens in half precision. They do not change, so they are computed once.

    Args:
        conditioner: a frozen conditioner.
        input_ids: tokens (N, L).
        localities: unit vectors (N, 3).
        batch: specimens per batch.
    """
    device = PartialState().device
    conditioner = on_device(conditioner, device)
    chunks = tqdm(
        zip(input_ids.split(batch), localities.split(batch), strict=True),
        total=-(-len(input_ids) // batch),
        desc="encode conditions",
    )
    conditions = [
        conditioner(ids.to(device), place.to(device)).to(torch.float16).cpu() for ids, place in chunks
    ]
    on_device(conditioner, torch.device("cpu"))
    return Condition.cat(conditions)


def noise_schedule(config: Config) -> DPMSolverMultistepScheduler:
    """Return the run's noise schedule: that of its base, or Stable Diffusion's betas with a v-prediction."""
    if base := config.diffusion.base:
        return load_base(DPMSolverMultistepScheduler, base, "scheduler", **config.diffusion.scheduler)
    settings: dict[str, Any] = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    settings |= dict(prediction_type="v_prediction", timestep_spacing="trailing")
    return DPMSolverMultistepScheduler(**(settings | config.diffusion.scheduler))


def adapted_unet(config: DiffusionConfig, latent_shape: tuple[int, ...], width: int) -> UNet2DConditionModel:
    """Return the base's U-Net with a new adapter.

    Args:
        config: configuration with the base.
        latent_shape: (C, h, w) of a latent.
        width: width of the condition.

    Raises:
        InputError: field `base`, if it cannot be loaded, or takes conditions of another width.
    """
    unet = load_base(UNet2DConditionModel, config.base, "unet", sample_size=latent_shape[-1])
    if unet.config.cross_attention_dim != width:
        needed = unet.config.cross_attention_dim
        raise InputError(
            "base",
            f"The U-Net of {config.base} takes conditions {needed} wide, not {width}; set "
            f"diffusion.conditioner.hidden_size={needed}.",
        )
    add_adapter(unet, config.lora, config.base)
    return unet


class DiffusionStage:
    """Batches of latents of distinct species, with several noise draws each."""

    name = "diffusion"

    def __init__(
        self, config: Config, specimens: SpecimenSet, vae: PatchAutoencoder | AutoencoderKL, folder: Path
    ):
        default = {"draws": 4, "condition_dropout": 0.1, "min_snr_gamma": None}
        self.settings = default | config.diffusion.settings
        self.tokenizer = KmerTokenizer(**config.diffusion.tokenizer)
        table = specimens.table
        self.input_ids = self.tokenizer.ids(table["dna_barcode"].tolist())
        self.localities = localities_of(table)
        self.latents = cache_latents(vae, specimens, folder)
        self.groups = species_batches(table)
        self.conditions, beside = None, 0
        if config.conditioner.training.steps:
            conditioner = BarcodeConditioner.from_pretrained(Path(config.run) / "conditioner" / "model")
            conditioner.requires_grad_(False)
            conditioner.null_token.requires_grad_(True)  # the empty condition learns with the U-Net
            self.conditions = cache_conditions(conditioner, self._masked_ids(), self.localities)
            beside = self.latents.shape[1]
        else:
            conditioner = fresh_conditioner(config, self.tokenizer, self.input_ids)
        width = conditioner.config.hidden_size
        if config.diffusion.base:
            unet = adapted_unet(config.diffusion, self.latents.shape[1:], width)
        else:
            unet = UNet2DConditionModel(
                sample_size=self.latents.shape[-1],
                in_channels=self.latents.shape[1] + beside,
                out_channels=self.latents.shape[1],
                cross_attention_dim=width,
                projection_class_embeddings_input_dim=width,
                **config.diffusion.model,
            )
            start_weights(config, f"{self.name}/unet", unet)
        self.model = DiffusionLoss(
            conditioner,
            unet,
            schedule_on_device(noise_schedule(config)),
            self.settings["min_snr_gamma"],
        )

    def _masked_ids(self) -> torch.Tensor:
        """Return all tokens (N, L). Some are hidden, because real reads miss bases."""
        generator = torch.Generator().manual_seed(0)
        return mask_tokens(self.input_ids, self.tokenizer.unknown_id, generator)

    def _specimens(self, rows: np.ndarray, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return some rows' arguments of the loss: their conditions if these are known, else barcodes and
        localities."""
        if self.conditions is not None:
            return dict(vars(self.conditions[rows].to(torch.float32)))
        masked = mask_tokens(self.input_ids[rows], self.tokenizer.unknown_id, generator)
        return {"input_ids": masked, "locality": self.localities[rows]}

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        draws = self.settings["draws"]
        rows = draw_rows(self.groups, size, generator)
        latents = torch.from_numpy(self.latents[rows].astype(np.float32))
        steps = self.model.scheduler.config["num_train_timesteps"]
        # The timesteps of a specimen's draws are stratified, so that a batch covers the whole schedule
        # evenly.
        strata = torch.arange(draws) + torch.rand(size, draws, generator=generator)
        return {
            **self._specimens(rows, generator),
            "latents": latents,
            "noise": torch.randn(size, draws, *latents.shape[1:], generator=generator),
            "timesteps": (strata / draws * steps).long().clamp(max=steps - 1),
            "dropped": torch.rand(size, draws, generator=generator) < self.settings["condition_dropout"],
        }


def train(config: Config) -> None:
    """Train conditioner and U-Net and save them to `RUN/diffusion/{conditioner,unet,tokenizer,scheduler}`.

    On a base, `unet_lora` replaces `unet`.
    """
    run = Path(config.run)
    set_seed(config.diffusion.training.seed)
    vae = load_autoencoder(run)
    stage = DiffusionStage(config, load_specimens(config.data, run), vae, run / "data")
    folder = run / stage.name
    result = fit(stage, config.diffusion.training, folder)
    if not PartialState().is_main_process:
        return
    names = ("conditioner", ADAPTER_FOLDER if config.diffusion.base else "unet", "tokenizer", "scheduler")
    with ExitStack() as stack:  # all parts are written before the first is renamed
        conditioner, unet, tokenizer, scheduler = (
            stack.enter_context(whole_folder(folder / name)) for name in names
        )
        stage.model.conditioner.save_pretrained(conditioner)
        if config.diffusion.base:
            save_adapter(stage.model.unet, unet, config.diffusion.base)
        else:
            stage.model.unet.save_pretrained(unet)
        stage.tokenizer.save_pretrained(tokenizer)
        stage.model.scheduler.save_pretrained(scheduler)
    pictures = result["steps"] * config.diffusion.training.batch_size
    record_result(
        run,
        stage.name,
        result | {"pictures": pictures, "noise_draws": pictures * stage.settings["draws"]},
    )


if __name__ == "__main__":
    sys.exit(command(__doc__, train))
