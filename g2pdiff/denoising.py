"""How pictures are denoised: the settings of a run, and how a checkpoint's defaults complete them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from g2pdiff.validation import MAXIMUM_STEPS, check_choice, check_number, check_scale, check_steps

# Names of diffusers' classes: this module comes without PyTorch.
SCHEDULERS = {"ddpm": "DDPMScheduler", "ddim": "DDIMScheduler", "dpm++": "DPMSolverMultistepScheduler"}
ALIGNMENT_RULES = ("corrected", "literal")


@dataclass(frozen=True)
class Denoising:
    """Settings of the denoising loop. None leaves a setting to the checkpoint.

    Attributes:
        steps: denoising steps, 1 to 1000.
        guidance_scale: classifier-free guidance scale, 0 to 1000; 1 is off.
        alignment_scale: alignment scale w, 0 to 1000; 0 is off.
        guidance_below: timestep, 0 to 1000, below which both guidances act. Where there is most noise,
            guidance does harm (Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval Improves
            Sample and Distribution Quality in Diffusion Models").
        scheduler: a name of `SCHEDULERS`. `ddpm` adds noise of the posterior variance, where the paper's
            Eq. 7 has that of beta_t, which is larger; in few steps that shows.
        alignment_rule: `"corrected"`, or `"literal"` for the paper's Eq. 8 as printed, see
            `g2pdiff.guidance`.
    """

    steps: int | None = None
    guidance_scale: float | None = None
    alignment_scale: float | None = None
    guidance_below: int | None = None
    scheduler: str | None = None
    alignment_rule: str = "corrected"

    def resolve(self, config: Mapping) -> Resolved:
        """Fill in a checkpoint's defaults and check every setting.

        Args:
            config: of a pipeline; `default_steps` is its default of `steps`, and so on. A scheduler of None
                stays None: it is the checkpoint's own.

        Raises:
            InputError: the field is the name of the setting.
        """

        def chosen(name: str) -> object:
            given = getattr(self, name)
            return config[f"default_{name}"] if given is None else given

        guidance_below = check_number(
            "guidance_below", chosen("guidance_below"), 0, MAXIMUM_STEPS, whole=True
        )
        return Resolved(
            steps=check_steps(chosen("steps")),
            guidance_scale=check_scale("guidance_scale", chosen("guidance_scale")),
            alignment_scale=check_scale("alignment_scale", chosen("alignment_scale")),
            guidance_below=int(guidance_below),
            scheduler=None
            if self.scheduler is None
            else check_choice("scheduler", self.scheduler, SCHEDULERS),
            alignment_rule=check_choice("alignment_rule", self.alignment_rule, ALIGNMENT_RULES),
        )

    @property
    def arguments(self) -> dict:
        """The same as keyword arguments of `G2PDiffusionPipeline.stream`."""
        return {
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "alignment_scale": self.alignment_scale,
            "guidance_below": self.guidance_below,
            "scheduler": self.scheduler,
            "alignment_rule": self.alignment_rule,
        }


@dataclass(frozen=True)
class Resolved:
    """Checked settings of the denoising loop; see `Denoising` for their meaning.

    Only the scheduler may be None: it is then the checkpoint's own.
    """

    steps: int
    guidance_scale: float
    alignment_scale: float
    guidance_below: int
    scheduler: str | None
    alignment_rule: str
