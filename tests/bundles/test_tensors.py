"""Weights in 8 bits: half the files' size, nearly the same numbers, verified like the others."""

import copy
import json

import pytest
import torch
from bundles import BACKBONE
from safetensors.torch import load_file, save_file
from thin import picture
from toys import same, snapshot

import mvit
from mvit.bundles import weights
from mvit.bundles.tensors import packed, read_part, read_tensors, round_to, save_part
from mvit.bundles.weights import WeightsError

HEAD = "heads/mlp.safetensors"


@pytest.fixture
def light(own_weights):
    """The tiny bundle of CIFAR-10 once more, in 8 bits."""
    model = mvit.load("cifar10", device="cpu")
    folder = own_weights / "cifar10" / "light"
    card = weights.read_card(own_weights / "cifar10" / BACKBONE)
    weights.save(model, folder, card, {"bits": 8})
    return folder


def of_one_head(card: dict) -> dict:
    """A card that tells of `mlp` alone."""
    return card | {"exits": [exit for exit in card["exits"] if exit["head"] == "mlp"]}


def test_every_row_is_kept_to_half_a_step_of_its_own_scale_and_vectors_to_half_precision():
    torch.manual_seed(0)
    layer = torch.nn.Linear(40, 3)
    layer.weight.data *= torch.tensor([[1.0], [100.0], [0.0]])  # rows of very different sizes
    before = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    held = packed(before, 8)
    assert held["weight"].dtype == torch.int8 and held["weight:scale"].dtype == torch.float32
    assert held["weight:scale"].shape == (3,) and held["bias"].dtype == torch.float16
    round_to(layer, 8)
    step = before["weight"].abs().amax(1, keepdim=True) / 127
    assert ((layer.weight - before["weight"]).abs() <= 0.5001 * step).all()
    assert torch.equal(layer.bias, before["bias"].half().float())
    # what is rounded once stays as it is
    again = {name: tensor.clone() for name, tensor in layer.state_dict().items()}
    round_to(layer, 8)
    assert all(torch.equal(layer.state_dict()[n], t) for n, t in again.items())


def test_a_bundle_in_8_bits_is_smaller_and_says_nearly_the_same(light, own_weights):
    bytes_of = [
        sum(about["bytes"] for about in weights.read_card(folder)["files"].values())
        for folder in (light, own_weights / "cifar10" / BACKBONE)
    ]
    assert bytes_of[0] < 0.56 * bytes_of[1]
    whole, small = mvit.load("cifar10", device="cpu"), mvit.load("cifar10", "light", device="cpu")
    a, b = whole.trace(picture()), small.trace(picture())
    assert (a.confidence - b.confidence).abs().max() < 0.02
    assert {p.dtype for p in small.parameters()} == {torch.float32}
    assert [v["ok"] for v in weights.verify() if v["backbone"] == "light"] == [True]


def test_what_is_measured_after_rounding_is_what_the_files_answer(own_weights, light):
    model = mvit.load("cifar10", device="cpu")
    round_to(model, 8)
    stored = mvit.load("cifar10", "light", device="cpu")
    assert (model.trace(picture()).confidence == stored.trace(picture()).confidence).all()


def test_a_bundle_made_from_an_8_bit_one_is_in_half_precision_and_says_nothing_else(
    light, tmp_path
):
    card = weights.read_card(light)
    assert card["storage"] == {"bits": 8}
    model = mvit.load("cifar10", "light", device="cpu", heads=["mlp"])
    again = weights.save(model, tmp_path / "again", card)
    assert "storage" not in again
    held = load_file(tmp_path / "again" / "backbone.safetensors")
    assert {t.dtype for t in held.values()} == {torch.float16}


def test_a_grown_network_comes_from_8_bits_too(own_weights):
    folder = own_weights / "cifar10" / BACKBONE
    small = mvit.load("cifar10", device="cpu", heads=["mlp"])
    card = weights.read_card(folder)
    weights.save(small, folder, of_one_head(card), {"bits": 8})
    small = mvit.load("cifar10", device="cpu", heads=["mlp"])
    wide = mvit.load("cifar10", "vit_base_patch16_224", device="cpu", heads=["mlp"])
    plan = [(1, "mlp")]
    [a], [b] = small.run(picture(), plan), wide.run(picture(), plan)
    assert b.confidence == pytest.approx(a.confidence, abs=1e-3)


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda t: t.pop("1.mlp.0.weight:scale"), "1.mlp.0.weight has 8 bits but no scale"),
        (lambda t: t.pop("1.mlp.0.weight"), "1.mlp.0.weight:scale does not fit"),
        (lambda t: t.update({"1.mlp.0.weight:scale": torch.ones(5)}), "does not fit"),
        (lambda t: t["1.mlp.0.weight:scale"].fill_(torch.nan), "not made of finite"),
        (lambda t: t["1.mlp.0.weight:scale"].fill_(torch.inf), "not made of finite"),
        (lambda t: t.update({"1.norm.weight:scale": torch.ones(192)}), "does not fit"),
    ],
)
def test_wrong_8_bit_tensors_are_refused_by_name(light, reseal, change, reason):
    tensors = load_file(light / HEAD)
    change(tensors)
    save_file(tensors, light / HEAD)
    reseal(light)
    with pytest.raises(WeightsError, match=f"mlp.safetensors refused: .*{reason}"):
        mvit.load("cifar10", "light", device="cpu")


def test_a_part_in_8_bits_is_split_with_each_scale_beside_its_rows(
    own_weights, tmp_path, monkeypatch
):
    from mvit.bundles import tensors

    model = mvit.load("cifar10", device="cpu", heads=["mlp"])
    monkeypatch.setattr(tensors, "MAX_FILE_BYTES", 500_000)
    card = weights.read_card(own_weights / "cifar10" / BACKBONE)
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    card = weights.save(model, tmp_path / "cifar10" / "parts", of_one_head(card), {"bits": 8})
    assert len(weights.parts(card["files"])["backbone"]) > 1
    assert json.loads((tmp_path / "cifar10/parts/card.json").read_text()) == card
    again = mvit.load("cifar10", "parts", device="cpu")
    round_to(model, 8)
    assert (again.trace(picture()).confidence == model.trace(picture()).confidence).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_exits_with_one_classifier_hold_it_once_and_read_it_each(bits, tmp_path):
    exits = torch.nn.ModuleDict({str(b): torch.nn.Linear(40, 30) for b in range(1, 5)})
    apart = save_part(exits, tmp_path / "apart", "lens", bits)["lens.safetensors"]["bytes"]
    for layer in exits.values():
        layer.weight = exits["1"].weight
    about = save_part(exits, tmp_path, "lens", bits)["lens.safetensors"]
    assert about["bytes"] < apart - 3 * 40 * 30 * bits // 8 + 300
    again = copy.deepcopy(exits)
    for parameter in again.parameters():
        parameter.data.zero_()
    read_part(again, tmp_path, "lens", {"lens.safetensors": about})
    round_to(exits, bits)
    assert same(snapshot(again), snapshot(exits))


@pytest.mark.parametrize("told", ['{"2.weight": "9.weight"}', '{"2.weight": []}', "[1]", "no"])
def test_a_matrix_that_is_equal_to_none_in_its_file_is_refused(told, tmp_path):
    file = tmp_path / "lens.safetensors"
    save_file({"1.weight": torch.ones(2, 2)}, file, {"same": told})
    with pytest.raises(WeightsError, match="lens.safetensors refused: it names a matrix as equal"):
        read_tensors(file)
