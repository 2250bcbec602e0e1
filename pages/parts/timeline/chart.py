"""The time axis as SVG whose places are percentages, so that it is as wide as the page: a staircase
of exits, the plain network's wall, and real runs as dots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from math import hypot

from mvit.charts.text import confidence_colour, how_sure, plain_label
from mvit.models.exit import FINAL, Exit
from pages.parts.timeline.runs import Interrupted, Measured

# pixels: from above to the top step; of all steps at least, of one at least; of the plain network's
# lane
TOP, STAIRS, RISE, WIDE = 26, 110, 12, 16
# on a phone, pixels of a step's letter, of the axis, and of the margin to its right
LETTER, PHONE, MARGIN = 5.8, 280, 22
NUMBER = 15  # pixels between two discs, so that the second leaves the number of the first readable
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
LABELLED = 7  # as many exits can all be named; of more, those where the answer changes
QUIET, HOT = "#77849a", "#d55e00"


@dataclass(frozen=True)
class Axes:
    """Where things are in the chart: steps of a staircase, one each for `places`, None below all;
    milliseconds up to `reach`."""

    places: Sequence[tuple[int, bool]]
    reach: float

    @property
    def bottom(self) -> float:
        return TOP + max(STAIRS, RISE * len(self.places))

    @property
    def lane(self) -> float:
        return self.bottom + 14

    @property
    def height(self) -> float:
        return self.lane + WIDE + 20

    def y(self, place: tuple[int, bool] | None) -> float:
        steps = 0 if place is None else self.places.index(place) + 1
        return self.bottom - steps * (self.bottom - TOP) / len(self.places)

    def share(self, ms: float) -> float:
        return min(max(ms, 0.0), self.reach) / self.reach

    def x(self, ms: float) -> str:
        return f"{100 * self.share(ms):.3f}%"


def chart(measured: Measured, runs: Sequence[Interrupted]) -> str:
    """The SVG; parts that carry data-ms are dark until the handle reaches them."""
    reach = measured.reach
    axes = Axes(sorted({_place(e) for e in measured.exits}), reach)
    best = measured.exits[-1]
    told = (
        f"With exits: {plain_label(measured.exits[0].label)} after "
        f"{measured.exits[0].elapsed_ms:.1f} ms; {plain_label(best.label)} after "
        f"{best.elapsed_ms:.1f} ms. The plain network needs {measured.plain_ms:.1f} ms."
    )
    parts = [
        *_ticks(axes),
        *_plain(measured.plain_ms, axes),
        *_stairs(measured, axes),
        # it begins below the plain network's label, so that it never crosses it
        f'<line class="now" x1="0" x2="0" y1="{TOP - 8}" y2="{axes.height}" stroke="{HOT}" '
        'stroke-width="3"/>',
        *(m for i in range(len(measured.exits)) for m in _mark(measured, i, axes)),
        *(d for r in runs if r.within(reach) for d in _dot(measured, r, axes)),
        *_later([r for r in runs if not r.within(reach)], axes),
        # above all lines
        *(w for i in range(len(measured.exits)) for w in _words(measured, i, axes)),
    ]
    return (
        f'<svg class="marks" role="img" aria-label="{escape(told)}" height="{axes.height}" '
        f'fill="currentColor">{"".join(parts)}</svg>'
    )


def _place(e: Exit) -> tuple[int, bool]:
    """Where an exit stands on the staircase: by layer, the final exit on top."""
    return e.layer, e.head == FINAL


def _ticks(axes: Axes) -> Iterator[str]:
    step = next((s for s in STEPS if axes.reach / s <= 10), STEPS[-1])
    for i in range(int(axes.reach / step) + 1):
        at, text = axes.x(i * step), f"{i * step:g}{' ms' if i == 0 else ''}"
        yield (
            f'<line x1="{at}" x2="{at}" y1="{TOP}" y2="{axes.lane + WIDE}" stroke="currentColor" '
            f'stroke-opacity=".12"/><text x="{at}" y="{axes.height - 2}" text-anchor="middle" '
            f'fill-opacity=".75">{text}</text>'
        )


def _plain(ms: float, axes: Axes) -> Iterator[str]:
    """The plain network: a lane that fills while it works, and the wall where it has finished."""
    lane = f'<rect x="0" y="{axes.lane}" height="{WIDE}" rx="4" fill="{QUIET}"'
    yield f'{lane} width="{axes.x(ms)}" fill-opacity=".18"/>'
    yield f'{lane} width="0" fill-opacity=".45" class="done"/>'
    yield f'<text class="lane" x="6" y="{axes.lane + 12}">plain network at work</text>'
    yield (
        f'<svg x="{axes.x(ms)}" overflow="visible"><rect x="-3" y="{TOP - 8}" width="6" '
        f'height="{axes.lane - TOP + WIDE + 8}" rx="2" fill="{QUIET}"/>'
        f'<text class="wall" x="4" y="{TOP - 15}" text-anchor="end">plain network {ms:.1f} ms'
        "</text></svg>"
    )


def _stairs(measured: Measured, axes: Axes) -> Iterator[str]:
    corners = [(0.0, axes.y(None))]
    for e in measured.exits:
        corners += [(e.elapsed_ms, corners[-1][1]), (e.elapsed_ms, axes.y(_place(e)))]
    corners.append((measured.reach, corners[-1][1]))
    for (a, b), (c, d) in pairwise(corners):
        yield (
            f'<line x1="{axes.x(a)}" y1="{b:.1f}" x2="{axes.x(c)}" y2="{d:.1f}" '
            'stroke="currentColor" stroke-opacity=".35" stroke-width="2"/>'
        )


def one_head(measured: Measured) -> bool:
    """Whether all exits but the final one are of the same head."""
    return len({e.head for e in measured.exits} - {FINAL}) <= 1


def _covered(measured: Measured, i: int, axes: Axes) -> bool:
    """Whether a later disc would lie on the number of this one, on a phone."""
    here, y = axes.share(measured.exits[i].elapsed_ms), axes.y(_place(measured.exits[i]))
    return any(
        hypot(PHONE * (axes.share(e.elapsed_ms) - here), axes.y(_place(e)) - y) < NUMBER
        for e in measured.exits[i + 1 :]
    )


def _mark(measured: Measured, i: int, axes: Axes) -> Iterator[str]:
    """One exit: a disc as bright as it is sure, with its layer in it, where that can be read."""
    e = measured.exits[i]
    fill, ink = confidence_colour(e.confidence)
    number = "end" if e.head == FINAL else e.layer
    text = f'<text y="4" text-anchor="middle" font-size="11" fill="{ink}">{number}</text>'
    name = "the final exit" if e.head == FINAL else f"{e.head} after layer {e.layer}"
    tip = f"{name}: {_answer(measured, e)}, {how_sure(e)}, ready after "
    yield (
        f'<svg x="{axes.x(e.elapsed_ms)}" y="{axes.y(_place(e)):.1f}" overflow="visible">'
        f'<g class="mark" data-ms="{e.elapsed_ms:.4f}"><title>{escape(tip)}'
        f"{e.elapsed_ms:.1f} ms</title>"
        f'<circle r="10.5" fill="{fill}" stroke="currentColor" stroke-opacity=".5"/>'
        f"{'' if _covered(measured, i, axes) else text}</g></svg>"
    )


def _words(measured: Measured, i: int, axes: Axes) -> Iterator[str]:
    """One exit's answer, to the left of its disc and a little higher, where no step is, or, where
    it would not fit there, to the right and lower; of many exits only where the answer changes."""
    e, earlier = measured.exits[i], measured.exits[i - 1] if i else None
    changed = earlier is None or earlier.label != e.label
    if len(measured.exits) > LABELLED and not (changed and one_head(measured)):
        return
    said, before = _answer(measured, e), axes.share(e.elapsed_ms) * PHONE
    fits = 13 + LETTER * len(said) <= before or before > PHONE - before + MARGIN
    where = 'x="-13" y="-2" text-anchor="end"' if fits else 'x="13" y="11"'
    yield (
        f'<svg x="{axes.x(e.elapsed_ms)}" y="{axes.y(_place(e)):.1f}" overflow="visible">'
        f'<text class="says" data-ms="{e.elapsed_ms:.4f}" {where}>{escape(said)}</text></svg>'
    )


def _answer(measured: Measured, e: Exit) -> str:
    """What an exit says, and whether it is right where that is known."""
    return plain_label(e.label) + {None: "", True: " ✓", False: " ✗"}[e.right(measured.truth)]


def _dot(measured: Measured, run: Interrupted, axes: Axes) -> Iterator[str]:
    """One real run where its answer was in hand, on its exit's step; a line leads from the deadline
    to it, and a hollow dot contradicts the replay."""
    found = run.answer.exit
    y = axes.y(found and _place(found)) + (7 * run.number % 11 - 5) * 0.7
    colour = f'fill="{HOT}"' if run.beyond(measured) == 0 else 'fill="none" stroke-width="2.5"'
    at = run.answer.answered_ms
    yield (
        f'<line x1="{axes.x(min(run.answer.deadline_ms, at))}" x2="{axes.x(at)}" y1="{y:.1f}" '
        f'y2="{y:.1f}" stroke="{HOT}" stroke-width="2"/><circle class="dot" '
        f'cx="{axes.x(at)}" cy="{y:.1f}" r="4.5" {colour} stroke="{HOT}">'
        f"<title>{escape(run.told(measured))}</title></circle>"
    )


def _later(runs: Sequence[Interrupted], axes: Axes) -> Iterator[str]:
    """Real runs that had their answer beyond the axis: at its edge, how many on each step."""
    steps = [r.answer.exit and _place(r.answer.exit) for r in runs]
    for step in dict.fromkeys(steps):
        own = [r.answer for r, at in zip(runs, steps, strict=True) if at == step]
        last, y = max(a.answered_ms for a in own), axes.y(step)
        below = y + (24 if y < TOP + 24 else 4)  # not on the final exit's disc
        yield (
            f'<line x1="{axes.x(min(a.deadline_ms for a in own))}" x2="100%" y1="{y:.1f}" '
            f'y2="{y:.1f}" stroke="{HOT}" stroke-width="2"/>'
            f'<text class="says" x="100%" y="{below:.1f}" '
            f'text-anchor="end" fill="{HOT}">{len(own)} later than {axes.reach:g} ms'
            f"<title>Real runs whose answer was in hand beyond this axis; the last one after "
            f"{last:.1f} ms</title></text>"
        )
