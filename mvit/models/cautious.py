"""Exits that say no more than they are sure of: a kind of thing, where no name is sure enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from mvit.models.exit import Exit
from mvit.models.tree import SURE, ClassTree, Said, tree_of


@dataclass(frozen=True, kw_only=True)
class CautiousExit(Exit):
    """An exit with the most specific thing that it is sure enough of. `label` and `confidence` are
    of that, `guess` is the likeliest class where that says more. An `unsure` exit says nothing, and
    its confidence is that of the guess."""

    said: Said
    tree: ClassTree = field(repr=False)

    @property
    def label(self) -> str:
        return self.said.name

    @property
    def confidence(self) -> float:
        return self.said.probability

    @property
    def guess(self) -> str:
        return "" if self.said.exact else self.labels[self.prediction]

    @property
    def unsure(self) -> bool:
        return self.said.unsure

    def right(self, truth: str | None) -> bool | None:
        known = truth in self.labels and not self.unsure
        return self.tree.holds(self.said.node, self.labels.index(truth)) if known else None

    def fits(self, other: CautiousExit) -> bool:
        return self.tree.agree(self.said.node, other.said.node)


class Caution:
    """How sure each exit of a model must be of what it says. told: what its card says under
    "coarse"; without, half sure is sure enough."""

    def __init__(self, tree: ClassTree, told: dict | None = None):
        exits = (told or {}).get("exits", ())
        self.tree = tree
        self._needed = {(e["layer"], e["head"]): tree.needed(e["said"]) for e in exits}

    @classmethod
    def of(cls, task: str, card: dict) -> Caution | None:
        """That of the model with this card; None for a task whose classes have no tree."""
        tree = tree_of(task)
        return tree and cls(tree, card.get("coarse"))

    def says(self, place: tuple[int, str], scores: Sequence[float]) -> Said:
        """What the exit at (layer, head) says, by its class probabilities (classes,)."""
        return self.tree.say(scores, self._needed.get(place, SURE))

    def taken(self, fired: Exit) -> CautiousExit:
        """The same exit, which says no more than it is sure of."""
        same = {f.name: getattr(fired, f.name) for f in fields(fired)}
        said = self.says((fired.layer, fired.head), fired.scores)
        return CautiousExit(**same, said=said, tree=self.tree)
