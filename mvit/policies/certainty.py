"""Rules by the answers' probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mvit.models.multi_exit import Exit
from mvit.policies.policy import Policy


@dataclass
class Confidence(Policy):
    """Leave when the predicted class has probability >= threshold (paper, section II; BranchyNet's
    rule with confidence)."""

    threshold: float = 0.9
    title = "confidence"
    meaning = "leave when the most likely answer has at least this probability (the paper's rule)"
    key = "threshold"

    def stop(self, exit: Exit) -> bool:
        return exit.confidence >= self.threshold


@dataclass
class Entropy(Policy):
    """Leave when the entropy of the probabilities, in nats, is <= threshold (BranchyNet,
    Teerapittayanon et al., 2016)."""

    threshold: float = 0.3
    title = "entropy"
    meaning = "leave when the entropy, in nats, is at most this; 0 is quite sure (BranchyNet)"
    key = measure = "entropy"
    sign = -1

    def stop(self, exit: Exit) -> bool:
        return exit.entropy <= self.threshold

    def limits(self, exits: int, classes: int) -> tuple[float, float]:
        return 0.0, round(math.log(classes), 2)


@dataclass
class Margin(Policy):
    """Leave when the two highest probabilities are >= threshold apart."""

    threshold: float = 0.8
    title = "margin"
    meaning = (
        "leave when the probabilities of the two most likely answers differ by at least this much"
    )
    key = measure = "margin"

    def stop(self, exit: Exit) -> bool:
        return exit.margin >= self.threshold
