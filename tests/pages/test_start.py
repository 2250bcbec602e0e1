"""The start in the background: each thing once, in order, and never in a visitor's way."""

from importlib import util

import pytest
from visit import open_app, well

from mvit.bundles.weights import WeightsError
from pages.parts import choice, models, queue, rehearsal, start


@pytest.fixture
def beginning():
    """The module as a new process has it, with nothing begun."""
    spec = util.spec_from_file_location("a_start", start.__file__)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.EVERY_PAGE, module.LATER, module.CALM_S = ("json",), (), 0.1
    return module


def test_it_happens_once_and_pages_wait_for_libraries_alone(beginning):
    begun = []
    beginning.warm_up = lambda: begun.append(beginning.over())
    assert not beginning.over()
    threads = {beginning.begin() for _ in range(3)}
    beginning.wait()
    [thread] = threads
    thread.join()
    assert begun == [True]


def test_a_library_that_is_missing_is_left_to_the_page_to_tell(beginning, caplog):
    beginning.EVERY_PAGE = ("no_such_library",)
    beginning.warm_up = lambda: pytest.fail("there is nothing to load with")
    beginning.begin().join()
    assert beginning.over() and "could not be imported" in caplog.text


def test_models_are_loaded_in_turn_with_the_visitors_and_a_refused_one_is_passed_over(
    beginning, monkeypatch
):
    loaded = []

    def load(name: str) -> None:
        loaded.append((name, len(queue.QUEUE)))
        if name == "damaged":
            raise WeightsError("damaged")

    monkeypatch.setattr(choice, "openings", lambda: [("damaged",), ("intact",)])
    monkeypatch.setattr(models, "load", load)
    beginning.warm_up()
    assert loaded == [("damaged", 1), ("intact", 1)] and len(queue.QUEUE) == 0


def test_what_is_loaded_beforehand_is_what_pages_open_with(with_counter, monkeypatch):
    asked, load = [], models.load
    monkeypatch.setattr(models, "load", lambda *which: asked.append(which) or load(*which))
    for page in (None, "crowd"):
        well(open_app(page))
    assert asked == choice.openings() and {task for task, *_ in asked} == {"cifar10", "crowd"}


def test_every_page_but_the_first_is_opened_once_by_nobody(beginning, monkeypatch):
    opened = []
    beginning.LATER = ("json", "csv")
    monkeypatch.setattr(rehearsal, "possible", lambda: True)
    monkeypatch.setattr(rehearsal, "visit", lambda page, go_on: opened.append((page, go_on())))
    beginning.rehearse()
    assert opened == [("json", True), ("csv", True)]


def test_another_release_of_streamlit_leaves_the_start_whole(beginning, monkeypatch):
    def visit(page: str, go_on) -> None:
        raise AttributeError("no such part")

    beginning.LATER = ("json",)
    monkeypatch.setattr(rehearsal, "possible", lambda: True)
    monkeypatch.setattr(rehearsal, "visit", visit)
    beginning.rehearse()
