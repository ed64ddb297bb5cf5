"""The settings of a denoising run. A checkpoint's defaults complete them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from g2pdiff.validation import MAXIMUM_STEPS, check_choice, check_number, check_scale, check_steps

# Names of diffusers' classes, not the classes: this module does not import PyTorch.
SCHEDULERS = {"ddpm": "DDPMScheduler", "ddim": "DDIMScheduler", "dpm++": "DPMSolverMultistepScheduler"}
ALIGNMENT_RULES = ("corrected", "literal")


@dataclass(frozen=True)
class Denoising:
    """Settings of the denoising loop. None leaves a setting to the checkpoint.

    Attributes:
        steps: denoising steps, 1 to 1000.
        guidance_scale: classifier-free guidance scale, 0 to 1000; 1 is off.
        alignment_scale: alignment scale w, 0 to 1000; 0 is off.
        guidance_below: timestep, 0 to 1000, below which both guidances act. At the highest noise levels
            guidance does harm (Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval Improves
            Sample and Distribution Quality in Diffusion Models").
        scheduler: a name of `SCHEDULERS`. `ddpm` adds noise with the posterior variance. The paper's Eq. 7
            uses beta_t, which is larger; the difference is visible with few steps.
        alignment_rule: `"corrected"`, or `"literal"` for the paper's Eq. 8 as printed; see
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
            config: configuration of a pipeline. `default_steps` is the default of `steps`, and so on. A
                scheduler of None stays None: it means the checkpoint's own.

        Raises:
            InputError: for a wrong setting; the field is its name.
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
        """The settings as keyword arguments of `G2PDiffusionPipeline.stream`."""
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

    Only the scheduler may be None, which means the checkpoint's own.
    """

    steps: int
    guidance_scale: float
    alignment_scale: float
    guidance_below: int
    scheduler: str | None
    alignment_rule: str
