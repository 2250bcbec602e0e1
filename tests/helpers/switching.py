"""How soon after a click in the menu a page's first screen stands, and the whole page."""

from __future__ import annotations

from typing import NamedTuple

from browsing import Visit

MENU = "[data-testid=stSidebarNav] a"
# From a click on, at every frame: what is in the window (each part of the page with its place, size
# and text, each chart that is drawn), and which parts and charts there are at all. What plays in
# the lamps is not looked into.
WATCH = """() => {
    const times = window.switched = {clicked: 0, first: 0, whole: 0};
    const main = document.querySelector('[data-testid=stMain]');
    const told = (part, {left, top, width, height}) => {
        const still = !part.querySelector('.lab') && !part.closest('.lab');
        return [left, top, width, height].map(Math.round) + (still ? part.textContent : '');
    };
    let before = new Map(), all = new Set();
    const look = () => {
        const now = new Map(), there = new Set();
        for (const part of main.querySelectorAll('[data-testid=stElementContainer], svg.marks')) {
            const place = part.getBoundingClientRect();
            there.add(part);
            if (place.height && place.top < innerHeight && place.bottom > 0)
                now.set(part, told(part, place));
        }
        const same = (one, other) => one.size === other.size &&
            [...one.keys()].every(part => other.has(part));
        const moment = performance.now();
        if (!same(all, there)) times.whole = moment;
        if (!same(before, now) || [...now].some(([part, said]) => before.get(part) !== said))
            times.first = moment;
        before = now; all = there;
        if (window.switched === times) requestAnimationFrame(look);
    };
    document.addEventListener('click',
        () => { times.clicked = performance.now(); look(); }, {capture: true, once: true});
}"""
TOLD = """() => {
    const {clicked, first, whole} = window.switched;
    return [first - clicked, Math.max(first, whole) - clicked];
}"""
OTHER = (
    "before => document.querySelector('h1') && document.querySelector('h1').innerText !== before"
)


class Switch(NamedTuple):
    """first: seconds from the click until nothing in the window changes or moves any more; whole:
    until nothing on the page comes or goes."""

    first: float
    whole: float


def turn_to(visitor: Visit, link) -> tuple[str, Switch]:
    """Click on another page's link in the menu: that page's heading, and how long it took."""
    page = visitor.page
    before = page.locator("h1").inner_text()
    page.evaluate(WATCH)
    link.click()
    page.wait_for_function(OTHER, arg=before)
    visitor.settled()
    first, whole = (ms / 1000 for ms in page.evaluate(TOLD))
    return page.locator("h1").inner_text(), Switch(round(first, 2), round(whole, 2))
