"""Every page in a real browser: content, console, width, accessibility, and screenshots in light
and dark, wide and narrow."""

import re
import time

import pytest

PAGES = {"watch": "/?speed=1x", "models": "/models", "crowd": "/crowd?count=Drawn+crowd&people=20"}
LOOKS = [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_page_looks_right(name, width, scheme, visit):
    seen = visit(width, scheme).open(PAGES[name])
    assert seen.page.locator("h1").count() == 1
    assert seen.page.locator('[data-testid="stException"]').count() == 0
    seen.page.wait_for_selector('[data-testid="stVegaLiteChart"] svg.marks', timeout=90_000)
    assert seen.overflow <= 0, "the page scrolls sideways"
    seen.whole()
    seen.shot(f"{name}-{scheme}-{width}")
    charts = seen.page.locator('[data-testid="stVegaLiteChart"] svg.marks')
    assert charts.count() >= 1 and all(
        box["height"] > 60 for box in (c.bounding_box() for c in charts.all())
    )
    assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_serious_accessibility_violation(name, scheme, visit, axe):
    seen = visit(1400, scheme).open(PAGES[name])
    seen.page.evaluate(axe)
    found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [
        f"{v['id']}: {n['target']} {n['failureSummary']}" for v in bad for n in v["nodes"]
    ] == []


def test_lamps_light_one_after_another_in_the_order_of_the_layers(visit):
    seen = visit()
    seen.page.goto(seen.server + "/?speed=1/100")
    seen.page.wait_for_selector('.lab[data-state="playing"]', timeout=90_000)
    counts, patience = [0], time.monotonic() + 120
    while counts[-1] < 13 and time.monotonic() < patience:
        now = seen.page.locator(".lab .lamp:not(.off)").count()
        counts += [now] if now != counts[-1] else []
    assert counts == sorted(counts) and counts[-1] == 13 and len(counts) > 5
    seen.settled()
    last = seen.page.locator(".lab .lamp").last.get_attribute("aria-label")
    assert re.match(r"Final, [a-z ]+, .*sure, [\d.]+ milliseconds, [\d.]+ [MG] MACs", last)


def test_replay_starts_anew_and_shows_the_same_times(visit):
    seen = visit().open("/?speed=1/10")
    before = seen.page.locator(".lab").inner_text()
    seen.page.get_by_role("button", name="▶ Replay").click()
    seen.page.wait_for_selector('.lab[data-state="playing"]')
    assert seen.page.locator(".lab .lamp.off").count() > 0
    assert seen.settled().page.locator(".lab").inner_text() == before


def test_a_visitor_who_wants_no_motion_sees_all_lamps_at_once(visit):
    seen = visit(reduced_motion="reduce")
    seen.page.goto(seen.server + "/?speed=1/100")
    seen.page.wait_for_selector(".lab[data-state]", timeout=90_000)
    assert seen.page.locator(".lab .lamp.off").count() == 0


def test_the_link_follows_the_controls_and_reopens_the_view(visit):
    seen = visit().open("/?speed=1x")
    seen.page.get_by_role("button", name="ship", exact=True).or_(
        seen.page.get_by_role("radio", name="ship", exact=True)
    ).first.click()
    seen.page.wait_for_url(re.compile("example=ship"))
    finding = seen.settled().page.locator("h3").first.inner_text()
    copy = visit().open(seen.page.url.removeprefix(seen.server))
    assert copy.page.get_by_text("Sailing ship").first.is_visible()
    assert copy.page.locator("h3").first.inner_text().split(";")[0] == finding.split(";")[0]


def test_a_first_visit_by_deep_link_has_sidebar_and_navigation(visit):
    seen = visit().open("/models")
    assert seen.page.get_by_role("link", name="Watch exits fire").is_visible()
    seen.page.get_by_role("link", name="Watch exits fire").click()
    seen.page.wait_for_selector(".lab", timeout=30_000)


def test_hide_survives_a_change_of_page(visit):
    seen = visit().open("/?hide=run,export")
    seen.page.get_by_role("link", name="Models").click()
    seen.page.wait_for_selector("h1:has-text('Models')")
    seen.page.get_by_role("link", name="Watch exits fire").click()
    seen.page.wait_for_selector(".lab", timeout=30_000)
    seen.settled()
    assert seen.page.get_by_text("Run again").count() == 0 and "hide=run" in seen.page.url


def test_a_bad_upload_keeps_the_result(visit, tmp_path):
    (tmp_path / "holiday.png").write_bytes(b"not a picture")
    seen = visit().open("/?speed=1x")
    seen.page.get_by_text("Upload", exact=True).first.click()
    seen.page.locator('input[type="file"]').set_input_files(str(tmp_path / "holiday.png"))
    seen.page.wait_for_selector('[data-testid="stAlert"]')
    assert "picture before it stays" in seen.page.locator('[data-testid="stAlert"]').inner_text()
    assert seen.settled().page.locator(".lab .lamp").count() == 13


@pytest.mark.parametrize(
    ("button", "ending"), [("CSV", ".csv"), ("JSON run record", ".json"), ("Charts as SVG", ".svg")]
)
def test_exports_download(button, ending, visit):
    seen = visit().open("/?speed=1x")
    with seen.page.expect_download() as download:
        seen.page.get_by_role("button", name=button).click()
    assert download.value.suggested_filename.endswith(ending)
    assert len(open(download.value.path(), encoding="utf-8").read()) > 500


def test_the_layer_chosen_moves_the_tiles_counts(visit):
    seen = visit().open("/crowd?example=park&layer=12&head=mlp")
    first = seen.page.locator("h3").first.inner_text()
    again = visit().open("/crowd?example=park&layer=1&head=mlp")
    assert first.startswith("mlp after layer 12: ") and again.page.locator(
        "h3"
    ).first.inner_text().startswith("mlp after layer 1: ")
    assert (
        again.page.get_by_alt_text(
            re.compile("with six tiles, counted by mlp after layer 1")
        ).count()
        == 1
    )
