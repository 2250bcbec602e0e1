"""`train --distill`: exits from photos without labels, measured on the pictures of a list."""

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from mvit.bundles import weights


@pytest.fixture
def start(tmp_path):
    """Start weights of a narrow network that names 10 classes."""
    vit = timm.create_model("test_vit", num_classes=10, img_size=224)
    save_file(vit.state_dict(), tmp_path / "start.safetensors")
    return tmp_path / "start.safetensors"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """30 photos to learn from, two of them named like the six that are measured on."""
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    rng = np.random.default_rng(0)
    names = [tmp_path / "photos" / f"{i}.png" for i in range(28)]
    names += [tmp_path / "photos" / f"val_{i}.png" for i in range(2)]
    names += [tmp_path / "cifar10" / "val" / f"val_{i}.png" for i in range(6)]
    for file in names:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file)
    listed = "".join(f"val_{i}.png {i}\n" for i in range(6))
    (tmp_path / "cifar10" / "val.txt").write_text(listed)
    return tmp_path


def arguments(data, start, *more):
    names = ["--data", data, "--init", start, "--backbone", "test_vit", "--run", data / "run"]
    return ["train", "--task", "cifar10", "--distill", data / "photos", *names, *more]


def test_photos_without_labels_give_a_bundle_that_answers(data, start, command):
    card = command(*arguments(data, start))
    assert card["bundle"] == "cifar10/test_vit"
    assert card["data"]["left out because they are measured on"] == 2
    assert (card["data"]["validation"], card["data"]["test"]) == (2, 4)
    evaluate = ("evaluate", "--task", "cifar10", "--backbone", "test_vit", "--data", data)
    measured = command(*evaluate)
    assert measured["n"] == 4 and measured["final"]["accuracy"] == card["final"]["accuracy"]
    folder = data / "weights" / "cifar10" / "test_vit"
    older = {key: value for key, value in weights.read_card(folder).items() if key != "test_part"}
    weights.write_card(folder, older)
    assert command(*evaluate)["final"] == measured["final"], "none that was chosen on"
    assert card["exit_recipe"]["photos"] == 27 and card["exit_recipe"]["kept_back"] == 1
    exits = [(e["layer"], e["head"]) for e in card["exits"]]
    assert exits == [(layer, "lens") for layer in range(1, 7)]
    picture = data / "photos" / "0.png"
    traced = command("trace", picture, "--task", "cifar10", "--backbone", "test_vit")
    assert [e["head"] for e in traced["exits"]] == ["lens"] * 6


def test_a_folder_without_photos_and_other_ways_of_training_are_refused(data, start, refused):
    (data / "empty").mkdir()
    words = arguments(data, start)
    words[words.index(data / "photos")] = data / "empty"
    assert "empty holds no pictures" in refused(*words)
    (data / "empty" / "a.png").write_bytes(b"nothing")
    assert "one photo is too few" in refused(*words)
    words[words.index(data / "empty")] = data / "missing"
    assert "missing does not exist" in refused(*words)
    assert "--distill" in refused(*arguments(data, start, "--mix", "0.5"))


def test_other_heads_are_taught_beside_those_that_stay(data, start, command):
    command(*arguments(data, start))
    lens = (data / "weights/cifar10/test_vit/heads/lens.safetensors").read_bytes()
    words = arguments(data, data / "weights/cifar10/test_vit", "--heads", "lens,vit", "--overwrite")
    words[words.index(data / "run")] = data / "second"
    card = command(*words)
    assert {e["head"] for e in card["exits"]} == {"lens", "vit"} and card["distilled"]
    assert card["exit_recipe"]["heads"] == ["vit"] and card["exit_recipe"]["taught"]["steps"] == 1
    assert card["exit_recipe"]["photos"] == 27
    assert (data / "weights/cifar10/test_vit/heads/lens.safetensors").read_bytes() == lens
    assert "unlike" not in card, "six pictures are too few to choose when a picture is unknown"
    traced = command(
        "trace", data / "photos" / "0.png", "--task", "cifar10", "--backbone", "test_vit"
    )
    assert len(traced["exits"]) == 12


def test_all_learn_together_from_the_network_that_is_named(data, start, command, refused):
    command(*arguments(data, start))
    together = ("--strategy", "end-to-end", "--stages", "64:0.3", "--batch", "4")
    words = arguments(data, data / "weights/cifar10/test_vit", "--heads", "lens,vit", *together)
    words[words.index(data / "run")] = data / "third"
    card = command(*words, "--teacher", start, "--start-share", "0.5")
    assert card["bundle"] == "cifar10/test_vit_end_to_end" and len(card["exits"]) == 12
    told = card["exit_recipe"]["together"]
    assert told["teacher"] == "start.safetensors" and told["recipe"]["start_share"] == 0.5
    stored = card["storage"]
    assert stored["bits"] == 8 or stored["head_bits"].keys() == {"lens", "vit"}
    assert "--teacher belongs to" in refused(*arguments(data, start, "--teacher", start))
    words[words.index(data / "third")] = data / "fourth"
    another = refused(*words, "--start-share", "0.5")
    assert "pass --overwrite" in another, "with another teacher it is another run"
    missing = refused(*words, "--overwrite", "--teacher", data / "none")
    assert "none is not a readable safetensors file" in missing
