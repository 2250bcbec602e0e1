"""A whole study on a few dozen pictures: what it leaves behind can be loaded, says what it is, and
is resumed, not redone."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toys import colours, write_folder

import mvit
from mvit.bundles import weights
from mvit.data import labelled as data
from mvit.data.labelled import DataError, Pictures
from mvit.data.splits import sample
from mvit.evaluation.measure import evaluate
from mvit.evaluation.predictions import load_predictions
from mvit.models.backbone import Backbone
from mvit.models.heads import HEADS
from mvit.tasks import TASKS
from mvit.training.exits import ExitRecipe
from mvit.training.finetune import Recipe
from mvit.training.kinds import CLASSES
from mvit.training.study import Study, own_task, train

TINY = "test_vit"  # timm's own toy: six layers of 64 channels


def task(folder, name: str = "mine"):
    return dataclasses.replace(own_task(folder, name, native_px=8), input_px=32)


def new_study(folder, tmp_path, **changes) -> Study:
    """The shortest study there is: one step of each kind."""
    exits = ExitRecipe(
        rates=(1e-3,),
        batch=8,
        round_images=8,
        max_rounds=1,
        val_images=3,
        trial_steps=1,
        trial_layers=(1,),
    )
    recipe = Recipe(stages=((32, 0.1),), batch=8)
    start = {
        "architecture": TINY,
        "init": tmp_path / "init.safetensors",
        "recipe": recipe,
        "exits": exits,
        "device": "cpu",
        "notes": "a test",
    }
    return Study(task=task(folder), data=folder, run=tmp_path / "run", **(start | changes))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished study: the folder it happened in, its picture folder, the study and the card it
    gave back."""
    tmp_path = tmp_path_factory.mktemp("study")
    write_folder(tmp_path / "pictures" / "train", colours(10))
    folder = write_folder(tmp_path / "pictures" / "test", colours(4, seed=1)).parent
    torch.manual_seed(0)
    # another final exit
    save_file(
        Backbone.create(TINY, 43, img_size=32).vit.state_dict(), tmp_path / "init.safetensors"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
        work = new_study(folder, tmp_path)
        yield tmp_path, folder, work, train(work)


def test_a_study_ends_in_a_bundle_that_loads(done):
    tmp_path, *_, card = done
    assert weights.bundles() == [("mine", TINY)] and all(b["ok"] for b in weights.verify())
    model = mvit.load("mine", TINY, device="cpu")
    assert (
        list(model.heads) == list(HEADS)
        and len(model.exits()) == 42
        and model.task.labels == ("a", "b", "c")
    )
    red = np.full((8, 8, 3), (220, 40, 40), np.uint8)
    assert all(e.label in "abc" for e in model.run(red, model.practical("mlp")))
    assert model.practical_exits == {
        (e["layer"], e["head"]) for e in card["exits"] if e["practical"]
    }


def test_the_card_says_where_it_comes_from_and_how_good_it_is(done):
    tmp_path, *_, card = done
    assert card == json.loads((tmp_path / "weights" / "mine" / TINY / "card.json").read_text())
    assert (
        card["init"] == "init.safetensors"
        and card["seed"] == 0
        and card["notes"] == "a test"
        and card["strategy"] == "classifier-wise"
    )
    assert {k: card["data"][k] for k in ("train", "validation", "test", "unreadable")} == {
        "train": 27,
        "validation": 3,
        "test": 12,
        "unreadable": [],
    }
    assert (
        card["recipe"]["batch"] == 8
        and card["recipe"]["steps"] == 1
        and card["exit_recipe"]["rounds"] == 1
    )
    assert (
        card["exit_recipe"]["rates"].keys() == HEADS.keys()
        and card["versions"]["torch"] == torch.__version__
    )
    assert card["n"] == 12 and 0 <= card["final"]["accuracy"] <= 1 and len(card["exits"]) == 42
    assert set(card["files"]) == {
        "backbone.safetensors",
        *(f"heads/{h}.safetensors" for h in HEADS),
    }


def test_the_recorded_predictions_are_the_cards_figures(done):
    tmp_path, *_, card = done
    found = load_predictions(tmp_path / "weights" / "mine" / TINY)
    assert {split: len(p.truth) for split, p in found.items()} == {"val": 3, "test": 12}
    assert np.bincount(found["test"].truth).tolist() == [4, 4, 4]
    assert found["test"].accuracy.tolist() == [
        *(e["accuracy"] for e in card["exits"]),
        card["final"]["accuracy"],
    ]


def test_the_bundle_measures_what_its_card_promises(done):
    _, folder, _, card = done
    result = evaluate(mvit.load("mine", TINY, device="cpu"), folder)
    assert (result["task"], result["n"]) == ("mine", 12)
    off = [
        abs(a["accuracy"] - b["accuracy"])
        for a, b in zip(result["exits"], card["exits"], strict=True)
    ]
    # half precision on disk
    assert np.mean(off) < 0.02 and [e["macs"] for e in result["exits"]] == [
        e["macs"] for e in card["exits"]
    ]


def test_a_second_call_resumes_and_trains_nothing_again(done, monkeypatch):
    _, _, work, card = done
    monkeypatch.setattr(data, "augment", lambda *_: pytest.fail("took a step"))
    assert train(work) == card


def test_exits_go_on_learning_where_a_bundle_s_stand_and_its_backbone_stays(done):
    tmp_path, _, work, before = done
    bundle = tmp_path / "weights" / "mine" / TINY
    more = {"init": bundle, "recipe": Recipe(stages=()), "name": "on", "run": tmp_path / "on"}
    card = train(dataclasses.replace(work, **more))
    assert card["final"]["accuracy"] == before["final"]["accuracy"]
    assert card["recipe"].keys() == {"stages", "val_accuracy"} and not card["recipe"]["stages"]
    assert card["before"]["recipe"] == before["recipe"] and card["exit_recipe"]["rounds"] == 1


def test_a_folder_of_classes_alone_is_split_in_three(tmp_path):
    folder = write_folder(tmp_path / "flowers", colours(50))
    train_set, val, test = CLASSES.parts(new_study(folder, tmp_path))
    assert [torch.bincount(part.y).tolist() for part in (train_set, val, test)] == [
        [36] * 3,
        [4] * 3,
        [10] * 3,
    ]
    seen = {tuple(x.flatten().tolist()) for part in (train_set, val, test) for x in part.x}
    assert len(seen) == 150  # disjoint and complete
    again = CLASSES.parts(new_study(folder, tmp_path))
    assert all(torch.equal(a.x, b.x) for a, b in zip((train_set, val, test), again, strict=True))


def test_a_tiny_class_keeps_a_picture_to_learn_from(tmp_path):
    pictures = colours(20)
    few = pictures.subset(
        torch.cat([(pictures.y != 2).nonzero()[:, 0], (pictures.y == 2).nonzero()[:2, 0]])
    )
    folder = write_folder(tmp_path / "flowers", few)
    counts = [
        torch.bincount(part.y, minlength=3).tolist()
        for part in CLASSES.parts(new_study(folder, tmp_path))
    ]
    assert counts == [[14, 14, 1], [2, 2, 0], [4, 4, 1]]


def test_too_few_pictures_or_none_of_a_class_are_said(tmp_path):
    folder = write_folder(tmp_path / "flowers", colours(2))
    with pytest.raises(
        DataError,
        match="too few pictures in .*flowers: none is left for validation; "
        "give each class at least three",
    ):
        CLASSES.parts(new_study(folder, tmp_path))
    folder = write_folder(tmp_path / "more", colours(9))
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="there are no pictures of 'empty' to learn from"):
        CLASSES.parts(new_study(folder, tmp_path))


def test_limits_take_a_seeded_sample(tmp_path):
    folder = write_folder(tmp_path / "flowers", colours(20))
    train_set, val, test = CLASSES.parts(new_study(folder, tmp_path, limit=30, test_limit=5))
    assert (len(train_set) + len(val), len(test)) == (30, 5)
    pictures = Pictures(
        torch.arange(10)[:, None, None, None].expand(10, 3, 2, 2).to(torch.uint8),
        torch.arange(10),
        (),
    )
    taken = sample(pictures, 4, seed=1).y.tolist()
    assert taken == sample(pictures, 4, seed=1).y.tolist() == sorted(taken) and len(set(taken)) == 4
    assert sample(pictures, 4, seed=2).y.tolist() != taken
    assert sample(pictures, None) is pictures and sample(pictures, 10) is pictures


@pytest.mark.parametrize("name", ["cifar10", "two words", "a/b", "..", "", "1st"])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="cannot name a task"):
        own_task(tmp_path, name)


def test_an_own_task_takes_its_labels_from_the_folders(tmp_path):
    write_folder(tmp_path / "train", colours(1))
    mine = own_task(tmp_path, "my-flowers")
    assert (mine.labels, mine.native_px, mine.input_px) == (
        ("a", "b", "c"),
        224,
        224,
    ) and mine.name not in TASKS
    assert own_task(tmp_path / "train", "x").labels == mine.labels
    with pytest.raises(DataError, match="0 class folders"):
        own_task(tmp_path / "train" / "a", "x")


def test_training_data_without_a_test_split_beside_it_is_refused(tmp_path):
    write_folder(tmp_path / "train", colours(3))
    with pytest.raises(DataError, match="no test split"):
        CLASSES.parts(new_study(tmp_path, tmp_path))


@pytest.mark.parametrize(
    "strategy, layers, weighed",
    [
        ("end-to-end", (1,), [{"1:mlp": 0.5, "6:final": 1.0}]),
        ("end-to-end", (3, 6), [{"3:mlp": 0.5, "6:mlp": 1.0, "6:final": 1.0}]),
        ("layer-wise", (1,), [{"1:mlp": 1.0}, {"6:final": 1.0}]),
    ],
)
def test_the_other_strategies_end_in_a_bundle_beside_the_first(
    done, tmp_path, monkeypatch, strategy, layers, weighed
):
    folder, work = done[1], done[2]
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    other = dataclasses.replace(
        work,
        strategy=strategy,
        heads=("mlp",),
        layers=layers,
        run=tmp_path / "run",
        init=done[0] / "weights" / "mine" / TINY,
    )
    card = train(other)
    name = f"{TINY}_{strategy.replace('-', '_')}"
    assert (card["strategy"], card["architecture"], card["layers"], card["exit_weights"]) == (
        strategy,
        TINY,
        list(layers),
        weighed,
    )
    assert (card["init"], card["recipe"]["pictures_seen"]) == (
        f"the bundle mine/{TINY}",
        8 * len(weighed),
    ) and "exit_recipe" not in card
    model = mvit.load("mine", name, device="cpu")
    assert (
        model.exits() == [(layer, "mlp") for layer in layers] and evaluate(model, folder)["n"] == 12
    )
    before = (
        mvit.load("mine", TINY, device="cpu")
        if (tmp_path / "weights" / "mine" / TINY).exists()
        else None
    )
    assert before is None  # nothing else was written


def test_an_own_name_is_kept_and_a_strategy_is_named_otherwise(done):
    assert dataclasses.replace(done[2], strategy="end-to-end").bundle == f"{TINY}_end_to_end"
    assert (
        dataclasses.replace(done[2], strategy="end-to-end", name="x").bundle == "x"
        and done[2].bundle == TINY
    )
