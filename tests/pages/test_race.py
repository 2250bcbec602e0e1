"""The panel "Two models on one clock" of the Latency page: nothing runs until a second model is
chosen, then both are timed in turn and held against each other."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
from bundles import BACKBONE
from recorded import record
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from thin import thin_base, thin_model
from visit import metric, open_app, well

from mvit.charts import race as charts
from mvit.inference.baseline import run_in_turn
from pages.parts.race import NOBODY

pytestmark = pytest.mark.usefixtures("examples")
JOINT, BASE = f"{BACKBONE}_end_to_end", "vit_base_patch16_224"


def said(app) -> str:
    return " ".join(e.value for e in [*app.info, *app.caption, *app.markdown])


def race(app):
    return app.session_state["_once_race"][1]["runs"]


@pytest.fixture
def two(own_weights):
    """A second bundle beside the first; both have recorded predictions."""
    shutil.copytree(own_weights / "cifar10" / BACKBONE, own_weights / "cifar10" / JOINT)
    record(own_weights)
    record(own_weights, JOINT)
    return own_weights


def test_nothing_is_timed_until_a_model_is_chosen(two):
    app = well(open_app("latency", backbone=BACKBONE))
    assert app.selectbox(key="against").value == NOBODY
    assert "_once_race" not in app.session_state


def test_a_link_races_two_bundles_on_the_picture_and_on_the_test_set(two):
    app = well(open_app("latency", backbone=BACKBONE, against=JOINT, until="10000", example="cat"))
    runs = race(app)
    own, other = (turns.exits for turns in runs)
    assert own[-1].head == other[-1].head == "final" and runs[0].plain.median > 0
    spread = [
        f"of {t.done.n}. Its last answer came after {t.exits[-1].elapsed_ms:.1f} ms (half of the "
        f"runs: {t.done.q1:.1f} to {t.done.q3:.1f} ms). The plain network needs "
        f"{t.plain.median:.1f} ms ({t.plain.q1:.1f} to {t.plain.q3:.1f} ms)"
        for t in runs
    ]
    assert all(text in said(app) for text in spread)
    label = "cat ✓" if own[-1].label == "cat" else f"{own[-1].label} ✗"
    assert metric(app, f"{BACKBONE}, in hand after 10000 ms").startswith(label)
    # its heading says who is ahead when
    told = ("No crossing", "Crossing at", "The lead changes", "before that, who is ahead differs")
    assert any(words in said(app) for words in told)
    assert f"the medians of {len(runs[0].finishes)} rounds on the picture" in said(app)
    assert f"After 10000 ms: {BACKBONE} " in said(app) and "400 pictures" in said(app)
    before = race(app)
    app.number_input(key="until").set_value(0.1)
    app = well(app.run())
    assert metric(app, f"{JOINT}, in hand after 0.1 ms") == "no answer yet"
    assert race(app) is before  # another deadline times nothing anew
    assert f"After 0.1 ms: {BACKBONE} 0.0% and {JOINT} 0.0% right" in said(app)


def test_both_clocks_stop_with_the_first_model_s_last_answer_in_hand(two, monkeypatch):
    at = 41.24  # a tenth below would be before it

    def run(entrants, pixels):
        turns = run_in_turn(entrants, pixels)[0]
        last = dataclasses.replace(turns.exits[-1], elapsed_ms=at)
        return [dataclasses.replace(turns, exits=[last], finishes=[[at]])] * 2

    monkeypatch.setattr("pages.parts.race.run_in_turn", run)
    app = well(open_app("latency", backbone=BACKBONE, against=JOINT, example="cat"))
    assert app.number_input(key="until").value == 41.3
    assert metric(app, f"{BACKBONE}, in hand after 41.3 ms") != "no answer yet"


def test_a_replaced_bundle_is_raced_anew(two, reseal):
    def first() -> list:
        link = {"backbone": BACKBONE, "against": JOINT, "example": "cat"}
        return race(well(open_app("latency", **link)))

    before, folder = first(), two / "cifar10" / JOINT
    assert first() is before
    file = folder / "backbone.safetensors"
    held = load_file(file)
    held["head.weight"] = held["head.weight"].roll(1, 0)
    with safe_open(file, "pt") as opened:
        save_file(held, file, opened.metadata())
    reseal(folder)
    assert first() is not before


def test_a_bundle_without_recorded_predictions_is_said_and_the_picture_still_raced(two):
    (two / "cifar10" / JOINT / "predictions.safetensors").unlink()
    app = well(open_app("latency", backbone=BACKBONE, against=JOINT))
    assert f"but for {JOINT} it records none" in said(app) and len(race(app)) == 2


def test_a_grown_network_is_badged_in_the_race(own_weights, monkeypatch):
    thin_base(monkeypatch)
    record(own_weights)
    app = well(open_app("latency", backbone=BACKBONE, against=BASE))
    assert f"grown: {BACKBONE}'s answers at this network's cost" in said(app)


def test_both_are_timed_in_turn():
    calls = []
    models = [thin_model(depth=2, heads=("mlp",)) for _ in range(2)]
    for name, model in zip("AB", models, strict=True):
        model.backbone.vit.blocks[0].register_forward_hook(lambda *_, name=name: calls.append(name))
    found = run_in_turn(
        [(m, [(1, "mlp"), m.final_exit]) for m in models], np.full((8, 8, 3), 128, np.uint8)
    )
    assert [[e.head for e in turns.exits] for turns in found] == [["mlp", "final"]] * 2
    assert all(t.done.q1 <= t.exits[-1].elapsed_ms <= t.done.q3 for t in found)
    rounds = "".join(calls)[4:]  # after one of each to warm up
    assert rounds == "AABB" * (len(rounds) // 4) and len(rounds) >= 12


@pytest.mark.parametrize("crossing_ms", [None, 41.24])
def test_the_line_where_the_lead_changes_is_explained_where_it_is_drawn(crossing_ms):
    rows = pd.DataFrame({"model": ["A", "B"], "ms": [10.0, 50.0], "right": [0.5, 0.6]})
    figure = charts.accuracy(
        rows, rows, ["A", "B"], stop_ms=41.24, crossing_ms=crossing_ms, finding="A is ahead"
    )
    told = "Green line: the lead changes for the last time, at 41.2 ms."
    assert (told in " ".join(figure.title.subtitle)) == (crossing_ms is not None)
    assert len(figure.layer) == (3 if crossing_ms is None else 4)
