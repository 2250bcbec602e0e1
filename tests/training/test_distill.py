"""Exits taught by the final exit, from photos without labels."""

import numpy as np
import pytest
import torch
from PIL import Image
from thin import thin_model
from toys import write_photos

from mvit.data.folders import DataError
from mvit.models.multi_exit import FINAL
from mvit.training import distill
from mvit.training.checkpoints import CheckpointError


@pytest.fixture
def photos(tmp_path):
    return write_photos(tmp_path)


def solved(model, photos, checkpoint, heads=("lens",)) -> dict:
    return distill.solve_heads(model, heads, photos, checkpoint=checkpoint, batch=16)


def test_the_solution_is_that_of_least_squares():
    rng = torch.Generator().manual_seed(0)
    x, true = torch.randn(200, 5, generator=rng) + 3, torch.randn(2, 5, generator=rng)
    sums = distill.Sums(1, 5, 2)
    for part in x.split(64):
        sums.add(part[None], part @ true.T + 7)
    weight, bias = sums.solve(0, 1e-9)
    assert torch.allclose(weight, true, atol=1e-4) and torch.allclose(
        bias, torch.full((2,), 7.0), atol=1e-3
    )
    assert sums.seen == 200


def test_lenses_learn_what_the_final_exit_says(photos, tmp_path):
    model = thin_model(depth=2, heads=("lens",))
    told = solved(model, photos, tmp_path / "run" / "sums.safetensors")
    assert told["photos"] == 57 and told["kept_back"] == 3 and told["unreadable"] == []
    x = model.to_input(np.asarray(Image.open(photos[0])))
    with torch.inference_mode():
        tokens = model.backbone.embed(x)
        for layer in (1, 2):
            tokens = model.backbone.block(tokens, layer)
        near = torch.nn.functional.cosine_similarity(
            model.head_at(2, "lens")(tokens), model.backbone.final(tokens)
        )
    assert near.item() > 0.95
    assert [e.head for e in model.run(x, [(1, "lens"), (2, FINAL)])] == ["lens", FINAL]


def test_an_interrupted_look_at_photos_goes_on_where_it_was(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(distill, "SAVE_EVERY", 1)
    whole = thin_model(depth=2, heads=("lens",))
    solved(whole, photos, tmp_path / "whole.safetensors")
    seen = []

    def broken(model, x, heads):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(x))
        return read(model, x, heads)

    read, again = distill.read_layers, thin_model(depth=2, heads=("lens",))
    monkeypatch.setattr(distill, "read_layers", broken)
    with pytest.raises(KeyboardInterrupt):
        solved(again, photos, tmp_path / "part.safetensors")
    monkeypatch.setattr(distill, "read_layers", read)
    told = solved(again, photos, tmp_path / "part.safetensors")
    assert told["photos"] == 57
    for one, other in zip(whole.heads.parameters(), again.heads.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    with pytest.raises(CheckpointError, match="list of photos|photos"):
        solved(again, photos[:-1], tmp_path / "part.safetensors")


def test_only_the_exits_that_are_asked_for_are_solved(photos, tmp_path):
    model = thin_model(depth=2, heads=("lens",))
    before = {layer: model.head_at(layer, "lens").mlp[0].weight.clone() for layer in (1, 2)}
    told = distill.solve_heads(
        model, ["lens"], photos, checkpoint=tmp_path / "run" / "s.safetensors", exits=[(2, "lens")]
    )
    assert torch.equal(model.head_at(1, "lens").mlp[0].weight, before[1])
    assert not torch.equal(model.head_at(2, "lens").mlp[0].weight, before[2])
    assert len(told["ridges"]["lens"]) == 1


def test_photos_that_cannot_be_read_are_refused(photos, tmp_path):
    model = thin_model(depth=2, heads=("lens",))
    broken = [tmp_path / f"broken{i}.png" for i in range(2)]
    for file in broken:
        file.write_bytes(b"nothing")
    with pytest.raises(DataError, match="no photo to learn from can be read .*broken"):
        solved(model, broken, tmp_path / "run" / "a.safetensors")
    kept, learned = distill.split(photos[:10], 0)
    kept[0].write_bytes(b"nothing")
    with pytest.raises(DataError, match="kept back to choose by"):
        solved(model, photos[:10], tmp_path / "run" / "b.safetensors")
