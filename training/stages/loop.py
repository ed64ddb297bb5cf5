"""The optimisation loop of every stage: Accelerate, EMA, TensorBoard, checkpoints and resumption.

A stage defines its model, its batches and, by the model's forward(), its loss. All randomness of a batch
(specimens, noise, timesteps) comes from a generator that is seeded with the run's seed and the step. It is
drawn for the *global* batch, which is then divided among the processes. So an interrupted run continues to
the same loss curve, and several processes see the same batches as one. The number of processes may change
when a run continues.

Under FSDP (`training/configs/accelerate/fsdp.yaml`) weights, gradients and the optimiser's state are sharded.
The average is not sharded: every process keeps a whole one, in main memory with `ema_offload`.
"""

from __future__ import annotations

import copy
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor
from torch.utils.tensorboard import SummaryWriter
from tqdm.auto import tqdm

from g2pdiff.errors import InputError
from training.configs.schema import TrainingConfig
from training.stages.checkpoints import (
    Progress,
    checkpoints,
    leave_out_frozen,
    load_checkpoint,
    save_checkpoint,
)
from training.stages.feed import feed
from training.stages.health import Health


class Stage(Protocol):
    """The parts of a stage that `fit` uses."""

    name: str
    model: Any  # an nn.Module with all trained parts; its forward() returns the loss

    def batch(self, size: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return a global batch of `size` specimens. The first dimension of every tensor is `size`."""
        ...


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the generator of a step's randomness."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def shares(
    batch: dict[str, torch.Tensor], pieces: int, process: int, processes: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield a process's share of a global batch, piece by piece.

    A piece has successive rows of the global batch, so its contents do not depend on the number of processes.
    """
    for index in range(pieces):
        own = index * processes + process
        yield {name: values.tensor_split(pieces * processes)[own] for name, values in batch.items()}


def check_sharing(config: TrainingConfig, processes: int) -> None:
    """Raise `InputError("batch_size")` unless all processes get the same number of rows in every piece."""
    pieces = processes * config.accumulation
    if config.accumulation < 1 or config.batch_size % pieces:
        raise InputError(
            "batch_size",
            f"A batch of {config.batch_size} is not shared evenly by {processes} processes in "
            f"{config.accumulation} pieces; give a multiple of {max(1, pieces)}.",
        )


def save_memory(model: nn.Module, name: str) -> None:
    """Let all parts that can do so recompute activations in the backward pass.

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
    """Return parameters on a device, for the average. Shards of the processes are gathered."""
    gathered = [p.full_tensor() if isinstance(p, DTensor) else p for p in parameters]
    return [parameter.detach().to(device).requires_grad_() for parameter in gathered]


def peak_memory(device: torch.device) -> float:
    """Return the peak memory of this process in GB: of the GPU, or resident memory without a GPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def start(config: TrainingConfig) -> Accelerator:
    """Make the Accelerator of a stage.

    Raises:
        InputError: the batch cannot be shared, or DeepSpeed should mix precisions.
    """
    # Stages of a run may differ in precision, which Accelerate refuses. The reset allows it, except under
    # FSDP, where a second state would not find its plugin.
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
        config: settings of the optimisation.
        folder: folder for checkpoints and TensorBoard's files, the same for all processes.
        groups: the optimiser's parameter groups, if their learning rates differ.

    Returns:
        `{"steps", "seconds", "loss", "samples_per_second", "peak_memory_gb"}` of the whole run, with resumed
        parts. Samples are counted over all processes; memory is the largest of all processes. If the stage
        keeps an average, the model has the averaged weights afterwards, on every process.

    Raises:
        InputError: the settings do not fit the stage or the number of processes, or the loss or a weight is
            no longer finite. The last checkpoint is then an earlier, finite one.
    """
    accelerator = start(config)
    folder.mkdir(parents=True, exist_ok=True)
    model = stage.model
    if config.gradient_checkpointing:
        save_memory(model, stage.name)
    if accelerator.device.type == "cpu":
        model = model.to(memory_format=torch.channels_last)
    elif accelerator.num_processes > 1:
        # Batch norm then uses the statistics of the global batch. PyTorch has no such layer for the CPU:
        # there CLIBD's picture tower, the only part with batch norm, uses those of its process.
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
    progress = Progress()
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
            average.to(at)  # a checkpoint is loaded to main memory

    writer = SummaryWriter(str(folder / "tensorboard")) if accelerator.is_main_process else None
    bar = tqdm(
        total=config.steps, initial=progress.step, desc=stage.name, disable=not accelerator.is_main_process
    )
    model.train()
    norm = None
    before, began = progress.seconds, time.monotonic()
    logged = progress.step, progress.seconds
    health = Health(accelerator, stage.name, folder, trained)
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
            mean: Any = accelerator.reduce(torch.stack(losses).mean(), "mean")  # a tensor, like its argument
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
                writer.flush()  # so that a killed run keeps its curve up to the checkpoint
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
