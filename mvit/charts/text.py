"""Labels, shares and colours as a person reads them; apart from the charts, so that a page's first
answer need not wait for Altair and pandas."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from mvit.models.exit import Exit

# cividis, which people with any colour vision read in the same order: dull blue is unsure, bright
# yellow is sure.
CIVIDIS = (
    (0, 34, 78),
    (53, 69, 109),
    (102, 105, 112),
    (148, 142, 119),
    (201, 184, 102),
    (254, 232, 56),
)

# ImageNet's first name for a thing, where people rarely say it, and a better-known one of those
# that WordNet has for it. Only names that mean nothing else, as other tasks have labels too.
BETTER_KNOWN = {
    "African crocodile": "Nile crocodile",
    "American chameleon": "anole",
    "Arabian camel": "dromedary",
    "Boston bull": "Boston terrier",
    "Madagascar cat": "ring-tailed lemur",
    "Scotch terrier": "Scottish terrier",
    "ashcan": "trash can",
    "ballplayer": "baseball player",
    "bathing cap": "swimming cap",
    "beach wagon": "station wagon",
    "bicycle-built-for-two": "tandem bicycle",
    "caldron": "cauldron",
    "cellular telephone": "mobile phone",
    "hand blower": "hair dryer",
    "ice bear": "polar bear",
    "jinrikisha": "rickshaw",
    "lesser panda": "red panda",
    "lumbermill": "sawmill",
    "pop bottle": "soda bottle",
    "red-backed sandpiper": "dunlin",
    "toilet tissue": "toilet paper",
    "water ouzel": "dipper",
    "wood rabbit": "cottontail rabbit",
}


def confidence_colour(confidence: float) -> tuple[str, str]:
    """Fill and readable ink, as CSS colours, for a confidence of 0..1."""
    at = min(max(confidence, 0.0), 1.0) * (len(CIVIDIS) - 1)
    low = min(int(at), len(CIVIDIS) - 2)
    fill = [
        round(a + (b - a) * (at - low)) for a, b in zip(CIVIDIS[low], CIVIDIS[low + 1], strict=True)
    ]
    light = 0.299 * fill[0] + 0.587 * fill[1] + 0.114 * fill[2] > 117
    return "#{:02x}{:02x}{:02x}".format(*fill), "#000000" if light else "#ffffff"


def reads_black(colour: str) -> bool:
    """Whether black ink reads better than white on a CSS colour (WCAG 2's contrast)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179


def plain_label(label: str) -> str:
    """A data set's label as a person writes it."""
    name = label.replace("_", " ")
    return BETTER_KNOWN.get(name, name)


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each name for a place with room for four letters: a short one whole, of a longer one the
    first three and a point, or, where another begins alike, two and a number."""
    short: dict[str, str] = {}
    for name in dict.fromkeys(names):
        tries = [name if len(name) <= 4 else f"{name[:3]}."]
        tries += [f"{name[:2]}{n}" for n in range(2, 100)]
        short[name] = next(t for t in tries if t not in short.values())
    return short


def cell_lines(name: str, letters: int, lines: int) -> list[str]:
    """A name in whole words for a small place, in lines of about so many letters; of a name that
    needs more lines than there are, its last words."""
    words = name.split()
    while True:
        found = textwrap.wrap(" ".join(words), letters, break_long_words=False)
        if len(found) <= lines or len(words) == 1:
            return found[-lines:]
        del words[0]


def sure_text(confidence: float) -> str:
    """A confidence as whole percent; nothing is ever quite certain, so never a rounded 100."""
    return "> 99\u00a0%" if confidence >= 0.995 else f"{100 * confidence:.0f}\u00a0%"


def sure_words(confidence: float, unsure: bool) -> str:
    """How sure an exit is of what it says, or, where it is `unsure` and says nothing, how probable
    its best guess is."""
    return f"{sure_text(confidence)} {'for its best guess' if unsure else 'sure'}"


def how_sure(e: Exit) -> str:
    """The same of an exit itself."""
    return sure_words(e.confidence, e.unsure)


def macs_text(macs: float) -> str:
    """Multiply-accumulates in M or G, three figures."""
    return f"{macs / 1e9:.2f} G" if macs >= 1e9 else f"{macs / 1e6:.0f} M"
