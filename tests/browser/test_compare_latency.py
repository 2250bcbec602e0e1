"""The pages that compare heads and move the deadline, in a real browser: looks, clicks, the slider
inside the chart, and the link."""

import re

import pytest

PAGES = {"compare": "/compare", "latency": "/latency"}
LOOKS = [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]
READY = '[data-testid="stVegaLiteChart"] svg.marks'


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_page_looks_right(name, width, scheme, visit):
    seen = visit(width, scheme).open(PAGES[name])
    assert seen.page.locator("h1").count() == 1
    assert seen.page.locator('[data-testid="stException"]').count() == 0
    assert seen.overflow <= 0, "the page scrolls sideways"
    seen.whole()
    seen.shot(f"{name}-{scheme}-{width}")
    charts = seen.page.locator(READY)
    assert charts.count() == {"compare": 5, "latency": 1}[name]
    assert all(box["height"] > 60 for box in (c.bounding_box() for c in charts.all()))
    assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_serious_accessibility_violation(name, scheme, visit, axe):
    seen = visit(1400, scheme).open(PAGES[name])
    seen.page.evaluate(axe)
    found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [
        f"{v['id']}: {n['target']} {n['failureSummary']}" for v in bad for n in v["nodes"]
    ] == []


def test_a_click_in_the_map_moves_both_sides_and_the_link(visit):
    seen = visit().open("/compare?layer=6")
    cell = seen.page.locator(
        f'{READY} path[aria-label*="Layer: 9;"][aria-label*="Head: mlp"]'
    ).first
    cell.click(force=True)
    seen.page.wait_for_url(re.compile("layer=9"), timeout=60_000)
    seen.settled()
    sides = seen.page.locator("h3").all_inner_texts()
    assert sum("after layer 9:" in side for side in sides) == 2 and any(
        side.startswith("mlp after") for side in sides
    )
    assert seen.complaints == []


def test_a_link_to_two_pictures_reopens_them(visit):
    seen = visit().open("/compare?compare=pictures&layer=3&left=mlp&second=ship")
    assert seen.page.get_by_text("Sailing ship").first.is_visible()
    assert seen.page.locator("h3").first.inner_text().startswith("mlp after layer 3")


def slide(page, share: float) -> float:
    """Move the slider inside the chart; gives back the milliseconds until the chart was drawn
    anew."""
    return page.evaluate(
        """async share => {
        const input = document.querySelector('[data-testid="stVegaLiteChart"] input[type=range]');
        const svg = document.querySelector('[data-testid="stVegaLiteChart"] svg.marks');
        const drawn = new Promise(done => new MutationObserver((_, all) => { all.disconnect(); done(performance.now()); })
            .observe(svg, {subtree: true, attributes: true, childList: true, characterData: true}));
        const start = performance.now();
        input.value = input.max * share;
        input.dispatchEvent(new Event('input'));
        return await drawn - start;
    }""",
        share,
    )


def test_the_slider_re_scores_in_the_chart_without_the_server(visit):
    seen = visit().open("/latency")
    chart = seen.page.locator('[data-testid="stVegaLiteChart"]').first
    asked = []
    seen.page.on("websocket", lambda socket: asked.append(socket))
    slide(seen.page, 0.5)
    assert (
        slide(seen.page, 0) < 100 or min(slide(seen.page, share) for share in (0.3, 0.6, 0)) < 100
    )
    assert (
        "no answer yet; the first at" in chart.inner_text()
        and "Without exits: no answer yet" in chart.inner_text()
    )
    slide(seen.page, 1)
    assert (
        "the final exit" in chart.inner_text()
        and "Without exits: answered at" in chart.inner_text()
    )
    seen.page.wait_for_timeout(300)
    assert seen.page.locator('[data-test-script-state="running"]').count() == 0 and not asked


def test_a_real_run_is_interrupted_and_repeated(visit):
    seen = visit().open("/latency?deadline=1500")
    seen.page.get_by_role("button", name="Run it for real").click()
    seen.settled()
    assert seen.page.get_by_text("With exits, interrupted at 1500 ms").is_visible()
    seen.page.get_by_role("button", name="30 real runs").click()
    seen.page.wait_for_function(
        "document.querySelectorAll('[data-testid=stVegaLiteChart] svg.marks').length === 3",
        timeout=120_000,
    )
    seen.settled()
    assert "30 of 30 runs had an answer" in seen.page.locator('[data-testid="stMain"]').inner_text()
    assert seen.complaints == []


def test_stop_keeps_the_runs_so_far(visit):
    seen = visit().open("/latency?deadline=2000&hide=example")
    seen.page.get_by_role("button", name="30 real runs").click()
    stop = seen.page.get_by_role("button", name="Stop")
    try:
        stop.click(timeout=15_000)
    except Exception:
        pytest.skip("thirty runs were over before Stop could be pressed")
    seen.settled()
    assert seen.page.get_by_role("button", name="Stop").count() == 0


def test_a_deadline_before_the_first_exit_is_friendly(visit):
    seen = visit().open("/latency?deadline=0.1")
    said = seen.page.locator('[data-testid="stAlert"]').all_inner_texts()
    assert len([s for s in said if "the first is ready at about" in s]) == 2
