"""The loop: an interrupted run continues to the same loss curve, and no half-written checkpoint is loaded."""

import pytest
import torch
from torch import nn

from training.config import TrainingConfig
from training.figures import loss_curve
from training.loop import checkpoints, fit


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


def test_the_average_is_what_remains(tmp_path):
    plain, averaged = LineStage(), LineStage()
    fit(plain, TrainingConfig(**{**vars(SETTINGS), "ema_decay": 0.0}), tmp_path / "a")
    fit(averaged, SETTINGS, tmp_path / "b")
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert not torch.equal(plain.model.linear.weight, averaged.model.linear.weight)
