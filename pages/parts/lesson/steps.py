"""The steps of the lesson in their order. A new step is one `Step` in one of the four modules and
its name here."""

from pages.parts.lesson import clock as lesson_clock
from pages.parts.lesson import exits as lesson_exits
from pages.parts.lesson import numbers as lesson_numbers
from pages.parts.lesson import picture as lesson_picture

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
ALL = lesson_picture.STEPS | lesson_numbers.STEPS | lesson_exits.STEPS | lesson_clock.STEPS
STEPS = [ALL[name] for name in ORDER]
