"""The plain network's time is one figure on every page, or the page says why it is another."""

import re

import pytest
from visit import open_app, timeline, well

from mvit.bundles import weights
from mvit.clock import Timing
from pages.parts import baseline

pytestmark = pytest.mark.usefixtures("examples")

PAGES = {  # every page that shows it
    "watch": {},
    "latency": {},
    "compare": {},
    "rules": {},
    "budget": {},
    "lesson": {"step": "7", "hide": "guess"},
}


def told(app) -> list[str]:
    """What the page says of the plain network's time, in its badges."""
    said = [re.search(r"plain network: ([^\]]*)", m.value) for m in app.markdown]
    return [found[1] for found in said if found]


def figures(**choice) -> set[str]:
    """What all pages say."""
    return {one for page, more in PAGES.items() for one in told(open_app(page, **choice, **more))}


@pytest.fixture
def quiet(monkeypatch):
    """A machine that is never busy with other things."""
    monkeypatch.setattr(baseline, "alike", lambda a, b: True)


def test_every_page_shows_the_same_figure(recorded, quiet):
    [figure] = figures(dtype="float32")
    assert f"the plain network needs {figure}" in timeline(well(open_app("watch")))["finding"]


@pytest.mark.parametrize("page", ["latency", "rules"])
def test_a_busy_moment_is_said_and_compared_fairly(page, recorded, monkeypatch):
    monkeypatch.setattr(baseline, "alike", lambda a, b: False)
    app = well(open_app(page, **PAGES[page]))
    assert all(re.fullmatch(r"[\d.]+ ms now, usually [\d.]+ ms", t) for t in told(app))
    assert told(app)


def test_the_page_says_where_the_figure_is_from(recorded, quiet):
    app = well(open_app("watch"))
    [badge] = [m for m in app.markdown if "plain network: " in m.value]
    assert re.search(r"median of \d+ passes, half of which took [\d.]+ to [\d.]+ ms", badge.help)


def test_a_figure_of_a_busy_start_gives_way_to_a_quieter_one(recorded, monkeypatch):
    busy, quiet = Timing.of([1e6] * 3), Timing.of([1e-3] * 3)
    times, before = iter([busy, quiet]), dict(baseline.known_times())
    baseline.known_times().clear()
    monkeypatch.setattr(baseline, "plain_time", lambda model: next(times))
    [said] = told(well(open_app("watch")))
    assert said.endswith("ms now, usually 0.0 ms")
    baseline.known_times().clear()
    baseline.known_times().update(before)


CHOICES = [b for b in weights.bundles() if not weights.task_of(weights.card_of(*b)).counts]


@pytest.mark.slow
@pytest.mark.parametrize(("task", "backbone"), CHOICES)
def test_every_bundle_has_one_figure_on_all_pages(task, backbone, quiet):
    assert len(figures(task=task, backbone=backbone)) == 1
