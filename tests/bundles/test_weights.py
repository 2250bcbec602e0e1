"""Bundles: what is saved comes back, and nothing wrong is ever loaded."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from bundles import BACKBONE
from safetensors.torch import load_file, save_file
from thin import picture

import mvit
from mvit.bundles import tensors, weights
from mvit.bundles.weights import WeightsError
from mvit.models.heads import HEADS
from mvit.models.multi_exit import FINAL

HEAD = "heads/mlp.safetensors"


@pytest.fixture
def bundle(own_weights) -> Path:
    return own_weights / "cifar10" / BACKBONE


def edit_card(bundle: Path, **changes) -> None:
    card = json.loads((bundle / "card.json").read_text())
    weights.write_card(bundle, {k: v for k, v in (card | changes).items() if v is not None})


def edit_tensors(file: Path, change) -> None:
    tensors = load_file(file)
    change(tensors)
    save_file({name: t.contiguous() for name, t in tensors.items()}, file)


def test_a_model_comes_back_as_it_was_saved(bundle, tmp_path, monkeypatch):
    model = mvit.load("cifar10")
    assert not any(m.training for m in model.modules()) and not any(
        p.requires_grad for p in model.parameters()
    )
    card = json.loads((bundle / "card.json").read_text())
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "again"))
    weights.save(model, tmp_path / "again" / "cifar10" / "copy", card)
    again = mvit.load("cifar10", "copy")
    a, b = model.trace(picture()), again.trace(picture())
    assert (
        (a.confidence == b.confidence).all()
        and (a.practical == b.practical).all()
        and a.practical.any()
    )
    assert again.task == model.task and again.exits() == model.exits()
    assert weights.bundles() == [("cifar10", "copy")]


def test_files_are_half_precision_safetensors_with_timms_names(bundle):
    backbone, head = load_file(bundle / "backbone.safetensors"), load_file(bundle / HEAD)
    assert {t.dtype for t in [*backbone.values(), *head.values()]} == {torch.float16}
    assert "blocks.11.attn.qkv.weight" in backbone and "12.norm.weight" in head
    files = json.loads((bundle / "card.json").read_text())["files"]
    assert all(
        about["bytes"] == (bundle / name).stat().st_size and len(about["sha256"]) == 64
        for name, about in files.items()
    )


def test_only_the_wanted_heads_are_read(bundle):
    (bundle / "heads/resmlp.safetensors").write_bytes(b"damaged")
    model = mvit.load("cifar10", heads=["mlp", "cnn_ignore"])
    assert list(model.heads) == ["mlp", "cnn_ignore"]
    assert list(mvit.load("cifar10", heads=[]).heads) == []
    with pytest.raises(WeightsError, match="resmlp.safetensors"):
        mvit.load("cifar10")


def test_a_head_that_the_bundle_lacks_is_named_with_those_it_has(bundle):
    with pytest.raises(WeightsError, match=r"no head 'vit'; it has: mlp, cnn_ignore, resmlp"):
        mvit.load("cifar10", heads=["vit"])


@pytest.mark.parametrize(
    "task, backbone",
    [("cifar100", BACKBONE), ("cifar10", "vit_huge"), ("../cifar10", BACKBONE), ("", "")],
)
def test_an_unknown_bundle_is_refused_with_the_known_ones(tiny_weights, task, backbone):
    with pytest.raises(
        WeightsError,
        match=f"no weights for {task}/{backbone or BACKBONE} .*there are: cifar10/{BACKBONE}",
    ):
        mvit.load(task, backbone)


def test_an_empty_folder_says_that_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    assert weights.bundles() == []
    with pytest.raises(WeightsError, match="there are: none"):
        mvit.load("cifar10")


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", ["backbone.safetensors", HEAD])
@pytest.mark.parametrize(
    "damage, reason",
    [
        (flip, "sha256"),
        (lambda f: os.truncate(f, f.stat().st_size - 1), "sha256"),
        (lambda f: f.write_bytes(b""), "sha256"),
        (Path.unlink, "missing"),
    ],
)
def test_an_altered_file_is_refused_by_name(bundle, name, damage, reason):
    damage(bundle / name)
    with pytest.raises(
        WeightsError, match=f"{Path(name).name} refused: .*{reason}.*python -m mvit verify"
    ):
        mvit.load("cifar10")


def put(name, value):
    return lambda tensors: tensors.__setitem__(
        name, value(tensors[name]) if name in tensors else value(None)
    )


NORM = "3.norm.weight"


@pytest.mark.parametrize(
    "change, reason",
    [
        (put(NORM, lambda t: torch.full_like(t, torch.nan)), "3.norm.weight is not made of finite"),
        (
            put(NORM, lambda t: t.index_fill(0, torch.tensor(5), torch.inf)),
            "3.norm.weight is not made of finite",
        ),
        (put(NORM, lambda t: t.int()), "3.norm.weight is not made of finite"),
        (put(NORM, lambda t: t[:-1]), r"3.norm.weight has shape \(63,\), expected \(64,\)"),
        (
            put("13.norm.weight", lambda t: torch.ones(64)),
            "13.norm.weight, which this model does not have",
        ),
        (lambda tensors: tensors.pop(NORM), "lacks 3.norm.weight"),
    ],
    ids=["NaN", "infinity", "integers", "wrong shape", "extra", "lacking"],
)
def test_wrong_tensors_are_refused_even_with_the_right_sha256(bundle, reseal, change, reason):
    edit_tensors(bundle / HEAD, change)
    reseal(bundle)
    with pytest.raises(WeightsError, match=f"mlp.safetensors refused: .*{reason}"):
        mvit.load("cifar10")


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80\x04K\x01.", b"\xff" * 64, b"PK\x03\x04" + b"0" * 100],
    ids=["empty", "pickle", "noise", "zip"],
)
def test_what_is_no_safetensors_file_is_refused_even_with_the_right_sha256(bundle, reseal, data):
    (bundle / HEAD).write_bytes(data)
    reseal(bundle)
    with pytest.raises(WeightsError, match="mlp.safetensors refused: it is not a safetensors file"):
        mvit.load("cifar10")


def test_another_tasks_head_is_refused(bundle, reseal):
    other = torch.nn.ModuleDict({str(b): HEADS["mlp"](64, 4, 100) for b in range(1, 13)})
    save_file(other.state_dict(), bundle / HEAD)
    reseal(bundle)
    with pytest.raises(WeightsError, match=r"mlp.safetensors refused: .*shape \(100"):
        mvit.load("cifar10")


def test_another_tasks_bundle_is_refused(own_weights, bundle):
    shutil.copytree(bundle, own_weights / "cifar100" / BACKBONE)
    with pytest.raises(
        WeightsError, match="card.json refused: it is the card of task 'cifar10', not 'cifar100'"
    ):
        mvit.load("cifar100")


def test_a_missing_card_is_a_missing_bundle(bundle):
    (bundle / "card.json").unlink()
    with pytest.raises(WeightsError, match=f"no weights for cifar10/{BACKBONE}"):
        mvit.load("cifar10")
    with pytest.raises(WeightsError, match="card.json refused: the card is missing"):
        weights.read_card(bundle)


@pytest.mark.parametrize(
    "text", ["", "{", "not json", '{"task": NaN', "[]", "null", '{"task": {}}', "\ud800"]
)
def test_a_card_that_is_no_card_is_refused(bundle, text):
    (bundle / "card.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(WeightsError, match="card.json refused: the card"):
        mvit.load("cifar10")


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "cifar10"},
        {"task": {"name": "cifar10"}},
        {"layers": None},
        {"layers": 12},
        {"files": []},
        {"exits": [{"layer": 1}]},
        {"files": {HEAD: "abc"}},
        {"architecture": "resnet18"},
        {"architecture": "no_such_model"},
        {"architecture": 5},
    ],
    ids=str,
)
def test_an_incomplete_or_wrong_card_is_refused(bundle, changes):
    edit_card(bundle, **changes)
    with pytest.raises(WeightsError, match="card.json refused"):
        mvit.load("cifar10")


@pytest.mark.parametrize(
    "name, reason",
    [
        ("backbone.safetensors", "backbone.safetensors refused: the card does not list it"),
        (HEAD, "card.json refused: it tells of a head 'mlp' but lists no file of it"),
    ],
)
def test_a_file_that_the_card_does_not_list_is_refused(bundle, name, reason):
    files = json.loads((bundle / "card.json").read_text())["files"]
    del files[name]
    edit_card(bundle, files=files)
    with pytest.raises(WeightsError, match=reason):
        mvit.load("cifar10", heads=["resmlp"])


def test_a_file_too_large_for_a_clone_is_not_left_in_a_bundle_with_a_card(
    tiny_weights, tmp_path, monkeypatch
):
    model = mvit.load("cifar10", heads=["mlp"])
    # less than one tensor has, and a tensor is not split
    monkeypatch.setattr(tensors, "MAX_FILE_BYTES", 20_000)
    with pytest.raises(
        WeightsError, match=r"backbone-.*safetensors has .* bytes; the limit is 20,000"
    ):
        weights.save(model, tmp_path / "large", {})
    assert not (tmp_path / "large" / "card.json").exists()


def test_a_card_is_written_whole_or_not_at_all(bundle, monkeypatch):
    before = (bundle / "card.json").read_text()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError):
        weights.write_card(bundle, {"task": {}})
    assert (bundle / "card.json").read_text() == before


def test_verify_tells_the_good_from_the_bad_and_never_raises(own_weights, bundle):
    shutil.copytree(bundle, own_weights / "cifar10" / "spoilt")
    flip(own_weights / "cifar10" / "spoilt" / HEAD)
    shutil.copytree(bundle, own_weights / "cifar10" / "wrong")
    edit_card(own_weights / "cifar10" / "wrong", task={"name": 3})
    found = {b["backbone"]: b for b in weights.verify()}
    assert found[BACKBONE] == {"task": "cifar10", "backbone": BACKBONE, "ok": True, "reason": None}
    assert not found["spoilt"]["ok"] and "mlp.safetensors" in found["spoilt"]["reason"]
    assert not found["wrong"]["ok"] and "card.json" in found["wrong"]["reason"]


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cudas", "mps", "", "meta"])
def test_a_device_that_is_not_there_is_refused(tiny_weights, name):
    with pytest.raises(ValueError, match=f"device '{name}' is not available here; use cpu"):
        mvit.load("cifar10", device=name)


def test_a_number_format_can_be_asked_for(tiny_weights):
    model = mvit.load("cifar10", device="cpu", dtype=torch.bfloat16, heads=["mlp"])
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert [e.layer for e in model.run(picture(), model.practical("mlp"))] == [3, 6, 9, 12, 12]
    assert model.practical("mlp")[-1] == (12, FINAL)


def test_nothing_in_the_package_loads_pickles():
    unsafe = re.compile(
        r"torch\.load\(|\bpickle|joblib|weights_only|np\.load\((?!.*allow_pickle=False)|\bdill\b|\beval\(compile"
    )
    files = list(Path(mvit.__file__).parent.glob("**/*.py"))
    assert len(files) > 10
    assert [
        f"{f.name}: {line}"
        for f in files
        for line in f.read_text().splitlines()
        if unsafe.search(line)
    ] == []
