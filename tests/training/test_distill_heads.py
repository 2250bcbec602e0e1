"""The paper's heads taught by the network itself: their start in the backbone, and what the steps
change."""

import pytest
import torch
from accelerate import Accelerator
from thin import thin_model
from torch.nn import functional as F
from toys import same, snapshot, write_photos

from mvit.models.extra_heads import EVERY, build
from mvit.models.macs import linear
from mvit.models.multi_exit import MultiExitViT
from mvit.training import distill_heads
from mvit.training.distill import solve_heads
from mvit.training.distill_heads import agreement, start_from_backbone, teach_heads, teach_or_leave


def distilled(*heads: str) -> MultiExitViT:
    plain = thin_model(depth=2, heads=())
    model = MultiExitViT.untrained(plain.backbone, plain.task, heads, distilled=True)
    return model.eval().requires_grad_(False)


def apart(model: MultiExitViT, layer: int, head: str) -> float:
    """How far an exit's logits are from the final exit's on random pictures."""
    x = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    tokens = model.backbone.embed(x)
    for number in (1, 2):
        tokens = model.backbone.block(tokens, number)
        if number == layer:
            said = model.head_at(layer, head)(tokens)
    return F.mse_loss(said, model.backbone.final(tokens)).item()


@pytest.mark.parametrize("name", EVERY)
def test_every_head_can_end_in_the_final_exits_features(name):
    head = build(name, 64, 4, 10, distilled=True).eval()
    assert head(torch.randn(2, 17, 64)).shape == (2, 10)
    assert head.mlp[0].out_features == 64 and head.mlp[1].out_features == 10
    ending = linear(1, head.features, 64) + linear(1, 64, 10)
    assert head.macs == head.describe_macs + ending


def test_a_vit_head_begins_as_the_layers_that_it_replaces():
    model = distilled("vit")
    for layer in (1, 2):
        start_from_backbone(model, layer, "vit")
        dense = model.head_at(layer, "vit").mlp[0]
        torch.nn.init.eye_(dense.weight)
        torch.nn.init.zeros_(dense.bias)
        # one layer before the end, and after it: the final exit itself
        assert apart(model, layer, "vit") < 1e-9


def test_teaching_brings_heads_nearer_and_changes_nothing_else(tmp_path):
    photos, model = write_photos(tmp_path), distilled("mlp", "mixer")
    for exit in model.exits():
        start_from_backbone(model, *exit)
    solve_heads(model, ["mlp", "mixer"], photos, checkpoint=tmp_path / "solved.safetensors")
    backbone, before = snapshot(model.backbone.vit), [apart(model, 1, h) for h in model.heads]
    classifier = snapshot(model.head_at(1, "mlp").mlp[1])
    told = teach_heads(
        model,
        model.exits(),
        photos * 6,
        checkpoint=tmp_path / "taught.safetensors",
        accelerator=Accelerator(cpu=True),
        batch=8,
    )
    assert told["steps"] == 45
    assert same(backbone, snapshot(model.backbone.vit))
    assert same(classifier, snapshot(model.head_at(1, "mlp").mlp[1]))
    assert [apart(model, 1, h) for h in model.heads] != before
    again = distilled("mlp", "mixer")
    teach_heads(
        again,
        again.exits(),
        photos * 6,
        checkpoint=tmp_path / "taught.safetensors",
        accelerator=Accelerator(cpu=True),
        batch=8,
    )
    assert same(snapshot(model.heads), snapshot(again.heads))  # it was finished: nothing is redone


def test_a_batch_without_a_readable_photo_teaches_nothing(tmp_path):
    broken, model = [tmp_path / f"{i}.png" for i in range(4)], distilled("mlp")
    for file in broken:
        file.write_bytes(b"nothing")
    told = teach_heads(
        model,
        model.exits(),
        broken,
        checkpoint=tmp_path / "taught.safetensors",
        accelerator=Accelerator(cpu=True),
        batch=4,
    )
    assert told["steps"] == 1 and told["loss"] == 0


def test_an_exit_that_steps_would_spoil_stays_as_it_began(tmp_path, monkeypatch):
    photos, model = write_photos(tmp_path), distilled("mlp", "vit")
    for exit in model.exits():
        start_from_backbone(model, *exit)
    for name in ("mlp", "vit"):  # after the last layer: the final exit itself
        torch.nn.init.zeros_(model.head_at(2, name).mlp[0].bias)
        torch.nn.init.eye_(model.head_at(2, name).mlp[0].weight)
    assert agreement(model, [(2, "vit")], photos) == {(2, "vit"): 1.0}

    def spoil(model, exits, photos, **_):
        for name in ("mlp", "vit"):
            model.head_at(2, name).mlp[0].weight.neg_()
        model.head_at(1, "mlp").mlp[0].bias.add_(1e-7)
        return {"steps": 1}

    monkeypatch.setattr(distill_heads, "teach_heads", spoil)
    before = snapshot(model.heads)
    told = teach_or_leave(model, model.exits(), photos * 20, seed=0)
    after = snapshot(model.heads)
    assert told["steps"] == 1 and told["kept back"] >= 1
    assert set(told["left as they began"]) == {"2:mlp", "2:vit"}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"mlp.1.mlp.0.bias"}


def test_agreement_needs_photos_that_can_be_read(tmp_path):
    (tmp_path / "no.png").write_bytes(b"nothing")
    assert agreement(distilled("mlp"), [(1, "mlp")], [tmp_path / "no.png"]) == {}
