"""The answers beside the steps of the time axis: inside the chart, and none upon another."""

import re
from dataclasses import replace

import pytest

from mvit.models.exit import FINAL, Exit
from pages.parts.timeline import Measured
from pages.parts.timeline.chart import LETTER, MARGIN, PHONE, RISE, chart

LONG = ["something made by people", "black and gold garden spider", "a domestic animal"]
STEP = (
    r'<svg x="([\d.]+)%" y="([\d.]+)" overflow="visible"><text class="says" '
    r'data-ms="[\d.]+" x="(-?\d+)" y="(-?\d+)"( text-anchor="end")?>(.*?)</text>'
)


def run(*names: str, first_ms: float = 1.0) -> Measured:
    """A run of as many exits, each of which says another name."""
    last = len(names) - 1
    times = {"head_ms": 0.5, "ms": 1.0, "macs": 7}
    exits = [
        Exit(
            min(i + 1, last),
            FINAL if i == last else "mlp",
            scores=[float(i == j) for j in range(len(names))],
            labels=names,
            elapsed_ms=first_ms + 2.0 * i,
            **times,
        )
        for i in range(len(names))
    ]
    return Measured(exits=exits, macs=[7] * len(names), plain_ms=exits[-1].elapsed_ms, truth=None)


def words(measured: Measured, width: float) -> list[tuple[float, float, float]]:
    """Of every step's words left and right end and baseline, in pixels from the axis's start."""
    found = []
    for x, y, dx, dy, before, said in re.findall(STEP, chart(measured, [])):
        at, long = float(x) / 100 * width + int(dx), LETTER * len(said)
        left = at - long if before else at
        found.append((left, left + long, float(y) + int(dy)))
    return found


@pytest.mark.parametrize("width", [PHONE, 880])
@pytest.mark.parametrize("name", LONG[::2])
def test_long_words_stay_inside_the_chart(name, width):
    for count in (2, 5, 13):
        names = [name[:-1] + chr(97 + i) for i in range(count)]
        found = words(run(*names), width)
        assert len(found) == count
        assert all(left >= -2 and right <= width + MARGIN + 2 for left, right, _ in found), count


def test_the_words_of_many_steps_do_not_stand_upon_each_other():
    found = words(run(*(f"{name} {i}" for i in range(4) for name in LONG), "dog"), PHONE)
    lines = sorted(y for _, _, y in found)
    assert len(lines) == 13
    assert all(b - a >= RISE - 0.1 for a, b in zip(lines, lines[1:], strict=False))


def test_many_steps_make_the_chart_taller():
    few, many = (
        int(float(re.search(r' height="([\d.]+)" fill="currentColor"', chart(r, []))[1]))
        for r in (run(*"abcde"), run(*"abcdefghijklm"))
    )
    assert few == 186 < many


def test_no_disc_stands_on_the_number_of_another():
    alone = run(*"abcdefghijklm")
    pairs = [
        replace(e, head=head, elapsed_ms=e.elapsed_ms + late)
        for e in alone.exits[:-1]
        for head, late in (("mlp", 0.0), ("vit", 0.1))
    ]
    end = replace(alone.exits[-1], elapsed_ms=pairs[-1].elapsed_ms + 0.1)
    svg = chart(replace(alone, exits=[*pairs, end], macs=[7] * 25), [])
    assert svg.count("<circle") == 25
    numbers = re.findall(r'font-size="11" fill="#\w+">(\w+)</text>', svg)
    assert numbers == [*map(str, range(1, 12)), "end"]  # the final exit's disc covers the 12
    numbers = re.findall(r'font-size="11" fill="#\w+">(\w+)</text>', chart(alone, []))
    assert len(numbers) == 13  # far enough apart
