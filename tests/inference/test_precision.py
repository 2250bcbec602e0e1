"""The choice of number format: by measurement, refused when answers change, and overridable."""

import numpy as np
import pytest
import torch
from thin import picture, thin_model

from mvit.inference import precision
from mvit.inference.precision import PrecisionError, choose_dtype, native_bfloat16, probe_pictures
from mvit.tasks import TASKS


@pytest.fixture(scope="module")
def model():
    model = thin_model(heads=("mlp",))
    # sure of one class, so that rounding does not tip the scales
    model.backbone.vit.head.bias[3] += 4
    return model


@pytest.fixture
def native(monkeypatch):
    monkeypatch.setattr(precision, "native_bfloat16", lambda: True)


def measured(monkeypatch, float32, bfloat16):
    """Let the clock report the given ms."""
    times = {"float32": np.full(1, float32), "bfloat16": np.full(1, bfloat16)}

    def rounds(works, n, warmup, clock):
        for work in works.values():
            work()
        return times

    monkeypatch.setattr(precision, "rounds", rounds)


def test_bfloat16_is_chosen_where_it_pays(model, native, monkeypatch):
    measured(monkeypatch, 30.0, 15.0)
    choice = choose_dtype(model, [picture(), picture(1)])
    assert choice.torch_dtype == torch.bfloat16 and choice.speedup == 2.0
    assert choice.same_top1 and choice.confidence_gap <= 0.02
    assert "2.00 times faster" in choice.reason and not choice.overridden
    assert model.dtype == torch.float32  # the model itself is left alone


def test_float32_stays_where_bfloat16_is_no_faster(model, native, monkeypatch):
    measured(monkeypatch, 30.0, 29.0)
    choice = choose_dtype(model)
    assert choice.dtype == "float32" and "not faster" in choice.reason
    assert (choice.float32_ms, choice.bfloat16_ms) == (30.0, 29.0)


def test_float32_stays_when_a_class_changes(native, monkeypatch):
    measured(monkeypatch, 30.0, 10.0)
    model = thin_model(heads=("mlp",))
    model.backbone.vit.head.weight.zero_()
    # bfloat16 rounds 1.001 to 1
    model.backbone.vit.head.bias.copy_(torch.tensor([1.0, 1.001] + [0.0] * 8))
    choice = choose_dtype(model)
    assert (
        choice.dtype == "float32" and choice.same_top1 is False and "another class" in choice.reason
    )


def test_float32_stays_when_a_confidence_moves(native, monkeypatch):
    measured(monkeypatch, 30.0, 10.0)
    model = thin_model(heads=("mlp",))
    model.backbone.vit.head.weight.zero_()
    # bfloat16 rounds 998.9 to 1000
    model.backbone.vit.head.bias.copy_(torch.tensor([1000.0, 998.9] + [0.0] * 8))
    choice = choose_dtype(model)
    assert choice.dtype == "float32" and choice.confidence_gap > 0.02


def test_a_cpu_without_bfloat16_is_not_probed(model, monkeypatch):
    monkeypatch.setattr(precision, "native_bfloat16", lambda: False)
    monkeypatch.setattr(precision, "_probe", lambda *_: pytest.fail("probed"))
    choice = choose_dtype(model)
    assert choice.dtype == "float32" and "no bfloat16" in choice.reason


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_choice_by_hand_wins(model, name, monkeypatch):
    monkeypatch.setattr(precision, "_probe", lambda *_: pytest.fail("probed"))
    choice = choose_dtype(model, override=name)
    assert choice.dtype == name and choice.overridden


def test_an_unknown_format_is_named(model):
    with pytest.raises(PrecisionError, match="'float8'.*float32 or bfloat16"):
        choose_dtype(model, override="float8")


def test_a_real_probe_gives_a_full_record(model, native):
    choice = choose_dtype(model, n=2)
    assert (
        choice.dtype in precision.DTYPES
        and choice.float32_ms > 0
        and choice.bfloat16_ms > 0
        and choice.speedup > 0
    )


@pytest.mark.parametrize("task", ["cifar10", "crowd"])
def test_the_probe_pictures_are_always_the_same_and_differ(task):
    first, again = probe_pictures(TASKS[task]), probe_pictures(TASKS[task])
    assert (
        all((a == b).all() for a, b in zip(first, again, strict=True))
        and (first[0] != first[1]).any()
    )


def test_a_slow_machine_is_not_probed_for_long(model, native, monkeypatch):
    measured(monkeypatch, 30.0, 15.0)
    now = iter(range(0, 1000, 3))
    monkeypatch.setattr(precision.time, "monotonic", lambda: next(now))
    asked = []
    monkeypatch.setattr(
        precision,
        "rounds",
        lambda *a, _rounds=precision.rounds, **k: asked.append(1) or _rounds(*a, **k),
    )
    assert choose_dtype(model, n=50).dtype == "bfloat16" and len(asked) == 1


def test_a_count_may_move_by_two_percent():
    count, crowd = torch.full((6,), 50.0), TASKS["crowd"]
    assert crowd.drift(count, count * 1.01)[:2] == (True, pytest.approx(0.01, abs=1e-4))
    assert crowd.drift(count, count * 1.05).gap > precision.MAX_CONFIDENCE_GAP
    assert crowd.drift(count * 0, count * 0 + 0.01).gap < precision.MAX_CONFIDENCE_GAP  # nobody


@pytest.mark.slow
def test_bfloat16_is_half_again_as_fast_for_vit_base():
    if not native_bfloat16():
        pytest.skip("this CPU has no bfloat16 instructions")
    from mvit.models.backbone import Backbone
    from mvit.models.multi_exit import MultiExitViT
    from mvit.tasks import TASKS

    model = (
        MultiExitViT(Backbone.create("vit_base_patch16_224", 10), TASKS["cifar10"], {})
        .eval()
        .requires_grad_(False)
    )
    assert choose_dtype(model).speedup >= 1.5
