"""What a rule saves, or does not, in words: no `-0 %`."""

import re
from pathlib import Path

import pytest

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
