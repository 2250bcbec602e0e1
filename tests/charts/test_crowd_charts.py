"""Charts of the Crowd page: valid, and drawn from the numbers given."""

import pandas as pd
import pytest

from mvit.charts import crowd as charts_crowd
from mvit.charts.tradeoff import YOURS, tradeoff
from mvit.policies.rules import Stability

EXITS = [(b, h) for b in range(1, 13) for h in ("mlp", "vit")] + [(12, "final")]
ROWS = pd.DataFrame(
    [
        {
            "layer": b,
            "head": h,
            "count": 10.0 * b,
            "ms": b,
            "macs": b * 10**9,
            "practical": b % 2 == 0,
        }
        for b, h in EXITS
    ]
)
RANGES = {
    "part A": [
        {"range": r, "n": 3, "mae": 9.0, "low": 4.0, "high": 12.0} for r in ("50-100", ">=500")
    ],
    "part B": [{"range": "0-50", "n": 3, "mae": 2.0, "low": 1.0, "high": 3.0}],
}


def texts(figure) -> str:
    return str(figure.to_dict())


def test_the_truth_is_drawn_only_where_it_is_known():
    known, unknown = (
        charts_crowd.count_by_layer(ROWS, "vit", 6, truth, "It moves").to_dict()
        for truth in (55.0, None)
    )
    read = [" ".join(spec["title"]["subtitle"]) for spec in (known, unknown)]
    assert (
        "really there, 55." in read[0]
        and "really there" not in read[1]
        and "the final exit, 120." in read[1]
    )
    lines = [
        [layer for layer in spec["layer"] if layer["mark"]["type"] == "rule"]
        for spec in (known, unknown)
    ]
    assert [len(of) for of in lines] == [2, 1]


def test_the_error_map_is_brightest_at_the_best_exit():
    exits = ROWS[ROWS["head"] != "final"].assign(mae=[100.0 - b for b in range(24)], rmse=1.0)
    spec = charts_crowd.error_map(exits, 77.0, "Best").to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert (
        len(rows) == 24
        and max(rows, key=lambda r: r["exact"])["mae"] == 77
        and max(r["exact"] for r in rows) == 1
    )


def test_the_map_holds_every_exit_and_frames_the_layer():
    spec = charts_crowd.count_map(ROWS, 7, "Apart").to_dict()
    assert len(next(iter(spec["datasets"].values()))) == len(ROWS) and "datum.layer == 7" in str(
        spec
    )


def test_a_single_wild_exit_does_not_take_all_the_colours():
    wild = ROWS.copy()
    wild.loc[0, "count"] = 1e6
    top = charts_crowd.count_map(wild, 7, "Wild").to_dict()["layer"][0]["encoding"]["color"][
        "scale"
    ]["domain"][-1]
    assert top == pytest.approx(ROWS["count"].quantile(0.9), rel=0.2)


def test_ranges_are_in_the_order_of_the_crowds():
    spec = charts_crowd.error_by_range(RANGES, "Larger is harder").to_dict()
    assert spec["layer"][0]["encoding"]["x"]["sort"] == ["0-50", "50-100", "500 or more"]


def test_every_test_set_has_a_colour_of_its_own_and_a_whole_name():
    names = ["dense crowds (part A)", "streets (part B)", "pictures of a bus stop (Beijing-BRT)"]
    some = next(iter(RANGES.values()))
    spec = charts_crowd.error_by_range(dict.fromkeys(names, some), "Off").to_dict()
    colour = spec["layer"][0]["encoding"]["color"]
    assert colour["scale"]["domain"] == names
    assert len(set(colour["scale"]["range"])) == 3
    assert colour["legend"]["columns"] == 1 and colour["legend"]["labelLimit"] >= 330


def test_a_rule_s_errors_are_drawn_with_the_tau_chosen_and_the_fixed_exits():
    curve = pd.DataFrame({"threshold": [0.01, 0.1], "macs": [9e9, 4e9], "mae": [12.0, 15.0]})
    fixed = pd.DataFrame({"exit": ["4", "final"], "macs": [3e9, 9e9], "mae": [20.0, 11.0]})
    here = curve.iloc[1:].assign(what=YOURS)
    figure = tradeoff(
        curve, fixed, here, final=11.0, cost="macs", rule=Stability, finding="Less", worth="mae"
    )
    said = texts(figure)
    assert "Off by (people)" in said and "this rule at every threshold" in said
    assert "Always leave at exit" in said and "Accuracy" not in said
    low, high = figure.to_dict()["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low < 11 and high == 20
