"""What a rule saves, or does not, in words: no `-0 %`, and the crowd's rule beside a single
exit."""

import re
from pathlib import Path

import pandas as pd
import pytest

from pages.parts.crowd.rule import beside_one_exit
from pages.parts.words import percent, saved, work_saved

PAGES = Path(__file__).resolve().parents[2] / "pages"


@pytest.mark.parametrize(
    ("share", "digits", "told"),
    [(-0.004, 0, "0"), (-0.0004, 1, "0.0"), (-0.02, 0, "-2"), (0, 0, "0")],
)
def test_no_share_is_told_as_minus_nothing(share, digits, told):
    assert percent(share, digits) == f"{told}\u00a0%"


def test_signed_numbers_are_never_minus_nothing_either():
    """Python writes -0.001 as `-0.0`, unless its format has a `z`."""
    found = [
        f"{path.name}: {line.strip()}"
        for path in PAGES.rglob("*.py")
        for line in path.read_text().splitlines()
        if re.search(r":\+[,.]", line)
    ]
    assert not found


@pytest.mark.parametrize(
    ("share", "value", "more", "sentence"),
    [
        (0.57, "57\u00a0%", None, "saves 57\u00a0% of the work"),
        (0.004, "nothing", None, "saves none of the work"),
        (-0.004, "nothing", None, "saves none of the work"),
        (-0.02, "nothing", "2\u00a0% more", "takes 2\u00a0% more work than the plain network"),
    ],
)
def test_nothing_saved_is_said_in_words(share, value, more, sentence):
    shown = saved(share)
    assert (shown["value"], shown["delta"]) == (value, more)
    assert work_saved(share) == sentence


FIXED = pd.DataFrame(
    {"exit": ["1", "4", "8", "final"], "macs": [10, 40, 80, 120], "mae": [30.0, 17.24, 16.0, 15.0]}
)


@pytest.mark.parametrize(
    ("macs", "mae", "told"),
    [
        (
            50,
            18.06,
            "Always leaving after layer 4 takes no more work than this rule and is off by 17.2 "
            "people on average, the rule by 18.1: the rule is worse by 0.9.",
        ),
        (
            80,
            15.2,
            "is off by 16.0 people on average, the rule by 15.2: the rule is better by 0.8.",
        ),
        (40, 17.2, "is off by 17.2 people on average, the rule by 17.2: no difference."),
        (130, 15.5, "Always leaving at the final exit takes no more work than this rule"),
        (5, 40.0, "Every single exit takes more work than this rule."),
    ],
)
def test_the_crowd_s_rule_is_compared_with_the_best_single_exit_of_its_cost(macs, mae, told):
    assert told in beside_one_exit(pd.Series({"macs": macs, "mae": mae}), FIXED)
