"""Turning to a page that this browser has not shown yet, once the server is warm."""

import pytest

MOST_S = 1.5  # of the server's processor time for a page; a quarter of it is usual when idle
MENU = "[data-testid=stSidebarNav] a"

pytestmark = pytest.mark.browser


def test_a_page_new_to_the_visitor_costs_a_warm_server_little(visit, running):
    visit().open()  # begins the start, at whose end every page is opened once by nobody
    running.idle()
    visitor = visit().open("/models")
    spent = {}
    for link in visitor.page.locator(MENU).all():
        before = running.seconds()
        link.click()
        visitor.settled()
        spent[visitor.page.locator("h1").inner_text()] = round(running.seconds() - before, 2)
    assert len(spent) == visitor.page.locator(MENU).count() and visitor.errors == 0
    assert max(spent.values()) < MOST_S, spent
