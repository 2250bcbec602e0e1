"""Turning to a page that this browser has not shown yet, once the server is warm."""

import pytest

MOST_S = 1.2  # of the server's processor time for a page; on an idle core a third of it is usual
MENU = "[data-testid=stSidebarNav] a"

pytestmark = pytest.mark.browser


def test_a_page_new_to_the_visitor_costs_a_warm_server_little(visit, running):
    running.idle()  # it has opened every page itself
    visitor = visit().open("/models")
    spent = {}
    for link in visitor.page.locator(MENU).all():
        before = running.seconds()
        link.click()
        visitor.settled()
        spent[visitor.page.locator("h1").inner_text()] = round(running.seconds() - before, 2)
    assert len(spent) == visitor.page.locator(MENU).count() and visitor.errors == 0
    assert max(spent.values()) < MOST_S, spent
