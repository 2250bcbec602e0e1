"""What exits minimise when they learn together: the loss of self-distillation, and how large a
gradient each part of the backbone gets."""

import dataclasses

import pytest
import torch
from accelerate import Accelerator
from joint_toys import TINY, small
from torch.nn import functional as F
from toys import colours

from mvit.models.multi_exit import FINAL
from mvit.training.joint import JointRecipe, phases_of
from mvit.training.joint_loss import TEMPERATURE, fitted, phase_logits, phase_loss


def test_a_small_pictures_map_is_enlarged_for_heads_built_for_a_full_one():
    model = small(("mlp", "cnn_ignore"), (1,))
    tokens = torch.randn(2, 1 + 4, 64)
    assert fitted(tokens, model.head_at(1, "mlp")) is tokens
    wide = fitted(tokens, model.head_at(1, "cnn_ignore"))
    assert wide.shape == (2, 1 + 16, 64) and torch.equal(wide[:, 0], tokens[:, 0])
    # corners stay corners
    assert torch.allclose(wide[:, 1], tokens[:, 1]) and torch.allclose(wide[:, 16], tokens[:, 4])
    full = torch.randn(2, 1 + 16, 64)
    assert fitted(full, model.head_at(1, "cnn_ignore")) is full


@pytest.fixture
def lesson():
    """A network in evaluation mode, its phase, and twelve pictures with labels."""
    model = small().eval()
    [phase] = phases_of(model, "end-to-end", (1.0, 1.0))
    x, y = colours(4).whole(torch.arange(12), TINY, torch.device("cpu"))
    return model, phase, x, y, Accelerator(cpu=True)


def loss_of(lesson, **recipe) -> torch.Tensor:
    model, phase, x, y, accelerator = lesson
    return phase_loss(
        model, x, y, phase=phase, recipe=JointRecipe(**recipe), accelerator=accelerator
    )


def logits_of(lesson, equilibrium: bool = False) -> dict:
    model, phase, x, _, accelerator = lesson
    return phase_logits(model, x, phase=phase, equilibrium=equilibrium, accelerator=accelerator)


def gradients(lesson, loss: torch.Tensor) -> list[torch.Tensor]:
    """The gradient of one weight matrix in each encoder layer."""
    blocks = lesson[0].backbone.vit.blocks
    return torch.autograd.grad(loss, [block.mlp.fc1.weight for block in blocks], retain_graph=True)


def test_early_exits_learn_the_final_exits_answer_as_well(lesson):
    logits, y = logits_of(lesson), lesson[3]
    final = (logits[3, FINAL] / TEMPERATURE).softmax(1)
    expected = F.cross_entropy(logits[3, FINAL], y)
    for layer in (1, 2):
        soft = (logits[layer, "mlp"] / TEMPERATURE).log_softmax(1)
        apart = (final * (final.log() - soft)).sum(1).mean() * TEMPERATURE**2
        expected = expected + 0.75 * F.cross_entropy(logits[layer, "mlp"], y) + 0.25 * apart
    assert loss_of(lesson, self_distillation=0.25).item() == pytest.approx(
        expected.item(), rel=1e-4
    )


def test_the_final_exit_is_not_pulled_towards_early_ones(lesson):
    final = lesson[0].backbone.vit.head.weight
    [plain], [distilled] = (
        torch.autograd.grad(loss_of(lesson, self_distillation=share), final) for share in (0.0, 0.9)
    )
    assert torch.allclose(plain, distilled, atol=1e-6)


def test_equilibrium_scales_each_exits_gradient_by_the_exits_that_are_left(lesson):
    """With exits after layers 1, 2 and 3: the first counts 1/3, the second 2/3 * 1/2, the last
    2/3 * 1/2 in layer 1; in layer 2 it is 1/2 and 1/2, in layer 3 all."""
    y, (plain, balanced) = lesson[3], (logits_of(lesson), logits_of(lesson, equilibrium=True))
    keys = [(1, "mlp"), (2, "mlp"), (3, FINAL)]
    for key in keys:
        assert torch.equal(plain[key], balanced[key])
    own = [gradients_of_exit(lesson, plain[key], y) for key in keys]
    found = gradients(lesson, sum(F.cross_entropy(balanced[key], y) for key in keys))
    shares = [[1 / 3, 1 / 3, 1 / 3], [0, 1 / 2, 1 / 2], [0, 0, 1]]
    for layer, of_exits in enumerate(shares):
        expected = sum(s * own[e][layer] for e, s in enumerate(of_exits) if s)
        assert torch.allclose(found[layer], expected, atol=1e-6)


def gradients_of_exit(lesson, logits: torch.Tensor, y: torch.Tensor) -> list:
    blocks = lesson[0].backbone.vit.blocks
    return torch.autograd.grad(
        F.cross_entropy(logits, y),
        [block.mlp.fc1.weight for block in blocks],
        retain_graph=True,
        allow_unused=True,
    )


def test_heads_learn_at_full_strength_in_equilibrium(lesson):
    head = lesson[0].head_at(1, "mlp").mlp[0].weight
    plain, balanced = (
        torch.autograd.grad(loss_of(lesson, gradient_equilibrium=on), head)[0]
        for on in (False, True)
    )
    assert torch.allclose(plain, balanced, atol=1e-6)


def test_both_ways_leave_the_papers_loss_alone_unless_asked_for(lesson):
    recipe = dataclasses.asdict(JointRecipe())
    assert recipe["self_distillation"] == 0 and recipe["gradient_equilibrium"] is False
