"""The page "Latency slider" through Streamlit's test client, and the tables behind it."""

import os
import re
from dataclasses import replace

import pandas as pd
import pytest
from bundles import HEADS
from visit import open_app, png, timeline, well

from mvit.charts import latency as tables
from mvit.inference.deadline import Answer
from mvit.models.multi_exit import Exit
from pages.parts.timeline import Interrupted, Measured, contradicted, real_text
from pages.parts.timeline.chart import chart

pytestmark = pytest.mark.usefixtures("examples")


def run(app) -> dict:
    return app.session_state["_once_latency"][1]


def series(app):
    return app.session_state["_latency_series"]


def said(app) -> str:
    return " ".join(e.value for e in [*app.info, *app.caption])


def test_first_load_shows_a_measured_run_and_a_real_interruption(tiny_weights):
    app = well(open_app("latency"))
    assert app.title[0].value == "Latency slider" and run(app)["exits"][-1].head == "final"
    shown, [real] = timeline(app), series(app).runs
    assert shown["deadline"] == real.answer.deadline_ms == pytest.approx(0.6 * shown["plain"], 0.1)
    assert [e["ms"] for e in shown["exits"]] == [e.elapsed_ms for e in run(app)["exits"]]
    assert all(
        f"Real run, told to stop at {shown['deadline']:.1f} ms" in text for text in shown["real"]
    )
    assert any("live on this machine" in m.value for m in app.markdown)


def test_the_first_plan_is_few_exits_that_cost_at_most_a_quarter_more(tiny_weights):
    rows = well(open_app("latency")).dataframe[0].value
    assert 2 <= len(rows) <= 5 and rows["head"].iloc[-1] == "final"
    assert rows.macs_run.iloc[-1] <= 1.25 * rows.macs.iloc[-1]


def test_a_deadline_before_the_first_exit_is_said_kindly(tiny_weights):
    app = well(open_app("latency", deadline="0.1"))
    assert not series(app).runs[0].answer.ready
    assert all("no answer yet" in text for text in timeline(app)["real"])


def test_a_long_deadline_lets_both_finish(tiny_weights):
    app = well(open_app("latency", deadline="2000"))
    with_exits, without = timeline(app)["real"]
    assert series(app).runs[0].answer.exit.head == "final"
    assert all("from the final exit, finished after" in text for text in (with_exits, without))
    assert with_exits.endswith("; as in the replay.") and timeline(app)["deadline"] == 2000


def test_every_real_run_stays_as_a_dot_until_the_picture_changes(tiny_weights):
    app = well(open_app("latency", deadline="300"))
    measured = run(app)
    for deadline in ("200", "250"):
        app.query_params["deadline"] = deadline
        well(app.run())
    assert [r.answer.deadline_ms for r in series(app).runs] == [300, 200, 250]
    shown = timeline(app)["parts"]["chart"]
    later = sum(map(int, re.findall(r">(\d+) later than", shown)))  # of a busy machine
    assert shown.count('class="dot"') + later == 3 and run(app) is measured
    well(app.run())
    assert len(series(app).runs) == 3  # nothing new was asked
    well(app.pills(key="example").set_value("ship").run())
    assert [r.number for r in series(app).runs] == [1]


def test_many_real_runs_at_one_deadline(tiny_weights):
    app = well(open_app("latency", deadline="100"))
    well(app.button(key="repeat").click().run())
    assert len(series(app).runs) == 31 and series(app).left == 0
    assert not [b for b in app.button if b.key == "stop"]
    assert any("overshoot_ms" in d.value and len(d.value) == 31 for d in app.dataframe)
    assert "Deadline 100 ms: " in said(app) and "of 31 real runs had an answer" in said(app)


def test_a_new_deadline_or_stop_drops_the_runs_still_wanted(tiny_weights):
    app = well(open_app("latency", deadline="100"))
    series(app).want(30)
    app.query_params["deadline"] = "90"
    well(app.run())
    assert [r.answer.deadline_ms for r in series(app).runs] == [100, 90]
    series(app).want(0)
    assert len(series(well(app.run())).runs) == 2


def test_link_restores_the_view(tiny_weights):
    link = {"deadline": "12.5", "exit_head": "resmlp", "exits": "all layers", "example": "ship"}
    app = well(open_app("latency", **link))
    assert timeline(app)["deadline"] == 12.5
    assert app.selectbox(key="exit_head").value == "resmlp"
    assert app.segmented_control(key="exits").value == "all layers" and len(run(app)["exits"]) == 13
    assert "link asks" not in said(app)


def test_a_handle_moved_after_another_tab_changed_the_model_asks_its_own_model(tiny_weights):
    here = well(open_app("latency", deadline="300", exit_head="resmlp"))
    before = run(here)
    other = well(open_app("latency", deadline="300"))
    well(other.selectbox(key="exit_head").set_value("mlp").run())
    well(other.button(key="run").click().run())  # measured anew, for everybody
    here.query_params["deadline"] = "250"  # what letting the handle go does
    well(here.run())
    assert run(here) is before, "nothing jumps"
    assert [r.answer.deadline_ms for r in series(here).runs] == [300, 250]
    assert {e.head for r in series(here).runs for e in r.answer.finished} <= {"resmlp", "final"}
    assert {e.head for r in series(other).runs for e in r.answer.finished} <= {"mlp", "final"}


def test_a_handle_moved_after_the_weights_were_replaced_runs_the_new_ones(own_weights):
    app = well(open_app("latency", deadline="300"))
    card = next(own_weights.rglob("card.json"))
    os.utime(card, (1, 1))  # another file stands there now
    app.query_params["deadline"] = "250"
    well(app.run())
    assert series(app).runs[-1].answer.deadline_ms == 250 and timeline(app)["deadline"] == 250


@pytest.mark.parametrize(
    ("asked", "shown"), [("-5", 0.1), ("1e9", 2000.0), ("soon", None), ("nan", None)]
)
def test_an_illegal_deadline_in_the_link_is_mended_and_said(asked, shown, tiny_weights):
    app = well(open_app("latency", deadline=asked))
    assert f"deadline = {asked}" in said(app)
    value = timeline(app)["deadline"]
    assert value == shown if shown else 0.1 <= value <= 2000


def test_illegal_names_in_the_link_are_mended_and_said(tiny_weights):
    app = well(open_app("latency", exit_head="zebra", exits="none"))
    assert "zebra" in said(app) and "exits = none" in said(app)
    assert app.selectbox(key="exit_head").value in HEADS


def test_a_bad_upload_keeps_the_last_result(tiny_weights):
    app = well(open_app("latency"))
    well(app.segmented_control(key="example_source").set_value("Upload").run())
    well(app.file_uploader[0].set_value(("a.png", png(9), "image/png")).run())
    good = run(app)
    app.file_uploader[0].set_value(("b.png", b"this is no picture", "image/png")).run()
    assert len(app.error) == 1 and "picture before it stays" in app.error[0].value
    assert not app.exception and run(app) is good and timeline(app)["real"]


def test_hide_removes_controls_and_keeps_the_link_s_deadline(tiny_weights):
    app = well(open_app("latency", hide="all", deadline="40"))
    assert not app.button and timeline(app)["deadline"] == 40 and timeline(app)["fixed"]
    assert series(app).runs[0].answer.deadline_ms == 40


LABELS = ("cat", "<b>dog")


def fired(layer: int, head: str, at: float, scores: list[float]) -> Exit:
    return Exit(
        layer,
        head,
        scores=scores,
        labels=LABELS,
        elapsed_ms=at,
        head_ms=0.1,
        ms=at,
        macs=1000 * layer,
        practical=layer == 3,
    )


def interrupted(at: float, finished: int, late: int, in_flight: tuple[int, str]) -> Answer:
    """The answer at a deadline when so many of EXITS had finished, and so many more just after."""
    return Answer(
        deadline_ms=at,
        answered_ms=at + 0.25,
        exit=EXITS[finished - 1] if finished else None,
        finished=EXITS[:finished],
        late=EXITS[finished : finished + late],
        in_flight=in_flight,
        wasted_blocks=2 if finished else 1,
        first_ms=4.0,
    )


EXITS = [
    fired(3, "mlp", 4.0, [0.4, 0.6]),
    fired(6, "mlp", 8.0, [0.7, 0.3]),
    fired(12, "final", 15.0, [0.9, 0.1]),
]
MEASURED = Measured(exits=EXITS, macs=[3000, 6500, 13000], plain_ms=14.0, truth="cat")
NOTHING = interrupted(2.0, 0, 0, (3, "mlp"))
EARLY = interrupted(5.0, 1, 1, (12, "final"))
OTHER = interrupted(9.0, 1, 0, (6, "mlp"))
SAME = interrupted(9.0, 2, 0, (12, "final"))


def test_the_answer_at_a_deadline_is_the_latest_finished_exit():
    assert MEASURED.at(3.9) is None and MEASURED.at(4.0).layer == 3 and MEASURED.at(14.9).layer == 6
    assert MEASURED.at(99).head == "final"


def test_a_real_run_confirms_or_contradicts_the_replay():
    further = interrupted(4.5, 2, 0, (12, "final"))
    for answer, beyond, said in (
        (NOTHING, 0, "; as in the replay."),
        (EARLY, 0, "; as in the replay."),
        (OTHER, -1, "Less far than the replay: the machine was busier."),
        (further, 1, "Further than the replay: the machine was less busy."),
    ):
        one = Interrupted(1, answer)
        assert one.beyond(MEASURED) == beyond and one.told(MEASURED).endswith(said)
    assert (
        real_text(NOTHING)
        == "Real run, told to stop at 2.0 ms: no answer yet; it stopped 0.25 ms after that"
    )
    assert (
        real_text(OTHER)
        == "Real run, told to stop at 9.0 ms: <b>dog from layer 3; it stopped 0.25 ms after that"
    )


def test_real_runs_that_contradict_the_replay_are_counted_in_a_sentence():
    runs = [Interrupted(i, a) for i, a in enumerate((OTHER, OTHER, SAME))]
    assert contradicted(MEASURED, runs) == (
        "At 9 ms the replay has cat from layer 6, 70\u00a0% sure. Of 3 real runs 2 got less far, "
        "1 as far: the machine is busier than it was during the replayed run."
    )
    assert "The real run got less far: " in contradicted(MEASURED, runs[:1])
    further = Interrupted(1, interrupted(4.5, 2, 0, (12, "final")))
    assert "got further: the machine is less busy" in contradicted(MEASURED, [further])
    assert contradicted(MEASURED, runs[2:]) == ""


def test_runs_beyond_the_axis_are_counted_at_its_edge():
    late = replace(OTHER, answered_ms=40.0)
    runs = [Interrupted(i, a) for i, a in enumerate((OTHER, late, late, replace(late, exit=None)))]
    svg = chart(MEASURED, runs)
    assert svg.count('class="dot"') == 1
    assert ">2 later than 16.8 ms<" in svg and ">1 later than 16.8 ms<" in svg


def test_the_axis_draws_exits_wall_and_real_runs_with_labels_escaped():
    runs = [Interrupted(i, a) for i, a in enumerate((NOTHING, EARLY, OTHER), 1)]
    svg = chart(MEASURED, runs)
    assert svg.count('class="mark"') == 3 and svg.count('class="dot"') == 3
    assert svg.count('fill="none" stroke-width') == 1  # the one that contradicts
    assert "plain network 14.0 ms" in svg and "<b>dog" not in svg and "&lt;b&gt;dog ✗" in svg


def test_times_and_macs_of_a_row_are_of_the_same_thing():
    rows = tables.exit_rows(EXITS, MEASURED.macs, "cat")
    assert rows.macs_run.tolist() == [3000, 6500, 13000] and rows.macs.tolist() == [
        3000,
        6000,
        12000,
    ]
    assert rows.verdict.tolist() == ["wrong", "right", "right"]


def test_the_spread_of_real_runs_tells_answers_from_none():
    rows = tables.interrupted_rows([NOTHING, EARLY, OTHER])
    assert rows.layer.tolist() == ["none", "3", "3"] and rows.late.tolist() == [0, 1, 0]
    found = tables.spread(rows)
    assert found.startswith(
        "2 of 3 real runs had an answer, mostly from layer 3. They stopped at most 0.25 ms after"
    )
    assert tables.spread(rows[:1]).startswith("None of 1 real runs had an answer yet. ")
    in_time = tables.spread(rows.assign(overshoot_ms=0.0))
    assert in_time.endswith("layer 3. Every run was over before the deadline")
    assert "less than 0.01 ms" in tables.spread(rows.assign(overshoot_ms=[0.0, 0.001, 0.004]))
    # a share of 5 % is told only where it is at least one run
    assert "95" not in found and "95" not in in_time
    many = tables.spread(pd.concat([rows] * 7))
    assert many.endswith("after the deadline, 95\u00a0% of them within 0.25 ms of it")
