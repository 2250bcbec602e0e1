"""The threshold that is in force on the page on stop rules, and how it is told."""

import math
import re

import pandas as pd
import pytest
from bundles import BACKBONE
from visit import metric, open_app, well

from mvit import load
from mvit.charts.style import macs_text
from mvit.policies.outcomes import operate
from mvit.policies.plans import costs
from mvit.policies.replay import choose_threshold
from mvit.policies.rules import Confidence, Patience
from pages.parts.rules import program, views
from pages.parts.words import percent


def test_where_the_slider_stands_at_validation_s_choice_the_exact_one_is_used(recorded):
    app = well(open_app("rules", head="mlp", exits="all", drop="1.0"))
    val, test = (recorded[name].of_head("mlp") for name in ("val", "test"))
    macs = costs(load("cifar10", BACKBONE, device="cpu"), val.exits)
    chosen, _ = choose_threshold(Confidence(), val, macs, max_drop=0.01)
    start = app.slider(key="threshold").value
    assert start == pytest.approx(chosen, abs=0.0006)

    def exact(threshold: float) -> bool:  # but for what the records on disk leave out
        return threshold == pytest.approx(chosen, abs=0.0001) and threshold != start

    def in_force() -> float:
        threshold = float(re.search(r"threshold=([\d.]+)", app.code[0].value)[1])
        here = operate(Confidence(threshold), test, macs, macs)
        assert metric(app, "Right") == percent(here.accuracy, 2)
        assert metric(app, "Average MACs") == macs_text(here.macs)
        return threshold

    assert exact(in_force())
    assert metric(app, "Validation's choice") == f"{start:.3f}"
    assert any(m.value.startswith(f"#### confidence {start:.3f}") for m in app.markdown)
    well(app.slider(key="threshold").set_value(start - 0.001).run())
    assert in_force() == pytest.approx(start - 0.001, abs=1e-9)
    well(app.slider(key="threshold").set_value(start).run())
    assert exact(in_force())


@pytest.mark.parametrize("threshold", [math.inf, -math.inf, 0.5])
def test_the_code_of_a_rule_that_never_leaves_runs_too(threshold):
    told = program.code("cifar10", BACKBONE, [(12, "final")], rule=Confidence(threshold))
    names = {}
    exec(re.sub(r"(?s)model = .*(rule = .*?)\nfor .*", r"\1", told), names)
    assert names["rule"] == Confidence(threshold) and ("inf" in names) == math.isinf(threshold)
    assert Confidence.told(threshold) == ("never leaving" if "inf" in names else "0.500")


def test_a_deadline_is_told_in_milliseconds_everywhere(recorded):
    app = well(open_app("rules", rule="deadline", exits="all", ms="0.0"))
    assert app.slider(key="ms").label == "Threshold, ms"
    said = [m.value for m in app.markdown]
    assert any(text.startswith("#### deadline 0.0 ms, which it overruns") for text in said)
    assert re.fullmatch(r"[\d.]+ ms", metric(app, "Validation's choice"))
    assert "Threshold of deadline, ms" in app.get("vega_lite_chart")[0].proto.spec
    assert "#### All pictures leave at layer 1" in said  # nothing is in time
    late = next(w.value for w in app.warning if "No exit is ready after 0.0 ms" in w.value)
    first = re.search(r"are ready after ([\d.]+), ", " ".join(c.value for c in app.caption))[1]
    assert f"after layer 1, answers after {first} ms, which is {first} ms too late" in late
    well(app.button(key="take").click().run())
    assert not app.warning
    assert well(open_app("rules")).slider(key="threshold").label == "Threshold"


@pytest.mark.parametrize(
    ("shares", "told"),
    [
        ([0, 1, 0], "All pictures leave at layer 6"),
        ([0, 0, 1], "All pictures leave at the final exit"),
        ([0.001, 0.999, 0], "Nearly all pictures leave at layer 6"),
        ([0.1, 0.7, 0.2], "80\u00a0% leave before the end; most leave at layer 6: 70\u00a0%"),
        (
            [0.4, 0.3, 0.3],
            "70\u00a0% leave before the end. Half of all pictures have left after layer 6; the "
            "largest share, 40\u00a0%, leaves at layer 3",
        ),
    ],
)
def test_where_pictures_leave_is_said_once(shares, told):
    rows = pd.DataFrame({"layer": [3, 6, 12], "head": ["mlp", "mlp", "final"], "share": shares})
    assert views.leaving_finding(rows, 1 - shares[-1]) == told


def test_patience_asks_for_no_more_exits_than_run(recorded):
    app = well(open_app("rules", rule="patience", exits="all", patience="9"))
    assert (app.slider(key="patience").max, app.slider(key="patience").value) == (13, 9)
    app = well(app.segmented_control(key="exits").set_value("few").run())
    said = next(c.value for c in app.caption if c.value.startswith("Exits that run: "))
    run = said.split(".")[0].count(",") + 1
    slider = app.slider(key="patience")
    assert slider.max == max(run, 3) and slider.value <= slider.max and not app.warning
    assert Patience().limits(1, 10) == (2, 3)  # a slider needs two places
