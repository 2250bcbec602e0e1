"""The lesson in a real browser: looks before and after an answer, guessing, the keyboard,
accessibility."""

import re

import pytest

LOOKS = [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]


def answered(seen):
    """The step after its guess was made as it stands."""
    seen.page.get_by_role("button", name=re.compile("Show the answer")).click()
    seen.page.get_by_role("button", name=re.compile("Show the answer")).wait_for(
        state="detached", timeout=90_000
    )
    return seen.settled()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_page_looks_right_before_and_after_the_answer(width, scheme, visit):
    seen = visit(width, scheme).open("/?lesson=3")
    assert seen.page.locator("h1").inner_text() == "Lesson" and seen.overflow <= 0, (
        "the page scrolls sideways"
    )
    answered(seen)
    assert seen.overflow <= 0, "the answer scrolls sideways"
    seen.whole()
    seen.shot(f"lesson-{scheme}-{width}")
    assert seen.page.locator('[data-testid="stException"]').count() == 0 and seen.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_accessibility_violation(scheme, visit, axe):
    seen = answered(visit(1400, scheme).open("/?lesson=3"))
    seen.page.evaluate(axe)
    found = seen.page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [
        f"{v['id']}: {n['target']} {n['failureSummary']}" for v in bad for n in v["nodes"]
    ] == []


def test_a_guess_is_scored_and_the_arrow_keys_walk(visit):
    seen = answered(visit().open("/?lesson=3"))
    assert seen.page.get_by_text(re.compile(r"\d of 1 guesses right")).first.is_visible()
    seen.page.keyboard.press("ArrowRight")
    seen.page.get_by_text("Step 4 of 15").wait_for(timeout=60_000)
    seen.settled().page.keyboard.press("ArrowLeft")
    seen.page.get_by_text("Step 3 of 15").wait_for(timeout=60_000)
    assert (
        seen.settled().page.get_by_text(re.compile(r"\d of 1 guesses right")).first.is_visible()
    ), "the guess is kept"
    assert seen.complaints == []
