"""Stop rules, Moving budget and The paper in a real browser: looks, main actions, accessibility.
They work with the small bundle too, which has no recorded predictions; what needs these is skipped
then."""

import re

import pytest

PAGES = {"rules": "/rules", "budget": "/budget", "paper": "/paper"}
LOOKS = [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]
CHARTS = '[data-testid="stVegaLiteChart"] svg.marks'


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_page_looks_right(name, width, scheme, visit):
    seen = visit(width, scheme).open(PAGES[name])
    seen.page.wait_for_selector(CHARTS, timeout=60_000)
    assert (
        seen.page.locator("h1").count() == 1
        and seen.page.locator('[data-testid="stException"]').count() == 0
    )
    assert seen.overflow <= 0, "the page scrolls sideways"
    seen.whole()
    seen.shot(f"{name}-{scheme}-{width}")
    assert all(
        box["height"] > 60 for box in (c.bounding_box() for c in seen.page.locator(CHARTS).all())
    )
    assert seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_serious_accessibility_violation(name, scheme, visit, axe):
    seen = visit(1400, scheme).open(PAGES[name])
    seen.page.wait_for_selector(CHARTS, timeout=60_000)
    seen.page.evaluate(axe)
    found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [
        f"{v['id']}: {n['target']} {n['failureSummary']}" for v in bad for n in v["nodes"]
    ] == []


def test_a_click_on_a_point_opens_its_exit(visit):
    seen = visit().open("/paper")
    seen.page.wait_for_selector(CHARTS, timeout=60_000)
    before = seen.page.url
    # the filled dots carry the tooltips; the first path of each mark group is the earliest layer
    for dot in seen.page.locator(f'{CHARTS} >> nth=0 >> path[aria-roledescription="point"]').all()[
        ::-7
    ]:
        dot.click(force=True)
        seen.settled()
        if seen.page.url != before:
            break
    assert re.search(r"(head|layer)=", seen.page.url)
    layer = re.search(r"layer=(\d+)", seen.page.url)
    if layer:
        assert seen.page.locator("h3").first.inner_text().endswith(f"at layer {layer[1]}")


def test_the_rule_follows_the_link_and_the_link_the_rule(visit):
    seen = visit().open("/rules")
    if seen.page.get_by_text("No recorded answers to replay").count():
        pytest.skip("this bundle has no recorded predictions")
    seen.page.get_by_text("entropy", exact=True).first.click()
    seen.page.wait_for_url(re.compile("rule=entropy"))
    seen.settled()
    copy = visit().open(seen.page.url.removeprefix(seen.server))
    assert copy.page.locator(CHARTS).count() >= 6


def test_a_bad_trace_is_one_clear_sentence(visit, tmp_path):
    (tmp_path / "trace.csv").write_text("budget_ms\n5\nfast\n")
    seen = visit().open("/budget?budget=your own trace")
    seen.page.locator('input[type="file"]').set_input_files(str(tmp_path / "trace.csv"))
    seen.page.get_by_text("Line 3: 'fast'").wait_for(timeout=30_000)
    assert seen.settled().page.locator(CHARTS).count() >= 3


def test_another_budget_moves_the_charts(visit):
    seen = visit().open("/budget")
    seen.page.get_by_text("random walk", exact=True).first.click()
    seen.page.wait_for_url(re.compile("budget=random"))
    assert seen.settled().page.locator(CHARTS).count() >= 3 and seen.complaints == []
