"""The charts of the Moving budget page."""

import pandas as pd
import pytest

from mvit.charts import budget as draw


@pytest.mark.parametrize(("slowest", "logarithmic"), [(90.0, False), (600.0, True)])
def test_times_that_differ_many_times_over_are_told_apart(slowest, logarithmic):
    rows = pd.DataFrame(
        {
            "sent": ["tokens", "picture"],
            "layer": [1, 1],
            "ms": [slowest, 20.0],
            "slowest_ms": [slowest, 20.0],
            "offloaded": [0.5, 0.5],
            "accuracy": [0.9, 0.9],
        }
    )
    chart = draw.split(rows, device_ms=30, server_ms=25, picked=1, finding="A finding").to_dict()
    y = chart["layer"][-1]["encoding"]["y"]
    assert (y["scale"].get("type") == "log") == logarithmic
    assert ("logarithmic" in y["title"]) == logarithmic
    # from 0.8 * 20 to 1.2 * 600 ms
    assert y["axis"].get("values") == ([20, 50, 100, 200, 500] if logarithmic else None)
