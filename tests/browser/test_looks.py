"""Every page in a real browser, opened once: it is looked at wide and narrow, light and dark, and
checked for accessibility; screenshots stay in shots/."""

import pytest
from browsing import visits

pytestmark = pytest.mark.browser

PAGES = {  # name: (link, how many charts at least)
    "watch": ("/?speed=1x", 1),
    "lesson": ("/?lesson=3", 0),
    "lesson-answered": ("/?lesson=3", 0),
    "compare": ("/compare", 5),
    "latency": ("/latency", 0),
    "crowd": ("/crowd?count=Drawn+crowd&people=20", 1),
    "rules": ("/rules", 1),
    "budget": ("/budget", 1),
    "paper": ("/paper", 1),
    "models": ("/models", 1),
}
LOOKS = [(1400, "light"), (1400, "dark"), (390, "dark"), (390, "light")]


@pytest.fixture(scope="module", params=PAGES)
def seen(request, chromium, server):
    """A page, opened."""
    with visits(chromium, server) as visit:
        seen = visit().open(PAGES[request.param][0])
        seen.name = request.param
        yield seen.answered() if seen.name == "lesson-answered" else seen


def test_page_looks_right(seen):
    for width, scheme in LOOKS:
        seen.look(width, scheme)
        assert seen.page.locator("h1").count() == 1 and seen.errors == 0
        assert seen.overflow <= 0, f"the page scrolls sideways at {width} px"
        boxes = [chart.bounding_box() for chart in seen.charts.all()]
        assert len(boxes) >= PAGES[seen.name][1] and all(box["height"] > 60 for box in boxes)
        seen.shot(f"{seen.name}-{scheme}-{width}")
    assert seen.complaints == []


def test_no_serious_accessibility_violation(seen, axe):
    seen.page.evaluate(axe)
    for scheme in ("light", "dark"):
        seen.look(1400, scheme)
        # Streamlit's own menu puts its groups of pages straight into a list
        where = "{exclude: ['[data-testid=stSidebarNav]']}"
        result = seen.page.evaluate(f"axe.run({where}, {{resultTypes: ['violations']}})")
        bad = [v for v in result["violations"] if v["impact"] in ("serious", "critical")]
        said = [f"{v['id']}: {n['target']} {n['failureSummary']}" for v in bad for n in v["nodes"]]
        assert said == [], scheme


def test_the_page_has_the_scheme_of_the_system(visit):
    seen = visit().open("/models")
    colour = """getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"""
    assert seen.page.evaluate(colour) == "rgb(255, 255, 255)"
    assert seen.look(1400, "dark").page.evaluate(colour) == "rgb(15, 22, 32)"


def test_the_overview_of_all_models_fits_a_phone(visit):
    seen = visit().open("/models").look(390, "light")
    overview = seen.page.locator(".stTable table").first
    assert "best early exit" in overview.inner_text()
    assert overview.evaluate("t => t.scrollWidth <= t.parentElement.clientWidth")


SIZES = [(1400, 900), (1280, 720), (390, 844)]
FIRST = [
    "[data-testid=stMain] h4",
    "[data-testid=stMain] img",
    ".st-key-compare_map",
    *(f".st-key-{k}" for k in ("compare", "left", "right", "layer")),
]


def test_the_map_of_heads_and_its_controls_stand_above_the_fold(visit):
    seen = visit().open("/compare")
    for width, height in SIZES:
        seen.page.set_viewport_size({"width": width, "height": height})
        seen.settled()
        for part in FIRST:
            box = seen.page.locator(part).first.bounding_box()
            assert box and box["y"] + box["height"] <= height, (part, width, box)
