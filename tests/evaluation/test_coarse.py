"""How far down the tree of classes exits dare to go, over many pictures."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from thin import thin_model
from timm.models.vision_transformer import VisionTransformer

from mvit.charts.coarse import coarse_rows, depth_chart, depth_rows
from mvit.data.labelled import Pictures
from mvit.evaluation import coarse
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import MultiExitViT
from mvit.models.tree import tree_of
from mvit.tasks import TASKS
from pages.parts.coarse import many_finding

TREE = tree_of("imagenet1k")
PUG, CAT = TREE.names.index("pug"), TREE.names.index("tabby")


def test_what_is_said_is_counted_by_how_many_names_it_leaves():
    said = np.array([PUG, PUG, TREE.names.index("dog"), TREE.names.index("living thing")])
    found = coarse.groups(TREE, said, np.array([PUG, CAT, CAT, CAT]))
    assert [row["upto"] for row in found] == [1, 30, 150, 1000]
    assert [(row["n"], row["right"]) for row in found] == [(2, 1), (0, 0), (1, 0), (1, 1)]


def test_the_surest_of_many_pictures_is_that_of_each():
    scores = np.random.default_rng(0).dirichlet(np.full(1000, 0.003), 20)
    nodes = TREE.surest(TREE.probabilities(scores))
    assert nodes.tolist() == [TREE.say(one).node for one in scores]


def named(sure: list[float], right: list[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of all nodes of an exit that names a pug, so sure each time, and whether there
    was one."""
    scores = np.full((len(sure), 1000), (1 - np.array(sure))[:, None] / 999)
    scores[:, PUG] = sure
    return TREE.probabilities(scores), np.where(right, PUG, CAT)


@pytest.mark.parametrize(
    ("sure", "right", "needs"),
    [
        ([0.9, 0.8, 0.7, 0.6], [True, False, True, False], 0.5),
        ([0.9, 0.8, 0.7, 0.6], [True, True, False, False], 0.5),
        ([0.9, 0.8, 0.7, 0.6], [True, False, False, False], 0.8),
        ([0.9, 0.8], [False, False], None),
        ([0.3, 0.2], [False, False], 0.5),
    ],
    ids=["half right", "at first right", "only the surest right", "never right", "never said"],
)
def test_an_exit_names_things_only_as_far_as_half_its_names_were_right(sure, right, needs):
    first, *_, last = coarse.calibrated(TREE, *named(sure, right))
    assert first["upto"] == 1 and last == {"upto": 1000, "needs": 0.5}
    assert first["needs"] == (needs and pytest.approx(needs))


def test_an_exit_that_must_be_surer_of_a_name_says_the_kind_instead():
    told = {"exits": [{"layer": 1, "head": "mlp", "said": [{"upto": 1, "needs": 0.8}]}]}
    scores = np.full(1000, 0.3 / 999)
    scores[PUG] = 0.7
    exits = pd.DataFrame([{"layer": b, "head": "mlp", "scores": scores} for b in (1, 2)])
    assert coarse_rows(exits, TREE, told).says.tolist() == ["a dog", "pug"]
    told["exits"][0]["said"][0]["needs"] = None
    assert coarse_rows(exits, TREE, told).says.tolist() == ["a dog", "pug"]
    del told["exits"][0]["said"][0]["needs"]  # a card from before such bars
    assert coarse_rows(exits, TREE, told).says.tolist() == ["pug", "pug"]


@pytest.fixture(scope="module")
def told() -> dict:
    """What a card says of a thin model of 1,000 classes on three pictures."""
    torch.manual_seed(0)
    vit = VisionTransformer(
        img_size=32, patch_size=16, embed_dim=64, depth=2, num_heads=1, num_classes=1000
    )
    task = replace(TASKS["imagenet1k"], native_px=32, input_px=32)
    model = MultiExitViT.untrained(Backbone(vit), task, ["mlp"]).eval().requires_grad_(False)
    x = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    pictures = Pictures(x, torch.tensor([PUG, CAT, CAT]), task.labels)
    return coarse.record(model, pictures.subset(torch.arange(2)), pictures)


def test_every_exit_says_something_about_every_picture(told):
    assert (told["n"], told["sure"], told["chosen_on"]) == (3, 0.5, 2)
    assert [(row["layer"], row["head"]) for row in told["exits"]] == [
        (1, "mlp"),
        (2, "mlp"),
        (2, "final"),
    ]
    assert all(sum(part["n"] for part in row["said"]) == 3 for row in told["exits"])


def test_a_task_without_a_tree_records_nothing():
    assert coarse.record(thin_model(depth=1), None, None) is None


def test_the_chart_splits_all_pictures_by_what_is_said_and_whether_it_is_right(told):
    for row, (first, last) in zip(told["exits"], [(0, 10), (4, 6), (10, 0)], strict=True):
        row["said"] = [
            {"upto": 1, "n": first, "right": first},
            {"upto": 30, "n": 0, "right": 0},
            {"upto": 150, "n": 0, "right": 0},
            {"upto": 1000, "n": last, "right": last // 2},
        ]
    rows = depth_rows(told | {"n": 10}, "mlp")
    assert rows.groupby("exit")["share"].sum().tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert many_finding(rows).startswith("The name itself is said of 40% of photos after layer 2")
    assert "right of 70% and 100%" in many_finding(rows)
    assert depth_chart(rows, "A finding").to_dict()["mark"]["type"] == "bar"
