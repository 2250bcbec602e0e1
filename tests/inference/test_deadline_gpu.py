"""An answer by a deadline on a GPU, here one that is played: an exit counts only when its event has
come, and launches stay within the look-ahead."""

import time

import pytest
from thin import PLAN, picture, thin_model

from mvit.clock import CudaClock
from mvit.inference import deadline as deadline_module
from mvit.inference.deadline import InterruptibleRun, answer_by, settle
from mvit.models.multi_exit import FINAL


@pytest.fixture(scope="module")
def model():
    return thin_model()


class FakeGpu:
    """A device that needs `ms` for each launch between two events, in order, on its own clock;
    counts its synchronisations."""

    def __init__(self, ms: float):
        self.ms, self.free_at, self.synchronised, self.most_behind, self.open = (
            ms / 1000,
            0.0,
            0,
            0,
            [],
        )

    def Event(self, enable_timing=False):  # torch's name
        return FakeEvent(self)

    def synchronize(self):
        self.synchronised += 1


class FakeEvent:
    def __init__(self, gpu):
        self.gpu = gpu

    def record(self):
        self.gpu.free_at = self.at = max(self.gpu.free_at, time.perf_counter()) + self.gpu.ms
        self.gpu.open = [e for e in self.gpu.open if e.at > time.perf_counter()] + [self]
        self.gpu.most_behind = max(self.gpu.most_behind, len(self.gpu.open))

    def query(self):
        return time.perf_counter() >= self.at

    def elapsed_time(self, end):
        assert self.query() and end.query(), "read before the GPU was there"
        return (end.at - self.at) * 1000


def fake_run(model, gpu, plan, look_ahead=2):
    return InterruptibleRun(model, picture(), plan, look_ahead, clock=CudaClock(gpu))


def test_on_a_gpu_an_exit_is_published_only_after_its_event(model):
    gpu = FakeGpu(ms=1)
    completed = {}
    publish = InterruptibleRun._publish

    def spy(self):
        for *_, event in self._pending:
            completed[len(completed)] = event
        publish(self)

    plan = [(b, "mlp") for b in range(1, 13)]
    run = fake_run(model, gpu, plan)
    run._publish = spy.__get__(run)
    exits = list(run)
    assert [e.layer for e in exits] == list(range(1, 13))
    last = {id(e): e for e in completed.values()}
    ends = sorted((e.at - run.began) * 1000 for e in last.values())
    assert all(exit.elapsed_ms >= end for exit, end in zip(exits[-len(ends) :], ends, strict=True))
    assert gpu.synchronised == 1  # before the run only: polling, no waiting, while it runs


def test_a_slow_gpu_never_answers_with_an_exit_in_flight(model, monkeypatch):
    plan = [(b, "mlp") for b in range(1, 13)] + [(12, FINAL)]
    for budget in (3, 10, 25, 40):
        gpu = FakeGpu(ms=0.7)
        monkeypatch.setattr(deadline_module, "clock_for", lambda device, gpu=gpu: CudaClock(gpu))
        answer = answer_by(model, picture(), budget, plan)
        assert all(e.elapsed_ms <= budget for e in answer.finished)
        assert answer.ready == bool(answer.finished)
        # The look-ahead of 2, the block being launched, the one in flight; more only if a busy
        # machine woke the caller late.
        assert answer.wasted_blocks <= 4 + answer.overshoot_ms / gpu.ms / 1000
        settle()


@pytest.mark.parametrize("look_ahead", [0, 2])
def test_launches_stay_within_the_look_ahead(model, look_ahead):
    gpu = FakeGpu(ms=2)
    list(fake_run(model, gpu, [(12, FINAL)], look_ahead))
    # an exit itself adds the run's own three marks and the copy's
    assert gpu.most_behind <= look_ahead + 5


def test_an_interrupted_gpu_run_leaves_the_polling_loop(model):
    run = fake_run(model, FakeGpu(ms=10_000), PLAN)
    time.sleep(0.02)
    run.interrupt()
    assert run.wait(60) and run.finished == []
