"""'I do not know this' beside an answer, and its figures on the Models page."""

from dataclasses import replace

import pytest
from bundles import save_bundle
from visit import open_app, timeline, well

from mvit.bundles import weights
from mvit.tasks import TASKS

pytestmark = pytest.mark.usefixtures("examples")
TOLD = {
    "method": "energy",
    "exits": [[8, "mlp"], [12, "final"]],
    "wrongly": 0.05,
    "chosen_on": 1000,
    "known": [{"name": "test pictures", "n": 900, "warned": 0.048}],
    "others": [
        {"name": "rooms", "n": 300, "warned": 0.61, "auroc": 0.93},
        {"name": "trains", "n": 300, "warned": 0.42, "auroc": 0.88},
    ],
}


@pytest.fixture
def says(tmp_path, monkeypatch):
    """A function that makes bundles of these tasks whose check warns about every picture, or about
    none."""

    def make(always: bool, *tasks: str):
        for name in tasks:
            card = save_bundle(tmp_path, replace(TASKS[name], input_px=64))
            told = TOLD | {"threshold": 1e9 if always else -1e9}
            weights.write_card(next((tmp_path / name).iterdir()), card | {"unlike": told})
        monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))

    return make


def words(app, page: str | None = None) -> str:
    """What stands beside the answer."""
    return app.warning[0].value if page == "compare" else timeline(app)["unknown"]


@pytest.mark.parametrize("page", [None, "compare", "latency"])
def test_an_unknown_picture_is_said_to_be_one_beside_the_answer_and_the_way_on_works(says, page):
    says(True, "cifar10", "imagenet1k")
    app = well(open_app(page))
    assert words(app, page).startswith("I do not know this: it looks like none of the ten kinds of")
    app.button(key="know_more").click().run()
    assert well(app).selectbox(key="task").value == "imagenet1k"
    assert "none of the 1,000 kinds of thing" in words(app, page)
    assert not any(b.key == "know_more" for b in app.button)


def test_a_known_picture_and_a_card_without_a_check_are_left_alone(says, tmp_path):
    says(False, "cifar10", "imagenet1k")
    assert words(well(open_app())) == ""
    assert not well(open_app("compare")).warning
    save_bundle(tmp_path, replace(TASKS["cifar10"], input_px=64))
    assert words(well(open_app())) == ""


def test_a_link_that_hides_the_tasks_leaves_no_way_to_another(says):
    says(True, "cifar10", "imagenet1k")
    app = well(open_app(hide="sidebar"))
    assert words(app).endswith("The answer is a guess.")
    assert not any(b.key == "know_more" for b in app.button)


def test_a_model_that_was_shown_no_unknown_things_has_no_empty_table(says, monkeypatch):
    monkeypatch.setitem(TOLD, "others", [])
    says(False, "cifar10")
    app = well(open_app("models"))
    told = " ".join(e.value for e in [*app.markdown, *app.caption])
    assert "wrongly of 4.8\u00a0% of the 900 test pictures" in told
    assert "unknown things was not measured for this model" in told and "AUROC" not in told
    assert not any("of things" in t.value.columns for t in app.table)


def test_the_error_rates_are_on_the_models_page(says):
    says(False, "cifar10")
    app = well(open_app("models"))
    told = [m.value for m in app.markdown if "I do not know this" in m.value]
    assert "wrongly of 4.8\u00a0% of the 900 test pictures" in told[0]
    assert "rightly of 42\u00a0% to 61\u00a0% of other things" in told[0]
    rows = app.table[0].value.set_index("pictures")
    assert rows.loc["rooms (300)"].tolist() == ["unknown", "61\u00a0%", "93\u00a0%"]
    assert rows.loc["test pictures (900)"].tolist() == ["known", "5\u00a0%", ""]
