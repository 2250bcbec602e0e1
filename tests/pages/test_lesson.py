"""The page "Lesson" through Streamlit's test client: every step asks, waits for a guess, and tells
what the network itself says."""

import random
import re

import pytest
from bundles import BACKBONE, HEADS, save_bundle
from recorded import record
from visit import metric, open_app, png, turn_to, well

from mvit.evaluation import lesson
from mvit.tasks import CIFAR100_LABELS, Task
from pages.parts import models
from pages.parts.lesson.picture import what_it_does
from pages.parts.lesson.steps import STEPS
from pages.parts.pictures import picture_of

pytestmark = pytest.mark.usefixtures("examples")

NUMBER = {step.name: n for n, step in enumerate(STEPS, 1)}


def at(step: str, **params):
    """The app, opened by a link at this step."""
    return well(open_app("lesson", step=str(NUMBER[step]), **params))


def widget(app):
    """The present step's guess: pills or a slider; None once the answer is shown."""
    asked = [*app.pills, *app.select_slider]
    return next((w for w in asked if (w.key or "").startswith("guess_")), None)


def said(app) -> list[str]:
    return [e.value for e in [*app.success, *app.info]]


def guess(app, value=None):
    """Guess (the first option or about the middle, if nothing is named) and look at the answer."""
    asked = widget(app)
    if value is None:
        value = asked.options[0] if asked.type != "select_slider" else 51
    asked.set_value(value)
    app.run()
    return well(app.button(key="reveal").click().run())


def kept(app, step: str) -> dict:
    return app.session_state["_lesson_guesses"][step]


def model():
    return models.load("cifar10", BACKBONE, "cpu").model


def test_every_step_waits_for_a_guess_and_then_tells(recorded):
    app = at("patches")
    for n, step in enumerate(STEPS, 1):
        assert app.header[0].value == step.title and widget(app) is not None, step.name
        assert not said(app) and "guess" not in app.session_state["_lesson_guesses"].get(
            step.name, {}
        )
        guess(app)
        assert len(said(app)) == 1 and len(said(app)[0]) > 30 and widget(app) is None, step.name
        assert kept(app, step.name)["finding"] in said(app)[0]
        if n < len(STEPS):
            well(app.button(key="next").click().run())
    right = sum(g["right"] for g in app.session_state["_lesson_guesses"].values())
    assert any(m.value.count(f"{right} of {len(STEPS)} guesses right") for m in app.markdown)
    assert (
        app.subheader[-1].value == f"What you found out, with {right} of {len(STEPS)} guesses right"
    )
    assert app.button(key="next").disabled and not app.button(key="previous").disabled
    assert len(app.get("download_button")) == 2


def test_answers_come_from_the_network_the_card_and_the_records(recorded):
    test = recorded["test"]
    pixels = picture_of(png(0), "", None, "").pixels
    first = next(iter(model().run(pixels, [(1, "mlp")])))
    app = guess(at("first", head="mlp"), first.label)
    assert kept(app, "first")["right"] and app.success and first.label in said(app)[0]
    app = guess(at("sure", head="mlp"))
    assert kept(app, "sure")["answer"] == f"{100 * first.confidence:.0f}\u00a0%"
    app = guess(at("overthinking", head="mlp"), 0)
    share = lesson.rescue(test.of_head("mlp")).share
    assert kept(app, "overthinking")["answer"] == f"{100 * share:.0f}\u00a0%"
    app = guess(at("work", head="resmlp"))
    share = model().exit_macs(6, "resmlp") / model().exit_macs(12, "final")
    assert (
        kept(app, "work")["answer"] == f"{100 * share:.0f}\u00a0%"
        and len(app.get("vega_lite_chart")) == 3
    )
    app = guess(at("patches"), "16")
    assert kept(app, "patches")["right"] and "4 × 4 = 16" in said(app)[0]


def test_the_clock_really_interrupts_two_runs_and_again(tiny_weights):
    app = at("clock")
    nothing, *few, end = widget(app).options
    assert 1 <= len(few) <= 4, "each exit delays the later ones"
    app = guess(app)
    with_exits, without = app.session_state["_once_lesson_clock"][1]
    assert with_exits.deadline_ms == without.deadline_ms and all(
        e.elapsed_ms <= with_exits.deadline_ms for e in with_exits.finished
    )
    well(app.button(key="lesson_again").click().run())
    assert app.session_state["_once_lesson_clock"][1][0] is not with_exits and len(said(app)) == 1


def test_a_slider_that_nobody_moved_is_no_guess(tiny_weights):
    app = at("sure")
    assert app.button(key="reveal").disabled
    well(app.select_slider(key="guess_sure").set_value(50).run())
    assert not app.button(key="reveal").disabled
    well(app.pills(key="example").set_value("ship").run())
    assert app.button(key="reveal").disabled, "another picture is another question"


def test_next_stands_under_the_answer_too(tiny_weights):
    app = guess(at("patches"))
    well(app.button(key="on").click().run())
    assert app.header[0].value == STEPS[1].title


def test_steps_can_be_left_out_by_link(tiny_weights):
    left = [s.name for s in STEPS[1:-1]]
    app = well(open_app("lesson", skip=left, step="2"))
    assert app.header[0].value == STEPS[-1].title and app.button(key="next").disabled
    assert app.slider(key="step").max == 2


def test_exits_leave_the_backbone_s_own_answer_as_it_is(tiny_weights):
    app = guess(at("training"), "they stay exactly the same")
    assert kept(app, "training")["right"] and app.success


def test_a_wrong_guess_can_be_taken_back(tiny_weights):
    app = guess(at("patches"), "1")
    assert not kept(app, "patches")["right"] and not app.success and len(app.info) == 1
    well(app.button(key="again").click().run())
    assert widget(app) is not None and not said(app) and not app.session_state["_lesson_guesses"]
    guess(app, "16")
    assert len(app.success) == 1
    well(app.button(key="over").click().run())
    assert not app.session_state["_lesson_guesses"] and widget(app) is not None


def test_another_picture_asks_anew(tiny_weights):
    app = guess(at("settle"))
    well(app.pills(key="example").set_value("ship").run())
    assert widget(app) is not None and not said(app)


def test_the_picture_stays_from_step_to_step(tiny_weights):
    app = at("patches", example="ship")
    well(app.button(key="next").click().run())
    assert app.pills(key="example").value == "ship"
    app = at("sure", example="ship")
    well(app.button(key="next").click().run())
    well(app.button(key="next").click().run())
    assert app.header[0].value == "When does it know?" and app.pills(key="example").value == "ship"


@pytest.mark.parametrize(("asked", "shown"), [("99", len(STEPS)), ("-4", 1), ("many", 1), ("", 1)])
def test_an_illegal_step_is_mended_and_said(asked, shown, tiny_weights):
    app = well(open_app("lesson", step=asked))
    assert app.header[0].value == STEPS[shown - 1].title and f"step = {asked}" in app.info[0].value


def test_garbage_in_the_link_leaves_the_page_standing(tiny_weights):
    chance = random.Random(3)
    for _ in range(3):
        garbage = {
            k: "".join(chance.choices("ab01-.%<'\"é中 ", k=9))
            for k in ("step", "head", "example", "hide", "threshold", "points")
        }
        app = open_app("lesson", **garbage)
        assert not app.exception and not app.error and app.header


def test_the_buttons_walk_even_when_the_link_hides_the_slider(tiny_weights):
    app = well(open_app("lesson", step="2", hide="step,sidebar"))
    assert "step" not in [s.key for s in app.slider] and not [
        s for s in app.selectbox if s.key == "task"
    ]
    well(app.button(key="next").click().run())
    assert app.header[0].value == STEPS[2].title
    well(app.button(key="previous").click().run())
    assert app.header[0].value == STEPS[1].title


def test_hide_guess_shows_the_answers_at_once_and_all_leaves_no_control(tiny_weights):
    app = at("patches", hide="guess")
    assert widget(app) is None and "16 patches" in said(app)[0]
    app = at("patches", hide="all")
    controls = {w.key for w in [*app.slider, *app.selectbox, *app.button]} - {
        "task",
        "backbone",
        "device",
    }
    assert not controls and "16 patches" in said(app)[0]


def test_the_teacher_s_link_opens_the_same_step_with_less_on_it(tiny_weights):
    app = at("heads", example="ship")
    link = app.code[0].value
    assert f"step={NUMBER['heads']}" in link and "hide=sidebar,teacher" in link
    app.pills(key="teacher_hide").set_value(["upload", "go"])
    well(app.run())
    query = dict(part.split("=") for part in app.code[0].value.partition("?")[2].split("&"))
    assert query["hide"] == "upload,go"
    again = well(open_app("lesson", **query))
    assert again.header[0].value == app.header[0].value


def test_without_records_a_step_is_passed_over_kindly(tiny_weights):
    app = at("rule")
    assert len(app.info) == 1 and "records none" in app.info[0].value and widget(app) is None
    well(app.button(key="next").click().run())
    well(app.button(key="next").click().run())
    assert widget(app) is not None


@pytest.mark.parametrize("step", ["trust", "overthinking"])
def test_a_step_about_many_pictures_says_if_there_are_too_few(step, own_weights):
    record(own_weights, pictures=2)
    app = at(step)
    assert any("this model has 2 test pictures" in i.value for i in app.info)
    assert "reveal" not in [b.key for b in app.button]


def test_the_threshold_can_be_tried_after_the_answer(recorded):
    app = guess(at("rule"))
    before = metric(app, "Leave early")
    well(app.slider(key="threshold").set_value(0.3).run())
    assert metric(app, "Leave early") != before and kept(app, "rule")["finding"] in said(app)[0]


def test_many_classes_become_a_few_choices_with_the_answer_among_them(own_weights):
    save_bundle(own_weights, Task("cifar100", CIFAR100_LABELS, native_px=32, input_px=64))
    app = at("first", task="CIFAR-100")
    options = widget(app).options
    assert 4 < len(options) < 12
    guess(app, options[0])
    assert kept(app, "first")["answer"] in options


def test_a_task_that_counts_is_sent_to_one_with_classes(with_counter):
    app = well(open_app("lesson", task="Crowd counting", step="3"))
    assert (
        len(app.info) == 1
        and "Crowd counting answers with a number" in app.info[0].value
        and widget(app) is None
    )
    well(app.button(key="switch_cifar10").click().run())
    assert app.selectbox(key="task").value == "cifar10" and app.header[0].value == STEPS[2].title


def test_every_step_offers_a_way_deeper_and_says_what_it_shows(tiny_weights):
    app = guess(at("heads"), HEADS[0])
    assert app.get("page_link") and all(
        re.match(r"[A-Z]", step.title) and step.deeper[1] for step in STEPS
    )
    assert not guess(at("heads", hide="go"), HEADS[0]).get("page_link")


def test_a_photo_of_the_class_is_not_in_the_teachers_link(tiny_weights):
    app = at("first", example="ship")
    assert "example=ship" in app.code[0].value
    well(app.segmented_control(key="example_source").set_value("Upload").run())
    well(app.file_uploader[0].set_value(("mine.png", png(9), "image/png")).run())
    assert "example" not in app.code[0].value
    assert any("photo is not in this link" in c.value for c in app.caption)


def test_a_short_link_opens_a_step_from_the_lessons_own_address(tiny_weights):
    app = turn_to(open_app(), "lesson", lesson="4")
    assert app.title[0].value == "Lesson" and app.header[0].value == STEPS[3].title


def test_a_short_link_opens_a_step(tiny_weights):
    app = well(open_app("watch", lesson="3"))  # it names a page too, and the lesson wins
    assert app.title[0].value == "Lesson" and app.slider(key="step").value == 3


def test_a_head_is_told_in_whole_sentences():
    assert what_it_does("vit") == (
        "It runs one more transformer layer, but only what its class token needs, which it reads. "
        "The class token is the vector in which the network gathers what the whole picture shows."
    )
    assert what_it_does("lens").startswith("It looks ahead: one linear map")
