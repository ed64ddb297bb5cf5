"""Batches made ahead by threads are the batches that are made when due."""

import threading
import time

import pytest
import torch

from training.stages.feed import feed


def draw(step: int) -> dict[str, torch.Tensor]:
    time.sleep(0.002 * (step % 3))  # later steps are ready before earlier ones
    return {"noise": torch.randn(2, generator=torch.Generator().manual_seed(step))}


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_make_the_same_batches_in_the_same_order(threads):
    due = [batch["noise"] for batch in feed(draw, range(5, 40))]
    ahead = [batch["noise"] for batch in feed(draw, range(5, 40), threads)]
    assert len(due) == 35
    assert torch.equal(torch.stack(due), torch.stack(ahead))


def test_no_more_batches_are_made_than_are_soon_needed():
    made = []
    batches = feed(lambda step: made.append(step) or draw(step), range(1000), 2)
    for _ in range(3):
        next(batches)
    batches.close()
    assert len(made) <= 3 + 2 * 2 + 1


def test_what_goes_wrong_is_told_at_its_step_and_no_thread_stays():
    def fails(step: int) -> dict[str, torch.Tensor]:
        if step == 3:
            raise ValueError("step 3")
        return draw(step)

    batches = feed(fails, range(50), 2)
    for _ in range(3):
        next(batches)
    with pytest.raises(ValueError, match="step 3"):
        next(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("feeder")]
