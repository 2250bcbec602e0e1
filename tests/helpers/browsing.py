"""A visit to the app with a real browser: open a link, wait until all is drawn, look at it in any
width and scheme."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SHOTS = Path(__file__).resolve().parents[1] / "browser" / "shots"
PATIENCE = 90_000  # ms for any one step, on a machine that does other things too
# Streamlit itself first asks for its service files below the page's path, and is told they are
# elsewhere
OWN_404 = "/_stcore/"
# ... and looks for a download's file when its button is drawn; quick moves replace it before that
REPLACED = "/media/", "Client Error: Download Button source error - 404"
IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'
CHART = '[data-testid="stVegaLiteChart"]'
# Nothing is fetched any more, every chart is drawn, and the page has not changed for a moment.
DRAWN = """() => new Promise(done => {
    const whole = () => !document.querySelector('[data-testid=stSkeleton]') &&
        [...document.querySelectorAll('[data-testid=stVegaLiteChart]')]
            .every(chart => chart.closest('details:not([open])') ||  // drawn when opened, so
                !chart.checkVisibility() || chart.querySelector('svg.marks'));  // is one in a tab
    let timer;
    const watcher = new MutationObserver(() => wait());
    const end = () => { if (!whole()) return wait(); watcher.disconnect(); done(true); };
    const wait = () => { clearTimeout(timer); timer = setTimeout(end, 150); };
    watcher.observe(document.body,
        {subtree: true, childList: true, attributes: true, characterData: true});
    wait();
})"""
SIDEWAYS = """Math.max(document.documentElement.scrollWidth - innerWidth,
    ...[...document.querySelectorAll('[data-testid=stMain]')]
        .map(main => main.scrollWidth - main.clientWidth))"""


class Visit:
    """A page in the browser with what it complained about."""

    def __init__(self, page, server: str):
        self.page, self.server, self.complaints = page, server, []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message) -> None:
        said = f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and not any(own in said for own in (OWN_404, *REPLACED)):
            self.complaints.append(message.text)

    def open(self, path: str = "/") -> Visit:
        self.page.goto(self.server + path)
        self.page.wait_for_selector("h1")
        return self.settled()

    def settled(self) -> Visit:
        """Wait until the script has ended, all is drawn, and the lamps, if any, are lit."""
        self.page.wait_for_selector(IDLE)
        self.page.wait_for_function(DRAWN)
        if self.page.locator(".lab").count():
            self.page.wait_for_selector('.lab[data-state="done"]')
        self.page.wait_for_selector(IDLE)
        return self

    def answered(self) -> Visit:
        """Guess the first option of the lesson's step, or move its slider, and look at the
        answer."""
        button = self.page.get_by_role("button", name=re.compile("Show the answer"))
        if button.is_disabled():
            guess = self.page.locator('[class*="st-key-guess_"]')
            if (slider := guess.get_by_role("slider")).count():
                slider.first.press("ArrowRight")
            else:
                guess.locator("button").first.click()
        button.click()
        button.wait_for(state="detached")
        return self.settled()

    def look(self, width: int, scheme: str) -> Visit:
        """Give the window a width, the page's own height, and a colour scheme."""
        self.page.emulate_media(color_scheme=scheme)
        self.page.set_viewport_size({"width": width, "height": 900})
        self.settled()
        height = self.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        self.page.set_viewport_size({"width": width, "height": min(height + 20, 5000)})
        return self.settled()

    def shot(self, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=str(SHOTS / f"{name}.png"))

    @property
    def charts(self):
        """The drawn charts."""
        return self.page.locator(f"{CHART} svg.marks")

    @property
    def errors(self) -> int:
        """How many exceptions the page shows."""
        return self.page.locator('[data-testid="stException"]').count()

    @property
    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate(SIDEWAYS)


@contextmanager
def visits(browser, server: str) -> Iterator[Callable[..., Visit]]:
    """Give a function (width, scheme) -> Visit, each in a fresh browser profile."""
    contexts = []

    def start(width: int = 1400, scheme: str = "light", **options) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, **options
        )
        contexts.append(context)
        return Visit(context.new_page(), server)

    try:
        yield start
    finally:
        for context in contexts:
            context.close()
