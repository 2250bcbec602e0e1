"""From coarse to fine: what a classifier can say with confidence when it cannot yet name the thing.

The classes are the leaves of a tree (WordNet's for ImageNet). The probability of a node is the sum
over the classes below it, so a layer that hesitates between twenty breeds may still be sure of
"dog".
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np

from mvit.tasks import IMAGENET1K_TABLE

SURE = 0.5  # a node is said if it is at least this probable
PLAIN = {  # how people say the top of the tree
    "entity": "not sure yet",  # that it is something at all is no answer
    "living thing": "something alive",
    "artifact": "something made by people",
}


def words_of(text: str) -> frozenset[str]:
    """Names that stand between commas."""
    return frozenset(" ".join(name.split()) for name in text.split(","))


# said without an article
MASS = words_of("""
    armor, baked goods, bread, alcohol, clothing, crockery, electronic equipment, equipment, food,
    footwear, furniture, game equipment, hosiery, neckwear, produce, public transport,
    sports equipment, tableware
    """)
# nodes that only a biologist or a lexicographer would name: the next one above is said instead
UNSAID = words_of("""
    physical entity, whole, object, abstraction, matter, substance, organism, natural object,
    causal agent, reproductive structure, plant organ, plant part, nutriment, foodstuff, flavorer,
    ingredient, solid, covering, instrumentality, conveyance, craft, obstruction, article, ware,
    durables, consumer goods, commodity, white goods, furnishing, self-propelled vehicle,
    mercantile establishment, place of business, establishment, system, mechanism, restraint,
    support, supporting structure, piece, part, gymnastic apparatus, spiny-finned fish,
    teleost fish, soft-finned fish, aquatic vertebrate, vertebrate, chordate, placental,
    anthropoid ape, musteline mammal, even-toed ungulate, ungulate, bovid, ruminant, leporid,
    lagomorph, lepidopterous insect, metatherian, anseriform bird, phasianid, game, diapsid,
    saurian, chelonian, anapsid, oscine, passerine, elasmobranch, cartilaginous fish,
    decapod crustacean, gastropod, coelenterate, colubrid snake, beating-reed instrument, bony fish
    """)


@dataclass(frozen=True, kw_only=True)
class Said:
    """The most specific node that is probable enough. name: as people say it; depth: steps below
    the root; node: its row in the tree; exact: whether it is a class. probability: 0..1; of the
    root, which says nothing, that of the likeliest class."""

    name: str
    depth: int
    node: int
    probability: float
    exact: bool

    @property
    def unsure(self) -> bool:
        """Whether it says nothing: the picture could be anything."""
        return self.depth == 0


@dataclass(frozen=True, kw_only=True)
class ClassTree:
    """Nodes 0 .. classes-1 are the classes in the task's order; parents: (nodes,) of the row of
    each node's parent, -1 for the root."""

    names: tuple[str, ...]
    parents: tuple[int, ...]
    classes: int

    @cached_property
    def path(self) -> list[list[int]]:
        """Of every node the rows from itself to the root."""
        found = []
        for node in range(len(self.parents)):
            way = [node]
            while self.parents[way[-1]] >= 0:
                way.append(self.parents[way[-1]])
            found.append(way)
        return found

    @cached_property
    def below(self) -> np.ndarray:
        """(classes, nodes) float32: 1 where a class is below a node, or is the node."""
        table = np.zeros((self.classes, len(self.parents)), np.float32)
        for leaf in range(self.classes):
            table[leaf, self.path[leaf]] = 1
        return table

    @cached_property
    def depths(self) -> np.ndarray:
        """Steps from the root to each node: (nodes,)."""
        return np.array([len(way) - 1 for way in self.path])

    @cached_property
    def said(self) -> np.ndarray:
        """Which nodes people have a word for, all classes among them: (nodes,) bool."""
        inner = [name not in UNSAID for name in self.names[self.classes :]]
        return np.array([True] * self.classes + inner)

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """Class probabilities (..., classes) -> those of all nodes (..., nodes)."""
        return np.asarray(scores, np.float32) @ self.below

    @cached_property
    def left(self) -> np.ndarray:
        """How many classes each node leaves open, those below it: (nodes,)."""
        return self.below.sum(0)

    def needed(self, groups: Sequence[dict]) -> np.ndarray:
        """How probable each node must be to be said: (nodes,). groups: what a card tells of an
        exit, the most specific first: {"upto": at most so many classes left, "needs": so probable,
        None: never}."""
        found = np.full(len(self.parents), SURE)
        for group in reversed(groups):
            needs = group.get("needs", SURE)
            found[self.left <= group["upto"]] = np.inf if needs is None else needs
        return found

    def say(self, scores: Sequence[float], sure: float | np.ndarray = SURE) -> Said:
        """The most specific thing that class probabilities (classes,) are at least `sure` of: one
        probability, or one for each node (nodes,)."""
        nodes = self.probabilities(np.asarray(scores))
        node = int(self.surest(nodes, sure))
        sureness = nodes[node] if self.depths[node] else max(scores)
        return Said(
            name=self.spoken(node),
            depth=int(self.depths[node]),
            node=node,
            probability=float(min(sureness, 1.0)),
            exact=node < self.classes,
        )

    def surest(self, nodes: np.ndarray, sure: float | np.ndarray = SURE) -> np.ndarray:
        """Of probabilities of all nodes (..., nodes) the row of the most specific one that is at
        least `sure`, the likelier of two: (...)."""
        able = (nodes >= sure) & self.said
        return np.where(able, self.depths + nodes / 2, -1.0).argmax(-1)

    def holds(self, node: int, truth: int) -> bool:
        """Whether saying a node is right for a picture of class `truth`."""
        return node in self.path[truth]

    def agree(self, one: int, other: int) -> bool:
        """Whether two nodes can both be right: one is the other, or above it."""
        return one in self.path[other] or other in self.path[one]

    def spoken(self, node: int) -> str:
        """A node as people say it, with its article unless it is a class."""
        name = self.names[node]
        if node < self.classes:
            return name
        if name in PLAIN or name in MASS:
            return PLAIN.get(name, name)
        return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


@cache
def tree_of(task: str) -> ClassTree | None:
    """The tree of a task's classes; None if it has none."""
    if task != "imagenet1k":
        return None
    with IMAGENET1K_TABLE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    place = {row["wnid"]: i for i, row in enumerate(rows)}
    return ClassTree(
        names=tuple(row["name"] for row in rows),
        parents=tuple(place.get(row["parent"], -1) for row in rows),
        classes=1000,
    )
