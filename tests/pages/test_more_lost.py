"""A stop rule that loses more on the test pictures than validation allowed it to."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from bundles import BACKBONE
from recorded import made_up
from visit import open_app, well

from mvit.evaluation.predictions import save_predictions


@pytest.mark.parametrize("easier", [1, 0])
def test_a_choice_that_loses_more_than_allowed_is_told_with_how_little_chose_it(
    own_weights, easier
):
    card = json.loads((own_weights / "cifar10" / BACKBONE / "card.json").read_text())
    val, test = made_up(card, 60, 1), made_up(card, 400, 2)
    if easier:  # the validation pictures are right wherever they leave
        val = replace(val, top1=np.broadcast_to(val.truth, val.top1.shape))
    else:
        test = replace(test, top1=np.broadcast_to(test.truth, test.top1.shape))
    save_predictions(own_weights / "cifar10" / BACKBONE, {"val": val, "test": test})
    app = well(open_app("rules", drop="0.1"))
    told = [c.value for c in app.caption if "more than the 0.1 allowed" in c.value]
    assert len(told) == easier
    if told:
        shown = next(m for m in app.metric if m.label == "Validation's choice")
        lost = re.search(r"lost ([\d.]+) on test", shown.delta)[1]
        assert told[0].startswith(f"Validation's choice loses {lost} points on the test pictures")
        assert "The 60 pictures that made the choice tell a loss only to within 5.0 po" in told[0]
        assert "the 400 test pictures to within " in told[0]
