"""Turning to another page, once the server is warm."""

import pytest
from switching import MENU, turn_to

# Limits for a machine that does other things too; what an idle one takes is in docs/results.md.
FIRST_SCREEN_S, WHOLE_S, NEW_S = 2.0, 3.0, 4.0
MOST_S = 1.5  # of the server's processor time for a page; a fifth of it is usual when idle
TURNS = 1  # after the first; more would say more, and take longer

pytestmark = [pytest.mark.browser, pytest.mark.timed]


@pytest.fixture
def visitor(visit, running):
    """A visitor on Models, the last page of the menu, come when the server's start was over: at its
    end every page is opened once by nobody."""
    visit().open()
    running.idle()
    return visit().open("/models")


def test_the_first_screen_stands_soon_after_a_click_in_the_menu(visitor, running):
    """At the first turn the pages are new to the visitor, and cost a warm server little."""
    spent, took = {}, {}
    for turn in range(1 + TURNS):
        for link in visitor.page.locator(MENU).all():
            before = running.seconds()
            page, switch = turn_to(visitor, link)
            took.setdefault(page, []).append(switch)
            if turn == 0:
                spent[page] = round(running.seconds() - before, 2)
    again = {page: switches[1:] for page, switches in took.items()}
    first = {page: min(s.first for s in switches) for page, switches in again.items()}
    whole = {page: min(s.whole for s in switches) for page, switches in again.items()}
    new = {page: switches[0].whole for page, switches in took.items()}
    print(f"first screen {first}, whole page {whole}, whole page new to the browser {new}")
    assert len(spent) == visitor.page.locator(MENU).count() and visitor.errors == 0
    assert max(spent.values()) < MOST_S, spent
    assert max(new.values()) < NEW_S, new
    assert max(first.values()) < FIRST_SCREEN_S, first
    assert max(whole.values()) < WHOLE_S, whole
