"""What a link for a class hides is not on the screen, wide or on a phone."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

TEACHING = Path(__file__).resolve().parents[2] / "docs" / "teaching.md"
LINKS = re.findall(r"`(/\?[^`]*hide=[^`]*)`", TEACHING.read_text())
GONE = {  # word of `hide`: what must not be seen
    "sidebar": "[data-testid=stSidebar] [data-testid=stSelectbox]",
    "nav": "[data-testid=stSidebarNav], [data-testid=stPageLink], .st-key-previous, .st-key-next",
    "teacher": ".st-key-step, .st-key-head, [data-testid=stCode]",
    "upload": "[data-testid=stFileUploader], .st-key-example_source",
    "export": "[data-testid=stDownloadButton]",
}


@pytest.mark.parametrize("link", [*LINKS, "/?lesson=2&hide=nav,export"])
def test_what_a_link_hides_is_not_on_the_screen(visit, link):
    seen = visit(390).open(link)
    words = re.search(r"hide=([^&]*)", link)[1].split(",")
    for width in (390, 1400):
        seen.page.set_viewport_size({"width": width, "height": 900})
        seen.settled()
        for word in words:
            assert seen.page.locator(GONE[word]).count() == 0, (word, width)
        if {"sidebar", "nav"} <= set(words):  # then there is nothing to open on a phone either
            assert seen.page.locator("[data-testid=stExpandSidebarButton]").count() == 0


def test_the_lessons_own_address_takes_the_short_link(visit):
    page = visit(390).open("/lesson?lesson=4").page
    assert page.get_by_text("Step 4 of 15").count() == 1
