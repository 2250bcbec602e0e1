"""Of all threads that compute, one at a time has OpenMP's helpers."""

import threading

import pytest
import torch
from thin import PLAN, picture, thin_model

from mvit.inference.deadline import InterruptibleRun, answer_by
from mvit.models import helpers

CPU = torch.device("cpu")


@pytest.fixture
def ended(monkeypatch) -> list[str]:
    """The names of the threads that dismissed their helpers, in order."""
    names = []
    monkeypatch.setattr(helpers, "_end", lambda how: names.append(threading.current_thread().name))
    return names


def kept() -> bool:
    return helpers._kept


def test_the_worker_keeps_its_helpers_until_another_thread_computes(ended):
    model, me = thin_model(), threading.current_thread().name
    answer_by(model, picture(), 20_000, PLAN)
    ended.clear()
    answer_by(model, picture(), 20_000, PLAN)
    assert set(ended) == {me} and kept()  # who only waits has none
    ended.clear()
    list(model.run(picture(), PLAN))
    assert [n.split("_")[0] for n in ended] == ["mvit-run"] and not kept()
    ended.clear()
    list(model.run(picture(), PLAN))
    assert ended == []


def test_a_worker_at_work_is_not_waited_for(monkeypatch):
    model, block = thin_model(), type(thin_model().backbone).block
    gate = threading.Event()

    def held(self, tokens, layer, packed=None):
        if threading.current_thread().name.startswith("mvit-run"):
            gate.wait(60)
        return block(self, tokens, layer, packed)

    monkeypatch.setattr(type(model.backbone), "block", held)
    run = InterruptibleRun(model, picture(), PLAN)
    assert len(list(model.run(picture(), PLAN))) == len(PLAN) and not run.over
    gate.set()
    assert run.wait(60)


def test_a_worker_that_cannot_begin_keeps_nobody_waiting(monkeypatch):
    def full():
        raise MemoryError("no room for helpers")

    monkeypatch.setattr(helpers, "at_work", full)
    run = InterruptibleRun(thin_model(), picture(), PLAN)
    with pytest.raises(MemoryError, match="no room"):
        run.wait(60)


def test_without_gnus_openmp_nothing_is_ended(monkeypatch):
    monkeypatch.setattr(helpers, "_end", None)
    helpers.dismiss()


def test_helpers_that_were_ended_are_gathered_again():
    x = torch.randn(400, 400)
    expected = x @ x
    helpers.dismiss()
    assert torch.equal(x @ x, expected)
    helpers.claim(CPU)
    assert not kept()
