"""What the first page shows while the server starts, and what takes its place."""

import shutil

import pytest
import streamlit as st
from bundles import BACKBONE
from visit import open_app, timeline, well

from mvit.bundles import first_view, opening, weights
from mvit.cli.main import main
from pages.parts import first, start


@pytest.fixture
def starting(own_weights, examples, monkeypatch):
    """A server that still imports its libraries, with a recorded run of its first example."""
    monkeypatch.setattr(opening, "EXAMPLES", examples)
    main(["trace", str(examples / "cat.png"), "--record", "--json"])
    monkeypatch.setattr(start, "begin", lambda: None)
    monkeypatch.setattr(start, "over", lambda: False)
    monkeypatch.setattr(start, "wait", st.stop)
    monkeypatch.setattr(start, "wait_for_model", lambda: None)
    return own_weights / "cifar10" / BACKBONE


def badges(app) -> str:
    return " ".join(m.value for m in app.markdown if "badge" in m.value)


def recorded(app) -> bool:
    return "recorded on" in badges(app)


def test_the_recorded_run_is_shown_before_anything_is_imported_and_says_so(starting):
    app, kept = well(open_app()), first_view.read(starting)
    shown = timeline(app)
    assert recorded(app) and kept.device in badges(app) and kept.made in badges(app)
    assert "live" not in badges(app) and not app.selectbox
    assert [e["ms"] for e in shown["exits"]] == [e.elapsed_ms for e in kept.exits]
    assert shown["plain"] == kept.plain_ms and app.title[0].value == "Watch exits fire"


def test_the_live_run_takes_its_place_without_a_click(starting, monkeypatch):
    states = iter([False, True])
    monkeypatch.setattr(start, "over", lambda: next(states))
    monkeypatch.setattr(start, "wait", lambda: None)
    app = well(open_app())
    assert "live on this machine" in badges(app) and not recorded(app) and timeline(app)


def test_a_link_that_asks_for_something_is_answered_live_only(starting):
    for asked in ({"head": "mlp"}, {"example": "ship"}, {"task": "cifar10"}, {"page": "models"}):
        app = well(open_app(**asked))
        assert not recorded(app) and not app.get("bidi_component")


def test_a_record_of_another_picture_or_of_other_weights_is_not_shown(starting, examples):
    shutil.copy(examples / "ship.png", examples / "cat.png")
    assert not recorded(well(open_app()))


def test_without_a_record_the_page_waits_as_before(starting):
    (starting / first_view.FILE).unlink()
    assert not recorded(well(open_app()))


def test_the_record_that_comes_with_the_lab_fits_its_weights_and_its_first_example():
    if not weights.bundles():
        pytest.skip("the weights are not here")
    how = "docs/deploying.md says how to record the first page's run anew"
    assert first.record() is not None, how
