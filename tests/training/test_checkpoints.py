"""Checkpoints: training goes on as if nothing had happened, and a bad file is refused or never
written."""

import os

import pytest
import torch
from toys import same, snapshot

from mvit.training import checkpoints
from mvit.training.checkpoints import CheckpointError

PROGRESS = {"step": 7, "loss": [[1, 0.5]], "best": float("inf")}


def learner(width: int = 4, seed: int = 0):
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.Linear(width, 2))
    groups = [
        {"params": list(layer.parameters()), "lr": rate}
        for layer, rate in zip(model, (0.1, 0.01), strict=True)
    ]
    return model, torch.optim.Adam(groups)


def steps(model, optimizer, numbers) -> None:
    for number in numbers:
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(number))
        model(x).pow(2).mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_a_resumed_optimiser_takes_the_same_steps(tmp_path):
    model, optimizer = learner()
    steps(model, optimizer, range(5))
    optimizer.param_groups[0]["lr"] = 0.05
    checkpoints.save(tmp_path / "c.safetensors", model, optimizer, PROGRESS)
    steps(model, optimizer, range(5, 9))
    again, fresh = learner(seed=1)
    assert checkpoints.load(tmp_path / "c.safetensors", again, fresh) == PROGRESS
    assert fresh.param_groups[0]["lr"] == 0.05
    steps(again, fresh, range(5, 9))
    assert same(snapshot(model), snapshot(again))


def test_folders_are_made_and_nothing_else_is_left_behind(tmp_path):
    model, optimizer = learner()
    checkpoints.save(tmp_path / "runs" / "mine" / "c.safetensors", model, optimizer, PROGRESS)
    assert [f.name for f in (tmp_path / "runs" / "mine").iterdir()] == ["c.safetensors"]


@pytest.mark.parametrize("fails", ["save_file", "replace"])
def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch, fails):
    path, (model, optimizer) = tmp_path / "c.safetensors", learner()
    checkpoints.save(path, model, optimizer, PROGRESS)
    before = path.read_bytes()
    steps(model, optimizer, range(2))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*(checkpoints, fails) if fails == "save_file" else (os, fails), full)
    with pytest.raises(
        CheckpointError, match="c.safetensors .*No space left.*previous checkpoint is untouched"
    ):
        checkpoints.save(path, model, optimizer, PROGRESS)
    assert path.read_bytes() == before and [f.name for f in tmp_path.iterdir()] == ["c.safetensors"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    "spoil",
    [cut, lambda p: p.write_bytes(b"\x80\x04pickle"), lambda p: p.unlink()],
    ids=["cut", "pickle", "missing"],
)
def test_a_damaged_checkpoint_is_refused_by_name(tmp_path, spoil):
    path, (model, optimizer) = tmp_path / "c.safetensors", learner()
    checkpoints.save(path, model, optimizer, PROGRESS)
    spoil(path)
    with pytest.raises(
        CheckpointError, match="c.safetensors is not a checkpoint of this model .*delete it"
    ):
        checkpoints.load(path, model, optimizer)


def test_another_models_checkpoint_is_refused(tmp_path):
    path = tmp_path / "c.safetensors"
    checkpoints.save(path, *learner(width=5), PROGRESS)
    with pytest.raises(CheckpointError, match="not a checkpoint of this model"):
        checkpoints.load(path, *learner(width=4))
