"""What only a browser can do on the other pages: click into a chart, walk with the keyboard."""

import re

import pytest
from browsing import CHART

pytestmark = pytest.mark.browser


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


def test_the_tiles_of_a_crowd_carry_the_counts_of_the_exit_in_their_text(visit):
    seen = visit().open("/crowd?example=park&layer=1&head=mlp&show=tiles")
    assert "people, probably" in seen.page.locator("h3").first.inner_text()
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
