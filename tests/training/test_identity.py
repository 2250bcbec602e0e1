"""A run is known by what it learns from and what it starts from: it goes on with the same, and
nothing of it is reused for, or replaced by, another."""

import dataclasses
import shutil

import pytest
import torch
from safetensors.torch import save_file
from toys import COLOURS, colours, write_folder

from mvit.bundles import weights
from mvit.data.labelled import DataError
from mvit.models.backbone import Backbone
from mvit.training.add_heads import add_heads
from mvit.training.checkpoints import CheckpointError
from mvit.training.exits import ExitRecipe
from mvit.training.finetune import Recipe
from mvit.training.identity import fingerprint, of_data
from mvit.training.study import Study, own_task, train

NARROW = "test_vit"  # timm's own toy: six layers of 64 channels


def start_file(path, seed: int):
    torch.manual_seed(seed)
    save_file(Backbone.create(NARROW, 3, img_size=32).vit.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A finished study of the shortest kind, and its card."""
    tmp_path = tmp_path_factory.mktemp("identity")
    write_folder(tmp_path / "pictures", colours(10))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
        study = Study(
            task=dataclasses.replace(
                own_task(tmp_path / "pictures", "mine", native_px=8), input_px=32
            ),
            data=tmp_path / "pictures",
            run=tmp_path / "run",
            architecture=NARROW,
            init=start_file(tmp_path / "start.safetensors", 0),
            recipe=Recipe(stages=((32, 0.3),), batch=8),
            exits=ExitRecipe(rates=(1e-3,), batch=8, max_rounds=1, trial_steps=1),
            heads=("mlp",),
            layers=(2, 4),
            device="cpu",
        )
        yield study, train(study)


def test_the_same_study_goes_on_and_may_ask_for_more_rounds(done):
    study, card = done
    assert train(study) == card
    more = dataclasses.replace(study, exits=dataclasses.replace(study.exits, max_rounds=2))
    assert train(more)["exit_recipe"]["rounds"] == 2
    moved = study.data.with_name("moved")
    shutil.copytree(study.data, moved)
    assert train(dataclasses.replace(more, data=moved))["run"] == card["run"]


def test_a_run_is_not_reused_for_pictures_of_the_same_names_with_other_labels(
    done, tmp_path, monkeypatch
):
    study, _ = done
    own = shutil.copytree(study.data.with_name("weights"), tmp_path / "weights")
    monkeypatch.setenv("MVIT_WEIGHTS", str(own))  # this test replaces the bundle
    other = colours(10)
    other.y = (other.y + 1) % len(COLOURS)  # the user had the labels swapped and mends it
    changed = dataclasses.replace(study, data=write_folder(tmp_path / "pictures", other))
    with pytest.raises(DataError, match="holds the bundle of another run; name another with --na"):
        train(changed)
    with pytest.raises(
        CheckpointError, match="finetune.safetensors was begun with other pictures and labels"
    ):
        train(dataclasses.replace(changed, overwrite=True))
    card = train(dataclasses.replace(changed, overwrite=True, run=tmp_path / "run"))
    assert weights.read_card(study.folder)["run"] == card["run"]


def test_a_run_is_not_reused_for_another_start(done, tmp_path):
    study, _ = done
    other = start_file(tmp_path / "start.safetensors", 1)
    with pytest.raises(CheckpointError, match="begun with other start weights"):
        train(dataclasses.replace(study, init=other, name="other"))
    with pytest.raises(CheckpointError, match="begun with learning rate"):
        recipe = dataclasses.replace(study.recipe, learning_rate=1e-3)
        train(dataclasses.replace(study, recipe=recipe, name="other"))
    assert ("mine", "other") not in weights.bundles()


def test_exits_are_not_reused_for_a_backbone_that_was_trained_again(done, tmp_path):
    study, _ = done
    run = tmp_path / "run"
    shutil.copytree(study.run, run)
    (run / "finetune.safetensors").unlink()
    recipe = dataclasses.replace(study.recipe, learning_rate=1e-2)
    with pytest.raises(CheckpointError, match="exits.safetensors was begun with other frozen back"):
        train(dataclasses.replace(study, recipe=recipe, run=run, name="other"))


def test_a_head_of_another_run_is_not_replaced_nor_added_heads_lost(done, tmp_path):
    study = dataclasses.replace(done[0], name="with_more", run=tmp_path / "run")
    train(study)
    added = add_heads(study, ("fnet",))
    assert add_heads(study, ("fnet",)) == added
    with pytest.raises(DataError, match="has a head mlp that another run made; pass --overwrite"):
        add_heads(study, ("mlp",))
    with pytest.raises(DataError, match="holds the bundle of another run"):
        train(study)
    recipe = dataclasses.replace(study.exits, rates=(1e-4,))
    other = dataclasses.replace(study, exits=recipe, run=tmp_path / "again")
    with pytest.raises(DataError, match="has a head fnet that another run made"):
        add_heads(other, ("fnet",))
    again = add_heads(dataclasses.replace(other, overwrite=True), ("fnet",))
    assert again["added"]["fnet"]["rates"]["fnet"]["rate"] == 1e-4


def test_content_counts_and_its_place_does_not():
    a, b = colours(2), colours(2)
    assert of_data(a) == of_data(b) and of_data(a, b) != of_data(b)
    b.y = b.y.flip(0)
    assert of_data(a) != of_data(b)
    assert fingerprint([1, 2], [3]) != fingerprint([1], [2, 3])
