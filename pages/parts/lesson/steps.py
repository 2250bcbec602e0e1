"""The steps of the lesson in their order. A new step is one `Step` in one of these modules and its
name here."""

from pages.parts.lesson import clock, effort, exits, numbers, picture

ORDER = (
    "patches",
    "first",
    "sure",
    "trust",
    "settle",
    "easy",
    "work",
    "heads",
    "practical",
    "rule",
    "overthinking",
    "clock",
    "static",
    "training",
    "choose",
)
_ALL = picture.STEPS | effort.STEPS | numbers.STEPS | exits.STEPS | clock.STEPS
STEPS = [_ALL[name] for name in ORDER]
