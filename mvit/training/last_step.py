"""The last step of layer-wise training in the paper's variants (section III-C): what the layers
above the exit begin from.

Table I's own layer-wise training lets them begin as they were in the original network. Here they
begin from nothing, or from the network that was trained end-to-end with the same head. The layers
below, and the exit, are the same in all three: they are frozen by then.
"""

from __future__ import annotations

import torch

from mvit.models.backbone import Backbone
from mvit.models.transcrowd import backbone_for
from mvit.training.finetune import layer_of
from mvit.training.joint import phases_of
from mvit.training.table1_lab import TableLab

ORIGINAL, NOTHING, END_TO_END = "the original", "nothing", "end-to-end training"
OTHERS = (NOTHING, END_TO_END)  # than Table I's own


def from_others(lab: TableLab, head: str, begins: str) -> dict:
    """Train the last step of a head's layer-wise training from one of `OTHERS`, and measure it as a
    cell of Table I."""
    model = lab.trained("layer-wise", (head,))
    if begins == NOTHING:
        torch.manual_seed(lab.budget.seed)
        source = backbone_for(lab.study.architecture, lab.task)
    else:
        source = lab.trained("end-to-end", (head,)).backbone
    last = phases_of(model, "layer-wise")[-1]
    take_over(model.backbone, source, last.first)
    file = lab.place(f"layer-wise_from_{begins.replace(' ', '_')}", (head,))
    lab.together(model, [last], file)
    return lab.quality(lab.finished(model))


@torch.no_grad()
def take_over(backbone: Backbone, source: Backbone, first: int) -> None:
    """Give a backbone the encoder layers from `first` on, and the final exit, of another."""
    theirs = dict(source.named_parameters())
    for name, own in backbone.named_parameters():
        if layer_of(name, backbone.depth) >= first:
            own.copy_(theirs[name])


def variants(lab: TableLab, head: str, done: dict[str, dict]) -> list[dict]:
    """The three variants of a head: {"head", "begins", "final", "change" (against plain)}, those
    not yet done left out."""
    names = {ORIGINAL: f"layer-wise {head}"} | {b: named(head, b) for b in OTHERS}
    return [
        {"head": head, "begins": begins} | lab.against(done[name], done["plain"])
        for begins, name in names.items()
        if name in done
    ]


def named(head: str, begins: str) -> str:
    """The name of a training in the run folder."""
    return f"layer-wise {head} from {begins}"
