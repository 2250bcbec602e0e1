"""The stop rules, for others to import: by the answers' probabilities, by agreement, by the clock,
and by what validation pictures promise. They are listed in the order of these imports; a new one is
one class, see `policy`."""

from mvit.policies.certainty import Confidence, Entropy, Margin
from mvit.policies.consensus import Patience, PatienceAndConfidence, Stability
from mvit.policies.experts import ProductOfExperts
from mvit.policies.known_clock import Deadline
from mvit.policies.policy import POLICIES, Policy, make
from mvit.policies.promises import Guaranteed, PerformanceControl
from mvit.policies.tempered import Tempered

__all__ = [
    "POLICIES",
    "Confidence",
    "Deadline",
    "Entropy",
    "Guaranteed",
    "Margin",
    "Patience",
    "PatienceAndConfidence",
    "PerformanceControl",
    "Policy",
    "ProductOfExperts",
    "Stability",
    "Tempered",
    "make",
]
