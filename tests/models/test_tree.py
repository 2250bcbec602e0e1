"""The tree of ImageNet's classes, and what is said when the class itself is not sure."""

import csv

import numpy as np
import pytest

from mvit.charts.text import BETTER_KNOWN, plain_label
from mvit.models.tree import ClassTree, tree_of
from mvit.tasks import IMAGENET1K_TABLE, TASKS


@pytest.fixture(scope="module")
def tree() -> ClassTree:
    return tree_of("imagenet1k")


def scores(tree: ClassTree, **shares: float) -> np.ndarray:
    """Class probabilities: the given shares, the rest spread evenly over all classes."""
    rest = (1 - sum(shares.values())) / tree.classes
    found = np.full(tree.classes, rest)
    for name, share in shares.items():
        found[tree.names.index(name.replace("_", " "))] += share
    return found


def test_the_classes_are_the_published_ones_in_their_order():
    labels = TASKS["imagenet1k"].labels
    assert len(labels) == len(set(labels)) == 1000
    known = {0: "tench", 1: "goldfish", 207: "golden retriever", 281: "tabby", 963: "pizza"}
    assert {i: labels[i] for i in known} == known
    assert labels[134] == "crane (wading bird)" and labels[517] == "crane (lifting device)"


def test_every_class_has_a_way_to_one_root(tree):
    assert {way[-1] for way in tree.path} == {tree.names.index("entity")}
    assert all(len(way) > 2 for way in tree.path[:1000])
    assert "dog" in [tree.names[n] for n in tree.path[235]]  # German shepherd


def test_the_probability_of_a_node_is_the_sum_over_its_classes(tree):
    even = np.full(1000, 1e-3)
    nodes = tree.probabilities(even)
    assert nodes[tree.names.index("entity")] == pytest.approx(1, abs=1e-5)
    assert nodes[tree.names.index("dog")] == pytest.approx(0.118, abs=1e-4)  # 118 of the 1,000


def test_what_is_said_grows_from_coarse_to_fine(tree):
    # 522 of the 1,000 classes are artifacts, so even ignorance is 52 % sure of that
    said = [
        tree.say(scores(tree)),
        tree.say(scores(tree, German_shepherd=0.15, beagle=0.15, pug=0.15)),
        tree.say(scores(tree, German_shepherd=0.6)),
    ]
    assert [s.name for s in said] == ["something made by people", "a dog", "German shepherd"]
    assert [s.exact for s in said] == [False, False, True]
    assert said[0].depth < said[1].depth < said[2].depth
    assert said[2].probability == pytest.approx(0.6, abs=0.01)


def test_who_cannot_tell_anything_is_the_least_sure_of_all(tree):
    spread = scores(tree, tench=0.1, pug=0.2, valley=0.2, pizza=0.2, teapot=0.2)
    said = tree.say(spread)
    assert said.name == "not sure yet" and said.unsure and not said.exact
    assert said.probability == pytest.approx(0.2, abs=0.01), "of what it leans to"
    assert not tree.say(scores(tree)).unsure


def test_saying_a_dog_is_right_for_a_beagle_and_wrong_for_a_cat(tree):
    dog = tree.names.index("dog")
    assert tree.holds(dog, tree.names.index("beagle"))
    assert not tree.holds(dog, tree.names.index("tabby"))


def test_a_task_without_a_tree_has_none():
    assert tree_of("cifar10") is None


def test_nobody_is_told_of_diapsids(tree):
    lizards = {name: 0.09 for name in ("common_iguana", "whiptail", "agama", "alligator_lizard")}
    snakes = {
        name: 0.09 for name in ("king_snake", "garter_snake", "rock_python", "boa_constrictor")
    }
    assert tree.say(scores(tree, **lizards, **snakes)).name == "a reptile"
    bags = {"backpack": 0.2, "mailbag": 0.2, "purse": 0.2}
    assert tree.say(scores(tree, **bags)).name in ("a bag", "a container")
    assert tree.spoken(tree.names.index("furniture")) == "furniture"


def test_a_name_that_people_rarely_say_gives_way_to_a_better_known_one_of_the_same_thing():
    with IMAGENET1K_TABLE.open(encoding="utf-8") as file:
        classes = [row for row, _ in zip(csv.DictReader(file), range(1000), strict=False)]
    words = {row["name"]: row["words"].split(", ") for row in classes}
    assert plain_label("ice bear") == plain_label("ice_bear") == "polar bear"
    assert all(known in words[name] for name, known in BETTER_KNOWN.items())
    shown = [plain_label(name) for name in words]
    assert len(set(shown)) == 1000, "two classes would have one name"
