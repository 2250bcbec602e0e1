"""An answer whenever the clock stops: never a late one, never a made-up one, and the worker really
stops."""

import math
import sys
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from thin import PLAN, picture, thin_model

from mvit.inference.deadline import LONGEST_MS, DeadlineError, InterruptibleRun, answer_by, settle
from mvit.models.multi_exit import FINAL, PlanError


@pytest.fixture(scope="module")
def model():
    return thin_model()


@pytest.fixture
def slow(model, monkeypatch):
    """The model with blocks that take at least 15 ms, and the list of layers whose block ran."""
    ran, block = [], type(model.backbone).block

    def slow_block(self, tokens, layer, packed=None):
        ran.append(layer)
        time.sleep(0.015)
        return block(self, tokens, layer)

    monkeypatch.setattr(type(model.backbone), "block", slow_block)
    return SimpleNamespace(model=model, ran=ran)


@pytest.mark.parametrize(
    "bad",
    [0, -3, math.nan, math.inf, -math.inf, "12", None, True, LONGEST_MS + 1, 10**400, [5], 1j],
)
def test_a_deadline_that_is_no_time_is_refused_in_one_sentence(model, bad):
    with pytest.raises(DeadlineError) as refused:
        answer_by(model, picture(), bad, PLAN)
    assert (
        "deadline" in str(refused.value)
        and "\n" not in str(refused.value)
        and len(str(refused.value)) < 120
    )


def test_numbers_of_any_kind_are_deadlines(model):
    for good in (5_000, 5_000.0, np.float32(5_000), np.int64(5_000)):
        assert answer_by(model, picture(), good, PLAN).ready


def test_a_plan_that_the_model_lacks_is_refused_before_anything_runs(model):
    with pytest.raises(PlanError):
        answer_by(model, picture(), 10, [(3, "nosuch")])
    with pytest.raises(PlanError):
        InterruptibleRun(model, picture(), [])


def test_with_time_enough_the_last_exit_answers_and_nobody_waits_for_the_deadline(model):
    answer = answer_by(model, picture(), 20_000, PLAN)
    assert (answer.exit.layer, answer.exit.head) == (12, FINAL)
    assert [(e.layer, e.head) for e in answer.finished] == PLAN
    assert answer.answered_ms < 5_000 and answer.overshoot_ms == 0
    assert answer.in_flight is None and answer.late == [] and answer.wasted_blocks == 0


def test_the_answer_is_the_exit_that_a_run_without_a_deadline_gives(model):
    expected = {(e.layer, e.head): e.scores for e in model.run(picture(), PLAN)}
    answer = answer_by(model, picture(), 20_000, PLAN)
    for exit in answer.finished:
        assert exit.scores == pytest.approx(expected[exit.layer, exit.head], abs=1e-6)


def test_the_clock_stops_the_run_in_the_middle(slow):
    plan = [(b, "mlp") for b in range(1, 13)] + [(12, FINAL)]
    answer = answer_by(slow.model, picture(), 100, plan)
    assert answer.ready and 1 <= answer.exit.layer <= 6
    assert answer.exit.elapsed_ms <= 100 <= answer.answered_ms
    assert (
        answer.in_flight[0] > answer.exit.layer
        and answer.wasted_blocks <= 2 + answer.overshoot_ms / 15
    )
    slow.ran.clear()
    answer_by(slow.model, picture(), 100, plan)
    settle()
    stopped_at = len(slow.ran)
    time.sleep(0.05)
    assert len(slow.ran) == stopped_at <= 8  # the worker has not gone on behind our back


def test_the_worker_stops_between_blocks_not_only_at_exits(slow):
    answer_by(slow.model, picture(), 1, [(12, FINAL)])
    settle()
    slow.ran.clear()
    answer = answer_by(slow.model, picture(), 40, [(12, FINAL)])
    settle()
    assert not answer.ready and 1 <= len(slow.ran) <= 4


def test_a_deadline_before_the_first_exit_says_when_that_one_is_ready(slow):
    answer = answer_by(slow.model, picture(), 4, [(6, "mlp"), (12, FINAL)])
    assert not answer.ready and answer.exit is None and answer.finished == []
    assert answer.in_flight == (6, "mlp")
    assert 90 <= answer.first_ms < 2_000
    assert (
        answer.message
        == f"no exit had finished; the first is ready at about {answer.first_ms:.3g} ms"
    )


def test_a_deadline_after_the_first_exit_s_usual_time_says_that_the_machine_seems_busy(slow):
    late = answer_by(slow.model, picture(), 4, [(6, "mlp"), (12, FINAL)])
    busy = replace(late, deadline_ms=12.0, first_ms=4.55)
    assert busy.message == (
        "no exit had finished; the first took 4.55 ms in a trial before, "
        "so the machine seems busy with other things"
    )


def test_an_exit_that_finishes_late_is_reported_and_never_the_answer(slow, monkeypatch):
    wait, head = InterruptibleRun.wait, slow.model.heads["mlp"]["3"]
    forward = head.forward
    # begun in time and finished late, and a caller woken later still
    monkeypatch.setattr(head, "forward", lambda tokens: (time.sleep(0.25), forward(tokens))[1])
    monkeypatch.setattr(
        InterruptibleRun, "wait", lambda self, s=None: (wait(self, s), time.sleep(0.3))[0]
    )
    answer = answer_by(slow.model, picture(), 200, [(b, "mlp") for b in range(1, 13)])
    assert answer.overshoot_ms > 250 and [e.layer for e in answer.late] == [3]
    assert answer.exit.elapsed_ms <= 200 < answer.late[0].elapsed_ms


def interrupted_runs(model, runs_per_budget):
    plan = [(b, "mlp") for b in range(1, 13)] + [(12, FINAL)]
    expected = {(e.layer, e.head): e.scores for e in model.run(picture(), plan)}
    whole = np.median([answer_by(model, picture(), 10_000, plan).answered_ms for _ in range(5)])
    overshoot = []
    for budget in np.linspace(0.05 * whole, 1.2 * whole, 20):
        for _ in range(runs_per_budget):
            answer = answer_by(model, picture(), float(budget), plan)
            overshoot.append(answer.overshoot_ms)
            assert all(e.elapsed_ms <= budget for e in answer.finished) and all(
                e.elapsed_ms > budget for e in answer.late
            )
            if answer.ready:
                assert answer.exit.scores == pytest.approx(
                    expected[answer.exit.layer, answer.exit.head], abs=1e-5
                )
    return overshoot


def test_never_a_late_answer_in_a_hundred_interrupted_runs(model):
    # how soon it answers is for the slow test: other programs may be busy
    assert len(interrupted_runs(model, 5)) == 100


def test_the_interpreter_is_left_as_it_was(model):
    usual = sys.getswitchinterval()
    answer_by(model, picture(), 3, PLAN)
    with pytest.raises(PlanError):
        answer_by(model, picture(), 3, [])
    assert sys.getswitchinterval() == usual


@pytest.mark.slow
def test_a_thousand_interrupted_runs_are_answered_within_two_milliseconds():
    assert np.percentile(interrupted_runs(thin_model(dim=192, px=224), 50), 99) <= 2


def test_a_stop_button_in_another_thread_ends_the_iteration(slow):
    run = InterruptibleRun(slow.model, picture(), [(b, "mlp") for b in range(1, 13)])
    threading.Timer(0.08, run.interrupt).start()
    seen = [e.layer for e in run]
    assert seen == list(range(1, len(seen) + 1)) and len(seen) < 12
    assert run.over and len(slow.ran) <= len(seen) + 1
    assert [e.layer for e in run] == seen  # it may be read again


def test_iterating_gives_each_exit_when_it_finishes_not_at_the_end(slow):
    run = InterruptibleRun(slow.model, picture(), [(1, "mlp"), (12, FINAL)])
    first = next(iter(run))
    assert first.layer == 1 and not run.over
    assert [e.layer for e in run] == [1, 12]
    assert run.wait(60)


def test_an_error_in_the_worker_reaches_the_caller(model, monkeypatch):
    def broken(self, tokens, layer, packed=None):
        raise ArithmeticError("block 1 is broken")

    monkeypatch.setattr(type(model.backbone), "block", broken)
    with pytest.raises(ArithmeticError, match="block 1"):
        list(InterruptibleRun(model, picture(), PLAN))
    with pytest.raises(ArithmeticError, match="block 1"):
        answer_by(model, picture(), 1_000, PLAN)


def test_concurrent_runs_do_not_mix(model):
    wanted = {s: [e.scores for e in model.run(picture(s), PLAN)] for s in range(4)}
    runs = {s: InterruptibleRun(model, picture(s), PLAN) for s in range(4)}
    for s, run in runs.items():
        assert np.allclose([e.scores for e in run], wanted[s], atol=1e-5)


def test_a_gpu_out_of_memory_goes_on_with_the_cpu_and_says_so(model, monkeypatch):
    block, full = type(model.backbone).block, model.backbone

    def out_of_memory(self, tokens, layer, packed=None):
        if self is full:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return block(self, tokens, layer)

    monkeypatch.setattr(type(model.backbone), "block", out_of_memory)
    answer = answer_by(model, picture(), 10_000, PLAN)
    assert (
        answer.exit.layer == 12
        and answer.note == "the GPU ran out of memory; this was computed on the CPU"
    )
    monkeypatch.setattr(type(model.backbone), "block", block)
    assert answer_by(model, picture(), 10_000, PLAN).note == ""  # the next request is fine
