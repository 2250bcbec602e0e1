"""Backbone and exits taught together by the network as it was: what learns, what stays, and that an
interrupted run goes on."""

import pytest
import torch
from accelerate import Accelerator
from thin import thin_model
from toys import same, snapshot, write_photos

from mvit.data.folders import DataError
from mvit.models.multi_exit import MultiExitViT
from mvit.training import distill_together
from mvit.training.distill import prepared
from mvit.training.distill_heads import start_from_backbone
from mvit.training.distill_together import losses_of, shown, teach_together
from mvit.training.joint import JointRecipe, phases_of

RECIPE = {"stages": ((64, 6.0),), "batch": 4, "warmup_steps": 2, "learning_rate": 1e-3}


def begun(folder) -> tuple[MultiExitViT, list]:
    """A small network with `lens` exits that know only its classifier, and its photos."""
    folder.mkdir(exist_ok=True)
    photos, plain = write_photos(folder), thin_model(depth=2, heads=())
    model = MultiExitViT.untrained(plain.backbone, plain.task, ["lens"], distilled=True)
    for exit in model.exits():
        start_from_backbone(model, *exit)
    return model.requires_grad_(False), photos


def taught(model: MultiExitViT, photos: list, folder) -> dict:
    return teach_together(
        model,
        photos,
        recipe=JointRecipe(**RECIPE),
        weigh="half",
        run=folder / "run",
        accelerator=Accelerator(cpu=True),
    )


def apart(model: MultiExitViT, folder, photos: list) -> float:
    """How far all exits are from what the untouched network said of these photos."""
    x, features, _ = shown(model, photos, folder / "run")
    [phase] = phases_of(model, "end-to-end", "half")
    with torch.inference_mode():
        whole = prepared(model, torch.from_numpy(x.copy()))
        return losses_of(model, whole, features, phase).item()


def test_exits_come_nearer_to_the_network_as_it_was_and_classifiers_stay(tmp_path):
    model, photos = begun(tmp_path)
    before = apart(model, tmp_path, photos)
    backbone, classifier = snapshot(model.backbone.vit), snapshot(model.backbone.vit.head)
    behind = snapshot(model.head_at(1, "lens").mlp[1])
    told = taught(model, photos, tmp_path)
    assert told["photos"] == len(photos) and told["steps"] == round(6 * len(photos) / 4)
    assert not same(backbone, snapshot(model.backbone.vit))
    assert same(classifier, snapshot(model.backbone.vit.head))
    assert same(behind, snapshot(model.head_at(1, "lens").mlp[1]))
    assert apart(model, tmp_path, photos) < 0.5 * before


def test_the_teacher_is_asked_once_and_a_finished_run_takes_no_step(tmp_path, monkeypatch):
    model, photos = begun(tmp_path)
    told = taught(model, photos, tmp_path)
    after = snapshot(model.backbone.vit)
    monkeypatch.setattr(distill_together, "read_batch", lambda *_: pytest.fail("read a photo"))
    monkeypatch.setattr(distill_together, "losses_of", lambda *_: pytest.fail("took a step"))
    again, _ = begun(tmp_path / "again")
    assert taught(again, photos, tmp_path)["steps"] == told["steps"]
    assert same(after, snapshot(again.backbone.vit))


def test_unreadable_photos_are_told_and_none_at_all_is_an_error(tmp_path):
    model, photos = begun(tmp_path)
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    x, features, told = shown(model, [bad, *photos], tmp_path / "run")
    assert len(x) == len(features) == len(photos) and "bad.png" in told[0]
    shown(model, photos[:9], tmp_path / "run")  # other photos take nothing away
    again, same_features, told_again = shown(model, [bad, *photos], tmp_path / "run")
    assert (again == x).all() and torch.equal(same_features, features) and told_again == told
    with pytest.raises(DataError, match="can be read"):
        shown(model, [bad], tmp_path / "other")


def test_small_views_show_the_whole_photo(tmp_path):
    model, photos = begun(tmp_path)
    x, *_ = shown(model, photos, tmp_path / "run")
    picture = torch.from_numpy(x[:1].copy())
    picture[:] = torch.arange(picture.shape[3], dtype=torch.uint8)  # darkest on the left
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        step = distill_together.Step(0, 32, torch.tensor([0]), generator)
        row = distill_together.views(picture, step, model)[0, 0, 5]
        ends = sorted([row[0].item(), row[-1].item()])
        assert len(row) == 32 and ends[1] - ends[0] > 0.8 * (2 * picture.max().item() / 255)
