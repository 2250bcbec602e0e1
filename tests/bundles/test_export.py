"""Exports: the file alone gives the model's answer, is smaller for an earlier exit, and says what
it is."""

import argparse
import json

import numpy as np
import pytest
import torch
from thin import picture, thin_model
from timm.layers import GluMlp
from timm.models.vision_transformer import VisionTransformer

from mvit.bundles import export as export_module
from mvit.bundles.export import ExportError, add_arguments, describe, export, run
from mvit.models.backbone import Backbone
from mvit.models.extra_heads import EVERY, EXTRA
from mvit.models.multi_exit import FINAL, MultiExitViT, PlanError
from mvit.models.transcrowd import transcrowd
from mvit.models.truncated import Truncated
from mvit.tasks import CrowdTask, Task


@pytest.fixture(scope="module")
def model():
    return thin_model(depth=4, heads=("mlp", "vit", "cnn_project", "mixer", "resmlp"))


def test_onnx_runtime_gives_the_same_answers_from_the_file_alone(model, tmp_path):
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = tmp_path / "cut.onnx"
    result = export(model, 3, "vit", path)
    assert result["size"] == path.stat().st_size and result["latency_ms"] > 0
    assert result["max_difference"] <= 1e-3
    assert [p.name for p in tmp_path.iterdir()] == ["cut.onnx"]  # one file, weights inside
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for x, scores in batches(model, (3, "vit")):
        assert np.abs(session.run(None, {"image": x.numpy()})[0] - scores).max() < 1e-5
    about = json.loads(session.get_modelmeta().custom_metadata_map["mvit"])
    assert about["labels"] == list("abcdefghij")
    assert (about["layer"], about["head"]) == (3, "vit")


def test_pt2_gives_the_same_answers_from_the_file_alone(model, tmp_path):
    before = {n: p.clone() for n, p in model.state_dict().items()}
    result = export(model, 2, "mixer", tmp_path / "cut.pt2", "pt2")
    assert result["max_difference"] <= 1e-3
    loaded = torch.export.load(tmp_path / "cut.pt2").module()
    for x, scores in batches(model, (2, "mixer")):
        assert np.abs(loaded(x).detach().numpy() - scores).max() < 1e-5
    # and the model is left as it is
    assert all(torch.equal(before[n], p) for n, p in model.state_dict().items())


def batches(model, exit):
    """Batches of one and of five inputs, each with the scores of an exit of the model."""
    for n in (1, 5):
        x = torch.cat([model.to_input(picture(seed)) for seed in range(n)])
        yield x, [e.scores for i in range(n) for e in model.run(x[i : i + 1], [exit])]


@pytest.mark.parametrize(
    "layer, head", [(1, "mlp"), (2, "vit"), (3, "cnn_project"), (4, FINAL), (4, "mlp")]
)
def test_the_truncated_network_is_the_exit_for_every_kind_of_head(model, layer, head):
    cut = Truncated(model, layer, head)
    [exit] = model.run(picture(), [(layer, head)])
    with torch.inference_mode():
        scores = model.task.scores(cut(model.to_input(picture())))
    assert np.abs(scores.numpy() - exit.scores).max() < 1e-5
    # and, cut out, holds nothing of the later layers
    alone = cut.alone()
    with torch.inference_mode():
        assert torch.equal(alone(model.to_input(picture())), cut(model.to_input(picture())))
    assert len(alone.backbone.vit.blocks) == layer and len(model.backbone.vit.blocks) == 4
    later = {n for n, _ in alone.named_parameters() if f"blocks.{layer}" in n}
    assert not later and (head == FINAL or not alone.backbone.vit.head.state_dict())


def test_a_backbone_that_takes_any_size_is_cut_the_same():
    torch.manual_seed(0)
    task = Task("thin", tuple("abc"), native_px=32, input_px=224)
    model = MultiExitViT.untrained(
        Backbone.create("vit_tiny_patch16_224", 3), task, ("mlp",), [1]
    ).eval()
    [exit] = model.run(picture(), [(1, "mlp")])
    with torch.inference_mode():
        scores = task.scores(Truncated(model, 1, "mlp")(model.to_input(picture())))
    assert np.abs(scores.numpy() - exit.scores).max() < 1e-5


KINDS = {
    "DeiT-III": {"no_embed_class": True, "init_values": 1e-6},
    "CLIP": {"pre_norm": True},
    "DINOv2's giant": {"mlp_layer": GluMlp, "init_values": 0.1, "patch_size": 14, "img_size": 70},
    "mean of the patches": {"global_pool": "avg"},
    "any size": {"dynamic_img_size": True, "no_embed_class": True},
}


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_every_kind_of_backbone_is_exported_right(tmp_path, options):
    torch.manual_seed(0)
    size = {"img_size": 64, "embed_dim": 64, "depth": 2, "num_heads": 1, "num_classes": 3}
    backbone = Backbone(VisionTransformer(**size | options))
    task = Task("toy", tuple("abc"), native_px=32, input_px=backbone.vit.patch_embed.img_size[0])
    model = MultiExitViT.untrained(backbone, task, ("cnn_add",), [2]).eval()
    assert export(model, *model.final_exit, tmp_path / "cut.pt2", "pt2")["max_difference"] < 1e-5
    [exit] = model.run(picture(), [(2, "cnn_add")])
    with torch.inference_mode():
        scores = task.scores(Truncated(model, 2, "cnn_add")(model.to_input(picture())))
    assert np.abs(scores.numpy() - exit.scores).max() < 1e-5


@pytest.mark.parametrize("regressor", ["token", "gap"])
def test_a_counter_of_either_kind_is_exported_right(tmp_path, regressor):
    torch.manual_seed(0)
    task = CrowdTask("toy", input_px=64, regressor=regressor)
    options = {"embed_dim": 96, "depth": 1, "num_heads": 2}
    backbone = transcrowd("vit_tiny_patch16_224", regressor, 64, **options)
    model = MultiExitViT.untrained(backbone, task, ("resmlp",), [1]).eval()
    # what a head adds is the same with either
    for e in [(1, "resmlp"), model.final_exit] if regressor == "token" else [model.final_exit]:
        assert export(model, *e, tmp_path / "cut.onnx")["max_difference"] < 1e-3


RARE = ("fnet", "perceiver")  # a Fourier transform and attention to other tokens
# these are exported in other tests
ELSEWHERE = ("mlp", "vit", "mixer", "resmlp", *RARE)


def unless_slow(heads, fast):
    """The heads as parameters; those that are not in `fast` are for the long tests."""
    return [h if h in fast else pytest.param(h, marks=pytest.mark.slow) for h in heads]


@pytest.mark.parametrize("head", unless_slow(EVERY, EVERY.keys() - ELSEWHERE))
def test_every_head_is_exported_right(tmp_path, head):
    model = thin_model(depth=1, heads=(head,))
    assert export(model, 1, head, tmp_path / "cut.pt2", "pt2")["max_difference"] < 1e-4


@pytest.mark.parametrize("head", unless_slow(EXTRA, RARE))
def test_every_extra_head_is_exported_right_as_onnx(tmp_path, head):
    model = thin_model(depth=1, heads=(head,))
    assert export(model, 1, head, tmp_path / "cut.onnx")["max_difference"] < 1e-4


def test_a_file_that_was_there_stays_if_the_new_one_is_refused(model, tmp_path, monkeypatch):
    (tmp_path / "cut.pt2").write_bytes(b"the old one")
    monkeypatch.setattr(export_module, "TOLERANCE", -1)
    with pytest.raises(ExportError, match="not written"):
        export(model, 1, "mlp", tmp_path / "cut.pt2", "pt2")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"the old one"]


def test_an_earlier_exit_makes_a_smaller_file(model, tmp_path):
    sizes = [
        export(model, layer, "mlp", tmp_path / f"{layer}.pt2", "pt2")["size"] for layer in (1, 4)
    ]
    assert sizes[0] < 0.5 * sizes[1]


def test_what_cannot_be_exported_is_said_in_one_sentence(model, tmp_path, monkeypatch):
    with pytest.raises(PlanError, match="layer 5"):
        export(model, 5, "mlp", tmp_path / "cut.pt2", "pt2")
    with pytest.raises(ExportError, match="no format 'exe'"):
        export(model, 1, "mlp", tmp_path / "cut.exe", "exe")
    with pytest.raises(ExportError, match="no folder"):
        export(model, 1, "mlp", tmp_path / "nowhere" / "cut.pt2", "pt2")
    monkeypatch.setattr(
        export_module,
        "_write_pt2",
        lambda *_, **how: ("torch", lambda x: np.full((len(x), 10), 0.5)),
    )
    with pytest.raises(ExportError, match="answers differently"):
        export(model, 1, "mlp", tmp_path / "cut.pt2", "pt2")


def test_a_missing_package_is_named_with_the_cure(model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ExportError, match="onnxruntime.*pip install"):
        export(model, 1, "mlp", tmp_path / "cut.onnx")


def test_the_command_names_its_file(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--exit", "1", "--format", "pt2"])
    args.head, args.task, args.backbone = "mlp", "thin", "vit"
    result = run(args, model)
    assert (tmp_path / "thin-vit-mlp-1.pt2").exists()
    assert "mlp after layer 1" in describe(result) and "ms a picture" in describe(result)
