"""Training that starts from a narrower bundle: it is grown with its exits, learns, and is kept as
what training changed."""

import dataclasses

import pytest
from bundles import BACKBONE, HEADS, save_bundle
from thin import two_widths
from toys import colours, same, snapshot, write_folder

import mvit
from mvit.bundles import weights
from mvit.evaluation import storage
from mvit.evaluation.measure import evaluate
from mvit.models.growth import grow
from mvit.models.multi_exit import PlanError
from mvit.training.exits import ExitRecipe
from mvit.training.finetune import Recipe
from mvit.training.initial import bundle_tensors, grown_start
from mvit.training.study import Study, own_task, train

WIDE = "vit_small_patch16_224"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A study of two steps from a grown bundle: the weights' folder, the pictures, the study, and
    the card it gave back."""
    tmp_path = tmp_path_factory.mktemp("grown")
    write_folder(tmp_path / "pictures" / "train", colours(10))
    pictures = write_folder(tmp_path / "pictures" / "test", colours(4, seed=1)).parent
    task = dataclasses.replace(own_task(pictures, "mine", native_px=8), input_px=32)
    with pytest.MonkeyPatch.context() as patch:
        two_widths(patch)
        patch.setattr(storage, "MAY_LOSE", 1e9)  # twelve pictures say nothing about ranks
        patch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
        save_bundle(tmp_path / "weights", task)
        study = Study(
            task=task,
            data=pictures,
            run=tmp_path / "run",
            architecture=WIDE,
            init=tmp_path / "weights" / "mine" / BACKBONE,
            recipe=Recipe(stages=((32, 0.6),), batch=8, learning_rate=1e-3, mean_decay=0.5),
            exits=ExitRecipe(rates=(1e-3,), batch=8, round_images=8, max_rounds=1, trial_steps=1),
            heads=HEADS,
            device="cpu",
        )
        yield tmp_path / "weights", pictures, study, train(study)


def test_it_is_kept_as_a_change_of_its_source_and_measures_what_its_card_says(trained):
    folder, pictures, study, card = trained
    assert (card["architecture"], card["init"]) == (WIDE, f"the bundle mine/{BACKBONE}")
    of = card["delta"]
    assert (of["task"], of["backbone"], of["rank"]) == ("mine", BACKBONE, storage.RANKS[0])
    assert card["storage"]["rank"] == of["rank"] and "grown_from" not in card
    model = mvit.load("mine", WIDE, device="cpu")
    found = evaluate(model, pictures)
    assert [e["accuracy"] for e in found["exits"]] == [e["accuracy"] for e in card["exits"]]
    assert found["final"]["accuracy"] == card["final"]["accuracy"]
    start = grow(weights.read(study.init, "mine"), WIDE)
    assert not same(snapshot(model.backbone), snapshot(start.backbone))
    assert not same(snapshot(model.heads), snapshot(start.heads))


def test_a_second_call_trains_nothing_again(trained, monkeypatch):
    *_, study, card = trained
    monkeypatch.setattr(
        "mvit.data.labelled.augment", lambda *_: pytest.fail("a step was taken again")
    )
    assert train(study) == card


def test_training_can_go_on_from_it(trained):
    folder, *_, card = trained
    tuned = folder / "mine" / WIDE
    model = mvit.load("mine", WIDE, device="cpu")
    held = bundle_tensors(tuned, "heads/mlp")
    assert same(held, snapshot(model.heads["mlp"]))
    of, start = grown_start(model, tuned, WIDE)
    assert of | {"rank": card["delta"]["rank"]} == card["delta"]
    assert not same(snapshot(start), snapshot(model))


def test_it_is_kept_whole_where_every_rank_would_cost_too_much(trained):
    _, _, study, _ = trained
    model = mvit.load("mine", WIDE, device="cpu")
    _, start = grown_start(model, study.init, WIDE)

    class Found:
        truth = range(500)

        def __init__(self, value):
            self.quality = {(1, "mlp"): value}

    before, values = snapshot(model), iter([0.9, 0.8979, 0.8979, 0.8979])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "MAY_LOSE", 2)
        assert storage.change_for_storage(model, start, lambda m: Found(next(values))) is None
        assert same(before, snapshot(model))
        values = iter([0.9, 0.8979, 0.8981])
        found, *_ = storage.change_for_storage(model, start, lambda m: Found(next(values)))
    assert found["rank"] == storage.RANKS[1]
    assert found["worst"] == {"layer": 1, "head": "mlp", "full": 0.9, "light": 0.8981}
    values = iter([0.9, 0.1])  # the rank that learned is kept, whatever it costs
    found, *_ = storage.change_for_storage(model, start, lambda m: Found(next(values)), keep=3)
    assert found["rank"] == 3 and found["worst"]["light"] == 0.1


def test_a_model_with_other_exits_than_its_source_is_kept_whole(trained):
    _, _, study, _ = trained
    model = mvit.load("mine", WIDE, device="cpu", heads=["mlp"])
    assert grown_start(model.above(2), study.init, WIDE) is None
    assert grown_start(model, study.run / "finetune.safetensors", WIDE) is None


def test_a_rank_is_only_for_a_network_that_is_grown(trained):
    _, _, study, _ = trained
    for init in (study.init.parent / WIDE, None):  # of the same width, and none at all
        with pytest.raises(PlanError, match="--rank is for a network that is grown"):
            train(dataclasses.replace(study, init=init, rank=2))
