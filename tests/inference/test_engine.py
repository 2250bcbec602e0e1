"""The engine: packed where it is faster and agrees, timm's modules otherwise, and never a wrong or
missing answer."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from thin import PLAN, picture, thin_model
from toys import count_blocks

from mvit.inference import engine as module
from mvit.inference import packed
from mvit.inference.deadline import answer_by
from mvit.inference.engine import Engine, EngineError
from mvit.inference.explain import attribute
from mvit.inference.precision import probe_pictures
from mvit.models.inline_layers import Unpacked
from mvit.models.multi_exit import MultiExitViT
from mvit.models.transcrowd import transcrowd
from mvit.tasks import TASKS


class Plain:
    """A library that packs nothing and counts its products."""

    name, calls = "plain", 0

    def pack(self, weight, rows):
        return weight

    def product(self, x, layout, own, gelu, add):
        type(self).calls += 1
        return Unpacked(own.layer)(x, gelu=gelu, add=add)


class Wrong(Plain):
    """A library that computes something else."""

    def product(self, x, layout, own, gelu, add):
        return super().product(x, layout, own, gelu=gelu, add=add) * -3


class Dying(Plain):
    """A library that works for its first 200 products."""

    def product(self, x, layout, own, gelu, add):
        if type(self).calls > 200:
            raise RuntimeError("out of workspace")
        return super().product(x, layout, own, gelu=gelu, add=add)


@pytest.fixture
def model():
    return thin_model()


@pytest.fixture
def library(monkeypatch):
    """A function that puts a library in force that is so many times faster by the clock."""

    def use(kind: type, faster: float = 2.0) -> type:
        kind.calls = 0
        monkeypatch.setattr(module, "LIBRARIES", (kind,))
        monkeypatch.setattr(module, "_timed", {})
        monkeypatch.setattr(module, "WORTHWHILE", 1.05)
        monkeypatch.setattr(
            module,
            "rounds",
            lambda works, n, **_: {name: np.ones(1) / (faster if name else 1) for name in works},
        )
        return kind

    return use


def said(model, **options) -> list[tuple]:
    return [(e.layer, e.head, *e.scores) for e in model.run(picture(), PLAN, **options)]


def test_what_is_faster_and_agrees_is_taken(model, library):
    expected, kind = said(model), library(Plain)
    model.engine = Engine()
    assert said(model) == expected and model.engine.choice.name == "packed"
    assert "2.00 times as fast as timm's layers" in model.engine.choice.reason
    kind.calls = 0
    said(model)
    # the embedding, four dense layers in each of twelve layers, and the exits' own
    assert kind.calls > 1 + 4 * 12


def test_runs_traces_and_deadlines_are_packed_and_attributions_are_not(model, library):
    kind, model.engine = library(Plain), Engine()
    said(model)
    for use in (lambda: model.trace(picture()), lambda: answer_by(model, picture(), 60_000, PLAN)):
        kind.calls = 0
        use()
        assert kind.calls > 48
    kind.calls = 0
    attribute(model, picture(), 4, "mlp")
    assert kind.calls == 0


def test_what_is_slower_is_left_unless_asked_for_by_name(model, library):
    library(Plain, faster=0.9)
    model.engine = Engine()
    said(model)
    assert model.engine.choice.name == "timm" and "not faster" in model.engine.choice.reason
    model.engine = Engine("packed")
    said(model)
    assert model.engine.choice.name == "packed" and "0.90 times" in model.engine.choice.reason


@pytest.mark.parametrize("asked", ["auto", "packed"])
def test_other_answers_are_refused_whoever_asks(model, library, asked):
    expected, _ = said(model), library(Wrong)
    model.engine = Engine(asked)
    assert said(model) == expected
    assert model.engine.choice.name == "timm" and "change answers" in model.engine.choice.reason


def test_a_run_that_dies_is_answered_by_the_plain_layers_and_said(model, library):
    expected, _ = said(model), library(Dying)
    model.engine = Engine()
    for _ in range(4):
        assert said(model) == expected
    assert model.engine.choice.name == "timm" and "out of workspace" in model.engine.choice.reason


@pytest.mark.parametrize("asked", ["auto", "packed"])
def test_a_pytorch_without_the_operators_runs_timm(model, monkeypatch, asked):
    nothing = SimpleNamespace(mkldnn=SimpleNamespace(), mkl=SimpleNamespace())
    monkeypatch.setattr(packed, "torch", SimpleNamespace(ops=nothing))
    expected = said(model)
    model.engine = Engine(asked)
    assert said(model) == expected
    assert model.engine.choice.name == "timm" and "no operators" in model.engine.choice.reason


def test_hooks_training_and_other_batches_get_the_modules(model, library):
    kind, model.engine = library(Plain), Engine("packed")
    ran = count_blocks(model.backbone)
    said(model)
    assert ran == list(range(1, 13)) and model.engine.choice.name == "timm"
    for block in model.backbone.vit.blocks:
        block._forward_hooks.clear()
    list(model.run(torch.randn(3, 3, 64, 64), PLAN))
    model.train()
    said(model)
    assert kind.calls == 0
    said(model.eval())
    assert kind.calls > 48


def test_a_hook_inside_a_layer_is_called(model, library):
    library(Plain)
    model.engine, heard = Engine(), []
    said(model)
    model.backbone.vit.blocks[2].mlp.fc1.register_forward_hook(lambda *_: heard.append(1))
    said(model)
    assert heard == [1]


def test_a_copy_and_another_number_format_decide_for_themselves(model, library):
    library(Plain)
    model.engine = Engine("packed")
    said(model)
    twin = copy.deepcopy(model)
    assert twin.engine.choice.reason == "nothing has run yet" and said(twin) == said(model)
    half = said(twin.to(torch.bfloat16))
    assert np.allclose([s[2:] for s in half], [s[2:] for s in said(model)], atol=0.1)
    assert not model.engine.choice.reason.startswith("chosen")


def test_all_tiles_of_a_crowd_are_counted_together(library):
    task = TASKS["crowd"]
    few = {"embed_dim": 64, "num_heads": 1, "depth": 2}
    backbone = transcrowd("vit_tiny_patch16_224", img_size=task.input_px, **few)
    model = MultiExitViT.untrained(backbone, task, ("mlp",)).eval().requires_grad_(False)
    crowd = probe_pictures(task)[0]

    def counted() -> list[list[float]]:
        return [e.tiles for e in model.run(crowd, model.plan("mlp"))]

    expected, kind, model.engine = counted(), library(Plain), Engine()
    assert counted() == expected and model.engine.choice.name == "packed"
    kind.calls = 0
    counted()
    assert kind.calls > 8


def test_an_unknown_engine_is_named():
    with pytest.raises(EngineError, match=r"'turbo'.*auto, timm, packed"):
        Engine("turbo")


def test_the_real_probe_decides_and_changes_no_answer(model):
    plain = said(model)
    model.engine = Engine()
    assert np.allclose(
        np.array(said(model))[:, 2:].astype(float), [p[2:] for p in plain], atol=1e-4
    )
    assert model.engine.choice.name in ("timm", "packed") and model.engine.choice.reason


def test_a_layer_that_somebody_put_there_runs_as_it_is(model, library):
    class Twice(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    before = said(model)
    library(Plain)
    model.engine, model.backbone.vit.blocks[5] = Engine(), Twice()
    after = said(model)
    assert after[:2] == before[:2] and after[2:] != before[2:]
    assert model.engine.choice.name == "timm" and "not timm's plain" in model.engine.choice.reason
