"""The line in front of the network: fair, bounded, honest, left at once by who leaves; and thirty
at once get what one alone gets."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from bundles import BACKBONE
from thin import PLAN, picture, thin_model

from pages.parts import models
from pages.parts.queue import LIMIT, BusyError, Queue, ReplacedError

EXACT = ["layer", "head", "label", "confidence", "entropy", "margin"]  # of a trace, all but times


class Visitor(threading.Thread):
    """Somebody in the line: `told` holds what was said, `state` how it went; leaves the line if
    `gone` is set."""

    def __init__(self, queue: Queue, name: str | None = None):
        super().__init__(daemon=True)
        self.queue, self.visitor, self.told, self.state = queue, name, [], "waiting"
        self.gone, self.done = threading.Event(), threading.Event()
        self.start()

    def say(self, before: int) -> None:
        self.told.append(before)
        if self.gone.is_set():
            raise KeyboardInterrupt  # what Streamlit raises to end a script is no Exception either

    def run(self) -> None:
        try:
            with self.queue.turn(self.say, self.visitor):
                self.state = "served"
                assert self.done.wait(60)
                self.state = "over"
        except (BusyError, ReplacedError, KeyboardInterrupt) as end:
            self.state = type(end).__name__


def until(true) -> None:
    """Wait for something to become true, at most a minute: the machine may be busy."""
    patience = time.monotonic() + 60
    while not true():
        assert time.monotonic() < patience, "it did not happen"
        time.sleep(0.005)


def lined_up(queue: Queue, *names: str | None) -> list[Visitor]:
    """Visitors who came in this order; the first is being served."""
    visitors = []
    for name in names:
        before = len(queue)
        visitors.append(Visitor(queue, name))
        until(lambda before=before: len(queue) == before + 1)
    until(lambda: visitors[0].state == "served" and all(v.told for v in visitors[1:]))
    return visitors


def finish(*visitors: Visitor) -> None:
    for visitor in visitors:
        visitor.done.set()
    for visitor in visitors:
        visitor.join(5)


def test_visitors_are_served_in_order_and_told_how_many_are_before():
    visitors = lined_up(Queue(), None, None, None)
    assert [v.told[-1:] for v in visitors] == [[], [1], [2]]
    finish(visitors[0])
    until(lambda: visitors[1].state == "served" and visitors[2].told[-1] == 1)
    finish(*visitors)
    assert [v.state for v in visitors] == ["over"] * 3 and sorted(
        visitors[2].told, reverse=True
    ) == visitors[2].told


def test_a_full_line_turns_away_at_once_and_has_room_again_later():
    queue = Queue(limit=3)
    visitors = lined_up(queue, None, None, None)
    with pytest.raises(BusyError, match="3 runs are waiting"), queue.turn(lambda n: None):
        pass
    finish(*visitors)
    with queue.turn(lambda n: pytest.fail("nobody is before")):
        assert len(queue) == 1


def test_who_leaves_while_waiting_frees_the_place():
    queue = Queue()
    visitors = lined_up(queue, None, None, None)
    visitors[1].gone.set()
    until(lambda: visitors[2].told[-1] == 1)
    assert visitors[1].state == "KeyboardInterrupt" and len(queue) == 2
    finish(*visitors)


@pytest.mark.parametrize("error", [ValueError, MemoryError, KeyboardInterrupt])
def test_an_error_in_the_run_frees_the_turn(error):
    queue = Queue()
    with pytest.raises(error), queue.turn(lambda n: None):
        raise error
    assert len(queue) == 0


def test_an_impatient_visitor_has_one_waiting_place_and_keeps_it():
    queue = Queue(limit=4)
    first, eager, other = lined_up(queue, "a", "b", "c")
    again = [Visitor(queue, "b")]
    until(lambda: eager.state == "ReplacedError" and again[0].told)
    assert again[0].told[-1] == 1 and other.told[-1] == 2 and len(queue) == 3
    again += [Visitor(queue, "b") for _ in range(6)]
    until(lambda: [v.state for v in again].count("ReplacedError") == 6)
    assert len(queue) == 3 and other.told[-1] == 2
    finish(first, *again, other)
    assert other.state == "over" and [v.state for v in again].count("over") == 1


def test_who_is_served_may_line_up_again():
    queue = Queue()
    first, other = lined_up(queue, "a", "b")
    again = Visitor(queue, "a")
    until(lambda: again.told)
    assert first.state == "served" and again.told == [2] and other.told[-1] == 1
    finish(first, other, again)
    assert again.state == "over"


def test_whatever_visitors_do_nobody_is_lost_and_no_two_run_at_once():
    queue, inside, most, served, chance = Queue(limit=200), [], [], [], random.Random(0)

    def visit(number: int, fate: str, pause: float) -> None:
        def say(before: int) -> None:
            if fate == "leaves":
                raise KeyboardInterrupt

        try:
            with queue.turn(say, f"visitor {number % 40}"):
                inside.append(number)
                most.append(len(inside))
                time.sleep(pause)
                inside.remove(number)
                served.append(number)
                if fate == "fails":
                    raise ValueError
        except (ValueError, KeyboardInterrupt, ReplacedError):
            pass

    fates = [
        (i, chance.choice(["stays", "stays", "leaves", "fails"]), chance.random() / 500)
        for i in range(120)
    ]
    threads = [threading.Thread(target=visit, args=fate, daemon=True) for fate in fates]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(queue) == 0 and max(most) == 1 and len(served) >= 20


def test_thirty_at_once_get_bit_for_bit_what_one_alone_gets():
    model, queue = thin_model(), Queue()
    alone = [model.trace(picture(seed))[EXACT] for seed in range(30)]

    def visit(seed: int):
        with queue.turn(lambda n: None, f"visitor {seed}"):
            return model.trace(picture(seed))[EXACT]

    with ThreadPoolExecutor(30) as visitors:
        together = list(visitors.map(visit, range(30)))
    assert (
        all(one.equals(other) for one, other in zip(alone, together, strict=True))
        and len(queue) == 0
    )


def test_the_shared_model_itself_is_safe_for_threads():
    model = thin_model()
    alone = [[e.scores for e in model.run(picture(seed), PLAN)] for seed in range(8)]
    with ThreadPoolExecutor(8) as visitors:
        together = list(
            visitors.map(lambda seed: [e.scores for e in model.run(picture(seed), PLAN)], range(8))
        )
    assert together == alone


def test_visitors_who_come_at_once_share_one_copy_of_the_model(own_weights, monkeypatch):
    loads, load = [], models.weights.load

    def counted(*args, **options):
        # the probe for the number format reads a backbone without heads, and lets it go
        if options.get("heads") != []:
            loads.append(args)
        return load(*args, **options)

    monkeypatch.setattr(models.weights, "load", counted)
    with ThreadPoolExecutor(6) as visitors:
        bundles = list(visitors.map(lambda _: models.load("cifar10", BACKBONE, "cpu"), range(6)))
    assert len(loads) == 1 and all(bundle.model is bundles[0].model for bundle in bundles)


def test_a_whole_class_fits_into_the_line():
    assert LIMIT >= 2 * 30
