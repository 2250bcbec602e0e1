"""Crowd data, training and measuring on a handful of small rendered scenes."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from thin import narrow
from toys import same, snapshot

from mvit.bundles import weights
from mvit.data.crowd_splits import held_out, measured_sets
from mvit.data.crowds import (
    LEAKED,
    Crowds,
    Tiles,
    empty_pictures,
    hold_out_crowds,
    load_crowds,
    random_square,
    read_points,
)
from mvit.data.labelled import DataError
from mvit.evaluation.counts import Counts, by_range, error, load_counts
from mvit.evaluation.predictions import PredictionsError
from mvit.models.backbone import Backbone
from mvit.models.transcrowd import backbone_for
from mvit.scenes.drawing import render
from mvit.tasks import TASKS
from mvit.training import crowd_study
from mvit.training.counter import CrowdRecipe, fine_tune_counter, splat
from mvit.training.exits import ExitRecipe
from mvit.training.study import Study, train

TASK = TASKS["crowd"]
TINY = {"depth": 2, "embed_dim": 64, "num_heads": 1}


@pytest.fixture(scope="module")
def crowds() -> Crowds:
    made = [render(n, n, (1152, 768)) for n in (3, 12, 30)]
    return Crowds(
        [s.picture for s in made], [s.points for s in made], [f"toy/{n}" for n in (3, 12, 30)]
    )


def own_folder(root, split: str, number: int, suffix: str = ".csv"):
    """Small pictures with points, as anybody may have them."""
    for i in range(number):
        scene = render(2 + 5 * i, i, (144, 96))
        place = root / split
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.picture).save(place / f"p{i}.png")
        if suffix == ".csv":
            (place / f"p{i}.csv").write_text(
                "x,y\n" + "\n".join(f"{x},{y}" for x, y in scene.points)
            )
        elif suffix == ".npy":
            np.save(place / f"p{i}.npy", scene.points)
        else:
            savemat(place / f"GT_p{i}.mat", {"annPoints": scene.points})
    return root


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".mat"])
def test_own_pictures_are_read_with_their_points(suffix, tmp_path):
    found = load_crowds(TASK, own_folder(tmp_path / "mine", "train", 3, suffix), "train")
    assert list(found) == ["mine"] and found["mine"].counts.tolist() == [2, 7, 12]
    assert all(found["mine"].tile_counts(i).sum() == n for i, n in enumerate((2, 7, 12)))


def test_shanghaitech_is_read_without_the_leaked_pictures(tmp_path):
    folder = tmp_path / "shanghaitech" / "part_A" / "train_data"
    for part in ("images", "ground-truth"):
        (folder / part).mkdir(parents=True)
    for n in (1, 98):
        Image.fromarray(render(n % 7, n, (144, 96)).picture).save(
            folder / "images" / f"IMG_{n}.jpg"
        )
        inner = np.empty((1, 1), dtype=[("location", object), ("number", object)])
        inner["location"][0, 0], inner["number"][0, 0] = np.array([[10.0, 20.0], [143.9, 95.9]]), 2
        outer = np.empty((1, 1), dtype=object)
        outer[0, 0] = inner
        savemat(folder / "ground-truth" / f"GT_IMG_{n}.mat", {"image_info": outer})
    (folder / "images" / "IMG_5_stray.png").write_bytes(b"no")
    found = load_crowds(TASK, tmp_path, "train")["part_A"]
    assert found.names == ["part_A/IMG_1"] and "part_A/IMG_98" in LEAKED
    assert found.points[0][0] == pytest.approx([80, 160]) and found.tile_counts(0).tolist() == [
        1,
        0,
        0,
        0,
        0,
        1,
    ]


def test_what_cannot_be_read_is_named_and_skipped(tmp_path):
    root = own_folder(tmp_path / "mine", "train", 2)
    (root / "train" / "p0.png").write_bytes(b"no picture")
    found = load_crowds(TASK, root, "train")["mine"]
    assert (
        len(found) == 1
        and len(found.left_out) == 1
        and found.left_out[0].startswith("train/p0.png: ")
    )
    (root / "train" / "p1.csv").write_text("nothing here")
    with pytest.raises(DataError, match="no N x 2 array"):
        read_points(root / "train" / "p1.mat")
    with pytest.raises(DataError, match="no picture with points"):
        load_crowds(TASK, tmp_path / "mine" / "nowhere", "train")


def test_a_random_square_keeps_its_people(crowds):
    """Every point of a square lies on the same pixel content as in the whole picture, flipped or
    not."""
    picture = np.zeros((768, 1152, 3), np.uint8)
    points = np.random.default_rng(0).uniform((20, 20), (1130, 740), (300, 2))
    for x, y in points.astype(int):
        picture[y - 3 : y + 4, x - 3 : x + 4] = 255
    for flip in (0.2, 0.8):
        square, own = random_square(
            picture, points.astype(int) + 0.0, 192, draw=[0.5, 0.4, 0.6, flip, 0.5, 0.5, 0.9, 0.9]
        )
        inner = own[((own > 5) & (own < 186)).all(1)]
        assert len(inner) > 3 and all(square[int(y), int(x)].mean() > 120 for x, y in inner)


def test_splat_keeps_the_count():
    points = [np.random.default_rng(0).uniform(0, 191.9, (57, 2)), np.empty((0, 2))]
    maps = splat(points, 192, 16)
    assert maps.shape == (2, 144) and maps.sum(1).tolist() == pytest.approx([57, 0], abs=1e-3)


def test_hold_out_takes_small_and_large_crowds_and_never_shares():
    many = Crowds(
        [np.zeros((1, 1, 3), np.uint8)] * 40,
        [np.zeros((n, 2)) for n in range(40)],
        [str(n) for n in range(40)],
    )
    train, val = hold_out_crowds(many, 0.1, 0)
    assert len(val) == 4 and not set(train.names) & set(val.names) and len(train) == 36
    assert sorted(np.array(val.counts) // 10) == [0, 1, 2, 3]


def test_training_resumes_where_it_stood(crowds, tmp_path):
    accelerator, ends = Accelerator(cpu=True), []
    recipe = CrowdRecipe(stages=((32, 8, 2), (48, 4, 2)), patch_layers=(1, 2), warmup_steps=1)
    for interrupted in (False, True):
        torch.manual_seed(0)
        backbone = backbone_for("vit_tiny_patch16_384", TASK, **TINY)
        path = tmp_path / f"{interrupted}.safetensors"
        if interrupted:
            with pytest.raises(KeyboardInterrupt):
                fine_tune_counter(
                    backbone,
                    TASK,
                    train=Broken(crowds, 5),
                    val=crowds,
                    recipe=recipe,
                    accelerator=accelerator,
                    checkpoint=path,
                    every=2,
                )
            torch.manual_seed(7)
            backbone = backbone_for("vit_tiny_patch16_384", TASK, **TINY)
        done = fine_tune_counter(
            backbone,
            TASK,
            train=crowds,
            val=crowds,
            recipe=recipe,
            accelerator=accelerator,
            checkpoint=path,
            every=2,
        )
        assert done["step"] == 6 and set(done["val_mae"]) == {"toy"}
        ends.append(snapshot(backbone))
    assert same(*ends)


class Broken:
    """Crowds whose tiles stop coming after some steps."""

    def __init__(self, crowds: Crowds, after: int):
        self.crowds, self.left = crowds, after

    def tiles(self) -> Tiles:
        tiles, take = self.crowds.tiles(), Tiles.squares

        def squares(*given):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return take(tiles, *given)

        tiles.squares = squares
        return tiles


def test_the_whole_study_writes_a_bundle_that_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    narrow(monkeypatch, depth=2)
    monkeypatch.setattr(
        crowd_study, "odd_pictures", lambda: {"blank black": np.zeros((96, 144, 3), np.uint8)}
    )
    # 14 x 14 patches
    save_file(
        Backbone.create("vit_tiny_patch16_224", 10).vit.state_dict(), tmp_path / "start.safetensors"
    )
    data = own_folder(own_folder(tmp_path / "mine", "train", 6), "test", 2)
    exits = ExitRecipe(
        rates=(1e-3,), batch=2, round_images=2, max_rounds=1, val_images=2, trial_steps=1
    )
    recipe = CrowdRecipe(stages=((32, 2, 2),), patch_layers=(1,))
    start = tmp_path / "start.safetensors"
    study = Study(
        task=TASK,
        data=data,
        run=tmp_path / "run",
        init=start,
        recipe=recipe,
        exits=exits,
        scenes=1,
        empties=1,
        device="cpu",
    )
    card = train(study)
    assert card["data"] | {"unreadable": 0} == {
        "train": 5,
        "rendered": 1,
        "empty": 1,
        "validation": 1,
        "test": 2,
        "unreadable": 0,
    }
    assert (
        len(card["exits"]) == 14
        and set(card["splits"]) == {"mine"}
        and card["splits"]["mine"]["final"]["mae"] >= 0
    )
    assert (
        card["unusual"][0]["picture"] == "blank black" and len(card["unusual"][0]["counts"]) == 15
    )
    recorded = load_counts(tmp_path / "weights" / "crowd" / "vit_tiny_patch16_384")["test"]
    assert recorded.counted.shape == (15, 2) and recorded.there.tolist() == [2, 7]
    model = weights.load("crowd", device="cpu")
    (data / "test" / "p9.png").write_bytes(b"no picture")
    (data / "test" / "p9.csv").write_text("x,y\n")
    measured = crowd_study.evaluate(model, data)
    (line,) = measured["left_out"]
    assert line.startswith("test/p9.png: ") and "2 pictures, 9 people" in measured["understood"][0]
    assert any("mine train: 6 pictures, 87 people" in line for line in card["understood"])
    again = measured["splits"]["mine"]
    assert again["final"]["mae"] == pytest.approx(card["splits"]["mine"]["final"]["mae"], abs=1.0)


def test_the_pictures_that_training_kept_are_measured_again(tmp_path):
    data = own_folder(tmp_path / "mine", "", 6)
    _, kept = held_out(TASK, data, 1)
    origin = kept["mine"].origin
    again = measured_sets(TASK, data, origin)["mine"]
    assert again.names == kept["mine"].names and len(again) == 1
    with pytest.raises(
        DataError, match="no test split .* only the counter that was trained on this folder"
    ):
        measured_sets(TASK, data, {})
    with pytest.raises(DataError, match="are not those that the counter was trained on"):
        measured_sets(TASK, data, {**origin, "sha256": "another"})


def test_errors_are_the_usual_ones():
    assert error(np.array([-3.0, 4.0])) == {"mae": 3.5, "rmse": pytest.approx(12.5**0.5)}
    rows = by_range(np.array([1.0, -3.0, 10.0]), np.array([10, 20, 700]))
    assert [(r["range"], r["n"], r["mae"]) for r in rows] == [("0-50", 2, 2.0), (">=500", 1, 10.0)]
    assert rows[0]["low"] == 1.0 and rows[0]["high"] == 3.0


def test_counts_keep_pictures_apart_by_set_and_damage_is_named(tmp_path):
    counts = Counts(
        [(1, "mlp"), (12, "final")],
        np.ones((2, 3, 6)),
        np.zeros((3, 6)),
        names=["a/1", "b/1", "a/2"],
    )
    assert {k: v.names for k, v in counts.sets.items()} == {"a": ["a/1", "a/2"], "b": ["b/1"]}
    (tmp_path / "predictions.safetensors").write_bytes(b"no")
    with pytest.raises(PredictionsError, match="predictions.safetensors are missing or damaged"):
        load_counts(tmp_path)


def test_empty_pictures_are_empty_and_differ():
    made = empty_pictures(8, 0)
    assert made.counts.tolist() == [0] * 8 and len({p.tobytes() for p in made.pictures}) == 8
