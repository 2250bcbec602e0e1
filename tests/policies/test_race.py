"""Two models on one clock: who is right more often when, and where the lead changes for good."""

import numpy as np
import pytest

from mvit.evaluation.predictions import Predictions
from mvit.policies.race import Runner, by_time, crossing, spans, told


def runner(name: str, *answers: tuple[float, int], n: int = 200) -> Runner:
    """A model whose exits answer at these moments, each right about the first so many pictures."""
    right = np.array([np.arange(n) < count for _, count in answers])
    unsure = np.full(right.shape, 0.5)
    exits = [(layer + 1, "mlp") for layer in range(len(answers) - 1)] + [(12, "final")]
    seen = Predictions(
        exits,
        top1=1 - right,
        confidence=unsure,
        entropy=unsure,
        margin=unsure,
        truth=np.zeros(n, int),
    )
    return Runner(name=name, finish=[ms for ms, _ in answers], seen=seen)


SMALL = runner("small", (5.0, 100), (10.0, 140))


def test_before_its_first_answer_nothing_is_right_and_an_answer_counts_from_when_it_is_ready():
    assert SMALL.right(4.9).sum() == 0
    assert (
        SMALL.right(5.0).sum() == SMALL.right(9.99).sum() == 100 and SMALL.right(1e9).sum() == 140
    )


@pytest.mark.parametrize(
    ("large", "at", "said"),
    [
        (
            ((20.0, 110), (30.0, 180)),
            30.0,
            "Crossing at 30.0 ms: until then small is ahead, then large is ahead",
        ),
        (((20.0, 110), (30.0, 120)), None, "No crossing: small is ahead everywhere"),
        (
            ((20.0, 110), (30.0, 141)),
            None,
            "No crossing: small is ahead or level everywhere; from 30.0 ms on the two are level",
        ),
        (
            ((4.0, 150), (7.0, 40), (12.0, 190)),
            12.0,
            "The lead changes 2 times; from 12.0 ms on large is ahead",
        ),
    ],
)
def test_the_crossing_is_named_or_that_there_is_none(large, at, said):
    race = spans(SMALL, runner("large", *large))
    assert crossing(race) == at and told(race) == said


def test_how_the_rounds_differ_is_told_with_the_crossing():
    def large(late: float):
        return spans(SMALL, runner("large", (4.0, 150), (7.0, 40), (late, 190)))

    alike = told(large(12.0), [large(11.0), large(12.0), large(15.0)])
    assert alike == (
        "The lead changes 2 times; from 12.0 ms on large is ahead (between 11.0 and 15.0 ms in 3 "
        "rounds)"
    )
    # in a slow round the small one has its answers first
    slow = spans(SMALL, runner("large", (11.0, 40), (12.0, 190)))
    assert told(large(12.0), [large(12.0), slow, large(12.0)]) == (
        "From 12.0 ms on large is ahead; before that, who is ahead differs from run to run (by the "
        "medians of 3 rounds; 2 of them alone show the same)"
    )
    assert told(slow, [slow, slow]) == told(slow)


def test_a_lead_is_told_only_where_the_same_pictures_leave_no_doubt():
    # 5 pictures that only one has right could be chance (p = 0.06), 6 could not (0.03)
    for more, ahead in ((5, None), (6, "large")):
        race = spans(runner("small", (1.0, 100)), runner("large", (2.0, 100 + more)))
        assert race[-1].ahead == ahead
    level = spans(runner("a", (1.0, 3)), runner("b", (1.0, 3)))
    assert told(level).startswith("No crossing: the two are level everywhere")


def test_other_pictures_are_not_compared():
    with pytest.raises(ValueError, match="recorded on other pictures"):
        spans(SMALL, runner("large", (20.0, 10), n=100))


def test_the_charts_rows_begin_with_nothing_right_and_reach_the_end():
    rows = by_time(spans(SMALL, runner("large", (20.0, 180))), ("small", "large"), 25.0)
    own = rows[rows.model == "large"]
    assert own.ms.tolist() == [0.0, 5.0, 10.0, 20.0, 25.0]
    assert own.right.tolist() == [0.0, 0.0, 0.0, 0.9, 0.9]
