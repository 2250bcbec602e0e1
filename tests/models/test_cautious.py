"""An exit that says a kind of thing where it hesitates between names."""

import pytest

from mvit.charts.text import how_sure
from mvit.models.cautious import Caution
from mvit.models.exit import Exit
from mvit.models.tree import tree_of
from mvit.tasks import TASKS

LABELS = TASKS["imagenet1k"].labels
TREE = tree_of("imagenet1k")
NEVER = {"upto": 1, "needs": None}  # no single name is ever said
TIMES = {"elapsed_ms": 1.0, "head_ms": 0.5, "ms": 1.0, "macs": 7}


def fired(head: str = "lens", **shares: float) -> Exit:
    """An exit whose probability is shared by these classes, what is left by all."""
    scores = [(1 - sum(shares.values())) / 1000] * 1000
    for name, share in shares.items():
        scores[LABELS.index(name)] += share
    return Exit(2, head, scores=scores, labels=LABELS, **TIMES)


def test_it_says_the_kind_that_it_is_sure_of_and_the_name_as_a_guess():
    taken = Caution(TREE).taken(fired(beagle=0.4, pug=0.3, tench=0.1))
    assert (taken.label, taken.guess) == ("a dog", "beagle")
    assert taken.confidence == pytest.approx(0.72, abs=0.03)
    assert (taken.layer, taken.head, taken.macs) == (2, "lens", 7)
    assert taken.right("pug") and taken.right("tench") is False and taken.right(None) is None


def test_a_sure_name_is_said_as_any_exit_says_it():
    plain = fired(pug=0.9)
    taken = Caution(TREE).taken(plain)
    assert (taken.label, taken.guess) == (plain.label, "")
    assert taken.confidence == pytest.approx(plain.confidence)
    assert taken.right("pug") and taken.right("beagle") is False


def test_an_exit_whose_names_were_wrong_too_often_on_other_photos_says_less():
    told = {"exits": [{"layer": 2, "head": "lens", "said": [NEVER]}]}
    caution = Caution(TREE, told)
    assert caution.taken(fired(pug=0.9)).guess == "pug"
    assert caution.taken(fired("final", pug=0.9)).label == "pug"


def test_an_exit_that_could_mean_anything_says_nothing_and_is_neither_right_nor_wrong():
    taken = Caution(TREE).taken(fired(tench=0.1, pug=0.2, valley=0.2, pizza=0.2, teapot=0.2))
    assert taken.unsure and taken.label == "not sure yet" and taken.right("pug") is None
    assert how_sure(taken) == "20\u00a0% for its best guess"
    sure = Caution(TREE).taken(fired(pug=0.9))
    assert not sure.unsure and how_sure(sure) == "90\u00a0% sure"


def test_a_card_tells_how_sure_its_exits_must_be_and_a_task_without_a_tree_has_no_caution():
    card = {"coarse": {"exits": [{"layer": 2, "head": "lens", "said": [NEVER]}]}}
    assert Caution.of("imagenet1k", card).taken(fired(pug=0.9)).label != "pug"
    assert Caution.of("imagenet1k", {}).taken(fired(pug=0.9)).label == "pug"
    assert Caution.of("cifar10", card) is None
