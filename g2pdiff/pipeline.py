"""G2PDiffusionPipeline: draws an animal from a DNA barcode and a locality, step by step.

`stream()` is a generator of `DenoisingStep`; `__call__` runs it to the end. The methods stand in the order in
which a run uses them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor

from g2pdiff.batching import DrawingBatch
from g2pdiff.denoising import Denoising, Resolved
from g2pdiff.dna.barcode import Barcode
from g2pdiff.dna.tokenizer import KmerTokenizer
from g2pdiff.guidance import alignment_guidance, classifier_free_guidance, to_clean, to_noise
from g2pdiff.models.aligner import LatentAligner
from g2pdiff.models.autoencoder import PatchAutoencoder
from g2pdiff.models.clibd import CLIBD
from g2pdiff.models.clibd_official import OfficialCLIBD
from g2pdiff.models.conditioner import BarcodeConditioner, Condition
from g2pdiff.models.controlnet import BarcodeControlNet
from g2pdiff.models.locality import geodesic
from g2pdiff.models.saved import SavedPipeline
from g2pdiff.outputs import DenoisingStep, G2PDiffusionOutput
from g2pdiff.scheduling import check_scheduler, prepare_scheduler, step_arguments
from g2pdiff.validation import check_choice

OUTPUT_TYPES = ("pil", "np", "pt", "latent")


def _dtype(part: torch.nn.Module) -> torch.dtype:
    """Return the dtype of a part's weights. The parts' own `dtype` is slow: it visits all their modules."""
    return next(part.parameters()).dtype


def _beside_zeros(residuals: Any) -> Any:
    """Return a ControlNet's residuals (B, ...) behind zeros for the unconditional half: (2B, ...)."""
    if isinstance(residuals, torch.Tensor):
        return torch.cat([torch.zeros_like(residuals), residuals])
    return [_beside_zeros(one) for one in residuals]


class G2PDiffusionPipeline(SavedPipeline):
    """Latent diffusion from a COI barcode and a locality, guided by an aligner.

    >>> from g2pdiff import load_pipeline
    >>> from g2pdiff.built_in import example_barcode
    >>> pipeline = load_pipeline()
    >>> output = pipeline(example_barcode(), latitude=56.6, longitude=11.3, num_inference_steps=2)
    >>> output.images[0].width == pipeline.config.image_size
    True

    Args:
        vae: autoencoder with `decode(latents).sample` in [-1, 1], and a `scaling_factor`.
        tokenizer: k-mer tokenizer of the conditioner.
        conditioner: environment-enhanced DNA conditioner.
        unet: denoiser. If it has a `class_embed_type`, it also receives the pooled condition.
        scheduler: variance-preserving scheduler. Its `prediction_type` is that of the U-Net.
        aligner: noisy-latent aligner. Without one there is no alignment guidance.
        clibd: CLIBD model. Without one there is no CLIBDScore.
        controlnet: barcode ControlNet. With one, the barcode reaches the U-Net through it alone.
        image_size: height and width of a picture, in pixels.
        default_steps: denoising steps, if a call gives none.
        default_guidance_scale: classifier-free guidance scale, if a call gives none; 1 is off.
        default_alignment_scale: alignment scale w, if a call gives none; 0 is off.
        default_guidance_below: timestep below which both guidances act, if a call gives none; with 1000 they
            act at every step.
        truth: `"simulated"` if the checkpoint learned from `g2pdiff.simulation`: the truth is then known.
        whole_frames: whether pictures keep the animal's size. Models that learned from crops do not.
    """

    model_cpu_offload_seq = "unet->vae"
    # They are small, and diffusers' hooks only see calls of forward(), not of their other methods.
    _exclude_from_cpu_offload = ["conditioner", "aligner", "clibd"]
    _optional_components = ["aligner", "clibd", "controlnet"]
    _callback_tensor_inputs = ["latents", "pooled", "context"]

    def __init__(
        self,
        vae: PatchAutoencoder | AutoencoderKL,
        tokenizer: KmerTokenizer,
        conditioner: BarcodeConditioner,
        unet: UNet2DConditionModel,
        scheduler: Any,
        aligner: LatentAligner | None = None,
        clibd: CLIBD | OfficialCLIBD | None = None,
        controlnet: BarcodeControlNet | None = None,
        image_size: int = 128,
        default_steps: int = 25,
        default_guidance_scale: float = 2.0,
        default_alignment_scale: float = 1.0,
        default_guidance_below: int = 1000,
        truth: str | None = None,
        whole_frames: bool = True,
    ):
        super().__init__()
        self.register_modules(
            vae=vae,
            tokenizer=tokenizer,
            conditioner=conditioner,
            unet=unet,
            scheduler=scheduler,
            aligner=aligner,
            clibd=clibd,
            controlnet=controlnet,
        )
        self.image_processor = VaeImageProcessor(do_normalize=False)  # pictures are in [0, 1] already
        self._interrupt = False
        self.register_to_config(
            image_size=image_size,
            default_steps=default_steps,
            default_guidance_scale=default_guidance_scale,
            default_alignment_scale=default_alignment_scale,
            default_guidance_below=default_guidance_below,
            truth=truth,
            whole_frames=whole_frames,
        )

    @property
    def interrupt(self) -> bool:
        """Whether the run ends with the step in progress; a callback sets `_interrupt`."""
        return self._interrupt

    @torch.no_grad()
    def encode_condition(self, barcodes: Sequence[Barcode], localities: torch.Tensor) -> Condition:
        """Return the condition of B barcodes at B localities.

        Args:
            barcodes: B barcodes.
            localities: latitude and longitude in degrees (B, 2).
        """
        device = self._execution_device
        input_ids = self.tokenizer.ids([barcode.sequence for barcode in barcodes]).to(device)
        latitude, longitude = localities.to(device).unbind(1)
        return self.conditioner(input_ids, geodesic(latitude, longitude).to(_dtype(self.conditioner)))

    def prepare_latents(
        self, batch: int, generators: torch.Generator | Sequence[torch.Generator], device: torch.device | str
    ) -> torch.Tensor:
        """Draw standard normal noise (B, C, h, w). From a list of generators, row i comes from generator i.

        Latents are always float32: half precision would lose the solver's small differences.
        """
        size = self.unet.config.sample_size
        shape = (batch, self.unet.config.out_channels, size, size)
        source = generators if isinstance(generators, torch.Generator) else list(generators)
        return randn_tensor(shape, source, device=device, dtype=torch.float32)

    def predict_noise(
        self, latents: torch.Tensor, timestep: torch.Tensor, condition: Condition, scale: float
    ) -> torch.Tensor:
        """Predict the noise (B, C, h, w) with classifier-free guidance, in one call of the U-Net.

        Args:
            latents: z_t (B, C, h, w), float32.
            timestep: scalar.
            condition: condition of the B pictures.
            scale: classifier-free guidance scale. With 1 the empty condition is not computed.
        """
        is_guided = scale != 1
        given, latents = latents, latents.to(_dtype(self.unet))
        null = self.conditioner.null(condition)
        residuals = {}
        if self.controlnet is not None:
            residuals = self.controlnet(latents, timestep, condition, null)
            condition = null
        if is_guided:
            condition = Condition.cat([null, condition])
            latents = torch.cat([latents, latents])
            residuals = {name: _beside_zeros(added) for name, added in residuals.items()}
        prediction = self.unet(
            condition.beside(latents),
            timestep,
            encoder_hidden_states=condition.context,
            class_labels=condition.pooled if self.unet.config.class_embed_type else None,
            **residuals,
        ).sample
        if is_guided:
            unconditional, conditional = prediction.chunk(2)
            prediction = classifier_free_guidance(conditional, unconditional, scale)
        gammas, kind = self.scheduler.alphas_cumprod, self.scheduler.config.prediction_type
        return to_noise(prediction.float(), given, timestep, gammas, kind)

    def log_prob(self, condition: Condition) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Return log p(c | z_t) of the aligner as a function of float32 latents and timesteps.

        The condition c is embedded once.
        """
        log_prob, dtype = self.aligner.log_prob_of(condition.pooled), _dtype(self.aligner)
        return lambda latents, timestep: log_prob(latents.to(dtype), timestep).float()

    @torch.no_grad()
    def denoise(
        self,
        condition: Condition,
        denoising: Resolved,
        generators: torch.Generator | Sequence[torch.Generator],
        callback: Callable | None = None,
        callback_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Generator[DenoisingStep]:
        """Run the denoising loop. Each step yields an estimate of the clean latents (B, C, h, w).

        The last estimate is the result. `stream` and `__call__` decode and score the estimates.

        Args:
            condition: condition of the B pictures.
            denoising: checked settings.
            generators: sources of the noise, see `prepare_latents`.
            callback, callback_tensor_inputs: see `stream`.
        """
        # 1. Make a scheduler for this run alone: schedulers keep state, and two runs may share one pipeline
        device = self._execution_device
        scheduler = prepare_scheduler(self.scheduler, denoising, device)
        step_noise, gammas = step_arguments(scheduler, generators), self.scheduler.alphas_cumprod

        # 2. Draw the noise
        self._interrupt = False
        is_aligned = self.aligner is not None and denoising.alignment_scale != 0
        log_prob = self.log_prob(condition) if is_aligned else None
        latents = self.prepare_latents(len(condition.pooled), generators, device) * scheduler.init_noise_sigma

        # 3. Denoise
        progress_bar: Any = self.progress_bar  # its type in diffusers is wrong
        with progress_bar(total=denoising.steps) as bar:
            for index, timestep in enumerate(scheduler.timesteps):
                is_guided = int(timestep) < denoising.guidance_below
                scale = denoising.guidance_scale if is_guided else 1.0
                noise_pred = self.predict_noise(latents, timestep, condition, scale)
                if log_prob is not None and is_guided:
                    noise_pred = alignment_guidance(
                        noise_pred,
                        latents,
                        timestep,
                        log_prob,
                        gammas,
                        denoising.alignment_scale,
                        denoising.alignment_rule,
                    )
                clean = to_clean(noise_pred, latents, timestep, gammas)
                seen, share = latents, 1 - float(gammas[int(timestep)])
                latents = scheduler.step(noise_pred, timestep, latents, **step_noise).prev_sample
                if callback is not None:
                    tensors = {"latents": latents, "pooled": condition.pooled, "context": condition.context}
                    given = {name: tensors[name] for name in callback_tensor_inputs}
                    tensors |= callback(self, index, timestep, given)
                    latents = tensors["latents"]
                    condition = replace(condition, pooled=tensors["pooled"], context=tensors["context"])
                    log_prob = self.log_prob(condition) if is_aligned else None
                bar.update()
                is_done = index + 1 == denoising.steps
                is_last = is_done or self.interrupt
                estimate = latents if is_done else clean
                yield DenoisingStep(index + 1, denoising.steps, int(timestep), is_last, estimate, seen, share)
                if is_last:
                    return

    @torch.no_grad()
    def decode(self, latents: torch.Tensor, preview: bool = False) -> torch.Tensor:
        """Map latents (B, C, h, w) to pictures (B, 3, H, W) in [0, 1].

        A preview uses the autoencoder's fast decoder, if it has one.
        """
        vae: Any = self.vae
        fast = {"refine": False} if preview and isinstance(vae, PatchAutoencoder) else {}
        latents = (latents / vae.config.scaling_factor).to(_dtype(vae))
        images: Any = self.image_processor.denormalize(vae.decode(latents, **fast).sample)
        return images.float()

    @torch.no_grad()
    def score(self, images: torch.Tensor, embeddings: torch.Tensor) -> list[float]:
        """Return the B CLIBDScores of pictures (B, 3, H, W) in [0, 1] and barcodes' unit vectors (B, E)."""
        return self.clibd.score(images, embeddings).tolist()

    def stream(
        self,
        barcode: str | Barcode | Sequence[str | Barcode],
        latitude: float | Sequence[float],
        longitude: float | Sequence[float],
        *,
        seed: int | Sequence[int] = 0,
        generator: torch.Generator | list[torch.Generator] | None = None,
        num_images_per_barcode: int = 1,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        alignment_scale: float | None = None,
        guidance_below: int | None = None,
        scheduler: str | None = None,
        alignment_rule: str = "corrected",
        previews: bool = True,
        callback_on_step_end: Callable[[G2PDiffusionPipeline, int, torch.Tensor, dict], dict] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Generator[DenoisingStep]:
        """Denoise step by step. Closing the generator stops the run.

        Barcode, latitude, longitude and seed are single values, or sequences, arrays or columns of the same
        length. A single value serves the whole batch: with one seed, every specimen gets the same noise.

        Args:
            barcode: COI barcode: raw or FASTA text, Biopython's `Seq` or `SeqRecord`, or a `Barcode`.
            latitude: degrees north, -90 to 90.
            longitude: degrees east, -180 to 180.
            seed: seed of the noise. Equal seeds give equal pictures.
            generator: source of the noise in place of seeds: one for the whole batch, or a list with one per
                picture. A generator changes with use: to repeat a picture, seed it again.
            num_images_per_barcode: pictures per barcode. They follow each other in the batch. Picture j of
                seed s is the picture of seed s + j; after the largest seed comes 0.
            num_inference_steps, guidance_scale, alignment_scale, guidance_below, scheduler, alignment_rule:
                settings, see `Denoising`. The checkpoint has a default for each.
            previews: whether to decode (with the fast decoder) and score every step. Otherwise only the last
                step has pictures and scores.
            callback_on_step_end: function that runs after every step, before the step is yielded:
                `(pipeline, index from 0, timestep, tensors by name) -> dict` of tensors to continue with. If
                it sets `pipeline._interrupt = True`, the run ends with its estimate of the clean picture.
            callback_on_step_end_tensor_inputs: tensors that the callback receives: `"latents"` (the noisy
                ones to continue from), `"pooled"` and `"context"` (the condition).

        Yields:
            One `DenoisingStep` per step; the last one is the result.

        Raises:
            InputError: a value is not usable. The message names the field and how to fix it.
        """
        # 1. Check everything now, not at the first step
        batch = DrawingBatch.check(barcode, latitude, longitude, seed, generator, num_images_per_barcode)
        denoising = Denoising(
            num_inference_steps, guidance_scale, alignment_scale, guidance_below, scheduler, alignment_rule
        ).resolve(self.config)
        check_scheduler(self.scheduler, denoising)
        for name in callback_on_step_end_tensor_inputs:
            check_choice("callback_on_step_end_tensor_inputs", name, self._callback_tensor_inputs)
        return self._stream(
            batch, denoising, previews, callback_on_step_end, callback_on_step_end_tensor_inputs
        )

    @torch.no_grad()
    def _stream(
        self,
        batch: DrawingBatch,
        denoising: Resolved,
        previews: bool,
        callback: Callable | None,
        callback_tensor_inputs: Sequence[str],
    ) -> Generator[DenoisingStep]:
        # 2. Encode the condition and embed the barcodes once: both are the same at every step
        condition = self.encode_condition(batch.barcodes, batch.localities).repeat(batch.images_per_barcode)
        embeddings = None
        if self.clibd is not None:
            embeddings = self.clibd.embed_barcodes([barcode.sequence for barcode in batch.barcodes])
            embeddings = embeddings.repeat_interleave(batch.images_per_barcode, 0)

        # 3. Denoise; decode and score the steps that are shown
        steps = self.denoise(condition, denoising, batch.generators, callback, callback_tensor_inputs)
        for step in steps:
            if previews or step.is_last:
                step.images = self.decode(step.latents, preview=not step.is_last)
                if embeddings is not None:
                    step.clibd_scores = self.score(step.images, embeddings)
            yield step

        # 4. Offload, if the pipeline was told to
        self.maybe_free_model_hooks()

    def __call__(
        self,
        barcode: str | Barcode | Sequence[str | Barcode],
        latitude: float | Sequence[float],
        longitude: float | Sequence[float],
        *,
        output_type: str = "pil",
        return_dict: bool = True,
        **settings: Any,
    ) -> Any:
        """Run `stream` to its end. Decode and score only the result.

        Args:
            barcode, latitude, longitude: see `stream`.
            output_type: `"pil"`, `"np"` (B, H, W, 3) or `"pt"` (B, 3, H, W), both in [0, 1], or `"latent"`
                (B, C, h, w).
            return_dict: whether to return a `G2PDiffusionOutput` or a tuple of its fields.
            settings: the other arguments of `stream`, except `previews`.

        Returns:
            A `G2PDiffusionOutput`, or a tuple of pictures and scores.
        """
        check_choice("output_type", output_type, OUTPUT_TYPES)
        *_, last = self.stream(barcode, latitude, longitude, previews=False, **settings)
        images: Any = last.latents
        if output_type != "latent":
            assert last.images is not None  # the last step has pictures
            images = self.image_processor.postprocess(last.images, output_type)
        if not return_dict:
            return images, last.clibd_scores
        return G2PDiffusionOutput(images=images, clibd_scores=last.clibd_scores)
