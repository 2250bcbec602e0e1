"""Timing: the order of clock and synchronise calls, and the figures made of the times."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from thin import PLAN, picture, thin_model

from mvit.clock import (
    CpuClock,
    CudaClock,
    Timing,
    clock_for,
    environment,
    measure,
    paired,
    ratio,
    rounds,
    timed,
)
from mvit.models import multi_exit


class Gpu:
    """A stand-in for torch.cuda that notes what is asked of it; its time advances 2 ms with every
    event."""

    def __init__(self):
        self.log, self.now, self.synchronised_at = [], 0.0, -1.0

    def Event(self, enable_timing=False):  # noqa: N802 - torch's name
        assert enable_timing, "an event without timing cannot be read"
        return Event(self)

    def synchronize(self):
        self.log.append("synchronise")
        self.synchronised_at = self.now


class Event:
    def __init__(self, gpu):
        self.gpu, self.at = gpu, None

    def record(self):
        self.gpu.now += 2.0
        self.at = self.gpu.now
        self.gpu.log.append("event")

    def query(self):
        self.gpu.log.append("query")
        return self.at <= self.gpu.synchronised_at

    def elapsed_time(self, end):
        assert end.at <= self.gpu.synchronised_at, "read before the GPU was waited for"
        self.gpu.log.append("read")
        return end.at - self.at


def test_one_measurement_waits_before_and_after_and_reads_last():
    gpu = Gpu()
    assert timed(lambda: gpu.log.append("work"), CudaClock(gpu)) == 2.0
    assert gpu.log == ["synchronise", "event", "work", "event", "synchronise", "read"]


def test_a_trace_synchronises_once_at_the_end(monkeypatch):
    gpu, model = Gpu(), thin_model(depth=4, heads=("mlp",))
    monkeypatch.setattr(multi_exit, "clock_for", lambda device: CudaClock(gpu))
    table = model.trace(picture())
    assert gpu.log.count("synchronise") == 1
    before, after = (
        gpu.log[: gpu.log.index("synchronise")],
        gpu.log[gpu.log.index("synchronise") + 1 :],
    )
    assert set(before) == {"event"} and set(after) == {"read"}
    # per exit: where its blocks begin, where its head begins, where it ends; and where a next would
    # begin
    assert len(before) == 3 * 5 + 1
    assert (table.head_ms == 2.0).all()


def test_a_lazy_run_waits_before_it_reads_each_exit(monkeypatch):
    gpu, model = Gpu(), thin_model(depth=4, heads=("mlp",))
    monkeypatch.setattr(multi_exit, "clock_for", lambda device: CudaClock(gpu))
    exits = list(model.run(picture(), [(2, "mlp"), (4, "mlp")]))
    assert gpu.log == ["event"] * 3 + ["synchronise", "read", "read"] + ["event"] * 3 + [
        "synchronise",
        "read",
        "read",
        "event",
    ]
    assert [e.elapsed_ms for e in exits] == [4.0, 8.0]


def test_done_never_waits():
    gpu = Gpu()
    clock = CudaClock(gpu)
    mark = clock.mark()
    assert not clock.done(mark)
    clock.finish()
    assert clock.done(mark)
    assert gpu.log == ["event", "query", "synchronise", "query"]
    assert CpuClock().done(CpuClock().mark())


def test_the_clock_fits_the_device():
    assert isinstance(clock_for(torch.device("cpu")), CpuClock)
    assert isinstance(clock_for(torch.device("cuda", 1)), CudaClock)


def test_timing_of_known_times():
    timing = Timing.of([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (timing.n, timing.median, timing.q1, timing.q3, timing.iqr) == (5, 3.0, 2.0, 4.0, 2.0)
    assert timing.p95 == pytest.approx(4.8)


def scripted_clock(times):
    """A clock whose successive measurements last the given ms."""
    times = iter(times)
    return SimpleNamespace(
        mark=lambda: None, finish=lambda: None, ms=lambda start, end: next(times)
    )


def test_warm_up_calls_do_not_count():
    calls = []
    timing = measure(lambda: calls.append(1), n=4, warmup=3, clock=scripted_clock([1, 2, 3, 4]))
    assert len(calls) == 7 and timing.median == 2.5


def test_paired_calls_alternate_and_swap_places():
    calls = []
    found = paired(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")},
        n=4,
        warmup=1,
        clock=scripted_clock(range(8)),
    )
    assert "".join(calls) == "ab" + "abbaabba"
    assert found["a"].n == found["b"].n == 4


def test_a_ratio_is_paired_so_that_drift_cancels():
    slowdown = np.array([1.0, 5.0, 2.0, 9.0, 1.0])
    assert ratio({"run": 1.1 * slowdown, "plain": slowdown}, "run", "plain") == pytest.approx(1.1)


def test_rounds_give_every_single_time():
    ms = rounds({"a": lambda: None}, n=3, warmup=0, clock=scripted_clock([7, 8, 9]))
    assert ms["a"].tolist() == [7, 8, 9]


def test_a_real_clock_sees_a_real_sleep():
    import time

    assert 9 <= measure(lambda: time.sleep(0.01), n=3, warmup=0).median < 200


def test_the_environment_names_what_a_number_depends_on():
    record = environment("cpu", torch.bfloat16)
    assert (
        record["dtype"] == "bfloat16"
        and record["device_type"] == "cpu"
        and record["device"] == record["cpu"] != ""
    )
    assert record["threads"] >= 1 and record["cores"] >= 1
    assert record["versions"]["torch"] == torch.__version__ and record["versions"]["timm"]


def test_elapsed_times_of_a_run_grow_and_hold_their_heads():
    exits = list(thin_model().run(picture(), PLAN))
    assert all(a.elapsed_ms < b.elapsed_ms for a, b in zip(exits, exits[1:], strict=False))
    assert all(0 < e.head_ms < e.ms <= e.elapsed_ms + 1e-9 for e in exits)
