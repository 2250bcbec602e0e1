"""Learning where people are: windows of tokens that keep their people, maps that learn, and the
command that puts them into a bundle."""

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from thin import narrow
from toys import count_blocks

from mvit.bundles import weights
from mvit.bundles.maps import load_maps
from mvit.data.crowds import Crowds
from mvit.data.folders import DataError
from mvit.models.multi_exit import MultiExitViT
from mvit.models.transcrowd import backbone_for
from mvit.scenes.drawing import render
from mvit.tasks import TASKS, CrowdTask
from mvit.training.map_study import MapStudy, lessons, teach_maps
from mvit.training.map_tokens import Windows, gather
from mvit.training.maps import MapRecipe, learn_map

TASK = TASKS["crowd"]


@pytest.fixture
def model(monkeypatch) -> MultiExitViT:
    narrow(monkeypatch, depth=2)
    return MultiExitViT(backbone_for("vit_tiny_patch16_384", TASK), TASK, {})


@pytest.fixture
def tiles():
    scene = render(40, 1)
    return Crowds([scene.picture], [scene.points], ["toy/1"]).tiles()


def test_windows_keep_their_people_and_a_second_run_reads_what_is_there(model, tiles, tmp_path):
    calls, cpu = count_blocks(model.backbone), Accelerator(cpu=True)
    whole = gather(model, tiles, tmp_path / "whole.npy", cpu, window=24)
    assert whole.people.sum(1).numpy() == pytest.approx(tiles.y.numpy(), abs=1e-3)
    assert whole.tokens.shape == (2, 6, 576, 64) and calls == [1, 2]
    part = gather(model, tiles, tmp_path / "part.npy", cpu, window=8, seed=3)
    assert part.tokens.shape == (2, 6, 64, 64) and len(calls) == 4
    again = gather(model, tiles, tmp_path / "part.npy", cpu, window=8, seed=3)
    assert len(calls) == 4 and np.array_equal(again.tokens, part.tokens)
    assert torch.equal(again.people, part.people)


def test_a_map_learns_how_many_stand_in_each_patch():
    rng = np.random.default_rng(0)
    people = rng.poisson(0.3, (64, 16)).astype(np.float32)
    tokens = rng.normal(0, 1, (1, 64, 16, 8)).astype(np.float16)
    tokens[0, :, :, 0] = 4 * people
    windows = Windows(tokens, torch.from_numpy(people))
    own = learn_map(windows, 1, MapRecipe(hidden=16, rounds=60, batch=16, rate=1e-2))
    found = own.patches(windows.layer(1).float())
    assert found.sum().item() == pytest.approx(people.sum(), rel=0.1)
    assert np.corrcoef(found.numpy().ravel(), people.ravel())[0, 1] > 0.9


def crowd_folder(root, split: str, numbers: list[int]) -> None:
    for i, n in enumerate(numbers):
        scene = render(n, i, (144, 96))
        (root / split).mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.picture).save(root / split / f"p{i}.png")
        np.save(root / split / f"p{i}.npy", scene.points)


def test_a_bundle_is_taught_and_its_card_tells_how_far_the_maps_are_off(
    model, tmp_path, monkeypatch
):
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    folder = tmp_path / "weights" / "crowd" / "small"
    told = {"task": vars(CrowdTask("crowd")), "architecture": "vit_tiny_patch16_384"}
    weights.save(model, folder, told | {"layers": [1, 2], "exits": []})
    crowd_folder(tmp_path / "mine", "train", [5, 9, 14])
    crowd_folder(tmp_path / "mine", "test", [7])
    recipe = MapRecipe(hidden=8, rounds=1, empties=1, scenes=0, tiles=2)
    study = MapStudy(
        bundle=folder,
        task=TASK,
        folders=[tmp_path / "mine"],
        run=tmp_path / "run",
        recipe=recipe,
        device="cpu",
    )
    said = teach_maps(study)
    assert said["learned from"]["mine"] == 2 and said["learned from"]["empty"] == 1
    assert said["learned from"]["tiles"] == 6
    rows = said["splits"]["mine"]["layers"]
    assert [row["layer"] for row in rows] == [1, 2] and all(row["quarter"] >= 0 for row in rows)
    assert said["blank"].keys() == {"blank white", "blank grey", "blank black", "noise"}
    assert list(load_maps(folder)) == ["1", "2"] and weights.verify()[0]["ok"]


def test_sets_of_one_name_or_ours_and_folders_without_a_test_split_are_refused(tmp_path):
    folders = [tmp_path / above / "c1" for above in ("A", "B")]
    for folder in folders:
        crowd_folder(folder, "train", [5, 9, 14])
    recipe = MapRecipe(empties=0, scenes=0)
    about = {"task": TASK, "run": tmp_path / "run", "recipe": recipe}
    study = MapStudy(bundle=tmp_path / "none", folders=folders, **about)
    with pytest.raises(DataError, match="no.* test split"):
        teach_maps(study)
    with pytest.raises(DataError, match="'c1'.*B/c1"):
        lessons(study)
    crowd_folder(tmp_path / "rendered", "train", [5, 9, 14])
    study = MapStudy(bundle=tmp_path / "none", folders=[tmp_path / "rendered"], **about)
    with pytest.raises(DataError, match="called 'rendered'.*rename that folder"):
        lessons(study)
