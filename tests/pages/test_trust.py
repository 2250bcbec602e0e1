"""Whether confidence can be trusted, on the page on stop rules: sentences, and the way there."""

import numpy as np
import pytest
from visit import open_app, well

from pages.parts.rules.trust import overthought, telling


@pytest.mark.parametrize(
    ("right", "said"),
    [
        ([True, True], "All 2 answers are right: there are too few pictures to say"),
        ([False, False], "All 2 answers are wrong: there are too few pictures to say"),
        ([True, False], "surer than a wrong one in 100.0\u00a0% of all such pairs"),
    ],
)
def test_how_well_confidence_tells_right_from_wrong(right, said):
    assert said in telling(np.array([0.9, 0.8]), np.array(right))


def test_overthinking_is_told_of_the_mistakes_and_of_all_pictures():
    assert overthought(0.019, 282, 10_000).endswith(
        "282 pictures end wrong; for 190 of them (67\u00a0%, and 1.9\u00a0% of all pictures) some "
        "exit before was right"
    )
    assert overthought(0.0, 0, 400).endswith("no picture ends wrong")


def test_a_link_that_asks_whose_confidence_to_trust_opens_there(recorded):
    def opened(**query) -> str:
        bar = well(open_app("rules", **query)).get("tab_container")[0]
        return bar.children[bar.proto.tab_container.default_tab_index].label

    assert opened() == "Easy and hard pictures"
    assert opened(whose="exit 6") == "Can confidence be trusted?"
