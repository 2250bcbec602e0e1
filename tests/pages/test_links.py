"""What a link holds and hides: every word does what docs/teaching.md says, unknown ones are named,
and photos are never in it."""

import re
from pathlib import Path

import pytest
from visit import open_app, png, turn_to, well

from mvit.policies.rules import POLICIES
from pages.parts.lesson.steps import STEPS
from pages.parts.link import HIDEABLE

pytestmark = pytest.mark.usefixtures("examples")

ROOT = Path(__file__).resolve().parents[2]


def test_every_key_of_a_control_can_be_hidden_and_is_known_by_name():
    files = [f for f in (ROOT / "pages").rglob("*.py") if f.name != "__init__.py"]
    source = "\n".join(f.read_text() for f in files)
    linked = re.findall(r"ui\.linked\([^()]*?key=\"(\w+)\"", source)
    asked = [
        k
        for call in re.findall(r"hidden\(([^()]*)\)", source)
        for k in re.findall(r'"(\w+)"', call)
    ]
    assert len(linked) > 30 and "teacher" in asked
    assert {*linked, *asked} - HIDEABLE - {rule.key for rule in POLICIES.values()} == set()


def test_unknown_names_are_said_and_the_rest_is_obeyed(tiny_weights):
    app = well(open_app("compare", hide="zebra,layer, ,sidebar"))
    assert len(app.info) == 1 and "hides zebra, which is no part" in app.info[0].value
    assert not app.slider and not app.sidebar.selectbox


def test_a_step_beyond_the_last_opens_the_last(tiny_weights):
    app = well(open_app("lesson", step="99", hide="teacher"))
    assert app.header[0].value == STEPS[-1].title and app.button(key="next").disabled
    assert len(app.info) == 1 and "step = 99" in app.info[0].value


@pytest.mark.parametrize(
    ("page", "asked"),
    [("lesson", {"step": "99"}), ("lesson", {"skip": "lunch"}), ("watch", {"task": "zebra"})],
)
def test_what_was_mended_is_said_where_nothing_can_be_closed_over_it(page, asked, tiny_weights):
    app, [[key, value]] = well(open_app(page, **asked)), asked.items()
    assert f"The link asks for {key} = {value}" in app.main[0].info[0].value
    assert not app.sidebar.info and not any(panel.info for panel in app.expander)


def test_without_the_teachers_panel_there_is_no_step_slider_and_no_head_menu(tiny_weights):
    app = well(open_app("lesson", hide="sidebar,teacher,nav", step="2"))
    assert not app.slider and not app.selectbox and not app.code
    assert not app.get("page_link") and {b.key for b in app.button} == {"reveal"}


def test_a_photo_stays_as_a_chip_on_every_page_with_its_name_but_not_in_the_link(tiny_weights):
    app = well(open_app("compare"))
    well(app.segmented_control(key="example_source").set_value("Upload").run())
    for seed in (9, 10):
        well(app.file_uploader[0].set_value((f"holiday {seed}.png", png(seed), "image/png")).run())
    assert app.pills(key="example").options[-2:] == ["photo 1", "photo 2"]
    assert app.pills(key="example").value == "photo 2"
    assert any("holiday 10.png. Photos are not in links" in c.value for c in app.caption)
    well(turn_to(app, "watch"))
    assert app.pills(key="example").options[-2:] == ["photo 1", "photo 2"]
    well(app.pills(key="example").set_value("photo 1").run())
    assert any("holiday 9.png" in c.value for c in app.caption)


def test_a_link_to_somebodys_photo_opens_an_example_and_says_why(tiny_weights):
    app = well(open_app("compare", example="photo 1"))
    assert app.pills(key="example").value == "cat"
    assert len(app.info) == 1 and "Photos are not in links" in app.info[0].value


def test_a_followed_link_wins_over_what_the_visit_holds(tiny_weights):
    app = well(open_app("compare", layer="3"))
    app.slider(key="layer").set_value(5).run()
    app.query_params["layer"], app.query_params["followed"] = "9", "1"
    well(app.run())
    assert app.slider(key="layer").value == 9 and "followed" not in app.query_params
    well(app.slider(key="layer").set_value(4).run())
    assert app.slider(key="layer").value == 4


def test_what_a_followed_link_asks_for_ends_with_its_page(tiny_weights):
    app = well(open_app("models"))
    app.query_params |= {"layer": "9", "followed": "1"}  # of which that page has no control
    well(app.run())
    del app.query_params["layer"]
    assert well(turn_to(app, "compare")).slider(key="layer").value == 6
