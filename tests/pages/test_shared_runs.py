"""What is measured on an example is there for the next visitor; what is measured on a visitor's own
picture is that visitor's alone."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from live import Visitor
from visit import open_app, png, well

from pages.parts import shared
from pages.parts.models import Bundle

pytestmark = pytest.mark.usefixtures("examples")


def run_of(app, name: str = "watch") -> dict:
    return app.session_state[f"_once_{name}"][1]


def badges(app) -> str:
    return " ".join(m.value for m in app.markdown if "on this machine" in m.value)


@pytest.mark.parametrize("page", ["watch", "latency", "compare"])
def test_a_second_visitor_sees_the_run_of_the_first(tiny_weights, page):
    first, second = well(open_app(page)), well(open_app(page))
    assert run_of(second, page) is run_of(first, page)
    assert run_of(well(open_app(page, example="ship")), page) is not run_of(first, page), (
        "another picture is another run"
    )


def test_run_again_measures_for_everybody_who_comes_later(tiny_weights):
    first = well(open_app())
    before = run_of(first)
    well(first.button(key="run").click().run())
    assert run_of(first) is not before and run_of(first)["at"] > before["at"]
    assert run_of(well(open_app())) is run_of(first)
    well(first.segmented_control(key="speed").set_value("1x").run())
    assert run_of(first) is run_of(well(open_app())), (
        "the next click of something else does not measure again"
    )


def test_an_own_picture_is_measured_for_its_visitor_alone(tiny_weights):
    runs = []
    for _ in range(2):
        app = well(open_app())
        well(app.segmented_control(key="example_source").set_value("Upload").run())
        well(app.file_uploader[0].set_value(("a.png", png(9), "image/png")).run())
        kept = run_of(app)
        well(app.segmented_control(key="speed").set_value("1x").run())
        assert run_of(app) is kept
        runs.append(kept)
    assert runs[0] is not runs[1]


def test_what_the_cpu_did_in_place_of_another_device_is_not_shared(tiny_weights, monkeypatch):
    monkeypatch.setattr(Bundle, "device", property(lambda bundle: "cuda:0"))
    first, second = well(open_app()), well(open_app())
    assert run_of(first)["device"] == "cpu" and run_of(second) is not run_of(first)


def test_a_class_that_comes_at_once_is_measured_once(server):
    def visit(server) -> list[float]:
        with Visitor(server) as visitor:
            return visitor.open("example=airplane").rows().elapsed_ms.tolist()

    with ThreadPoolExecutor(5) as visitors:
        times = list(visitors.map(visit, [server] * 5))
    assert times == [times[0]] * 5, "to the last digit, so it is one measurement"


def test_the_age_of_a_run_is_told(tiny_weights):
    app = well(open_app())
    assert "live on this machine" in badges(app)
    for age, told in (
        (timedelta(minutes=5), "measured 5 min ago"),
        (timedelta(hours=3), "measured 3 h ago"),
    ):
        run_of(app)["at"] = datetime.now(UTC) - age
        app = well(open_app())
        assert told in badges(app) and "live" not in badges(app)


def test_the_record_says_when_its_rows_were_measured(tiny_weights, monkeypatch):
    records = []
    monkeypatch.setattr(
        "pages.parts.provenance.run_record", lambda *args, **how: records.append(args[1]) or {}
    )
    app = well(open_app())
    assert records[-1]["measured"] == run_of(app)["at"].isoformat(timespec="seconds")
    assert json.dumps(records[-1])


def test_only_the_latest_runs_are_kept(tiny_weights, monkeypatch):
    monkeypatch.setattr(shared, "KEPT_RUNS", 2)
    first = run_of(well(open_app()))
    for example in ("ship", "cup"):
        well(open_app(example=example))
    assert run_of(well(open_app())) is not first
