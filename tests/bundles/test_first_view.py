"""The run that a bundle keeps for the app's start: whole and true, or not there."""

import json
import shutil

import pytest
from bundles import BACKBONE
from visit import png

from mvit.bundles import first_view, opening, weights
from mvit.cli.main import main
from mvit.images import read_image
from mvit.policies.plans import costs


@pytest.fixture(scope="module")
def recorded(tiny_bundle, tmp_path_factory):
    """A weights folder after `trace --record`, and the picture's file beside it."""
    folder = tmp_path_factory.mktemp("kept") / "weights"
    shutil.copytree(tiny_bundle, folder)
    picture = folder.with_name("cat.png")
    picture.write_bytes(png(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVIT_WEIGHTS", str(folder))
        patch.setattr(opening, "EXAMPLES", picture.parent)
        listed = [{"file": picture.name, "title": "Cat", "truth": "cat"}]
        (picture.parent / "examples.json").write_text(json.dumps(listed))
        assert main(["trace", str(picture), "--head", "mlp", "--record", "--json"]) == 0
    return folder, picture


@pytest.fixture
def kept(recorded, tmp_path, monkeypatch):
    """This test's own copy of the bundle's folder in there, which is in force, and the picture."""
    folder = shutil.copytree(recorded[0], tmp_path / "weights")
    monkeypatch.setenv("MVIT_WEIGHTS", str(folder))
    return folder / "cifar10" / BACKBONE, recorded[1]


def test_a_recorded_run_says_what_the_network_says_and_where_it_comes_from(kept):
    folder, picture = kept
    view, model = first_view.read(folder), weights.load("cifar10", BACKBONE, "cpu")
    plan = [(e.layer, e.head) for e in view.exits]
    live = list(model.run(read_image(picture.read_bytes()), plan))
    assert [e.label for e in view.exits] == [e.label for e in live]
    assert [e.confidence for e in view.exits] == pytest.approx([e.confidence for e in live])
    assert view.exits[-1].head == "final" and view.macs == costs(model, plan).tolist()
    assert view.head == "mlp" and view.dtype == "float32" and view.device and view.plain_ms > 0
    assert view.picture_sha256 == first_view.sha256(picture)
    assert view.weights.keys() == {"backbone.safetensors", "heads/mlp.safetensors"}


@pytest.mark.parametrize("name", ["backbone.safetensors", "heads/mlp.safetensors"])
def test_a_record_of_other_weights_is_not_read(kept, name):
    folder, _ = kept
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1
    (folder / name).write_bytes(data)
    assert first_view.read(folder) is None


@pytest.mark.parametrize(
    "change",
    [
        {"exits": []},
        {"macs": [1]},
        {"weights": {}},
        {"weights": {"card.json": "0"}},
        {"exits": [{"layer": 1}]},
        {"extra": 1},
        {"made": "yesterday"},
        {"made": "20260131"},
        {"made": "2026-02-31"},
        {"made": 20260131},
        {"plain_ms": "x"},
        {"plain_ms": 0},
        {"plain_ms": -1.0},
        {"plain_ms": True},
        {"plain_ms": 10**400},
        {"plain_ms": float("nan")},
        {"seen": 3},
        {"seen": "https://example.org/a.png"},
        {"head": "nobody"},
        {"weights": ["backbone.safetensors"]},
        {"macs": {}},
    ],
)
def test_a_record_that_is_not_whole_is_not_read(kept, change):
    file = kept[0] / first_view.FILE
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert first_view.read(kept[0]) is None
    with pytest.raises(ValueError, match="first_view.json is not shown: .*trace PICTURE --record"):
        first_view.checked(kept[0])


@pytest.mark.parametrize(
    "change",
    [
        {"elapsed_ms": 0},
        {"elapsed_ms": float("inf")},
        {"elapsed_ms": [1]},
        {"layer": -1},
        {"layer": 1.5},
        {"layer": 0},
        {"layer": 13},
        {"layer": True},
        {"head": "resmlp"},
        {"scores": [0.5]},
        {"scores": [-0.5, 1.5] + [0] * 8},
        {"scores": [1] * 10},
        {"scores": [10**400] + [0] * 9},
        {"labels": "abcdefghij"},
        {"labels": [["cat"]] * 10},
    ],
)
def test_a_record_of_an_exit_that_cannot_be_true_is_not_read(kept, change):
    file = kept[0] / first_view.FILE
    told = json.loads(file.read_text())
    told["exits"][0] |= change
    file.write_text(json.dumps(told))
    assert first_view.read(kept[0]) is None


@pytest.mark.parametrize("layers", [(1, 1), (2, 1), (1, 40)])
def test_layers_that_the_bundle_has_not_in_this_order_are_named_by_verify(kept, layers):
    file = kept[0] / first_view.FILE
    told = json.loads(file.read_text())
    early, *_, last = told["exits"]
    told |= {"exits": [*({**early, "layer": b} for b in layers), last], "macs": [1, 2, 3]}
    file.write_text(json.dumps(told))
    assert first_view.read(kept[0]) is None
    [found] = weights.verify()
    assert not found["ok"] and "its layers are not those of the bundle" in found["reason"]


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '{"exits": 1e999}'])
def test_a_damaged_record_is_none(kept, text):
    (kept[0] / first_view.FILE).write_text(text)
    assert first_view.read(kept[0]) is None


def test_a_run_that_the_app_would_never_show_is_refused_and_the_record_stays(
    kept, tmp_path, monkeypatch, capsys
):
    folder, picture = kept
    before, other = (folder / first_view.FILE).read_bytes(), tmp_path / "dog.png"
    other.write_bytes(png(1))
    monkeypatch.setattr(opening, "EXAMPLES", picture.parent)
    asked = ["trace", str(other), "--head", "mlp", "--record"]
    assert main(asked) == 2
    told = f"record cat.png with --task cifar10 --backbone {BACKBONE}\n"
    assert capsys.readouterr().err.endswith(told)
    joint = shutil.copytree(folder, folder.with_name(f"{BACKBONE}_end_to_end"))
    assert main(["trace", str(picture), "--head", "mlp", "--record"]) == 2
    assert capsys.readouterr().err.endswith(f"--backbone {joint.name}\n")
    monkeypatch.setattr(opening, "EXAMPLES", tmp_path)
    assert main(asked) == 2 and "no example picture" in capsys.readouterr().err
    assert (folder / first_view.FILE).read_bytes() == before
