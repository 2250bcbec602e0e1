"""The panel "From coarse to fine" on Watch, for a task whose classes have a tree."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from bundles import BACKBONE, save_bundle
from visit import open_app, png, timeline, turn_to, well

from mvit.charts import compared
from mvit.charts.coarse import coarse_chart, coarse_rows
from mvit.charts.text import confidence_colour, sure_text
from mvit.models.cautious import Caution
from mvit.models.exit import Exit
from mvit.models.tree import tree_of
from mvit.tasks import TASKS
from pages.parts import lamps
from pages.parts.coarse import CAUTIOUS, finding

pytestmark = pytest.mark.usefixtures("examples")
TREE = tree_of("imagenet1k")


def sure_of(share: float, *classes: str) -> list[float]:
    """Class probabilities: `share` spread over the named classes, the rest over all."""
    scores = [(1 - share) / 1000] * 1000
    for name in classes:
        scores[TREE.names.index(name)] += share / len(classes)
    return scores


def exits(*scores) -> pd.DataFrame:
    rows = [{"layer": i, "head": "mlp", "scores": s} for i, s in enumerate(scores, 1)]
    rows[-1]["head"] = "final"
    return pd.DataFrame(rows)


def test_the_heading_tells_the_first_answer_and_when_the_last_one_came():
    dogs = sure_of(0.9, "beagle", "pug", "German shepherd")
    rows = coarse_rows(exits(dogs, sure_of(0.9, "pug"), sure_of(0.9, "pug")), TREE)
    assert finding(rows, TREE) == "First a dog, then pug from layer 2 on"
    assert coarse_chart(rows).to_dict()["layer"]
    assert rows.sure.tolist()[0].startswith("91")
    same = coarse_rows(exits(sure_of(0.9, "ice bear"), sure_of(0.9, "ice bear")), TREE)
    assert finding(same, TREE) == "Every exit is sure of polar bear"


def test_an_answer_that_is_lost_again_is_not_said_to_stay():
    pug, cat = sure_of(0.9, "pug"), sure_of(0.9, "tabby")
    rows = coarse_rows(exits(pug, cat, pug), TREE)
    said = "First it said pug, then tabby; at the final exit it says pug"
    assert finding(rows, TREE) == said


def test_a_mistake_in_the_middle_is_told_too():
    dogs, cat = sure_of(0.9, "beagle", "pug", "German shepherd"), sure_of(0.9, "tabby")
    rows = coarse_rows(exits(dogs, cat, cat, dogs, sure_of(0.9, "pug")), TREE)
    said = "First it said a dog, then tabby; at the final exit it says pug"
    assert finding(rows, TREE) == said


def test_an_early_kind_that_is_wrong_for_the_end_is_told_as_a_mistake():
    things = sure_of(0.9, "grand piano", "teapot", "airliner")
    pug = sure_of(0.9, "pug")
    rows = coarse_rows(exits(things, pug, pug), TREE)
    said = "First it said something made by people; from layer 2 on it says pug"
    assert finding(rows, TREE) == said


NOTHING = sure_of(0.9, "pug", "valley", "pizza", "teapot")


def test_exits_that_say_nothing_are_passed_over_and_show_no_share():
    pug = sure_of(0.9, "pug")
    rows = coarse_rows(exits(NOTHING, sure_of(0.9, "beagle", "pug"), pug), TREE)
    assert finding(rows, TREE) == "First a dog, then pug at the final exit"
    assert rows.says[0] == "not sure yet" and rows.sure[0] == "" and rows.probability[0] < 0.3
    heading = {
        "Not sure of anything at first; from layer 2 on it says pug": [NOTHING, pug, pug],
        "First it said pug; at the final exit it is not sure of anything": [pug, NOTHING],
        "No exit is sure of anything": [NOTHING, NOTHING],
    }
    found = [finding(coarse_rows(exits(*scores), TREE), TREE) for scores in heading.values()]
    assert found == [*heading]


def test_a_lamp_whose_exit_says_nothing_is_as_dim_as_its_best_guess():
    times = {"elapsed_ms": 1.0, "head_ms": 0.5, "ms": 1.0, "macs": 7}
    labels = TASKS["imagenet1k"].labels
    unsure = Caution(TREE).taken(Exit(1, "mlp", scores=NOTHING, labels=labels, **times))
    lamp = lamps.rows([unsure], plan=[(1, "mlp")], macs=[7], truth="pug")
    assert '<span class="what">not sure yet</span>' in lamp and "something" not in lamp
    share = sure_text(max(NOTHING))
    assert f"<span>{share}</span></div>" in lamp, "no sign of right or wrong either"
    assert f"--c:{confidence_colour(max(NOTHING))[0]}" in lamp
    assert f"not sure yet, {share} for its best guess" in lamp


@pytest.fixture
def two_tasks(tmp_path, monkeypatch):
    """Small bundles for ten things and for 1,000."""
    for name in ("imagenet1k", "cifar10"):
        save_bundle(tmp_path, replace(TASKS[name], input_px=64))
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))


def upload(app):
    app.segmented_control(key="example_source").set_value("Upload").run()
    return well(app.file_uploader[0].set_value(("mine.png", png(9), "image/png")).run())


def test_an_upload_goes_to_the_model_that_knows_many_things(two_tasks):
    app = well(open_app())
    assert app.selectbox(key="task").value == "cifar10"
    assert upload(app).selectbox(key="task").value == "imagenet1k"
    assert "the task is now *Any photo*" in app.toast[0].value
    app.selectbox(key="task").set_value("cifar10").run()
    assert well(app).selectbox(key="task").value == "cifar10"


def test_an_upload_gets_the_usual_head_of_the_model_that_answers_it(two_tasks, tmp_path):
    file = tmp_path / "imagenet1k" / BACKBONE / "card.json"
    card = json.loads(file.read_text())
    for exit in card["exits"]:
        exit["accuracy"] = 0.9 if exit["head"] == "resmlp" else 0.1
    file.write_text(json.dumps(card))
    app = well(open_app())
    assert app.pills(key="head").value == ["mlp"]
    assert upload(app).pills(key="head").value == ["resmlp"]
    app = well(app.button(key="example_back").click().run())
    assert app.pills(key="head").value == ["mlp"]


def who_answers(app) -> bool:
    return any("**Any photo (1,000 things)** answers here" in m.value for m in app.markdown)


def test_a_sentence_stays_that_tells_which_task_answers_an_upload_and_leads_back(two_tasks):
    app = upload(well(open_app()))
    assert who_answers(app) and who_answers(well(app.run()))
    app = well(app.button(key="example_back").click().run())
    assert app.selectbox(key="task").value == "cifar10" and not who_answers(app)
    assert upload(app).selectbox(key="task").value == "cifar10", "the visitor has chosen"


def test_an_upload_changes_no_task_that_the_link_keeps_from_the_visitor(two_tasks):
    app = upload(well(open_app(hide="sidebar")))
    assert not app.toast and not who_answers(app)


def test_an_upload_stays_with_the_task_that_the_link_asks_for(two_tasks):
    assert upload(well(open_app(task="cifar10"))).selectbox(key="task").value == "cifar10"


def test_an_upload_to_a_page_that_counts_changes_no_task(with_counter, tmp_path):
    save_bundle(tmp_path, replace(TASKS["imagenet1k"], input_px=64))
    app = well(open_app("crowd"))
    before = app.selectbox(key="task").value
    assert before in ("cifar10", "cifar100")
    assert upload(app).selectbox(key="task").value == before


def test_watch_shows_the_panel_for_any_photo_and_for_no_other_task(two_tasks):
    app = well(open_app(task="imagenet1k"))
    assert any("WordNet" in c.value for c in app.caption)
    assert any("mlp after every layer was asked" in c.value for c in app.caption)
    assert any("answer (no more than an exit is sure of)" in m.value for m in work_of(app))
    run = app.session_state["_once_watch"][1]  # the page's one run tells all that the panel shows
    assert [layer for layer, _ in run["scores"]] == [*range(1, 13), 12]
    assert run["scores"][12, "final"] == pytest.approx(run["exits"][-1].scores, abs=1e-4)
    assert "_once_coarse" not in app.session_state
    app = well(open_app(task="cifar10"))
    assert not any("WordNet" in c.value for c in app.caption)
    assert work_of(app) and not any("sure of" in m.value for m in work_of(app))


def work_of(app) -> list:
    """The heading on the work until the answer is settled."""
    return [m for m in app.markdown if "the plain network's" in m.value]


def test_lamps_headline_and_panel_say_the_same_at_the_same_exit(two_tasks):
    app = well(open_app(task="imagenet1k", exits="all layers"))
    run, shown = app.session_state["_once_watch"][1], timeline(app)
    found = [{"layer": b, "head": h, "scores": s} for (b, h), s in run["scores"].items()]
    panel = coarse_rows(pd.DataFrame(found), TREE)
    assert [e["answer"] for e in shown["exits"]] == [s.replace("_", " ") for s in panel.says]
    assert panel.says.iloc[-1] in shown["finding"]
    vague = run["exits"][0]  # untrained, so it is sure of no name
    assert f"best guess: {vague.label}" in shown["exits"][0]["how"]
    assert f'<span class="guess">best guess: {vague.label}</span>' in shown["parts"]["lamps"]


def test_compare_says_what_watch_says(two_tasks):
    app = well(open_app(task="imagenet1k", exits="all layers"))
    watched = [e["answer"] for e in timeline(app)["exits"]]
    rows = well(turn_to(app, "compare")).session_state["_once_compare"][1]["rows"]
    own = rows[rows["head"].isin(["mlp", "final"])]
    assert own.answer.tolist() == watched
    assert any(CAUTIOUS == c.value for c in app.caption)
    vague = own.iloc[0]  # untrained, so it is sure of no name
    assert vague.guess and vague.guess != vague.answer
    app = well(app.selectbox(key="left").set_value("mlp").run())
    guess = own.guess[own.layer == app.slider(key="layer").value].iloc[0]
    assert f"best guess: {guess}" in [m.delta for m in app.metric if m.label == "Confidence"]


def test_a_kind_to_which_the_final_answer_belongs_does_not_contradict_it():
    times = {"elapsed_ms": 1.0, "head_ms": 0.5, "ms": 1.0, "macs": 7}
    says = [sure_of(0.9, "beagle", "pug"), sure_of(0.9, "tabby"), NOTHING, sure_of(0.9, "pug")]
    run = [
        Exit(4 if head == "final" else layer, head, scores=s, labels=TREE.names[:1000], **times)
        for layer, (s, head) in enumerate(zip(says, ["mlp", "mlp", "mlp", "final"], strict=True), 1)
    ]
    said = [Caution(TREE).taken(e) for e in run]
    rows = compared.comparison(
        SimpleNamespace(head_macs=lambda *place: 1), [run], said, truth="pug"
    )
    assert rows.answer.tolist() == ["a dog", "tabby", "not sure yet", "pug"]
    assert rows.agreement.tolist() == [
        compared.FITS,
        compared.DIFFERS,
        compared.FITS,
        compared.AGREES,
    ]
    assert rows.verdict.tolist() == ["right", "wrong", "no truth known", "right"]
    assert compared.agreement(rows).startswith("No exit says 'pug'")
    silent = compared.comparison(
        SimpleNamespace(head_macs=lambda *p: 1), [run[2:3]], said[2:3], truth=""
    )
    told = "The final exit is not sure of anything, nor are 0 of 0 other exits"
    assert compared.agreement(silent.assign(head="final")) == told
