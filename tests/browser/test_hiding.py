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

BUTTON = "[data-testid=stPageLink]"
WORDS = [  # word of `hide`, a link on whose page it hides something, and what
    ("guess", "/lesson?step=1", ".st-key-reveal"),
    ("go", "/lesson?step=1&hide=guess", BUTTON),
    ("run", "/?speed=1x", ".st-key-run"),
    ("run", "/lesson?step=12&hide=guess", ".st-key-lesson_again"),
    ("repeat", "/latency?deadline=30", ".st-key-repeat"),
    ("take", "/rules?threshold=0.5", ".st-key-take"),
    ("verify", "/models?card=cifar10/vit_tiny_patch16_224", ".st-key-verify"),
    ("watch", "/paper?layer=9", BUTTON),
    ("upload", "/?speed=1x", GONE["upload"]),
    ("export", "/paper?layer=9", GONE["export"]),
]
PAGES = sorted(p.stem for p in (TEACHING.parents[1] / "pages").glob("*.py"))
ALWAYS = {
    "guess",
    "take",
    "verify",
    "crowd",
    "lesson",
    "watch",
}  # the rest are slow: there are many
CONTROLS = "Button Selectbox Slider ButtonGroup DownloadButton PageLink FileUploader NumberInput"
CONTROL = ", ".join(f"[data-testid=st{kind}]" for kind in f"{CONTROLS} SidebarNav".split())


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


def some(values: list) -> list:
    """Each as a case for a test, those that begin with none of ALWAYS marked slow."""
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    slow = [[] if row[0] in ALWAYS else [pytest.mark.slow] for row in rows]
    return [pytest.param(*row, marks=marks) for row, marks in zip(rows, slow, strict=True)]


@pytest.mark.parametrize(("word", "link", "what"), some(WORDS))
def test_every_word_hides_what_is_there_without_it(visit, word, link, what):
    seen = visit(390).open(link)
    assert seen.page.locator(what).count()
    joined = f"{link},{word}" if "hide=" in link else f"{link}&hide={word}"
    assert not seen.open(joined).page.locator(what).count()


@pytest.mark.parametrize("page", some(PAGES))
def test_hide_all_leaves_no_control_and_no_way_to_another_page(visit, page):
    seen = visit(390).open(f"/?page={page}&hide=all")
    for width in (390, 1400):
        seen.page.set_viewport_size({"width": width, "height": 900})
        assert not seen.settled().page.locator(CONTROL).count(), width
        assert not seen.page.locator("input:visible").count(), width


def test_a_step_beyond_the_last_is_said_in_the_first_screen_of_a_phone(visit):
    page = visit(390).open("/lesson?step=99").page
    said = page.get_by_text("The link asks for step = 99, outside 1 to 15, so 15 is shown.")
    assert said.is_visible() and said.bounding_box()["y"] < 844


def test_the_lessons_own_address_takes_the_short_link(visit):
    page = visit(390).open("/lesson?lesson=4").page
    assert page.get_by_text("Step 4 of 15").count() == 1
