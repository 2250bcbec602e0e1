"""The steps of the lesson in their order. A new step is one `Step` in one of the three modules and its name here."""

from pages.parts import lesson_clock, lesson_numbers, lesson_picture

ORDER = ("patches", "first", "sure", "trust", "settle", "easy", "work", "heads", "practical", "rule", "overthinking", "clock", "static",
         "training", "choose")  # fmt: skip
STEPS = [(lesson_picture.STEPS | lesson_numbers.STEPS | lesson_clock.STEPS)[name] for name in ORDER]
