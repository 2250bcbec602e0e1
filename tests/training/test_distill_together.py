"""Backbone and exits taught together by the network as it was: what learns, what stays, and that an
interrupted run goes on."""

import copy
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from thin import thin_model
from toys import same, snapshot, write_photos

from mvit.data.folders import DataError
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import TASKS
from mvit.training import distill_together
from mvit.training.distill import prepared
from mvit.training.distill_heads import run_through, start_from_backbone
from mvit.training.distill_together import losses_of, reduced, teach_together
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


def taught(model: MultiExitViT, photos: list, folder, *, teacher=None, **recipe) -> dict:
    return teach_together(
        model,
        photos,
        recipe=JointRecipe(**RECIPE | recipe),
        weigh="half",
        run=folder / "run",
        accelerator=Accelerator(cpu=True),
        teacher=teacher,
    )


def apart(model: MultiExitViT, teacher: MultiExitViT, photos: list, folder) -> float:
    """How far all exits are from what the untouched network says of these photos."""
    x, _ = reduced(photos, model.task, folder / "run")
    [phase] = phases_of(model, "end-to-end", "half")
    with torch.inference_mode():
        whole = prepared(model, torch.from_numpy(x.copy()))
        return losses_of(model, whole, run_through(teacher, whole)[1], phase).item()


def test_exits_come_nearer_to_the_network_as_it_was_and_classifiers_stay(tmp_path):
    model, photos = begun(tmp_path)
    untouched = copy.deepcopy(model)
    before = apart(model, untouched, photos, tmp_path)
    backbone, classifier = snapshot(model.backbone.vit), snapshot(model.backbone.vit.head)
    behind = snapshot(model.head_at(1, "lens").mlp[1])
    told = taught(model, photos, tmp_path)
    assert told["photos"] == len(photos) and told["steps"] == round(6 * len(photos) / 4)
    assert not same(backbone, snapshot(model.backbone.vit))
    assert same(classifier, snapshot(model.backbone.vit.head))
    assert same(behind, snapshot(model.head_at(1, "lens").mlp[1]))
    assert apart(model, untouched, photos, tmp_path) < 0.5 * before


def test_another_network_may_be_the_teacher(tmp_path):
    model, photos = begun(tmp_path)
    torch.manual_seed(1)
    other = thin_model(depth=2, heads=())
    with torch.no_grad():
        for parameter in other.backbone.vit.blocks.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    other.backbone.vit.head.load_state_dict(model.backbone.vit.head.state_dict())
    before = apart(model, other, photos, tmp_path)
    kept = snapshot(other.backbone.vit)
    taught(model, photos, tmp_path, teacher=other.backbone)
    assert apart(model, other, photos, tmp_path) < 0.7 * before
    assert same(kept, snapshot(other.backbone.vit))


def test_all_of_the_way_back_is_the_start_and_half_of_it_lies_between(tmp_path):
    model, photos = begun(tmp_path)
    start = copy.deepcopy(model.state_dict())
    name = "backbone.vit.blocks.0.mlp.fc1.weight"
    moved = []
    for share in (0.0, 0.5, 1.0):
        again, _ = begun(tmp_path)
        again.load_state_dict(start)
        taught(again, photos, tmp_path / f"{share}", start_share=share)
        moved.append((again.state_dict()[name] - start[name]).norm().item())
    assert moved[2] == 0 < moved[1] == pytest.approx(moved[0] / 2, rel=1e-3)


def test_a_finished_run_reads_no_photo_and_takes_no_step(tmp_path, monkeypatch):
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
    x, told = reduced([bad, *photos], model.task, tmp_path / "run")
    assert len(x) == len(photos) and "bad.png" in told[0]
    reduced(photos[:9], model.task, tmp_path / "run")  # other photos take nothing away
    again, told_again = reduced([bad, *photos], model.task, tmp_path / "run")
    assert (again == x).all() and told_again == told
    with pytest.raises(DataError, match="can be read"):
        reduced([bad], model.task, tmp_path / "other")


def view(task, blend: float, seed: int = 0) -> torch.Tensor:
    """A view of a black and a white photo."""
    photos = torch.zeros(2, 3, task.native_px, task.native_px, dtype=torch.uint8)
    photos[1] = 255
    step = distill_together.Step(0, 32, torch.arange(2), torch.Generator().manual_seed(seed))
    return distill_together.views(photos, step, task, blend=blend)


def test_views_are_of_full_size_and_never_the_same(tmp_path):
    task = begun(tmp_path)[0].task
    one, other = view(task, 0.0), view(task, 0.0, seed=1)
    assert one.shape == (2, 3, task.input_px, task.input_px)
    assert torch.equal(one, view(task, 0.0)) and not torch.equal(one, other)
    dark, light = one.mean((1, 2, 3)).tolist()
    assert dark < -0.7 and light > 0.7  # each photo by itself


def test_blended_views_lie_between_two_photos(tmp_path):
    task = begun(tmp_path)[0].task
    between = [abs(m) < 0.7 for s in range(8) for m in view(task, 1.0, s).mean((1, 2, 3)).tolist()]
    assert 4 < sum(between) < 16


def test_the_teacher_stays_what_the_network_was(tmp_path, monkeypatch):
    model, photos = begun(tmp_path)
    before, seen = snapshot(model.backbone.vit), []
    steps = distill_together.step_losses

    def watching(model, teacher, *rest, **more):
        seen.append(snapshot(teacher.backbone.vit))
        return steps(model, teacher, *rest, **more)

    monkeypatch.setattr(distill_together, "step_losses", watching)
    taught(model, photos, tmp_path)
    assert len(seen) > 1 and all(same(before, one) for one in seen)


def test_photos_that_the_disk_cannot_hold_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(OSError, match="do not fit on the disk"):
        reduced([tmp_path / "a.png"], TASKS["cifar10"], tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())
