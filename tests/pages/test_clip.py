"""Clips on the page "Crowd": counted once, each frame leaving by the rule, bad files said."""

import pytest
import streamlit as st
from visit import charts, metric, png, well

from pages.parts.crowd import clip_frames


@pytest.fixture
def show(lab, monkeypatch):
    """Opens the page at clips; drawn ones are small."""
    monkeypatch.setattr(clip_frames, "DRAWN_FRAMES", 3)
    monkeypatch.setattr(clip_frames, "DRAWN_SIZE", (192, 128))
    return lambda **link: lab(count="Clip", people="6", **link)


def upload(app, *files):
    app.file_uploader(key="crowd_clip").set_value([(n, d, "image/png") for n, d in files])
    return app.run()


def test_a_drawn_clip_is_counted_with_its_truth(show):
    app = well(show())
    assert metric(app, "Frames") == "3" and charts(app) == 2
    rows = app.dataframe[0].value
    assert list(rows.truth) == [0, 6, 0] and list(rows.second) == [0, 1, 2]
    seen = app.session_state["_clip"][1]
    assert seen[2].trace is seen[0].trace and seen[2].name == "frame 3"  # equal: counted once
    assert rows["count"].notna().all() and set(rows.layer) <= set(range(1, 13))


def test_another_rule_or_budget_does_not_count_again(show):
    app = well(show(head="mlp"))
    done = app.session_state["_clip"][1]
    before = app.dataframe[0].value
    app.select_slider(key="tau").set_value(0.01)
    app.slider(key="few").set_value(0)
    well(app.select_slider(key="work").set_value(0.5).run())
    after = app.dataframe[0].value
    assert app.session_state["_clip"][1] is done and list(after.whole) == list(before.whole)
    assert after.work.max() <= 0.5


def test_a_stopped_clip_shows_what_is_counted_and_goes_on(show):
    app = well(show())
    key, done = app.session_state["_clip"]
    last = done.pop()
    app.session_state["_clip_stopped"] = key
    app = well(app.run())
    assert metric(app, "Frames") == "2" and "2 of 3 frames" in app.info[0].value
    app = well(app.button(key="clip_go").click().run())
    assert metric(app, "Frames") == "3"
    assert app.session_state["_clip"][1][-1].trace["count"].equals(last.trace["count"])


def test_a_frame_that_another_script_has_counted_meanwhile_is_there_once(show, monkeypatch):
    count = clip_frames._count

    def also_by_another(bundle, head, frame):
        found = count(bundle, head, frame)
        done = st.session_state["_clip"][1]
        if not done:  # a click began a later script, which was quicker
            done.append(found)
        return found

    monkeypatch.setattr(clip_frames, "_count", also_by_another)
    rows = well(show()).dataframe[0].value
    assert list(rows.truth) == [0, 6, 0] and list(rows.second) == [0, 1, 2]


def test_frames_that_cannot_be_read_are_said_and_the_rest_is_counted(show):
    app = show(clip="Your clip")
    app = well(upload(app, ("2.png", b"text"), ("1.png", png(1)), ("3.png", png(2))))
    assert metric(app, "Frames") == "2"
    assert [w.value.split(":")[0] for w in app.warning] == ["2.png"]
    assert list(app.dataframe[0].value.name) == ["1.png", "2.png", "3.png"]


@pytest.mark.parametrize(
    "data, said",
    [
        (b"\x00\x00\x00\x18ftypmp42" + bytes(300), "no frames that can be decoded"),
        (b"text", "None of the frames could be read"),
    ],
)
def test_a_clip_with_nothing_to_see_is_an_error_and_the_page_stays(show, data, said):
    app = upload(show(clip="Your clip"), ("a.mp4", data))
    assert not app.exception and said in app.error[0].value and not app.metric
