"""A few real browsers at once: each gets its own answer, and one that closes while it runs or waits
holds nobody up."""

import re

FINDING = '[data-testid="stMarkdownContainer"] h3, [data-testid="stHeading"] h3'


def finding(seen) -> str:
    """What the page says about its picture, without the time-dependent rest."""
    return seen.settled().page.locator(FINDING).first.inner_text()


def test_browsers_at_once_each_get_their_own_answer(visit):
    links = [f"/?speed=1x&example={name}" for name in ("cat", "ship", "dog", "horse")]
    alone = [finding(visit().open(link)) for link in links[:2]]
    together = [visit() for _ in links]
    for seen, link in zip(together, links, strict=True):
        seen.page.goto(seen.server + link, wait_until="commit")
    for seen in together:
        seen.page.wait_for_selector("h1", timeout=90_000)
    found = [finding(seen) for seen in together]
    assert found[:2] == alone and all(re.match("'.+'", text) for text in found)
    assert [seen.complaints for seen in together] == [[]] * 4


def test_browsers_that_close_at_once_hold_nobody_up(visit):
    hasty = [visit() for _ in range(4)]
    for seen in hasty:
        seen.page.goto(seen.server + "/?speed=1x&head=mlp&head=resmlp", wait_until="commit")
    for seen in hasty:
        seen.page.wait_for_selector('[data-testid="stApp"]', timeout=90_000)
        seen.page.close()
    calm = visit().open("/?speed=1x")
    assert (
        calm.page.get_by_text("before you").count() == 0
        and calm.page.locator(".lab .lamp").count() == 13
    )
