"""The plain network: the backbone from its first layer to its own answer, without early exits, by
the same engine. Its time is measured once, and a run with exits is held against it.

A machine does other things too. So the time is that of the quietest of a few spells, and a run is
taken in turn with plain passes that tell whether the machine is as quiet as it was then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from statistics import median

import numpy as np
import torch

from mvit.clock import NoClock, Timing, clock_for, measure, timed
from mvit.models.exit import AnyExit
from mvit.models.multi_exit import Logits, MultiExitViT, Plan

ROUNDS, SECONDS = 5, 1.0  # as many rounds as fit into the seconds, at least one
SPELLS, FEWEST, PASSES, SPELL_S, SPELLS_S = 3, 3, 15, 0.4, 2.0
TURNS, TURNS_S = 9, 3.0  # of models that are timed against each other
ALIKE = 0.15  # times that differ by no more than this share are of a machine in one state


def plain_pass(model: MultiExitViT, image: np.ndarray | torch.Tensor) -> Callable[[], object]:
    """A function that passes one picture through the plain network."""
    x, final = model.to_input(image), [model.final_exit]
    return lambda: list(model.steps(x, final, NoClock()))


def plain_time(model: MultiExitViT) -> Timing:
    """The plain network's time on one picture, in ms: the quietest of three spells of 3 to 15
    passes, each of less than half a second where the network is fast enough; of as many spells as
    fit into two seconds, at least one, where it is slow, since others wait meanwhile."""
    side = model.task.native_px
    # what is in the picture does not change the time
    once = plain_pass(model, np.full((side, side, 3), 128, np.uint8))
    clock = clock_for(model.device)
    once()
    ms = timed(once, clock)
    passes = int(min(PASSES, max(FEWEST, 1000 * SPELL_S / ms)))
    number = int(min(SPELLS, max(1, 1000 * SPELLS_S / (passes * ms))))
    spells = [measure(once, passes, warmup=0, clock=clock) for _ in range(number)]
    return min(spells, key=lambda spell: spell.median)


def alike(a_ms: float, b_ms: float) -> bool:
    """Whether two times of the same work are near enough to be of a machine in one state."""
    return max(a_ms, b_ms) <= (1 + ALIKE) * min(a_ms, b_ms)


def run_beside_plain(
    model: MultiExitViT,
    image: np.ndarray,
    plan: Plan,
    *,
    usual_ms: float,
    also: Plan = (),
    seen: Logits | None = None,
) -> tuple[list[AnyExit], float]:
    """(exits of an uninterrupted run, ms of the plain passes beside it): a few runs in turn with
    plain passes, after one of each to warm up.

    also: further exits that the first run has too; seen: takes the logits of all that it has.

    Of the half of the rounds whose plain pass was nearest to its usual time, the run of middle
    length is given back whole, so that its times belong together. At most 5 rounds, and none begun
    after a second.
    """
    x, rounds, clock = model.to_input(image), [], clock_for(model.device)
    once = plain_pass(model, x)
    once()
    list(model.run(x, [*{*plan, *also}], seen))
    end = time.monotonic() + SECONDS
    while not rounds or (len(rounds) < ROUNDS and time.monotonic() < end):
        plain_ms = timed(once, clock)
        rounds.append((plain_ms, list(model.run(x, plan))))
    rounds.sort(key=lambda pair: abs(pair[0] - usual_ms))
    near = sorted(rounds[: len(rounds) // 2 + 1], key=lambda pair: pair[1][-1].elapsed_ms)
    return near[len(near) // 2][1], median(plain_ms for plain_ms, _ in near)


@dataclass(frozen=True)
class Turns:
    """What one model did in its turns. exits: of its run of middle length, whole; done: ms until
    the last answer, plain: ms of the plain network, both over all rounds; finishes: ms until every
    answer, one row a round, rounds in the order in which all models ran them."""

    exits: list[AnyExit]
    done: Timing
    plain: Timing
    _: KW_ONLY
    finishes: list[list[float]]


def run_in_turn(entrants: Sequence[tuple[MultiExitViT, Plan]], image: np.ndarray) -> list[Turns]:
    """Uninterrupted runs of every model with its plan, and plain passes, on one picture, all in
    turn, so that a slow spell of the machine falls on all alike. At least 3 rounds, at most 9, and
    none begun after three seconds."""
    works = []
    for model, plan in entrants:
        works.append((model, plan, plain_pass(model, image), clock_for(model.device)))
        works[-1][2]()
        list(model.run(image, plan))
    rounds, end = [], time.monotonic() + TURNS_S
    while len(rounds) < FEWEST or (len(rounds) < TURNS and time.monotonic() < end):
        rounds.append(
            [
                (timed(once, clock), list(model.run(image, plan)))
                for model, plan, once, clock in works
            ]
        )
    found = []
    for own in zip(*rounds, strict=True):
        runs = sorted((run for _, run in own), key=lambda run: run[-1].elapsed_ms)
        done = Timing.of([run[-1].elapsed_ms for run in runs])
        plain = Timing.of([plain_ms for plain_ms, _ in own])
        finishes = [[exit.elapsed_ms for exit in run] for _, run in own]
        found.append(Turns(runs[len(runs) // 2], done, plain, finishes=finishes))
    return found
