"""Where training starts: what is taken over from a file, a checkpoint or a bundle, and what is said
when it does not fit."""

import dataclasses

import pytest
import torch
from bundles import BACKBONE
from safetensors.torch import save_file
from thin import TASK

from mvit.bundles.weights import WeightsError
from mvit.data.labelled import DataError
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import MultiExitViT
from mvit.tasks import CIFAR10_LABELS, Task
from mvit.training import checkpoints
from mvit.training import initial as start
from mvit.training.initial import starting_backbone, starting_tensors, take_over_exits

TINY = dataclasses.replace(TASK, labels=("a", "b", "c"), input_px=32)


@pytest.fixture
def trained(tmp_path):
    """A file of weights with a final exit of 43 outputs, and the network it came from."""
    torch.manual_seed(0)
    backbone = Backbone.create(BACKBONE, 43, img_size=32)
    save_file(backbone.vit.state_dict(), tmp_path / "init.safetensors")
    return tmp_path / "init.safetensors", backbone.vit.state_dict()


def test_everything_is_taken_but_a_final_exit_with_other_outputs(trained):
    file, tensors = trained
    own = starting_backbone(BACKBONE, TINY, file).vit.state_dict()
    assert all(torch.equal(own[k], v) for k, v in tensors.items() if not k.startswith("head."))
    assert own["head.weight"].shape == (3, 192)


def test_a_final_exit_that_fits_is_kept(trained):
    file, tensors = trained
    task = dataclasses.replace(TINY, labels=tuple(map(str, range(43))))
    assert torch.equal(
        starting_backbone(BACKBONE, task, file).vit.head.weight, tensors["head.weight"]
    )


def test_positions_are_resampled_for_another_picture_size(trained):
    file, tensors = trained
    own = starting_backbone(BACKBONE, dataclasses.replace(TINY, input_px=48), file).vit.state_dict()
    assert own["pos_embed"].shape == (1, 10, 192) and torch.equal(
        own["pos_embed"][:, 0], tensors["pos_embed"][:, 0]
    )


def test_a_checkpoint_of_a_fine_tuning_is_a_start_too(trained, tmp_path):
    _, tensors = trained
    backbone = Backbone.create(BACKBONE, 43, img_size=32)
    backbone.vit.load_state_dict(tensors)
    checkpoints.save(
        tmp_path / "finetune.safetensors", backbone, torch.optim.AdamW(backbone.parameters()), {}
    )
    found = starting_tensors(tmp_path / "finetune.safetensors")
    assert found.keys() == tensors.keys() and all(
        torch.equal(found[k], v) for k, v in tensors.items()
    )


def test_a_bundle_hands_over_its_backbone_its_final_exit_and_the_exits_that_fit(tiny_weights):
    folder, task = (
        tiny_weights / "cifar10" / BACKBONE,
        Task("cifar10", CIFAR10_LABELS, native_px=32, input_px=64),
    )
    torch.manual_seed(1)
    model = MultiExitViT.untrained(
        starting_backbone(BACKBONE, task, folder), task, ("mlp", "vit"), (2, 5)
    )
    kept = model.head_at(2, "vit").mlp[0].weight.clone()
    assert take_over_exits(model, folder) == [(2, "mlp"), (5, "mlp")]
    found = start.bundle_tensors(folder, "backbone")
    assert (
        torch.equal(model.backbone.vit.head.weight, found["head.weight"])
        and found["head.weight"].dtype == torch.float32
    )
    assert torch.equal(
        model.head_at(5, "mlp").mlp[0].weight,
        start.bundle_tensors(folder, "heads/mlp")["5.mlp.0.weight"],
    )
    # a head that the bundle lacks stays fresh
    assert torch.equal(model.head_at(2, "vit").mlp[0].weight, kept)
    assert (
        take_over_exits(model, folder / "backbone.safetensors")
        == take_over_exits(model, None)
        == []
    )


def test_start_weights_that_do_not_fit_are_refused_by_name(tmp_path):
    (tmp_path / "no.safetensors").write_bytes(b"\x80\x04")
    save_file({"cls_token": torch.zeros(1, 1, 192)}, tmp_path / "part.safetensors")
    for name, words in (
        ("no.safetensors", "not a readable safetensors file"),
        ("part.safetensors", "part.safetensors refused: it lacks"),
        ("gone.safetensors", "gone.safetensors"),
        ("", "card.json refused"),  # a folder that is no bundle
    ):
        with pytest.raises(WeightsError, match=words):
            starting_backbone(BACKBONE, TINY, tmp_path / name)


def test_a_hub_that_cannot_be_reached_is_said_with_the_way_round(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(start.timm, "create_model", offline)
    with pytest.raises(
        DataError,
        match="could not get vit_tiny.* from the model hub .no route to host.; "
        "pass a file with --init",
    ):
        starting_backbone(BACKBONE, TINY, None)
