"""The loop: an interrupted run continues to the same loss curve, and no half-written checkpoint is loaded."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.testing import assert_close

from g2pdiff.errors import InputError
from tests.tiny import tiny_components
from training.configs.schema import TrainingConfig
from training.diffusion import DiffusionLoss
from training.evaluation.figures import loss_curve
from training.stages.checkpoints import checkpoints
from training.stages.loop import check_sharing, fit, save_memory, shares


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 1)

    def forward(self, x, noise):
        return (self.linear(x) - x.sum(1, keepdim=True) + 0.1 * noise).square().mean()


class LineStage:
    """Learns the sum of three numbers. `stop_at` raises within a step, as a killed process would stop."""

    name = "line"

    def __init__(self, stop_at=None):
        torch.manual_seed(0)
        self.model, self.stop_at, self.batches = Line(), stop_at, 0

    def batch(self, size, generator):
        self.batches += 1
        if self.batches == self.stop_at:
            raise KeyboardInterrupt
        return {
            "x": torch.randn(size, 3, generator=generator),
            "noise": torch.randn(size, 1, generator=generator),
        }


SETTINGS = TrainingConfig(
    steps=30, batch_size=8, learning_rate=0.05, warmup_steps=3, ema_decay=0.9, save_every=10, log_every=1
)


def losses(folder):
    return loss_curve(folder)[1]


def test_learns(tmp_path):
    stage = LineStage()
    result = fit(stage, SETTINGS, tmp_path)
    assert result["steps"] == 30
    curve = losses(tmp_path)
    assert len(curve) == 30 and curve[-1] < 0.2 * curve[0]


def test_an_interrupted_run_continues_to_the_same_curve_and_weights(tmp_path):
    whole, broken = LineStage(), LineStage(stop_at=17)
    fit(whole, SETTINGS, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(broken, SETTINGS, tmp_path / "broken")
    resumed = LineStage()
    result = fit(resumed, SETTINGS, tmp_path / "broken")
    assert result["steps"] == 30
    assert resumed.batches == 20  # from the checkpoint at 10
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_half_written_checkpoint_is_not_seen(tmp_path):
    fit(LineStage(), SETTINGS, tmp_path)
    (tmp_path / "partial-40").mkdir()
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-00000020", "checkpoint-00000030"]
    assert fit(LineStage(), SETTINGS, tmp_path)["steps"] == 30


def frozen_stage(bias):
    stage = LineStage()
    nn.init.constant_(stage.model.linear.bias, bias).requires_grad_(False)
    return stage


def test_frozen_weights_stay_out_of_a_checkpoint(tmp_path):
    first, second, third = frozen_stage(1.0), frozen_stage(2.0), frozen_stage(3.0)
    fit(first, SETTINGS, tmp_path)
    file = checkpoints(tmp_path)[-1] / "model.safetensors"
    assert set(load_file(file)) == {"linear.weight"}
    fit(second, SETTINGS, tmp_path)
    assert torch.equal(second.model.linear.weight, first.model.linear.weight)
    assert second.model.linear.bias.item() == 2

    with pytest.raises(InputError, match="damaged or of another configuration"):
        fit(LineStage(), SETTINGS, tmp_path)  # whose bias learns
    save_file(load_file(file) | {"linear.bias": torch.tensor([4.0])}, file)  # as it was written formerly
    fit(third, SETTINGS, tmp_path)
    assert third.model.linear.bias.item() == 4


def test_the_average_is_what_remains(tmp_path):
    plain, averaged = LineStage(), LineStage()
    fit(plain, TrainingConfig(**{**vars(SETTINGS), "ema_decay": 0.0}), tmp_path / "a")
    fit(averaged, SETTINGS, tmp_path / "b")
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert not torch.equal(plain.model.linear.weight, averaged.model.linear.weight)


@given(st.integers(1, 4), st.sampled_from([1, 2, 3, 6]), st.integers(1, 3))
def test_what_all_processes_hold_of_a_piece_is_the_same_however_many_they_are(pieces, processes, rows):
    batch = {"x": torch.arange(pieces * 6 * rows)}
    held = [[piece["x"] for piece in shares(batch, pieces, rank, processes)] for rank in range(processes)]
    together = [torch.cat(parts) for parts in zip(*held, strict=True)]
    alone = [piece["x"] for piece in shares(batch, pieces, 0, 1)]
    assert len(together) == len(alone) == pieces
    for a, b in zip(together, alone, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(torch.cat(alone), batch["x"])


def test_a_batch_that_cannot_be_shared_is_refused():
    check_sharing(replace(SETTINGS, batch_size=8, accumulation=2), processes=4)
    for settings, processes in (({"batch_size": 8}, 3), ({"accumulation": 3}, 1), ({"accumulation": 0}, 1)):
        with pytest.raises(InputError, match="give a multiple of") as refused:
            check_sharing(replace(SETTINGS, **settings), processes)
        assert refused.value.field == "batch_size"


def test_a_batch_in_pieces_is_learned_like_a_whole_one(tmp_path):
    whole, pieces = LineStage(), LineStage()
    fit(whole, SETTINGS, tmp_path / "whole")
    fit(pieces, replace(SETTINGS, accumulation=4), tmp_path / "pieces")
    assert_close(losses(tmp_path / "pieces"), losses(tmp_path / "whole"), rtol=1e-3, atol=1e-5)
    assert_close(pieces.model.linear.weight, whole.model.linear.weight, rtol=1e-3, atol=1e-5)


def test_stages_of_one_run_may_differ_in_precision(tmp_path):
    fit(LineStage(), replace(SETTINGS, mixed_precision="bf16"), tmp_path / "bf16")
    fit(LineStage(), SETTINGS, tmp_path / "no")
    assert losses(tmp_path / "bf16") != losses(tmp_path / "no")


def test_throughput_and_memory_are_returned_and_logged(tmp_path):
    result = fit(LineStage(), SETTINGS, tmp_path)
    assert result["samples_per_second"] == pytest.approx(30 * 8 / result["seconds"])
    assert 0.05 < result["peak_memory_gb"] < 50  # at least PyTorch itself
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for name in ("samples_per_second", "peak_memory_gb"):
        values = [event.value for event in events.Scalars(name)]
        assert len(values) == 30 and min(values) > 0


def test_recomputed_activations_give_the_same_gradients():
    def gradients(recompute: bool) -> tuple[list[torch.Tensor], int]:
        parts = tiny_components()
        model = DiffusionLoss(parts["conditioner"], parts["unet"], parts["scheduler"]).train()
        if recompute:
            save_memory(model, "diffusion")
        calls = []
        parts["unet"].down_blocks[0].resnets[0].register_forward_pre_hook(lambda *_: calls.append(1))
        generator = torch.Generator().manual_seed(0)
        model(
            torch.randn(2, 4, 4, 4, generator=generator),
            torch.randn(2, 2, 4, 4, 4, generator=generator),
            torch.tensor([[10, 600], [200, 900]]),
            torch.tensor([[False, True], [False, False]]),
            input_ids=torch.randint(3, 259, (2, 165), generator=generator),
            locality=torch.randn(2, 3, generator=generator),
        ).backward()
        return [p.grad for p in model.parameters() if p.grad is not None], len(calls)

    (plain, once), (recomputed, twice) = gradients(False), gradients(True)
    assert (once, twice) == (1, 2)
    assert_close(recomputed, plain, rtol=1e-4, atol=1e-6)


def test_a_stage_that_cannot_recompute_says_so(tmp_path):
    with pytest.raises(InputError, match=r"line\.training\.gradient_checkpointing=false") as refused:
        fit(LineStage(), replace(SETTINGS, gradient_checkpointing=True), tmp_path)
    assert refused.value.field == "gradient_checkpointing"


class Broken(LineStage):
    """Gives numbers that are none from a batch on."""

    def __init__(self, broken_at, value=float("nan")):
        super().__init__()
        self.broken_at, self.value = broken_at, value

    def batch(self, size, generator):
        batch = super().batch(size, generator)
        if self.batches >= self.broken_at:
            batch["x"][0] = self.value
        return batch


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("log_every", [1, 7, 100])
def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_checkpoint(tmp_path, value, log_every):
    settings = replace(SETTINGS, log_every=log_every)
    with pytest.raises(InputError, match="loss of the stage line is no longer a finite number") as refused:
        fit(Broken(17, value), settings, tmp_path)
    assert refused.value.field == "run" and "checkpoint-00000010 from before is kept" in str(refused.value)
    assert [path.name for path in checkpoints(tmp_path)] == ["checkpoint-00000010"]
    result = fit(LineStage(), SETTINGS, tmp_path)  # with better data it goes on from there
    assert result["steps"] == 30 and result["loss"] < 10


def test_weights_that_are_no_numbers_are_not_saved(tmp_path):
    """Return the last loss before a checkpoint is finite, and the step after it is not."""
    with pytest.raises(InputError, match="(loss|model) of the stage line is no longer a finite number"):
        fit(Broken(10, 3e38), replace(SETTINGS, max_grad_norm=1e30), tmp_path)
    for path in checkpoints(tmp_path):
        assert all(torch.isfinite(one).all() for one in load_file(path / "model.safetensors").values())
