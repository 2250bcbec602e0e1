"""Recorded answers of models that were measured on different numbers of the same test pictures."""

import numpy as np
import pytest

from mvit.data.splits import sampled
from mvit.evaluation.predictions import Predictions
from mvit.evaluation.together import in_common


def recorded(truth: np.ndarray) -> Predictions:
    """One exit that says each picture's place in its set."""
    own = np.zeros((1, len(truth)))
    places = np.arange(len(truth))[None]
    return Predictions([(2, "final")], places, own, entropy=own, margin=own, truth=truth)


TRUTH = np.random.default_rng(0).integers(0, 10, 200)


def test_a_sample_is_compared_on_its_own_pictures():
    index = sampled(200, 30, seed=3).numpy()
    whole, few = in_common([recorded(TRUTH), recorded(TRUTH[index])], seeds=[0, 3])
    assert whole.top1[0].tolist() == index.tolist() and len(few.truth) == 30
    assert np.array_equal(whole.truth, few.truth)
    few, whole = in_common([recorded(TRUTH[index]), recorded(TRUTH)], seeds=[3, 0])
    assert whole.top1[0].tolist() == index.tolist()


def test_equal_sets_stay_whole_and_others_are_refused():
    one, other = in_common([recorded(TRUTH), recorded(TRUTH)], seeds=[0, 1])
    assert len(one.truth) == len(other.truth) == 200
    index = sampled(200, 30, seed=3).numpy()
    for parts, seeds in (
        ([recorded(TRUTH), recorded(TRUTH[index])], [0, 4]),  # another sample than it says
        ([recorded(TRUTH), recorded(TRUTH[::-1].copy())], [0, 0]),
    ):
        with pytest.raises(ValueError, match="in common"):
            in_common(parts, seeds)
