"""The page "Latency slider" through Streamlit's test client, and the tables and charts behind
it."""

import json

import pandas as pd
import pytest
from bundles import HEADS
from visit import open_app, png, well

from mvit.charts import latency as charts_latency
from mvit.inference.deadline import Answer
from mvit.models.multi_exit import Exit

pytestmark = pytest.mark.usefixtures("examples")


def run(app) -> dict:
    return app.session_state["_once_latency"][1]


def real(app) -> tuple[Answer, Answer]:
    return app.session_state["_once_latency_real"][1]


def words(app) -> str:
    return " ".join(e.value for e in [*app.success, *app.info])


def test_first_load_shows_a_measured_run_and_a_real_interruption(tiny_weights):
    app = well(open_app("latency"))
    assert app.title[0].value == "Latency slider"
    assert len(app.get("vega_lite_chart")) == 1 and run(app)["exits"][-1].head == "final"
    answer, static = real(app)
    assert answer.deadline_ms == static.deadline_ms == app.number_input(key="deadline").value
    assert len([e for e in [*app.success, *app.info]]) == 2
    assert any("replay" in m.value for m in app.markdown) and any(
        "live on this machine" in m.value for m in app.markdown
    )


def test_a_deadline_before_the_first_exit_is_said_kindly(tiny_weights):
    app = well(open_app("latency", deadline="0.1"))
    answer, static = real(app)
    assert not answer.ready and not static.ready
    assert words(app).count("No answer yet: no exit had finished; the first is ready at about") == 2


def test_a_long_deadline_lets_both_finish(tiny_weights):
    app = well(open_app("latency", deadline="2000"))
    answer, static = real(app)
    assert (
        answer.exit.head == static.exit.head == "final" and answer.exit.label == static.exit.label
    )
    assert len(app.success) == 2 and answer.overshoot_ms == 0


def test_run_it_for_real_runs_again_and_the_measured_run_stays(tiny_weights):
    app = well(open_app("latency", deadline="1000"))
    measured, before = run(app), real(app)
    well(app.button(key="run").click().run())
    assert real(app) is not before and run(app) is measured
    before = real(app)
    well(app.number_input(key="deadline").set_value(900.0).run())
    assert real(app)[0].deadline_ms == 900 and real(app) is not before and run(app) is measured


def test_many_real_runs_are_a_strip_plot(tiny_weights):
    app = well(open_app("latency", deadline="300"))
    well(app.button(key="repeat").click().run())
    assert len(app.session_state["_latency_series"]["answers"]) == 30
    assert len(app.get("vega_lite_chart")) == 3 and not [b for b in app.button if b.key == "stop"]
    assert any("ready_ms" in d.value and len(d.value) == 30 for d in app.dataframe)
    well(app.number_input(key="deadline").set_value(250.0).run())
    assert len(app.get("vega_lite_chart")) == 1  # the runs belong to another deadline


def test_a_stopped_series_keeps_its_runs(tiny_weights):
    app = well(open_app("latency", deadline="300"))
    well(app.button(key="repeat").click().run())
    series = app.session_state["_latency_series"]
    series["answers"][:] = series["answers"][:7]
    series["want"] = len(series["answers"])  # what the Stop button's callback does
    well(app.run())
    assert (
        len(app.session_state["_latency_series"]["answers"]) == 7
        and len(app.get("vega_lite_chart")) == 3
    )


def test_link_restores_the_view(tiny_weights):
    app = well(
        open_app("latency", deadline="12.5", exit_head="resmlp", exits="all layers", example="ship")
    )
    assert (
        app.number_input(key="deadline").value == 12.5
        and app.selectbox(key="exit_head").value == "resmlp"
    )
    assert app.segmented_control(key="exits").value == "all layers" and len(run(app)["exits"]) == 13
    assert "link asks" not in words(app)


@pytest.mark.parametrize(
    ("asked", "shown"), [("-5", 0.1), ("1e9", 2000.0), ("soon", None), ("nan", None)]
)
def test_an_illegal_deadline_in_the_link_is_mended_and_said(asked, shown, tiny_weights):
    app = well(open_app("latency", deadline=asked))
    assert f"deadline = {asked}" in words(app)
    value = app.number_input(key="deadline").value
    assert value == shown if shown else 0.1 <= value <= 2000


def test_illegal_names_in_the_link_are_mended_and_said(tiny_weights):
    app = well(open_app("latency", exit_head="zebra", exits="none"))
    assert (
        "zebra" in words(app)
        and "exits = none" in words(app)
        and app.selectbox(key="exit_head").value in HEADS
    )


def test_a_bad_upload_keeps_the_last_result(tiny_weights):
    app = well(open_app("latency"))
    well(app.segmented_control(key="example_source").set_value("Upload").run())
    well(app.file_uploader[0].set_value(("a.png", png(9), "image/png")).run())
    good = run(app)
    app.file_uploader[0].set_value(("b.png", b"this is no picture", "image/png")).run()
    assert (
        len(app.error) == 1
        and "picture before it stays" in app.error[0].value
        and not app.exception
    )
    assert run(app) is good and app.metric


def test_hide_removes_controls_and_keeps_the_link_s_deadline(tiny_weights):
    app = well(open_app("latency", hide="all", deadline="40"))
    assert not app.number_input and not app.button and real(app)[0].deadline_ms == 40


LABELS = ("cat", "dog")


def fired(layer: int, head: str, at: float, scores: list[float]) -> Exit:
    return Exit(layer, head, scores, LABELS, at, 0.1, at, 1000 * layer, layer == 3)


EXITS = [
    fired(3, "mlp", 4.0, [0.4, 0.6]),
    fired(6, "mlp", 8.0, [0.7, 0.3]),
    fired(12, "final", 15.0, [0.9, 0.1]),
]


def test_the_answer_at_a_deadline_is_the_latest_finished_exit():
    table = charts_latency.timeline_rows(EXITS, "cat")
    assert charts_latency.answer_at(table, 3.9) is None
    assert (
        charts_latency.answer_at(table, 4.0).layer == 3
        and charts_latency.answer_at(table, 14.9).layer == 6
    )
    assert charts_latency.answer_at(table, 99)["head"] == "final" and list(table.verdict) == [
        "wrong",
        "right",
        "right",
    ]


def test_the_slider_lives_in_the_chart_and_begins_at_the_deadline():
    table = charts_latency.timeline_rows(EXITS, None)
    for deadline, start in ((9.0, 9.0), (9999.0, charts_latency.room_ms(table, 14.0))):
        spec = charts_latency.timeline(table, 14.0, deadline, "a finding").to_dict()
        [param] = spec["params"]
        assert (
            param["name"] == "deadline"
            and param["bind"]["input"] == "range"
            and param["value"] == start
        )
    text = json.dumps(spec)
    # the scoring is the chart's own
    assert "datum.elapsed_ms <= deadline" in text and "no answer yet" in text


def answers() -> list[Answer]:
    none = Answer(2.0, 2.1, None, [], [], (3, "mlp"), 1, 4.0)
    one = Answer(5.0, 5.3, EXITS[0], EXITS[:1], EXITS[1:2], (12, "final"), 2, 4.0)
    return [none, one, one]


def test_the_strip_plot_tells_answers_from_none():
    table = charts_latency.repeat_rows(answers())
    assert list(table.layer) == ["none", "3", "3"] and table.late.tolist() == [0, 1, 1]
    assert (
        charts_latency.spread(table, 5.0)
        == "2 of 3 runs had an answer at 5 ms, mostly from layer 3"
    )
    assert charts_latency.spread(table[:1], 2.0) == "In none of 1 runs had an exit finished at 2 ms"
    shown = charts_latency.strip(table, 5.0, 12, "a finding").to_dict()
    assert {d["kind"] for d in next(v for v in shown["datasets"].values() if len(v) == 3)} == {
        "an answer",
        "no answer",
    }
    assert charts_latency.strip(table[:1], 2.0, 12, "a finding").to_dict() and isinstance(
        table, pd.DataFrame
    )
    assert charts_latency.overshoot(table, "late").to_dict()["title"]["text"] == ["late"]
