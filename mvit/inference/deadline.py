"""The interruptible run: an answer whenever the clock stops (paper, section I, "anytime" and
budgeted inference).

A worker thread runs the plan and publishes every exit that has finished, with the time. The caller
sleeps until its deadline and takes the latest exit whose time is not after it. The worker asks
between any two blocks whether to go on, so it stops at the next block.

What the clock covers: it starts when the prepared input stands on the device and stops when the
answer is in the caller's hands. Reading and resizing the picture is outside, since a run without a
deadline pays the same.

On a GPU, launches run ahead of the device by at most `look_ahead` blocks. An exit counts as
finished when an event recorded behind the copy of its scores is seen complete, so a result that the
GPU had not completed at the deadline is never returned.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from numbers import Real
from weakref import WeakKeyDictionary, WeakSet

import torch

from mvit.clock import clock_for
from mvit.inference.answer import Answer
from mvit.inference.fallback import cpu_copy, is_device_failure
from mvit.inference.prompt import Prompt
from mvit.models import helpers
from mvit.models.multi_exit import Exit, MultiExitViT, Plan

LONGEST_MS = 60_000
POLL_S = 20e-6  # between two looks at a GPU event

_launchers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="mvit-gpu")  # of work on GPUs
# per model, ms of each exit on each kind of input
_known: WeakKeyDictionary[MultiExitViT, dict[tuple, float]] = WeakKeyDictionary()
_prompt = Prompt()
_stopping: WeakSet[InterruptibleRun] = WeakSet()  # interrupted, perhaps still in their last block


class DeadlineError(ValueError):
    """A deadline that is no time to wait."""


def checked_deadline(deadline_ms: object) -> float:
    """The deadline in ms as a float; raises DeadlineError unless it is a number above 0 and at most
    LONGEST_MS."""
    if isinstance(deadline_ms, bool) or not isinstance(deadline_ms, Real):
        raise DeadlineError(
            f"the deadline must be a number of milliseconds, not {str(deadline_ms)[:40]!r}"
        )
    try:
        ms = float(deadline_ms)
    except OverflowError:
        ms = math.inf
    if math.isnan(ms):
        raise DeadlineError("the deadline must be a number of milliseconds, not NaN")
    if ms <= 0:
        raise DeadlineError(f"the deadline must be above 0 ms, not {ms:g} ms")
    if ms > LONGEST_MS:
        raise DeadlineError(f"the deadline must be at most {LONGEST_MS:,} ms, not {ms:g} ms")
    return ms


class InterruptibleRun:
    """A plan being run by a worker thread: iterate to get each exit as it finishes, call
    `interrupt` from any thread to stop it.

    Begins at once, on a processor when the run before it is over; `elapsed_ms` of an exit is when
    it finished, in ms since then. Raises PlanError for a plan that the model does not have. An
    error in the worker is raised where the run is iterated or waited for. until_ms: when the worker
    stops by itself, at the next block; where it keeps all cores busy, whoever would interrupt it
    may have to wait for one. clock: for tests; the device's own by default.
    """

    def __init__(
        self,
        model: MultiExitViT,
        image,
        plan: Plan,
        look_ahead: int = 2,
        *,
        until_ms: float = math.inf,
        clock=None,
    ):
        self.model, self.plan, self.look_ahead = model, model.checked(plan), look_ahead
        self.until_ms = until_ms
        x = model.to_input(image)
        self.clock = clock or clock_for(x.device)
        self.clock.finish()  # the copy of the input to the device is not the run's
        self.finished: list[Exit] = []
        self.blocks_begun = 0
        self._launched: deque = deque()  # marks behind blocks that the device may not have done yet
        self._pending: deque = deque()  # exits launched, not yet seen complete
        self._interrupted = False
        self._ready, self._over = threading.Event(), threading.Event()
        self._news = threading.Condition()
        self._error: BaseException | None = None
        self.began = time.perf_counter()
        (helpers.worker if x.device.type == "cpu" else _launchers).submit(self._work, x)
        self._ready.wait()

    def interrupt(self) -> None:
        """Tell the worker to stop at the next block; returns at once, and the exits finished so far
        stay readable."""
        self._interrupted = True
        _stopping.add(self)

    @property
    def over(self) -> bool:
        """Whether the worker has stopped, at the plan's end or after an interruption."""
        return self._over.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Sleep until the worker has stopped, at most `timeout_s`; tells whether it has."""
        over = self._over.wait(timeout_s)
        if over and self._error is not None:
            raise self._error
        return over

    def elapsed_ms(self) -> float:
        """Milliseconds since the run began."""
        return (time.perf_counter() - self.began) * 1000

    def __iter__(self) -> Iterator[Exit]:
        seen = 0
        while True:
            with self._news:
                self._news.wait_for(lambda: self.over or len(self.finished) > seen)  # noqa: B023 - called before `seen` changes
                fresh = self.finished[seen:]
            if not fresh:
                self.wait()  # raises what the worker raised
                return
            yield from fresh
            seen += len(fresh)

    def _work(self, x: torch.Tensor) -> None:
        try:
            with helpers.at_work() if x.device.type == "cpu" else nullcontext():
                self.began = time.perf_counter()
                self._ready.set()
                self._run(x)
        except BaseException as error:  # a thread has nobody to raise to: whoever waits gets it
            self._error = error
        finally:
            self._ready.set()
            self._over.set()
            with self._news:
                self._news.notify_all()

    def _run(self, x: torch.Tensor) -> None:
        account = self.model.account()
        for layer, head, logits, marks in self.model.steps(
            x, self.plan, self.clock, keep_going=self._keep_going
        ):
            # pinned if it comes from a GPU
            scores = self.model.task.scores(logits).to("cpu", non_blocking=True)
            self._pending.append((account, layer, head, scores, marks, self.clock.mark()))
            self._publish()
        while self._pending and not self._interrupted:
            time.sleep(POLL_S)
            self._publish()

    def _keep_going(self, layer: int) -> bool:
        """Asked between blocks: publish what is complete and hold the launches at most look_ahead
        blocks before the device."""
        self._launched.append(self.clock.mark())
        while not self._interrupted and self.elapsed_ms() <= self.until_ms:
            self._publish()
            while self._launched and self.clock.done(self._launched[0]):
                self._launched.popleft()
            if len(self._launched) <= self.look_ahead:
                self.blocks_begun = layer
                return True
            time.sleep(POLL_S)
        return False

    def _publish(self) -> None:
        while self._pending and self.clock.done(self._pending[0][-1]):
            account, layer, head, scores, marks, _ = self._pending.popleft()
            found = account(layer, head, scores.tolist(), clock=self.clock, marks=marks)
            found = replace(found, elapsed_ms=self.elapsed_ms())
            with self._news:
                self.finished.append(found)
                self._news.notify_all()


def answer_by(
    model: MultiExitViT, image, deadline_ms: float, plan: Plan, look_ahead: int = 2
) -> Answer:
    """Run the plan and return, at the deadline, the latest exit that had finished by then;
    earlier if the plan is over.

    image: RGB uint8 (H, W, 3), or a prepared input (1, 3, S, S). deadline_ms: above 0, at most
    LONGEST_MS, counted from when the input is prepared. look_ahead: how many blocks the launches
    may run ahead of a GPU. The worker stops at the next block after the answer. Raises
    DeadlineError and PlanError before anything runs. If the GPU fails, the answer comes from the
    CPU and `note` says so.
    """
    deadline_ms, x = checked_deadline(deadline_ms), model.to_input(image)
    try:
        return _answer_by(model, x, deadline_ms, plan=plan, look_ahead=look_ahead)
    except RuntimeError as error:
        if not is_device_failure(error):
            raise
        substitute, note = cpu_copy(model, error)
        return replace(
            _answer_by(substitute, x.cpu(), deadline_ms, plan=plan, look_ahead=look_ahead),
            note=note,
        )


def _answer_by(
    model: MultiExitViT, x: torch.Tensor, deadline_ms: float, plan: Plan, look_ahead: int
) -> Answer:
    first_ms = warm_up(model, x, plan)
    settle()
    run = InterruptibleRun(model, x, plan, look_ahead=look_ahead, until_ms=deadline_ms)
    try:
        with _prompt:
            run.wait(max(0.0, deadline_ms - run.elapsed_ms()) / 1000)
    finally:
        run.interrupt()
    answered_ms, over, seen = run.elapsed_ms(), run.over, list(run.finished)
    finished = [e for e in seen if e.elapsed_ms <= deadline_ms]
    last = finished[-1] if finished else None
    in_flight = (
        None if over and len(seen) == len(run.plan) else run.plan[min(len(seen), len(run.plan) - 1)]
    )
    wasted = run.blocks_begun - (last.layer if last else 0)
    return Answer(
        deadline_ms=deadline_ms,
        answered_ms=answered_ms,
        exit=last,
        finished=finished,
        late=seen[len(finished) :],
        in_flight=in_flight,
        wasted_blocks=wasted,
        first_ms=first_ms,
    )


def settle() -> None:
    """Wait until every interrupted run has left its last block, which would compete with what comes
    next, and dismiss the helpers of the caller, who only waits now."""
    helpers.dismiss()
    for run in list(_stopping):
        run._over.wait()
        _stopping.discard(run)


def warm_up(model: MultiExitViT, x: torch.Tensor, plan: Plan) -> float:
    """Run a plan once in a worker if its exits have not run on such an input before, and tell when
    its first exit is ready, in ms.

    First calls build thread teams and pick kernels, which is no part of a later answer.
    """
    first, *_ = plan = model.checked(plan)
    known, place = _known.setdefault(model, {}), (x.shape, x.device, x.dtype)
    if any((e, place) not in known for e in plan):
        InterruptibleRun(model, x, plan).wait()
        for seen in InterruptibleRun(model, x, plan):
            known[(seen.layer, seen.head), place] = seen.ms
    return known[first, place]
