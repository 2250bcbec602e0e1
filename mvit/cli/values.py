"""How the values of options are read: each function takes the text and returns the value, or raises
ArgumentTypeError."""

from __future__ import annotations

import argparse
import re

from mvit.models.extra_heads import EVERY
from mvit.training.joint import STRATEGIES


def stages(text: str) -> tuple[tuple[int, float], ...]:
    """Read `96:3,128:1.5,224:0.4` as ((96, 3.0), (128, 1.5), (224, 0.4)), and `none` as no
    stage."""
    try:
        found = (
            ()
            if text == "none"
            else tuple((int(s.split(":")[0]), float(s.split(":")[1])) for s in text.split(","))
        )
    except (ValueError, IndexError):
        found = ((0, 0),)
    if any(px < 16 or not 0 < epochs < 1e6 for px, epochs in found):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form PIXELS:EPOCHS,PIXELS:EPOCHS")
    return found


def tile_stages(text: str) -> tuple[tuple[int, int, int], ...]:
    """Read `192:60000:32,384:16000:12` as ((192, 60000, 32), (384, 16000, 12))."""
    try:
        found = tuple(tuple(int(part) for part in stage.split(":")) for stage in text.split(","))
    except ValueError:
        found = ()
    if not found or any(len(s) != 3 or s[0] < 32 or s[1] < 1 or s[2] < 1 for s in found):
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form PIXELS:TILES:BATCH,...")
    return found


def zoom(text: str) -> float:
    """A factor from 1 to 4."""
    return _numbers(text, float, "factors from 1 to 4", legal=lambda z: 1 <= z <= 4, at_most=1)[0]


def repeat(text: str) -> tuple[tuple[str, int], ...]:
    """Read `part_A:3,part_B:2` as (("part_A", 3), ("part_B", 2))."""
    found = [part.rpartition(":") for part in text.split(",")]
    if any(not name or not re.fullmatch("[1-9][0-9]?", times) for name, _, times in found):
        raise argparse.ArgumentTypeError(
            f"'{text}' is not of the form SET:TIMES,SET:TIMES with times from 1 to 99"
        )
    return tuple((name, int(times)) for name, _, times in found)


def rates(text: str) -> tuple[float, ...]:
    """Read `1e-3,1e-4` as (0.001, 0.0001)."""
    return _numbers(text, float, "learning rates", legal=lambda r: 0 < r < 1e3)


def rate(text: str) -> float:
    """Read one learning rate."""
    return _numbers(text, float, "learning rates", legal=lambda r: 0 < r < 1e3, at_most=1)[0]


def layers(text: str) -> tuple[int, ...]:
    """Read `3,6` as (3, 6)."""
    return tuple(sorted(set(_numbers(text, int, "layers", legal=lambda b: b > 0))))


def exit_weights(text: str) -> str | tuple[float, ...]:
    """Read `half`, `depth`, or numbers as `0.1,0.5`."""
    return (
        text
        if text in ("half", "depth")
        else _numbers(text, float, "weights, nor 'half' or 'depth'", legal=lambda w: w >= 0)
    )


def share(text: str) -> float:
    """A number from 0 to 1."""
    return _numbers(text, float, "numbers from 0 to 1", legal=lambda s: 0 <= s <= 1, at_most=1)[0]


def _numbers(text: str, kind: type, what: str, legal, at_most: int = 1000) -> tuple:
    try:
        found = tuple(kind(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not 0 < len(found) <= at_most or not all(legal(number) for number in found):
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of {what}")
    return found


def head_names(text: str) -> tuple[str, ...]:
    """Read `cnn_ignore,gmlp` as names of heads, each once."""
    return _names(text, "head", EVERY)


def strategies(text: str) -> tuple[str, ...]:
    """Read `end-to-end,layer-wise` as names of strategies."""
    return _names(text, "strategy", STRATEGIES)


def _names(text: str, what: str, known) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(text.split(",")))
    if unknown := [name for name in found if name not in known]:
        raise argparse.ArgumentTypeError(
            f"unknown {what} '{unknown[0]}'; there are: {', '.join(known)}"
        )
    return found


def bundle_name(text: str) -> str:
    """A name that is one folder inside weights/<task>/ and nothing else."""
    if not re.fullmatch(r"\w[\w.+-]{,59}", text):
        raise argparse.ArgumentTypeError(
            f"'{text}' cannot name a bundle: use letters, digits, '_', '-', '+' and '.', "
            "at most 60 of them"
        )
    return text


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def natural(text: str) -> int:
    """A whole number from 0 that fits 31 bits."""
    if not text.isdecimal() or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 to {2**31 - 1}")
    return int(text)
