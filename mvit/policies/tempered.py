"""Any rule, shown confidences that mean the same at every exit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from mvit.evaluation.predictions import Predictions
from mvit.evaluation.temperature import of_records, of_scores
from mvit.models.multi_exit import Exit
from mvit.policies.certainty import Confidence
from mvit.policies.policy import Policy


@dataclass
class Tempered(Policy):
    """Any rule, with temperature scaling in front (Guo et al., 2017): it is shown every exit's
    probabilities to the power of 1 / temperature, and these are what the answer says too.

    temperatures: (layer, head) -> temperature; an exit that is not in it stays as it is.
    """

    rule: Policy = field(default_factory=Confidence)
    temperatures: dict[tuple[int, str], float] = field(default_factory=dict)

    @property
    def threshold(self) -> Any:
        return self.rule.threshold

    def at(self, threshold: Any) -> Policy:
        return replace(self, rule=self.rule.at(threshold))

    def reset(self) -> None:
        self.rule.reset()

    def scaled(self, exit: Exit) -> Exit:
        """The exit with its scaled probabilities."""
        temperature = self.temperatures.get((exit.layer, exit.head), 1.0)
        return replace(exit, scores=of_scores(exit.scores, temperature))

    def stop(self, exit: Exit) -> bool:
        return self.rule.stop(self.scaled(exit))

    def answer(self, exit: Exit) -> Exit:
        return self.rule.answer(self.scaled(exit))

    def on_records(self, predictions: Predictions) -> tuple[Policy, Predictions]:
        return self.rule.on_records(of_records(predictions, self.temperatures))
