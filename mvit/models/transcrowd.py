"""TransCrowd (Liang et al., 2021): a ViT that counts the people in each tile of a picture, with a
token or a gap regressor.

The network is a timm ViT whose final exit is a regressor instead of a classifier, so it runs, exits
early and is saved like the others. The way from a photo to its six tiles is `mvit.tasks.CrowdTask`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from mvit.models import macs
from mvit.models.backbone import Backbone
from mvit.tasks import CrowdTask, Task, tile_boxes

__all__ = [
    "CrowdError",
    "GapRegressor",
    "TokenRegressor",
    "backbone_for",
    "load_published",
    "tile_boxes",
    "transcrowd",
]


class CrowdError(ValueError):
    """A counter that cannot be built or loaded; the message says why."""


class TokenRegressor(nn.Module):
    """TransCrowd-Token's exit: class token -> 1000 -> ReLU, dropout -> count. (B, D) -> (B, 1)."""

    reads = "token"  # timm's name for handing over the class token alone

    def __init__(self, dim: int, grid: int, hidden: int = 1000):
        super().__init__()
        self.fc = nn.Linear(dim, hidden)
        self.out = nn.Linear(hidden, 1)
        self.macs = macs.linear(1, dim, hidden) + hidden

    def forward(self, token: torch.Tensor) -> torch.Tensor:
        return self.out(F.dropout(self.fc(token).relu(), 0.5, self.training))


class GapRegressor(nn.Module):
    """TransCrowd-GAP's exit: patches, their channels averaged to 48, flatten -> 128 -> ReLU,
    dropout -> count. (B, 1+N, D) -> (B, 1)."""

    reads = ""  # all tokens, unpooled

    def __init__(self, dim: int, grid: int, channels: int = 48, hidden: int = 128):
        super().__init__()
        self.channels = channels
        self.fc = nn.Linear(grid * grid * channels, hidden)
        self.out = nn.Linear(hidden, 1)
        self.macs = macs.linear(1, grid * grid * channels, hidden) + hidden

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        pooled = F.adaptive_avg_pool1d(tokens[:, 1:], self.channels)  # (B, N, 48)
        return self.out(F.dropout(self.fc(pooled.flatten(1).relu()).relu(), 0.5, self.training))


REGRESSORS = {"token": TokenRegressor, "gap": GapRegressor}


def transcrowd(
    architecture: str, regressor: str = "token", img_size: int = 384, **options
) -> Backbone:
    """A counter on the timm ViT `architecture`: 384-pixel tiles, 577 tokens. Raises CrowdError for
    an unknown regressor."""
    if regressor not in REGRESSORS:
        raise CrowdError(f"there is no regressor '{regressor}'; there are: {', '.join(REGRESSORS)}")
    backbone = Backbone.create(architecture, outputs=1, img_size=img_size, **options)
    backbone.vit.head = REGRESSORS[regressor](backbone.dim, backbone.grid)
    backbone.vit.global_pool = backbone.vit.head.reads
    return backbone


def backbone_for(architecture: str, task: Task, **options) -> Backbone:
    """An untrained backbone with the final exit that the task asks for: a classifier or a
    regressor."""
    if isinstance(task, CrowdTask):
        return transcrowd(architecture, task.regressor, task.input_px, **options)
    return Backbone.create(architecture, task.outputs, img_size=task.input_px, **options)


# The authors' names for the layers of their regressors, and ours.
PUBLISHED = {
    "token": {"head.": "head.fc.", "output1.2.": "head.out."},
    "gap": {"output1.1.": "head.fc.", "output1.4.": "head.out."},
}


def load_published(backbone: Backbone, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put a state dict with the authors' key names (`blocks.*`, `head.*`, `output1.*`, perhaps
    under `module.`) into a counter.

    Its outputs are people, so its task needs `people_per_unit=1`. Raises CrowdError unless every
    tensor of the counter is there and fits.
    """
    regressor = next(
        (name for name, kind in REGRESSORS.items() if isinstance(backbone.vit.head, kind)), None
    )
    if regressor is None:
        raise CrowdError("the backbone has no count regressor; build it with transcrowd()")
    renamed = {}
    for key, tensor in tensors.items():
        key = key.removeprefix("module.")
        for theirs, ours in PUBLISHED[regressor].items():
            if key.startswith(theirs):
                key = ours + key.removeprefix(theirs)
                break
        else:
            if regressor == "gap" and key.startswith("head."):
                # the ImageNet classifier that TransCrowd-GAP carries along and does not use
                continue
        renamed[key] = tensor
    own = backbone.vit.state_dict()
    if wrong := sorted(own.keys() ^ renamed.keys()):
        raise CrowdError(
            f"this is no TransCrowd-{regressor} checkpoint of this size: {wrong[0]} and "
            f"{len(wrong) - 1} more do not match"
        )
    if wrong := [k for k in own if own[k].shape != renamed[k].shape]:
        shapes = (tuple(tensors[wrong[0]].shape) for tensors in (renamed, own))
        raise CrowdError("{} has shape {}, expected {}".format(wrong[0], *shapes))
    backbone.vit.load_state_dict(renamed)
