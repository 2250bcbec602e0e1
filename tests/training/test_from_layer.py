"""Training that goes on from a bundle above a layer: what lies below stays bit for bit, and the
card tells what came before."""

import dataclasses

import pytest
import torch
from bundles import BACKBONE, save_bundle
from thin import thin_model
from toys import colours, write_folder

from mvit.bundles import weights
from mvit.models.multi_exit import MultiExitViT, PlanError
from mvit.tasks import CrowdTask
from mvit.training.exits import ExitRecipe
from mvit.training.finetune import Recipe, explicit_attention
from mvit.training.initial import bundle_tensors, starting_backbone, take_over_exits
from mvit.training.joint import JointRecipe
from mvit.training.study import Study, own_task, train

HEADS = ("mlp", "resmlp")


@pytest.fixture
def study(tmp_path, monkeypatch) -> Study:
    """One step of each kind from layer 9 up, on a few pictures of three colours, from an untrained
    bundle of the same task."""
    write_folder(tmp_path / "pictures" / "train", colours(10))
    folder = write_folder(tmp_path / "pictures" / "test", colours(4, seed=1)).parent
    task = dataclasses.replace(own_task(folder, "mine", native_px=8), input_px=32)
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    save_bundle(tmp_path / "weights", task)
    exits = ExitRecipe(
        rates=(1e-2,),
        batch=8,
        round_images=8,
        max_rounds=1,
        val_images=3,
        trial_steps=1,
        trial_layers=(10,),
    )
    recipe = Recipe(stages=((32, 0.1),), batch=8, learning_rate=1e-2, warmup_steps=1, from_layer=9)
    init = tmp_path / "weights" / "mine" / BACKBONE
    return Study(
        task=task,
        data=folder,
        run=tmp_path / "run",
        init=init,
        name="next",
        recipe=recipe,
        exits=exits,
        device="cpu",
        heads=HEADS,
    )


def test_all_below_the_layer_stays_and_all_above_learns(study):
    train(study)
    new = weights.root() / "mine" / "next"
    for part, layer_of in (
        (
            "backbone",
            lambda name: int(name.split(".")[1]) + 1 if name.startswith("blocks.") else None,
        ),
        *((f"heads/{head}", lambda name: int(name.split(".")[0])) for head in HEADS),
    ):
        before, after = bundle_tensors(study.init, part), bundle_tensors(new, part)
        moved = {layer_of(name) for name in before if not torch.equal(before[name], after[name])}
        assert {b for b in moved if b is not None} == {9, 10, 11, 12}
        if part == "backbone":
            assert torch.equal(before["pos_embed"], after["pos_embed"]) and not torch.equal(
                before["head.weight"], after["head.weight"]
            )


def test_the_card_tells_what_came_before(study):
    card = train(study)
    assert card["init"] == f"the bundle mine/{BACKBONE}" and card["recipe"]["from_layer"] == 9
    assert card["before"] == {
        "init": "random",
        "strategy": "none",
        "recipe": "untrained, for tests",
    }
    assert len(card["exits"]) == 24 and weights.verify()[0]["ok"]


@pytest.mark.parametrize("strategy", ["end-to-end", "layer-wise"])
def test_exits_of_any_strategy_learn_on_while_the_backbone_stays(study, strategy):
    joint = JointRecipe(stages=(), batch=8)
    card = train(dataclasses.replace(study, strategy=strategy, recipe=joint))
    before, after = (
        {part: bundle_tensors(folder, part) for part in ("backbone", "heads/mlp")}
        for folder in (study.init, weights.root() / "mine" / "next")
    )
    for name, tensor in before["backbone"].items():  # 8 bits each, or 16 where they cost too much
        assert torch.allclose(tensor, after["backbone"][name], atol=0.01 * tensor.abs().max())
    step = max((after["heads/mlp"][k] - t).abs().max() for k, t in before["heads/mlp"].items())
    assert step > 0.005  # half of one step at the rate of 1e-2
    assert (card["strategy"], card["recipe"]["stages"]) == (strategy, [])
    assert card["exit_recipe"]["rounds"] == 1 and "exit_weights" not in card


def test_exits_that_would_have_to_be_kept_and_are_not_there_are_named(study):
    with pytest.raises(
        PlanError, match="has no vit after layer 1; pass a bundle with all of them as --init"
    ):
        train(dataclasses.replace(study, heads=("mlp", "vit")))
    with pytest.raises(PlanError, match="keeps the exits below"):
        train(dataclasses.replace(study, init=study.init / "backbone.safetensors"))


def test_the_exits_above_a_layer_are_the_same_modules():
    model = thin_model(depth=4)
    upper = model.above(3)
    assert (
        upper.exits() == [e for e in model.exits() if e[0] >= 3]
        and upper.backbone is model.backbone
    )
    assert upper.head_at(4, "mlp") is model.head_at(4, "mlp")


def test_attention_written_out_gives_the_same_gradients_and_is_put_back():
    model = thin_model(depth=2).requires_grad_(True)
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))

    def gradient() -> torch.Tensor:
        model.zero_grad()
        model.backbone(x).square().sum().backward()
        return model.backbone.vit.blocks[0].attn.qkv.weight.grad.clone()

    fused = gradient()
    with explicit_attention(model, torch.device("cpu")):
        assert not any(block.attn.fused_attn for block in model.backbone.vit.blocks)
        assert torch.allclose(gradient(), fused, atol=1e-4 * fused.abs().max())
    assert all(block.attn.fused_attn for block in model.backbone.vit.blocks)
    with explicit_attention(model, torch.device("cuda")):
        assert all(block.attn.fused_attn for block in model.backbone.vit.blocks)


def test_a_counter_goes_on_from_the_regressor_and_the_exits_of_a_bundle(tmp_path):
    task = CrowdTask("people", input_px=64, native_px=64)
    save_bundle(tmp_path, task)
    bundle = tmp_path / "people" / BACKBONE
    backbone = starting_backbone(BACKBONE, task, bundle)
    assert all(
        torch.equal(t, backbone.vit.state_dict()[name])
        for name, t in bundle_tensors(bundle, "backbone").items()
    )
    model = MultiExitViT.untrained(backbone, task, HEADS)
    assert take_over_exits(model, bundle) == [
        *((b, "mlp") for b in range(1, 13)),
        *((b, "resmlp") for b in range(1, 13)),
    ]
