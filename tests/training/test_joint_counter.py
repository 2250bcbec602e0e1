"""A counter's backbone and exits that learn together, and Table I of a counter, on a few scenes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import save_file
from thin import narrow
from toys import same, snapshot

from mvit.bundles import weights
from mvit.data.crowds import Crowds, Tiles
from mvit.data.labelled import DataError
from mvit.models.blend import blend
from mvit.models.multi_exit import FINAL, MultiExitViT, PlanError
from mvit.models.transcrowd import backbone_for
from mvit.scenes.drawing import render
from mvit.tasks import TASKS
from mvit.training import crowd_study
from mvit.training.counter import CrowdRecipe, splat
from mvit.training.exits import ExitRecipe
from mvit.training.joint import learn_together, phases_of
from mvit.training.joint_counter import JointCrowdRecipe, counts
from mvit.training.joint_loss import of_part, phase_logits
from mvit.training.loop import Step
from mvit.training.study import Study, train
from mvit.training.table1 import Table1, measure
from mvit.training.table1_counts import compared
from mvit.training.table1_lab import Budget

TASK = TASKS["crowd"]
TINY = {"depth": 2, "embed_dim": 64, "num_heads": 1}
RECIPE = JointCrowdRecipe(
    stages=((32, 6, 2), (48, 4, 2)), patch_layers=(1, 2), warmup_steps=1, mean_decay=0.5
)


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    scenes = [render(n, n, (1152, 768)) for n in (3, 30)]
    names = [f"toy/{n}" for n in (3, 30)]
    return Crowds([s.picture for s in scenes], [s.points for s in scenes], names).tiles()


def untaught(*layers: int) -> MultiExitViT:
    torch.manual_seed(0)
    backbone = backbone_for("vit_tiny_patch16_384", TASK, **TINY)
    return MultiExitViT.untrained(backbone, TASK, ("mlp",), layers=layers or (1, 2))


def taught(model: MultiExitViT, tiles: Tiles, folder, strategy="end-to-end", **more) -> dict:
    given = {"recipe": RECIPE, "accelerator": Accelerator(cpu=True), "lesson": counts} | more
    phases, file = phases_of(model, strategy), folder / "joint.safetensors"
    return learn_together(model, phases, train=tiles, checkpoint=file, every=1, **given)


def test_an_exit_speaks_for_a_tile_and_of_a_smaller_square_for_its_share():
    logits = torch.tensor([[2.0]])
    assert of_part(logits, 384, TASK).item() == 2 and of_part(logits, 192, TASK).item() == 0.5
    assert of_part(logits, 96, TASKS["cifar10"]) is logits


def test_the_loss_is_of_all_counts_and_of_where_people_are(tiles):
    """By hand: of one exit after layer 1, the final exit, and the patches after layer 2."""
    model, recipe = untaught(1).eval(), replace(RECIPE, patch_layers=(2,), patch_weight=0.5)
    [phase] = phases_of(model, "end-to-end")
    lesson = counts(model, tiles, phase, recipe=recipe, accelerator=Accelerator(cpu=True))
    step = Step(0, 48, torch.tensor([0, 7]), torch.Generator().manual_seed(1))
    [found] = lesson.losses(step)
    x, points = tiles.squares(step.index, 48, torch.Generator().manual_seed(1))
    x, truth, tokens = TASK.normalise(x.float() / 255), splat(points, 48, 16), {}
    given = {"equilibrium": False, "accelerator": Accelerator(cpu=True)}
    logits = phase_logits(model, x, phase=phase, watch=tokens.__setitem__, **given)
    y, share = truth.sum(1), (48 / 384) ** 2
    read = lesson.along["2"](tokens[2][:, 1:])[None, ..., 0]
    cells = torch.nn.functional.smooth_l1_loss(read, truth[None], beta=1.0) * 20
    sums = torch.nn.functional.smooth_l1_loss(read.sum(2) / 100, y[None] / 100, beta=0.05)
    expected = 0.5 * TASK.loss(logits[1, "mlp"] * share, y)
    expected = expected + TASK.loss(logits[2, FINAL] * share, y) + 0.5 * (cells + sums)
    assert sorted(lesson.along) == ["2"] and found.item() == pytest.approx(expected.item())


def test_end_to_end_everything_learns_and_ends_as_the_running_mean(tiles, tmp_path):
    model, last = untaught(), untaught()
    before = snapshot(model)
    done = taught(model, tiles, tmp_path)
    assert done["step"] == 5 and all(np.isfinite(loss) for *_, loss in done["loss"])
    stayed = [k for k, v in model.state_dict().items() if torch.equal(v, before[k])]
    assert not [name for name in stayed if "num_batches" not in name]
    (tmp_path / "last").mkdir()
    taught(last, tiles, tmp_path / "last", recipe=replace(RECIPE, mean_decay=0.0))
    assert not same(snapshot(model), snapshot(last))


def test_layer_wise_only_the_part_in_turn_learns_also_where_people_are(tiles):
    model = untaught(1)
    first, second = phases_of(model, "layer-wise")
    given = {"recipe": RECIPE, "accelerator": Accelerator(cpu=True)}
    assert sorted(counts(model, tiles, first, **given).along) == ["1"]
    assert sorted(counts(model, tiles, second, **given).along) == ["2"]


def test_a_blend_is_so_much_of_the_way_back_to_the_start():
    model, start = untaught(), {k: v + 1 for k, v in snapshot(untaught()).items()}
    before = snapshot(model)
    blend(model, {}, 0.0)
    assert same(before, snapshot(model))
    blend(model, start, 0.25)
    after = model.state_dict()
    assert all(torch.allclose(after[k], before[k] + 0.25) for k in before)


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tiles, tmp_path, monkeypatch):
    whole, parts = untaught(), untaught()
    taught(whole, tiles, tmp_path)
    (tmp_path / "broken").mkdir()
    take, left = Tiles.squares, iter(range(3))

    def squares(*given):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return take(*given)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Tiles, "squares", squares)
        taught(parts, tiles, tmp_path / "broken")
    again = untaught()
    taught(again, tiles, tmp_path / "broken")
    assert same(snapshot(whole), snapshot(again))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A few scenes with points, in train/ and test/."""
    root = tmp_path_factory.mktemp("crowds") / "mine"
    for split, number in (("train", 6), ("test", 3)):
        (root / split).mkdir(parents=True)
        for i in range(number):
            scene = render(2 + 5 * i, i, (144, 96))
            Image.fromarray(scene.picture).save(root / split / f"p{i}.png")
            lines = [f"{x},{y}" for x, y in scene.points]
            (root / split / f"p{i}.csv").write_text("\n".join(["x,y", *lines]))
    return root


@pytest.fixture(scope="module")
def bundled(folder, tmp_path_factory):
    """A counter that was trained classifier-wise, and one trained end-to-end from it; the run
    folder and the weights."""
    root = tmp_path_factory.mktemp("counter")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVIT_WEIGHTS", str(root / "weights"))
        narrow(patch, depth=4)
        blank = {"blank black": np.zeros((96, 144, 3), np.uint8)}
        patch.setattr(crowd_study, "odd_pictures", lambda: blank)
        few = {"batch": 2, "round_images": 2, "max_rounds": 1, "val_images": 2, "trial_steps": 1}
        common = {"task": TASK, "data": folder, "scenes": 1, "empties": 1, "device": "cpu"}
        start = weights_file(root)
        recipe = CrowdRecipe(stages=((32, 2, 2),), patch_layers=(1,), solved_tiles=4)
        exits = ExitRecipe(rates=(1e-3,), **few)
        one = train(Study(init=start, run=root / "one", recipe=recipe, exits=exits, **common))
        init = root / "weights" / "crowd" / "vit_tiny_patch16_384"
        both = Study(
            init=init,
            run=root / "two",
            recipe=replace(RECIPE, stages=((32, 2, 2),), solved_tiles=5, start_share=0.5),
            strategy="end-to-end",
            heads=("mlp", "vit"),
            **common,
        )
        yield (
            one,
            train(both),
            Table1(
                study=Study(init=init, run=root / "table", **common),
                budget=Budget(px=TASK.input_px, images=4, batch=2, val_images=2, rates=(1e-3,)),
                layer=1,
                heads=("mlp", "mixer"),
            ),
        )


def weights_file(root):
    """Start weights of the narrow backbone."""
    backbone = backbone_for("vit_tiny_patch16_384", TASK)
    save_file(backbone.vit.state_dict(), root / "start.safetensors")
    return root / "start.safetensors"


def test_the_bundle_counts_and_tells_how_it_learned(bundled):
    one, card, _ = bundled
    assert card["strategy"] == "end-to-end" and {e["head"] for e in card["exits"]} == {"mlp", "vit"}
    assert card["recipe"]["last_layer"]["tiles"] == 10  # five and their mirror images
    assert one["exit_recipe"]["last_layer"]["tiles"] == 8
    assert card["storage"]["bits"] == 8 or set(card["storage"]["head_bits"]) == {"mlp", "vit"}
    assert card["recipe"]["start_share"] == 0.5
    assert set(card["splits"]) == {"mine"} and card["exit_weights"][0]["4:final"] == 1.0
    model = weights.load("crowd", "vit_tiny_patch16_384_end_to_end", "cpu")
    again = crowd_study.evaluate(model, bundled[2].study.data)["splits"]["mine"]
    told = card["splits"]["mine"]["final"]["mae"]
    assert again["final"]["mae"] == pytest.approx(told, abs=1.0)


def test_a_counters_table_compares_errors_picture_by_picture(bundled):
    table, said = bundled[2], []
    result = measure(table, said.append)
    assert result["missing"] == 0 and result["n"] == 3 and len(result["rows"]) == 6
    plain, alone = (
        json.loads((table.study.run / "table1" / f"{name}.json").read_text())
        for name in ("plain", "classifier-wise")
    )
    assert result["plain"] == {"mae": plain["final"]}
    for row in result["rows"]:
        assert row["change"] == pytest.approx(row["final"] - plain["final"], abs=0.02)
        before = alone["exits"][row["head"]]
        assert row["gain"] == pytest.approx(before - row["mae"], abs=0.02)
        assert row["splits"]["mine"] == pytest.approx(
            {"mae": row["mae"], "final": row["final"]}, abs=0.02
        )
        if row["strategy"] == "classifier-wise":
            assert row["gain"] == row["change"] == row["gain_noise"] == row["change_noise"] == 0
    assert "off by" in said[0]


def test_a_counters_table_asks_for_trained_exits(bundled, tmp_path):
    table = bundled[2]
    study = replace(table.study, run=tmp_path, overwrite=True)
    with pytest.raises(DataError, match="has no gmlp after layer 1; pass a bundle with it"):
        measure(replace(table, study=study, heads=("gmlp",)))


def test_a_counters_table_has_something_to_compare_with(bundled):
    with pytest.raises(PlanError, match="compared with classifier-wise; add it to --strategies"):
        measure(replace(bundled[2], strategies=("end-to-end",)))


def test_a_counters_table_learns_from_whole_squares(bundled):
    table = bundled[2]
    small = replace(table, budget=replace(table.budget, px=TASK.input_px // 2))
    with pytest.raises(PlanError, match=f"pass --px {TASK.input_px}"):
        measure(small)


def test_only_trained_exits_can_be_gone_back_to(bundled, tmp_path):
    study = bundled[2].study
    half = replace(
        study,
        run=tmp_path,
        strategy="end-to-end",
        heads=("mlp", "gmlp"),
        recipe=replace(RECIPE, stages=((32, 2, 2),), start_share=0.5),
        overwrite=True,
    )
    with pytest.raises(PlanError, match="--start-share goes back to trained exits, but .* no gmlp"):
        train(half)


def test_what_chance_could_do_is_told_from_the_differences():
    one = {"errors": {"mlp": [1.0, 5.0, 3.0]}}
    other = {"errors": {"mlp": [2.0, 6.0, 4.0]}}
    assert compared(one, other, "mlp") == (-1.0, 0.0)
    assert compared(one, {"errors": {"mlp": [1.0, 5.0, 6.0]}}, "mlp") == (
        pytest.approx(-1.0),
        pytest.approx(1.96),
    )
