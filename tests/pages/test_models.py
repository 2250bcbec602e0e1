"""The Models page: which card it shows."""

import shutil
from dataclasses import replace

import pytest
from bundles import BACKBONE, save_bundle
from visit import open_app, well

from mvit.tasks import TASKS


@pytest.fixture
def two_models(tmp_path, monkeypatch):
    """Small bundles of two tasks."""
    for name in ("cifar10", "cifar100"):
        save_bundle(tmp_path, replace(TASKS[name], input_px=64))
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))


def test_the_card_follows_a_later_choice_in_the_sidebar_and_the_link_before_it(two_models):
    app = well(open_app("models", card=f"cifar100/{BACKBONE}"))
    assert app.selectbox(key="card").value == f"cifar100/{BACKBONE}"
    app = well(app.selectbox(key="task").set_value("cifar100").run())
    app = well(app.selectbox(key="task").set_value("cifar10").run())
    assert app.selectbox(key="card").value == f"cifar10/{BACKBONE}"
    app = well(app.selectbox(key="card").set_value(f"cifar100/{BACKBONE}").run())
    assert app.selectbox(key="card").value == f"cifar100/{BACKBONE}"


def test_where_the_sidebar_says_auto_the_card_is_that_of_the_usual_model(two_models, tmp_path):
    usual = tmp_path / "cifar10" / BACKBONE
    for name in ("base", f"{BACKBONE}_end_to_end"):
        shutil.copytree(usual, usual.with_name(name))
    app = well(open_app("models"))
    assert app.selectbox(key="backbone").value == "auto"
    assert app.selectbox(key="card").value == f"cifar10/{BACKBONE}"


def test_bundles_that_are_intact_are_told_in_one_line(two_models):
    app = well(open_app("models"))
    app = well(app.button(key="verify").click().run())
    assert [s.value for s in app.success] == ["All 2 bundles: every file is intact."]
