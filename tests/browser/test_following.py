"""A link within the lab opens the very view that it names, whatever this visit chose before."""

from urllib.parse import parse_qs, urlsplit

import pytest

pytestmark = pytest.mark.browser


def test_the_lessons_way_deeper_opens_its_own_model_and_threshold(visit):
    visitor = visit().open("/lesson?step=10&hide=guess")
    link = visitor.page.get_by_role("link", name="Go deeper")
    meant = parse_qs(urlsplit(link.get_attribute("href")).query)
    link.click()
    visitor.page.get_by_role("heading", name="Stop rules", level=1).wait_for()
    visitor.settled()
    found = parse_qs(urlsplit(visitor.page.url).query)
    for key in ("backbone", "threshold"):  # neither is what a visitor begins with
        assert found[key] == meant[key]
    assert found["hide"] == ["guess"] and "followed" not in found and visitor.errors == 0
