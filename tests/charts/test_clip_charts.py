"""Charts of a clip say what its frames say, with or without moments and truth."""

import numpy as np
import pandas as pd
import pytest

from mvit.charts.clip import count_over_time, layer_finding, layer_over_time, work_finding


def frames(**changed) -> pd.DataFrame:
    rows = pd.DataFrame(
        {
            "frame": [1, 2, 3, 4],
            "second": [0.0, 1.0, 2.0, 3.0],
            "count": [-3.0, 10.0, 90.0, 100.0],
            "whole": [1.0, 12.0, 95.0, 100.0],
            "truth": [0.0, 12.0, 100.0, 110.0],
            "layer": [3, 5, 10, 12],
            "head": ["mlp", "mlp", "mlp", "final"],
            "work": [0.25, 0.35, 0.8, 1.0],
            "why": ["the count has settled"] * 4,
        }
    )
    return rows.assign(**changed)


def test_the_findings_are_the_numbers_of_the_frames():
    said = work_finding(frames())
    assert said.startswith(
        "3 of 4 frames leave before the end, at 60\u00a0% of the whole network's"
    )
    assert said.endswith(
        "off by 6 people, the whole network's by 4"
    )  # 0, 2, 10, 10 and 1, 0, 5, 10
    assert work_finding(frames(truth=np.nan)).endswith("off the whole network's by 2 people")
    assert "layer 4 on average, the fuller half after layer 11" in layer_finding(frames())
    assert layer_finding(frames().head(1)) == "The frame leaves after layer 3"
    same = frames(layer=5, head="mlp")
    assert layer_finding(same) == "All frames leave after layer 5"
    assert layer_finding(frames(layer=12, head="final")) == "All frames go to the end"


@pytest.mark.parametrize("changed", [{}, {"second": None}, {"truth": np.nan}])
def test_the_charts_show_what_is_known(changed):
    rows = frames(**changed)
    spec = count_over_time(rows, "said").to_dict()
    data = next(iter(spec["datasets"].values()))
    assert {d["what"] for d in data} == {"with early exits", "whole network"} | (
        set() if "truth" in changed else {"really there"}
    )
    assert min(d["people"] for d in data) == 0  # no count below zero
    field = layer_over_time(rows, 12, "said").to_dict()["encoding"]["x"]["field"]
    assert field == ("frame" if "second" in changed else "second")
