"""Small pictures of what a head does with the tokens of a layer, for hover help.

A picture reads from left to right: the class token and the map of patches, hollow where the head
does not read them; what mixes them; the answer. Orange is the class token, blue the patches, purple
a mixture of both. A picture brings its own background, so that it is readable in any theme.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple
from urllib.parse import quote

WIDTH, HEIGHT, MIDDLE = 320, 60, 25
PLAIN = "/:;,='{}@+"  # what Markdown and browsers take in an address as it is
STYLE = (  # short, since every picture carries it
    "svg{background:white;fill:none;stroke:gray;font:10px sans-serif}"
    "text{fill:black;stroke:none;text-anchor:middle}"
    ".c,.p,.m{stroke:white}.c{fill:#d50}.p{fill:#07b}.m{fill:#85b}"
    "@media(prefers-color-scheme:dark){svg{background:#123}text{fill:white}}"
)


class Part(NamedTuple):
    """One thing in a picture. draw: from its left edge to its markup."""

    width: int
    draw: Callable[[int], str]


def _text(x: float, y: float, words: str) -> str:
    return f"<text x='{x:g}' y='{y:g}'>{words}</text>"


def _square(kind: str, x: int, *, side: int, inside: str = "") -> str:
    """A token, or tokens with the lines `inside`; kind: the colour's class, empty if hollow."""
    dress = f"class='{kind}'" if kind else "stroke-dasharray='2'"
    return f"<path {dress} d='M{x},{MIDDLE - side // 2}h{side}v{side}h-{side}z{inside}'/>"


def _map(kind: str, x: int) -> str:
    """3 x 3 tokens."""
    return _square(kind, x, side=36, inside="m0,12h36m0,12h-36m12-24v36m12,0v-36")


def tokens(kinds: str) -> Part:
    """What the layer gives; kinds: `c` if the class token is read, `p` if the patches are."""
    cls, patches = (kind if kind in kinds else "" for kind in "cp")
    names = _text(13, 55, "class") + _text(50, 55, "patches")
    return Part(68, lambda x: _square(cls, 6, side=13) + _map(patches, 32) + names)


def placed(name: str, *, halves: bool = False) -> Part:
    """The map of patches once the class token has been brought to each of them."""
    strips = "h6v36h-6zm0,12h6m0,12h-6m12-24" * 3

    def draw(x: int) -> str:
        beside = f"<path class='c' d='M{x + 8},{MIDDLE - 18}{strips}'/>" if halves else ""
        return _map("p" if halves else "m", x + 8) + beside + _text(x + 26, 55, name)

    return Part(52, draw)


def block(*lines: str) -> Part:
    """A small network with its name."""
    width = 12 + round(5.3 * max(map(len, lines)))
    top = MIDDLE + 3.5 - 6 * (len(lines) - 1)

    def draw(x: int) -> str:
        names = [_text(x + width / 2, top + 12 * i, line) for i, line in enumerate(lines)]
        return f"<rect x='{x}' y='2' width='{width}' height='46' rx='5'/>" + "".join(names)

    return Part(width, draw)


def left(**kinds: str) -> Part:
    """The vectors that are left to answer from: name to colour's class."""
    width = 44 * len(kinds)

    def draw(x: int) -> str:
        places = [(x + 22 + 44 * i, name, kind) for i, (name, kind) in enumerate(kinds.items())]
        return "".join(_square(k, at - 6, side=13) + _text(at, 55, name) for at, name, k in places)

    return Part(width, draw)


CLASS, AVERAGE, CONVOLUTION = (
    left(**{"class": "c"}),
    left(average="m"),
    block("3 × 3", "convolution,", "max pool"),
)
DENSE = block("dense", "layers")

PICTURES: dict[str, tuple[Part, ...]] = {
    "mlp": (tokens("c"), DENSE),
    "vit": (tokens("cp"), block("transformer", "layer:", "attention"), CLASS, DENSE),
    "cnn_add": (tokens("cp"), placed("class added"), CONVOLUTION, DENSE),
    "cnn_project": (tokens("cp"), placed("side by side", halves=True), CONVOLUTION, DENSE),
    "cnn_ignore": (tokens("p"), CONVOLUTION, DENSE),
    "mixer": (tokens("cp"), block("Mixer layer:", "MLP across", "the tokens"), AVERAGE, DENSE),
    "resmlp": (tokens("cp"), block("ResMLP layer:", "dense across", "the tokens"), AVERAGE, DENSE),
    "gmlp": (tokens("cp"), block("gated MLP:", "tokens gate", "each other"), AVERAGE, DENSE),
    "fnet": (tokens("cp"), block("FNet layer:", "Fourier", "transform"), AVERAGE, DENSE),
    "perceiver": (
        tokens("cp"),
        block("attention by", "a few learned", "questions"),
        AVERAGE,
        DENSE,
    ),
    "mlp_mean": (tokens("cp"), left(**{"class": "c", "average": "p"}), DENSE),
    "lens": (
        tokens("cp"),
        left(**{"class": "c", "average": "p", "spread": "p"}),
        block("linear", "map"),
    ),
}


def svg(head: str) -> str:
    """The picture of a head that has one, as SVG."""
    parts = (*PICTURES[head], Part(34, lambda x: _text(x + 17, MIDDLE + 3.5, "answer")))
    room = (WIDTH - 2 - sum(part.width for part in parts)) // (len(parts) - 1)
    x, drawn, arrows = 0, "", ""
    for part in parts:
        drawn += part.draw(x)
        x += part.width
        if part is not parts[-1]:
            arrows += f"M{x + 2},{MIDDLE}h{room - 4}m-4-4l4,4-4,4"
        x += room
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0,0,{WIDTH},{HEIGHT}' width='{WIDTH}'>"
        f"<style>{STYLE}</style>{drawn}<path d='{arrows}'/></svg>"
    )


@cache
def picture(head: str, alt: str) -> str:
    """The picture of a head that has one, as a Markdown image."""
    return f"![{alt}](data:image/svg+xml,{quote(svg(head), safe=PLAIN)})"
