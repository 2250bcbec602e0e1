"""What a run that was interrupted by its deadline had in hand."""

from __future__ import annotations

from dataclasses import dataclass

from mvit.models.multi_exit import Exit


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What `answer_by` returns. All times in ms since the call; an Exit's `elapsed_ms` is when
    it finished.

    exit: the latest exit that finished at or before the deadline, None if none had. finished: all
    that had, in order. late: exits that finished after the deadline, before the answer was given;
    never the answer. in_flight: the (layer, head) that was being computed when the answer was
    given, None if the plan was over. wasted_blocks: blocks begun beyond the answer's layer.
    first_ms: about when the plan's first exit is ready, by a trial run. note: what the user must be
    told, such as a change of device.
    """

    deadline_ms: float
    answered_ms: float
    exit: Exit | None
    finished: list[Exit]
    late: list[Exit]
    in_flight: tuple[int, str] | None
    wasted_blocks: int
    first_ms: float
    note: str = ""

    @property
    def ready(self) -> bool:
        """Whether any exit had finished."""
        return self.exit is not None

    @property
    def overshoot_ms(self) -> float:
        """How long after the deadline the answer came; 0 if the plan was over before it."""
        return max(0.0, self.answered_ms - self.deadline_ms)

    @property
    def message(self) -> str:
        """One sentence for the user."""
        if self.exit is None:
            first = f"the first is ready at about {self.first_ms:.3g} ms"
            if self.first_ms <= self.deadline_ms:
                first = (
                    f"the first took {self.first_ms:.3g} ms in a trial before, "
                    "so the machine seems busy with other things"
                )
            return f"no exit had finished; {first}"
        return (
            f"answered by '{self.exit.head}' after layer {self.exit.layer}, finished at "
            f"{self.exit.elapsed_ms:.3g} ms"
        )
