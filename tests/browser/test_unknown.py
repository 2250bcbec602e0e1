"""A picture of something that the model was not taught is said to be one in the first screen."""

import pytest

pytestmark = pytest.mark.browser

SAID = "I do not know this: it looks like none of the ten kinds of thing"


@pytest.mark.parametrize(
    ("link", "unknown"),
    [("/?speed=1x&", "coffee"), ("/compare?", "astronaut"), ("/latency?", "coffee")],
)
def test_an_unknown_picture_is_said_to_be_one_above_the_fold(visit, link, unknown):
    seen = visit().open(f"{link}example={unknown}")
    said = seen.page.get_by_text(SAID)
    for width, height in ((1400, 900), (390, 844)):
        seen.page.set_viewport_size({"width": width, "height": height})
        seen.settled()
        box = said.bounding_box()
        assert box["y"] > 0 and box["y"] + box["height"] <= height, width
    assert seen.page.get_by_role("button", name="Ask the model that knows").count() == 1
    if answer := seen.page.locator(".lab .answer").all_inner_texts():
        assert answer[0].endswith("?") or answer == ["no answer yet"]
    seen.open(f"{link}example=cat")
    assert said.count() == 0 or not said.inner_text()
