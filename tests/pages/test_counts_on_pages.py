"""Every page with a task that counts: it works, or it says kindly where counts are shown."""

import pytest
from visit import open_app, well

from pages.parts import models


@pytest.mark.parametrize("page", ["watch", "compare", "latency", "rules", "budget", "lesson"])
def test_a_counter_is_not_loaded_where_counts_are_not_shown(lab, page, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("loaded"))
    well(open_app(page, task="crowd"))


@pytest.mark.parametrize("page", ["watch", "compare", "latency", "rules", "budget"])
def test_pages_about_classes_point_to_the_crowd_page(lab, page):
    app = well(open_app(page, task="crowd"))
    assert any("gives counts" in i.value for i in app.info) and not app.metric


def test_the_lesson_says_that_it_asks_for_names(lab):
    app = well(open_app("lesson", task="crowd"))
    assert any("answers with a number" in i.value for i in app.info)


def test_the_papers_page_draws_error_against_work(lab):
    app = well(open_app("paper", task="crowd"))
    assert len(app.get("vega_lite_chart")) == 1 and {"mae", "macs"} <= set(
        app.dataframe[0].value.columns
    )
    assert any("11.07" in m.value for m in app.markdown)


def test_the_models_page_tells_the_best_exit_by_its_error(lab):
    app = well(open_app("models", task="crowd"))
    assert any(
        "Best early exit: **mlp at layer 11**, off by 16.0 people" in m.value for m in app.markdown
    )


def test_the_head_shown_first_is_the_one_with_the_least_error(lab):
    assert well(lab(count="Several photos")).selectbox(key="head").value == "mlp"
