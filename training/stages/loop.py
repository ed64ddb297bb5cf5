"""The one optimisation loop that every stage runs: Accelerate, EMA, TensorBoard, checkpoints, resume.

A stage says what its model is, what a global batch at a step is, and what the loss of its share is.
Everything random in a batch (which specimens, which noise, which timestep) comes from a generator seeded by
the run's seed and the step, drawn for the *global* batch and then sliced by process. So a run that was
interrupted continues to the same loss curve, and a run on several processes sees what a single one does;
the number of processes may change when it is resumed.

Under FSDP (`training/configs/accelerate/fsdp.yaml`) weights, gradients and the optimiser's state are sharded.
The average is not: every process keeps a whole one, off the GPU with `ema_offload`.
"""

from __future__ import annotations

import copy
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import SAFE_WEIGHTS_NAME, DistributedType
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor
from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

from g2pdiff.errors import InputError
from training.configs.schema import TrainingConfig
from training.data.storage import discard
from training.stages.feed import feed

CHECKPOINT = "checkpoint-{:08d}"


class Stage(Protocol):
    """What `fit` needs to know of a stage."""

    name: str
    model: Any  # an nn.Module, of a kind that the stage knows: all that is trained; its forward() is the loss

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return a global batch of `size` specimens, every tensor with leading dimension `size`."""
        ...


def step_generator(seed: int, step: int) -> torch.Generator:
    """Make the generator of everything random at a step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints of a stage, oldest first. A half-written one has another name."""
    return sorted(folder.glob("checkpoint-*"))


def save_checkpoint(accelerator: Accelerator, folder: Path, step: int, keep: int = 2) -> None:
    """Write the state under another name, then rename it: a checkpoint is there whole or not at all.

    What an interrupted process left half written goes.
    """
    target = folder / CHECKPOINT.format(step)
    if accelerator.is_main_process:
        for leftover in folder.glob("partial-*"):
            shutil.rmtree(leftover)
    accelerator.wait_for_everyone()
    partial = folder / f"partial-{step}"
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
        for old in checkpoints(folder)[:-keep]:
            discard(old)
    accelerator.wait_for_everyone()


def leave_out_frozen(accelerator: Accelerator, model: nn.Module) -> None:
    """Keep frozen weights out of the checkpoints of a prepared model: its stage loads them before it resumes.

    A checkpoint that holds them is read all the same. Those of FSDP and DeepSpeed do: Accelerate gives their
    weights to no hook.
    """
    parameters = accelerator.unwrap_model(model).named_parameters()
    frozen = {name for name, parameter in parameters if not parameter.requires_grad}

    def saving(_: list[nn.Module], weights: list[dict], folder: str) -> None:
        for state in weights:
            for name in frozen:
                del state[name]

    def loading(models: list[nn.Module], folder: str) -> None:
        while models:  # what is taken from the list is loaded already
            own = accelerator.unwrap_model(models.pop())
            missing, unknown = load_model(own, Path(folder) / SAFE_WEIGHTS_NAME, strict=False)
            if unknown or set(missing) - frozen:
                raise ValueError(f"{folder} holds the weights of another model.")

    accelerator.register_save_state_pre_hook(saving)
    accelerator.register_load_state_pre_hook(loading)


def load_checkpoint(accelerator: Accelerator, path: Path) -> None:
    """Go on from a checkpoint.

    Raises:
        InputError: field `run`, if it is damaged or another model's.
    """
    try:
        accelerator.load_state(str(path))
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, SafetensorError, UnpicklingError) as error:
        raise InputError(
            "run",
            f"The training checkpoint {path} is damaged or of another configuration: delete it to go on from "
            "the one before, or choose another folder with --run.",
        ) from error


class _Progress:
    """The step count, the time spent and the smoothed loss, saved with the state they belong to."""

    def __init__(self):
        self.step, self.seconds, self.loss = 0, 0.0, None

    def state_dict(self) -> dict:
        return {"step": self.step, "seconds": self.seconds, "loss": self.loss}

    def load_state_dict(self, state: dict) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        self.loss = state.get("loss")  # which older checkpoints lack


class _Health:
    """Whether a run still learns: its losses since the last look, and its weights, are finite numbers.

    Losses are looked at when they are logged, since a look makes a GPU wait. Under fp16's loss scaling a step
    that overflows is skipped and does no harm: there all losses since the last look have to be lost.
    """

    def __init__(self, accelerator: Accelerator, name: str, folder: Path, trained: Sequence[nn.Parameter]):
        self.accelerator, self.name, self.folder, self.trained = accelerator, name, folder, trained
        self._forget()

    def _forget(self) -> None:
        self.steps, self.lost = 0, torch.zeros((), device=self.accelerator.device)

    def add(self, loss: torch.Tensor) -> None:
        """Take the loss of a step into account."""
        self.steps += 1
        self.lost += ~torch.isfinite(loss)

    def check(self, step: int, weights: bool = False) -> None:
        """Look, on all processes alike.

        Raises:
            InputError: field `run`, if a loss or, where asked for, a weight is not finite.
        """
        total: Any = self.accelerator.reduce(self.lost, "sum")
        lost = total.item()
        enough = 1
        if self.accelerator.scaler is not None:
            enough = self.steps * self.accelerator.num_processes
        what = "loss" if self.steps and lost >= enough else ""
        if weights and not what:
            own = (one.to_local() if isinstance(one, DTensor) else one for one in self.trained)
            broken = torch.stack([(~torch.isfinite(one)).any() for one in own]).any().float()
            total = self.accelerator.reduce(broken, "sum")
            what = "model" if total.item() else ""
        self._forget()
        if what:
            found = checkpoints(self.folder)
            kept = f"the checkpoint {found[-1].name} from before is kept; " if found else ""
            raise InputError(
                "run",
                f"The {what} of the stage {self.name} is no longer a finite number at step {step}: {kept}"
                f"set a lower {self.name}.training.learning_rate, or look for values in the data that are no "
                "numbers.",
            )


def shares(
    batch: dict[str, torch.Tensor], pieces: int, process: int, processes: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield a process's share of a global batch, piece by piece.

    Every piece is a run of the global batch's rows, so what the processes hold of a piece does not depend on
    how many they are.
    """
    for index in range(pieces):
        own = index * processes + process
        yield {name: values.tensor_split(pieces * processes)[own] for name, values in batch.items()}


def check_sharing(config: TrainingConfig, processes: int) -> None:
    """Raise `InputError("batch_size")` unless every process gets as many rows in every piece of a batch."""
    pieces = processes * config.accumulation
    if config.accumulation < 1 or config.batch_size % pieces:
        raise InputError(
            "batch_size",
            f"A batch of {config.batch_size} is not shared evenly by {processes} processes in "
            f"{config.accumulation} pieces; give a multiple of {max(1, pieces)}.",
        )


def save_memory(model: nn.Module, name: str) -> None:
    """Recompute activations in the backward pass, in every part that can.

    Raises:
        InputError: field `gradient_checkpointing`, if no part can.
    """
    parts: list[Any] = list(model.modules())
    of_diffusers = [part for part in parts if getattr(part, "_supports_gradient_checkpointing", False)]
    of_transformers = [part for part in parts if getattr(part, "supports_gradient_checkpointing", False)]
    for part in of_diffusers:
        part.enable_gradient_checkpointing()
    for part in of_transformers:
        part.gradient_checkpointing_enable({"use_reentrant": False})
    if not of_diffusers + of_transformers:
        raise InputError(
            "gradient_checkpointing",
            f"No part of the stage {name} can recompute its activations; set "
            f"{name}.training.gradient_checkpointing=false.",
        )


@torch.no_grad()
def whole(parameters: Sequence[nn.Parameter], device: torch.device) -> list[Any]:
    """Return parameters on a device, gathered where the processes hold shards, as an average takes them."""
    gathered = [p.full_tensor() if isinstance(p, DTensor) else p for p in parameters]
    return [parameter.detach().to(device).requires_grad_() for parameter in gathered]


def peak_memory(device: torch.device) -> float:
    """Return the most memory this process has held so far, in GB: of the GPU, or resident where there is
    none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def start(config: TrainingConfig) -> Accelerator:
    """Make the Accelerator of a stage.

    Raises:
        InputError: the batch cannot be shared, or DeepSpeed is to mix precisions.
    """
    # Stages of one run may differ in precision, which Accelerate takes for a mistake. Not under FSDP:
    # a second state would not find its plugin.
    if PartialState().distributed_type != DistributedType.FSDP:
        AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision=config.mixed_precision, step_scheduler_with_optimizer=False)
    accelerator.gradient_accumulation_steps = config.accumulation
    torch.backends.cudnn.benchmark = True  # every step has the same shapes; without a GPU it does nothing
    check_sharing(config, accelerator.num_processes)
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        if config.mixed_precision != "no":
            raise InputError(
                "mixed_precision",
                "Under DeepSpeed the models stay in single precision; set mixed_precision=no for the stage, "
                "or take FSDP.",
            )
        plugin = accelerator.state.deepspeed_plugin
        assert plugin is not None  # DeepSpeed has one
        plugin.deepspeed_config |= {
            "train_micro_batch_size_per_gpu": config.batch_size
            // (accelerator.num_processes * config.accumulation),
            "gradient_accumulation_steps": config.accumulation,
            "gradient_clipping": config.max_grad_norm,
        }
    return accelerator


def fit(stage: Stage, config: TrainingConfig, folder: Path, groups: list[dict] | None = None) -> dict:
    """Train `stage.model` to `config.steps`, resuming from the newest checkpoint in `folder`.

    Args:
        stage: model, batches and loss.
        config: how to optimise.
        folder: where checkpoints and TensorBoard's files go; all processes see the same one.
        groups: the optimiser's parameter groups, where they differ in learning rate.

    Returns:
        `{"steps", "seconds", "loss", "samples_per_second", "peak_memory_gb"}` of the whole run, resumed parts
        included; samples are those of all processes, memory is that of the process that held most. The model
        then holds the averaged weights where the stage keeps an average, on every process.

    Raises:
        InputError: the settings do not fit the stage or the number of processes, or the loss or a weight is
            no longer finite; the last checkpoint is then one from before.
    """
    accelerator = start(config)
    folder.mkdir(parents=True, exist_ok=True)
    model = stage.model
    if config.gradient_checkpointing:
        save_memory(model, stage.name)
    if accelerator.device.type == "cpu":
        model = model.to(memory_format=torch.channels_last)
    elif accelerator.num_processes > 1:
        # Statistics of the global batch. PyTorch has no such layer for the CPU: CLIBD's picture tower, which
        # alone has batch norm, sees a process's own pictures there.
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    is_sharded = accelerator.distributed_type == DistributedType.FSDP
    unsharded = copy.deepcopy(model) if is_sharded else None
    optimizer = torch.optim.AdamW(
        groups or [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        betas=(config.betas[0], config.betas[1]),
        weight_decay=config.weight_decay,
        fused=True,
    )
    schedule = get_cosine_schedule_with_warmup(optimizer, config.warmup_steps, config.steps)
    model, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    leave_out_frozen(accelerator, model)
    progress = _Progress()
    accelerator.register_for_checkpointing(progress)
    average, at = None, torch.device("cpu") if config.ema_offload else accelerator.device
    if config.ema_decay:
        average = EMAModel(
            whole(trained, at), decay=config.ema_decay, use_ema_warmup=True, power=3 / 4, foreach=True
        )
        accelerator.register_for_checkpointing(average)
    if found := checkpoints(folder):
        load_checkpoint(accelerator, found[-1])
        if average is not None:
            average.to(at)  # a checkpoint is read into the machine's memory

    writer = SummaryWriter(str(folder / "tensorboard")) if accelerator.is_main_process else None
    bar = tqdm(
        total=config.steps, initial=progress.step, desc=stage.name, disable=not accelerator.is_main_process
    )
    model.train()
    norm = None
    before, began = progress.seconds, time.monotonic()
    logged = progress.step, progress.seconds
    health = _Health(accelerator, stage.name, folder, trained)
    batches = feed(
        lambda step: stage.batch(config.batch_size, step_generator(config.seed, step)),
        range(progress.step, config.steps),
        config.feeders,
    )
    for batch in batches:
        losses = []
        for share in shares(batch, config.accumulation, accelerator.process_index, accelerator.num_processes):
            piece = {name: values.to(accelerator.device, non_blocking=True) for name, values in share.items()}
            with accelerator.accumulate(model):
                with accelerator.autocast():
                    loss = model(**piece)
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    norm = accelerator.clip_grad_norm_(trained, config.max_grad_norm)
                optimizer.step()
                optimizer.zero_grad()
            losses.append(loss.detach())
        schedule.step()
        if average is not None:
            average.step(whole(trained, at))
        health.add(torch.stack(losses).mean())
        progress.step += 1
        progress.seconds = before + time.monotonic() - began
        bar.update()

        if progress.step % config.log_every == 0 or progress.step == config.steps:
            health.check(progress.step)
            mean: Any = accelerator.reduce(torch.stack(losses).mean(), "mean")  # a tensor, as what goes in
            value = mean.item()
            progress.loss = value if progress.loss is None else 0.9 * progress.loss + 0.1 * value
            steps, seconds = progress.step - logged[0], progress.seconds - logged[1]
            rate, logged = config.batch_size * steps / seconds, (progress.step, progress.seconds)
            memory = peak_memory(accelerator.device)
            bar.set_postfix_str(f"loss={progress.loss:.4f}, {rate:.1f} samples/s, {memory:.1f} GB")
            if writer:
                assert norm is not None  # every step clips the gradient
                writer.add_scalar("loss", value, progress.step)
                writer.add_scalar("gradient_norm", float(norm), progress.step)
                writer.add_scalar("learning_rate", schedule.get_last_lr()[0], progress.step)
                writer.add_scalar("samples_per_second", rate, progress.step)
                writer.add_scalar("peak_memory_gb", memory, progress.step)
        if progress.step % config.save_every == 0 or progress.step == config.steps:
            if writer:
                writer.flush()  # a killed run keeps its curve up to the checkpoint
            health.check(progress.step, weights=True)
            save_checkpoint(accelerator, folder, progress.step)
    bar.close()
    if writer:
        writer.close()
    memories: Any = accelerator.gather(
        torch.tensor([peak_memory(accelerator.device)], device=accelerator.device)
    )
    if unsharded is not None:
        unsharded.load_state_dict(
            get_model_state_dict(
                accelerator.unwrap_model(model), options=StateDictOptions(full_state_dict=True)
            )
        )
    stage.model = (accelerator.unwrap_model(model) if unsharded is None else unsharded).cpu().eval()
    if average is not None:
        average.copy_to([p for p in stage.model.parameters() if p.requires_grad])
    accelerator.free_memory()
    return {
        "steps": progress.step,
        "seconds": progress.seconds,
        "loss": progress.loss,
        "samples_per_second": config.batch_size * progress.step / progress.seconds,
        "peak_memory_gb": memories.max().item(),
    }
