"""The Crowd page in a real browser: what stands in the first screen, and the map under a mouse and
a finger."""

import re

import pytest

pytestmark = pytest.mark.browser

HINT = "Point at a place"


def crowd(visit, **options):
    """The page with an example, and its map."""
    seen = visit(**options).open("/crowd?example=street")
    return seen, seen.page.locator(".where .picture")


def test_picture_count_and_map_stand_above_the_fold(visit):
    seen = visit().open("/crowd?example=street")
    page = seen.page
    count = page.get_by_role("heading", name=re.compile("people, probably"))
    parts = [page.locator(part) for part in (".where .picture", ".st-key-head", ".st-key-layer")]
    for width, height in ((1400, 900), (1280, 720), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        seen.settled()
        for part in (*parts, count, page.get_by_text("This is what the exit")):
            box = part.first.bounding_box()
            assert box["y"] > 0 and box["y"] + box["height"] <= height, (part, width)
    for image in ("photo", "map"):
        shown = page.locator(f".where .{image}").evaluate("image => image.naturalWidth")
        assert shown > 300
    assert seen.complaints == []


def number(said: str) -> float:
    """The first number that a sentence says."""
    return float(re.search(r": ([\d.]+) of", said)[1])


def test_a_place_says_its_number_and_a_dragged_rectangle_counts_a_part(visit):
    seen, picture = crowd(visit)
    said, mouse = seen.page.locator(".where .said"), seen.page.mouse
    assert said.inner_text().startswith(HINT)
    box = picture.bounding_box()

    def go(x: float, y: float) -> None:
        mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])

    go(0.5, 0.8)
    assert said.inner_text().startswith("In this region: ")
    go(0.02, 0.02)
    mouse.down()
    go(0.5, 0.98)
    half = number(said.inner_text())
    go(0.98, 0.98)
    mouse.up()
    whole = number(said.inner_text())
    total = float(re.search(r"of (\d+)", said.inner_text())[1])
    assert said.inner_text().startswith("In the rectangle: ")
    assert 0 < half < whole <= total + 1
    seen.page.get_by_role("button", name="Remove the rectangle").click()
    mouse.move(0, 0)
    assert said.inner_text().startswith(HINT) and seen.complaints == []


def test_the_numbers_below_the_picture_count_the_same_part(visit):
    seen, picture = crowd(visit)
    seen.page.get_by_text("Count a part of the picture by numbers").click()
    slider = seen.page.get_by_role("slider", name=re.compile("left to right")).first
    for _ in range(30):
        slider.press("ArrowRight")
    seen.settled()
    told = seen.page.get_by_text("people are in this part")
    told.scroll_into_view_if_needed()
    said = seen.page.locator(".where .said").inner_text()
    assert abs(float(re.search(r"\d+", told.text_content())[0]) - number(said)) <= 0.5
    assert picture.locator(".box").is_visible() and seen.complaints == []


def test_a_finger_on_a_phone_reads_a_region(visit):
    seen, picture = crowd(visit, width=390, has_touch=True, is_mobile=True)
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    seen.page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert seen.page.locator(".where .said").inner_text().startswith("In this region: ")
    assert seen.overflow <= 0 and seen.complaints == []


def test_the_strength_of_the_map_is_the_visitors(visit):
    seen, _ = crowd(visit)
    strength = seen.page.get_by_role("slider", name="Strength of the map")
    strength.fill("0")
    opacity = "part => Number(getComputedStyle(part).opacity)"
    assert seen.page.locator(".where .map").evaluate(opacity) == 0


def test_a_photos_results_are_gone_while_the_frames_of_a_clip_are_counted(visit):
    seen, picture = crowd(visit)
    old = seen.page.get_by_text("The map is scaled to add up to")
    assert picture.count() == 1 and old.count() > 0
    seen.page.get_by_role("radio", name="Clip", exact=True).click()
    stop = seen.page.locator(".stMainBlockContainer").get_by_role("button", name="Stop", exact=True)
    stop.wait_for()  # not Streamlit's own button, which shows during a long run
    assert picture.count() == old.count() == 0
