"""Counting: the published way from a picture to six tiles, the regressors, published checkpoints,
and a counter through the engine."""

import re
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from thin import narrow

from mvit.bundles import weights
from mvit.inference.deadline import answer_by
from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.models.transcrowd import CrowdError, backbone_for, load_published, transcrowd
from mvit.tasks import TASKS, tile_boxes

TASK = TASKS["crowd"]
SMALL = {"depth": 2, "embed_dim": 64, "num_heads": 1}


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(
        0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8
    )
    return cv2.resize(coarse, (width, height))


@pytest.fixture(scope="module")
def counter() -> MultiExitViT:
    torch.manual_seed(0)
    return MultiExitViT.untrained(
        backbone_for("vit_tiny_patch16_384", TASK, **SMALL), TASK, ("mlp", "resmlp")
    ).eval()


@pytest.mark.parametrize(("height", "width"), [(768, 1024), (600, 1500), (1000, 700)])
def test_tiles_are_the_published_ones(height, width):
    image = picture(height, width)
    wide = width >= height
    size = (1152, 768) if wide else (768, 1152)
    resized = cv2.resize(image, (0, 0), fx=size[0] / width, fy=size[1] / height)
    expected = []
    for column in range(size[0] // 384):
        for row in range(size[1] // 384):
            tile = (
                resized[row * 384 : row * 384 + 384, column * 384 : column * 384 + 384].astype(
                    np.float64
                )
                / 255
            )
            expected.append(
                ((tile - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)).transpose(2, 0, 1)
            )
    got = TASK.prepare(image)
    assert got.shape == (6, 3, 384, 384) and np.abs(got.numpy() - np.stack(expected)).max() < 1e-5


@pytest.mark.parametrize(("height", "width"), [(1, 1), (20, 3), (30, 300), (300, 30), (5000, 6000)])
def test_any_picture_becomes_six_tiles(height, width):
    assert TASK.prepare(np.full((height, width, 3), 9, np.uint8)).shape == (6, 3, 384, 384)


def test_a_large_photo_is_averaged_not_sampled():
    checks = np.indices((3072, 4608)).sum(0) % 2 * 255
    small = TASK.stretch(np.repeat(checks[..., None], 3, 2).astype(np.uint8))
    assert abs(small.mean() - 127.5) < 1 and small.std() < 2


def test_boxes_cover_the_stretched_picture_once():
    for upright in (False, True):
        seen = np.zeros((1152, 768) if upright else (768, 1152), int)
        for left, top, right, bottom in tile_boxes(upright):
            seen[top:bottom, left:right] += 1
        assert (seen == 1).all()


@pytest.mark.parametrize(
    ("regressor", "names"), [("token", ("head", "output1.2")), ("gap", ("output1.1", "output1.4"))]
)
def test_a_published_checkpoint_fits_and_counts_as_published(regressor, names):
    backbone = transcrowd("vit_base_patch16_384", regressor, depth=1).eval()
    torch.manual_seed(1)
    theirs = {
        k: torch.randn_like(v) * 0.02
        for k, v in backbone.vit.state_dict().items()
        if not k.startswith("head.")
    }
    shapes = {"token": ((1000, 768), (1, 1000)), "gap": ((128, 576 * 48), (1, 128))}[regressor]
    for name, shape in zip(names, shapes, strict=True):
        theirs |= {
            f"{name}.weight": torch.randn(shape) * 0.02,
            f"{name}.bias": torch.randn(shape[0]),
        }
    load_published(backbone, {f"module.{k}": v for k, v in theirs.items()})
    x = torch.randn(1, 3, 384, 384)
    with torch.no_grad():
        tokens = backbone.vit.norm(backbone.block(backbone.embed(x), 1))
        if regressor == "token":
            hidden = tokens[:, 0] @ theirs["head.weight"].T + theirs["head.bias"]
        else:
            pooled = torch.nn.functional.adaptive_avg_pool1d(tokens[:, 1:], 48).reshape(1, -1)
            hidden = pooled.relu() @ theirs["output1.1.weight"].T + theirs["output1.1.bias"]
        expected = hidden.relu() @ theirs[f"{names[1]}.weight"].T + theirs[f"{names[1]}.bias"]
        assert torch.allclose(backbone(x), expected, atol=1e-4)


def test_the_documented_way_to_a_published_checkpoint_works(tmp_path, monkeypatch):
    docs = Path(__file__).resolve().parents[2] / "docs/training.md"
    [code] = [c for c in re.findall(r"```python\n(.*?)```", docs.read_text(), re.S) if "pth" in c]
    theirs = transcrowd("vit_base_patch16_384", "gap", depth=1).vit.state_dict()
    names = {"head.fc.": "output1.1.", "head.out.": "output1.4."}
    for ours, published in names.items():
        for end in ("weight", "bias"):
            theirs[published + end] = theirs.pop(ours + end)
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {f"module.{k}": v for k, v in theirs.items()}}, "model_best.pth")
    told = {}
    exec(code.replace('"gap")  # or', '"gap", depth=1)  # or'), told)
    picture = np.full((60, 90, 3), 128, np.uint8)
    [exit] = told["model"].run(picture, [told["model"].final_exit])
    with torch.no_grad():
        people = told["backbone"](told["task"].prepare(picture)).sum().item()
    assert exit.count == pytest.approx(people, abs=1e-3)


def test_what_does_not_fit_is_refused_by_name():
    backbone = transcrowd("vit_tiny_patch16_384", **SMALL)
    with pytest.raises(CrowdError, match="no TransCrowd-token checkpoint"):
        load_published(backbone, {"blocks.0.nothing": torch.zeros(1)})
    with pytest.raises(CrowdError, match="no regressor 'mean'.*token, gap"):
        transcrowd("vit_tiny_patch16_384", "mean")


def test_run_trace_and_deadline_count(counter):
    image = picture(300, 500)
    plan = [*counter.exits("mlp"), (2, FINAL)]
    exits = list(counter.run(image, plan))
    table = counter.trace(image)
    for e in exits:
        row = table[(table.layer == e.layer) & (table["head"] == e.head)].iloc[0]
        assert (
            len(e.tiles) == 6
            and e.count == sum(e.tiles)
            and row["count"] == pytest.approx(e.count, abs=1e-3)
        )
        assert row.tiles == pytest.approx(e.tiles, abs=1e-3) and e.label == str(round(e.count))
    assert table.iloc[-1]["head"] == FINAL and (table.macs > 0).all()
    answer = answer_by(counter, image, 30_000, plan)
    assert answer.exit.head == FINAL and answer.exit.count == pytest.approx(
        exits[-1].count, abs=1e-3
    )


def test_all_tiles_go_through_as_one_batch(counter, monkeypatch):
    sizes = []
    block = counter.backbone.block
    monkeypatch.setattr(
        counter.backbone,
        "block",
        lambda tokens, *layer: sizes.append(len(tokens)) or block(tokens, *layer),
    )
    list(counter.run(picture(60, 90), [(2, FINAL)]))
    assert sizes == [6, 6]


def test_a_bundle_comes_back_as_a_counter(counter, tmp_path, monkeypatch):
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    narrow(monkeypatch)
    torch.manual_seed(0)
    model = (
        MultiExitViT.untrained(
            backbone_for("vit_tiny_patch16_384", TASK), TASK, ("mlp",), layers=[1]
        )
        .half()
        .float()
        .eval()
    )
    card = {
        "task": asdict(TASK),
        "architecture": "vit_tiny_patch16_384",
        "layers": [1],
        "exits": [],
    }
    weights.save(model, tmp_path / "crowd" / "vit_tiny_patch16_384", card)
    again, image = weights.load("crowd", device="cpu"), picture(60, 90)
    assert again.task == TASK
    assert [e.count for e in again.run(image, [(1, "mlp"), (12, FINAL)])] == [
        e.count for e in model.run(image, [(1, "mlp"), (12, FINAL)])
    ]
