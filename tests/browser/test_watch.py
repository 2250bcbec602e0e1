"""The first page in a real browser: lamps that light in time, their replay, and what leaves the
page."""

import re
import time

import pytest

pytestmark = pytest.mark.browser

LIT, DARK = ".lab .lamp:not(.off)", ".lab .lamp.off"


def test_lamps_light_one_after_another_in_the_order_of_the_layers(visit):
    seen = visit()
    seen.page.goto(seen.server + "/?speed=1/100&exits=all+layers")
    seen.page.wait_for_selector('.lab[data-state="playing"]')
    counts, patience = [0], time.monotonic() + 120
    while counts[-1] < 13 and time.monotonic() < patience:
        now = seen.page.locator(LIT).count()
        counts += [now] if now != counts[-1] else []
    assert counts == sorted(counts) and counts[-1] == 13 and len(counts) > 5
    last = seen.settled().page.locator(".lab .lamp").last.get_attribute("aria-label")
    assert re.match(r"Final, [a-z ]+, .*sure, [\d.]+ milliseconds, [\d.]+ [MG] MACs", last)


def test_replay_starts_anew_and_shows_the_same_times(visit):
    seen = visit().open("/?speed=1/10")
    before = seen.page.locator(".lab").inner_text()
    seen.page.get_by_role("button", name="Replay", exact=True).click()
    seen.page.wait_for_selector('.lab[data-state="playing"]')
    assert seen.page.locator(DARK).count() > 0
    assert seen.settled().page.locator(".lab").inner_text() == before


def test_a_visitor_who_wants_no_motion_sees_all_lamps_at_once(visit):
    seen = visit(reduced_motion="reduce")
    seen.page.goto(seen.server + "/?speed=1/100")
    seen.page.wait_for_selector(".lab[data-state]")
    assert seen.page.locator(DARK).count() == 0


def test_what_a_link_hides_stays_hidden_on_the_next_page(visit):
    seen = visit().open("/?hide=run,export")
    seen.page.get_by_role("link", name="Models").click()
    seen.page.wait_for_selector("h1:has-text('Models')")
    seen.page.get_by_role("link", name="Watch exits fire").click()
    seen.page.wait_for_selector(".lab")
    seen.settled()
    assert seen.page.get_by_text("Run again").count() == 0 and "hide=run" in seen.page.url


def test_a_bad_upload_keeps_the_result_and_the_exports_download(visit, tmp_path):
    (tmp_path / "holiday.png").write_bytes(b"not a picture")
    seen = visit().open("/?speed=1x&exits=all+layers")
    seen.page.get_by_text("Upload", exact=True).first.click()
    seen.page.locator('input[type="file"]').set_input_files(str(tmp_path / "holiday.png"))
    seen.page.wait_for_selector('[data-testid="stAlert"]')
    assert "picture before it stays" in seen.page.locator('[data-testid="stAlert"]').inner_text()
    assert seen.settled().page.locator(LIT).count() == 13
    for button, ending in (
        ("CSV", ".csv"),
        ("JSON run record", ".json"),
        ("Charts as SVG", ".svg"),
    ):
        with seen.page.expect_download() as download:
            seen.page.get_by_role("button", name=button).click()
        assert download.value.suggested_filename.endswith(ending)
        assert len(download.value.path().read_text(encoding="utf-8")) > 500


def test_browsers_at_once_each_get_their_own_answer(visit):
    links = [f"/?speed=1x&example={name}" for name in ("cat", "ship", "dog", "horse")]
    alone = [finding(visit().open(link)) for link in links[:2]]
    together = [visit() for _ in links]
    for seen, link in zip(together, links, strict=True):
        seen.page.goto(seen.server + link, wait_until="commit")
    for seen in together:
        seen.page.wait_for_selector("h1")
    found = [finding(seen.settled()) for seen in together]
    assert found[:2] == alone and all(" from " in text for text in found)
    assert [seen.complaints for seen in together] == [[]] * 4


def finding(seen) -> str:
    """What the page says about its picture."""
    return seen.page.locator(".lab .finding").inner_text().split(",")[0]


def test_browsers_that_close_at_once_hold_nobody_up(visit):
    hasty = [visit() for _ in range(4)]
    for seen in hasty:
        seen.page.goto(seen.server + "/?speed=1x&head=mlp&head=resmlp", wait_until="commit")
    for seen in hasty:
        seen.page.wait_for_selector('[data-testid="stApp"]')
        seen.page.close()
    calm = visit().open("/?speed=1x&exits=all+layers")
    assert calm.page.get_by_text("before you").count() == 0
    assert calm.page.locator(LIT).count() == 13
