"""What only a browser can do on the other pages: click into a chart, slide in one, stop a series,
walk with the keyboard."""

import re

import pytest
from browsing import CHART

pytestmark = pytest.mark.browser

SLIDE = """async share => {
    const chart = document.querySelector('[data-testid="stVegaLiteChart"]');
    const input = chart.querySelector('input[type=range]');
    const drawn = new Promise(done => new MutationObserver((_, all) => {
        all.disconnect();
        done(performance.now());
    }).observe(chart.querySelector('svg.marks'),
        {subtree: true, attributes: true, childList: true, characterData: true}));
    const start = performance.now();
    input.value = input.max * share;
    input.dispatchEvent(new Event('input'));
    return await drawn - start;
}"""


def test_a_click_in_the_map_of_heads_moves_both_sides_and_the_link(visit):
    seen = visit().open("/compare?layer=6")
    cell = f'{CHART} svg.marks path[aria-label*="Layer: 9;"][aria-label*="Head: mlp"]'
    seen.page.locator(cell).first.click(force=True)
    seen.page.wait_for_url(re.compile("layer=9"))
    sides = seen.settled().page.locator("h3").all_inner_texts()
    assert sum("after layer 9:" in side for side in sides) == 2
    assert any(side.startswith("mlp after") for side in sides)
    assert seen.complaints == []


def test_a_click_on_a_point_of_the_paper_opens_its_exit(visit):
    seen = visit().open("/paper")
    before = seen.page.url
    # the filled dots carry the tooltips; the first path of each mark group is the earliest layer
    dots = seen.charts.first.locator('path[aria-roledescription="point"]').all()
    for dot in dots[::-7]:
        dot.click(force=True)
        seen.settled()
        if seen.page.url != before:
            break
    assert re.search(r"(head|layer)=", seen.page.url)
    if layer := re.search(r"layer=(\d+)", seen.page.url):
        assert seen.page.locator("h3").first.inner_text().endswith(f"at layer {layer[1]}")


def test_the_slider_scores_anew_in_the_chart_without_the_server(visit):
    seen = visit().open("/latency")
    chart, asked = seen.page.locator(CHART).first, []
    seen.page.on("websocket", lambda socket: asked.append(socket))
    times = [seen.page.evaluate(SLIDE, share) for share in (0.5, 0.3, 0.6, 0)]
    assert min(times[1:]) < 100  # milliseconds
    said = chart.inner_text()
    assert "no answer yet; the first at" in said and "Without exits: no answer yet" in said
    seen.page.evaluate(SLIDE, 1)
    said = chart.inner_text()
    assert "the final exit" in said and "Without exits: answered at" in said
    seen.settled()
    assert not asked


def test_a_real_run_is_interrupted_and_repeated(visit):
    seen = visit().open("/latency?deadline=1500")
    seen.page.get_by_role("button", name="Run it for real").click()
    assert seen.settled().page.get_by_text("With exits, interrupted at 1500 ms").is_visible()
    seen.page.get_by_role("button", name="30 real runs").click()
    seen.page.get_by_text("30 of 30 runs had an answer").first.wait_for(state="attached")
    assert seen.settled().charts.count() == 3 and seen.complaints == []


def test_stop_keeps_the_runs_so_far(visit):
    seen = visit().open("/latency?deadline=2000&hide=example")
    seen.page.get_by_role("button", name="30 real runs").click()
    stop = seen.page.get_by_role("button", name="Stop")
    try:
        stop.click(timeout=15_000)
    except Exception:
        pytest.skip("thirty runs were over before Stop could be pressed")
    assert seen.settled().page.get_by_role("button", name="Stop").count() == 0


def test_the_tiles_of_a_crowd_carry_the_counts_of_the_exit_in_their_text(visit):
    seen = visit().open("/crowd?example=park&layer=1&head=mlp")
    assert seen.page.locator("h3").first.inner_text().startswith("mlp after layer 1: ")
    tiles = re.compile("with six tiles, counted by mlp after layer 1")
    assert seen.page.get_by_alt_text(tiles).count() == 1


def test_a_guess_of_the_lesson_is_scored_and_the_arrow_keys_walk(visit):
    seen = visit().open("/?lesson=3").answered()
    score = seen.page.get_by_text(re.compile(r"\d of 1 guesses right")).first
    assert score.is_visible()
    seen.page.keyboard.press("ArrowRight")
    seen.page.get_by_text("Step 4 of 15").wait_for()
    seen.settled().page.keyboard.press("ArrowLeft")
    seen.page.get_by_text("Step 3 of 15").wait_for()
    assert seen.settled() and score.is_visible(), "the guess is kept"
    assert seen.complaints == []
