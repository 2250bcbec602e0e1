"""Two visits with a real browser that every run of the tests makes: the first page answers, and
clicks lead on. All the others: `pytest -m browser`."""

import re


def finding(seen) -> str:
    """What the page says about its picture."""
    return seen.page.locator(".lab .finding").inner_text().split(",")[0]


def test_the_first_page_answers_without_a_click(visit):
    seen = visit().open("/?speed=1x&exits=all+layers")
    assert seen.page.locator("h1").inner_text() == "Watch exits fire"
    assert seen.page.locator(".lab .lamp:not(.off)").count() == 13 and seen.charts.count() >= 1
    assert seen.errors == 0 and seen.overflow <= 0 and seen.complaints == []


def test_clicks_lead_on_and_the_link_reopens_the_view(visit):
    seen = visit(reduced_motion="reduce").open("/models")
    assert seen.errors == 0
    seen.page.get_by_role("link", name="Watch exits fire").click()
    seen.page.wait_for_selector(".lab")
    ship = ("button", "radio")
    buttons = [seen.settled().page.get_by_role(role, name="ship", exact=True) for role in ship]
    buttons[0].or_(buttons[1]).first.click()
    seen.page.wait_for_url(re.compile("example=ship"))
    before = finding(seen.settled())
    seen.open(seen.page.url.removeprefix(seen.server))
    assert seen.page.get_by_text("Sailing ship").first.is_visible() and finding(seen) == before
    assert seen.complaints == []
