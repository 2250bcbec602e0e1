"""The loop that every training runs: the same in one process as in several, its rate's way, and its
stop at a loss that is no number."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from two_processes import launch, train

from mvit.training.loop import Loop, TrainingError


def loop(steps: int, losses, **changes) -> Loop:
    model = torch.nn.Linear(2, 1)
    given = {
        "plan": [(8, 2)] * steps,
        "losses": lambda step: losses(model, step),
        "pictures": 6,
        "state": model,
        "optimizer": torch.optim.SGD(model.parameters(), lr=1.0),
        "accelerator": Accelerator(cpu=True),
        "seed": 0,
    }
    return Loop(**given | changes)


@pytest.mark.slow  # twice the start of Python with PyTorch
def test_two_processes_learn_what_one_learns_also_where_one_has_no_pictures(tmp_path):
    launch(tmp_path / "part", "train")
    for rank in range(2):
        part = np.load(tmp_path / f"part-{rank}.npz")
        for batch in (1, 3, 4):
            assert np.allclose(part[f"batch {batch}"], train(batch), atol=1e-6), (rank, batch)


def test_the_rate_rises_to_its_peak_and_falls_as_a_cosine(tmp_path):
    rates = []

    def losses(model, step):
        rates.append(training.optimizer.param_groups[0]["lr"])
        yield model(torch.zeros(1, 2)).square().mean()

    training = loop(8, losses, warmup=2, checkpoint=tmp_path / "c.safetensors")
    training.run({"step": 0, "loss": [], "seconds": 0.0}, every=4)
    cosine = (1 + np.cos(np.pi * np.arange(8) / 8)) / 2
    assert rates == pytest.approx([0.5 * cosine[0], *cosine[1:]])


def test_a_loss_that_is_no_number_changes_nothing():
    training = loop(1, lambda model, step: [model(torch.full((1, 2), torch.nan)).mean()])
    before = training.state.weight.clone()
    with pytest.raises(TrainingError, match="the loss is nan at step 0$"):
        training.step(0)
    assert torch.equal(training.state.weight, before)


def test_every_step_has_its_own_numbers_and_the_same_again():
    drawn = []

    def losses(model, step):
        drawn.append((step.index.tolist(), torch.rand(1, generator=step.generator).item()))
        yield model(torch.rand(1, 2)).mean()

    training = loop(2, losses)
    for number in (0, 1, 0):
        training.step(number)
    assert drawn[0] == drawn[2] != drawn[1]


def test_slow_steps_leave_a_checkpoint_long_before_the_next_validation(tmp_path, monkeypatch):
    seen = []

    def losses(model, step):
        seen.append((tmp_path / "c.safetensors").exists())
        yield model(torch.zeros(1, 2)).square().mean()

    begun = {"step": 0, "loss": [], "seconds": 0.0}
    loop(3, losses, checkpoint=tmp_path / "c.safetensors").run(dict(begun), every=100)
    assert seen == [False] * 3
    monkeypatch.setattr("mvit.training.loop.AT_MOST_S", 0)
    (tmp_path / "c.safetensors").unlink()
    booked = []
    slow = loop(3, losses, checkpoint=tmp_path / "c.safetensors")
    slow.run(dict(begun, loss=[]), 100, lambda progress: booked.append(progress) is None)
    assert seen[3:] == [False, True, True] and len(booked) == 1
