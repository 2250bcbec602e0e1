"""What a plan costs, against an independent count of the operations that really happen, for every
task."""

import numpy as np
import pytest
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mvit.models.multi_exit import FINAL, MultiExitViT
from mvit.models.transcrowd import backbone_for
from mvit.policies.plans import costs, options
from mvit.tasks import TASKS

HEADS = ("mlp", "vit", "cnn_ignore")
PLAN = [(2, "mlp"), (2, "vit"), (5, "cnn_ignore"), (12, FINAL)]


def small(task) -> MultiExitViT:
    return MultiExitViT.untrained(
        backbone_for("vit_tiny_patch16_224", task, embed_dim=64, num_heads=1), task, HEADS, [2, 5]
    ).eval()


def counted(model: MultiExitViT, picture: np.ndarray, plan) -> float:
    """Multiply-accumulates of a whole picture up to the last exit of a plan, as PyTorch counts
    them."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        for _ in model.run(picture, plan):
            pass
    return counter.get_total_flops() / 2


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_plan_costs_what_is_really_computed(task):
    model, picture = small(task), np.zeros((40, 60, 3), np.uint8)
    told = costs(model, PLAN)
    for upto in range(1, len(PLAN) + 1):
        assert told[upto - 1] == pytest.approx(counted(model, picture, PLAN[:upto]), rel=0.01)
    # an exit alone, and what the options of a plan take
    assert model.exit_macs(5, "cnn_ignore") == pytest.approx(
        counted(model, picture, [(5, "cnn_ignore")]), rel=0.01
    )
    for option in options(model, {e: 0.5 for e in PLAN}, practical=False):
        assert option.backbone + option.own == model.exit_macs(option.layer, option.head)
