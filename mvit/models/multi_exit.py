"""A backbone and its exits: run some of them lazily, or trace them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from mvit.clock import clock_for
from mvit.models.backbone import Backbone
from mvit.models.exit import FINAL, KINDS, AnyExit, CountExit, Exit, Plan
from mvit.models.extra_heads import build
from mvit.models.heads import HEADS, Head
from mvit.models.helpers import claim
from mvit.models.inline_layers import Engine, Packed
from mvit.models.macs import BackboneMacs
from mvit.tasks import Task

__all__ = ["FINAL", "CountExit", "Exit", "MultiExitViT", "Plan", "PlanError", "always"]

Image = np.ndarray | torch.Tensor  # RGB uint8 (H, W, 3), or a prepared input (tiles, 3, S, S)
Logits = dict[tuple[int, str], torch.Tensor]  # (B, out) of each exit


def always(layer: int) -> bool:
    """Never a reason to stop."""
    return True


class Step(NamedTuple):
    """An exit that has run: logits (B, out); marks where its blocks and head began and ended."""

    layer: int
    head: str
    logits: torch.Tensor
    marks: tuple


class PlanError(ValueError):
    """A plan that names a layer or head that the model does not have."""


class MultiExitViT(nn.Module):
    """A backbone with exits. heads: {head name: {layer: Head}}; practical: the exits better than
    every earlier one of their head."""

    # the architecture whose function this one has, if it was widened (mvit.growth)
    grown_from: str | None = None
    # what computes the layers of a run in their modules' place (mvit.inference.engine)
    engine: Engine | None = None

    def __init__(
        self,
        backbone: Backbone,
        task: Task,
        heads: dict[str, dict[int, Head]],
        practical: Sequence[tuple[int, str]] = (),
    ):
        super().__init__()
        self.backbone, self.task = backbone, task
        self.heads = nn.ModuleDict(
            {
                name: nn.ModuleDict({str(b): h for b, h in sorted(at.items())})
                for name, at in heads.items()
            }
        )
        self.practical_exits = frozenset(practical)
        self.backbone_macs = BackboneMacs(backbone.vit)

    @classmethod
    def untrained(
        cls,
        backbone: Backbone,
        task: Task,
        head_names: Sequence[str] = tuple(HEADS),
        layers: Sequence[int] | None = None,
        *,
        distilled: bool = False,
    ) -> MultiExitViT:
        """Fresh heads of the given names after the given layers (by default the paper's seven after
        all layers). distilled: heads that end in the final exit's features."""
        layers = layers or range(1, backbone.depth + 1)
        size = {"dim": backbone.dim, "grid": backbone.grid, "out": task.outputs}
        heads = {n: {b: build(n, **size, distilled=distilled) for b in layers} for n in head_names}
        return cls(backbone, task, heads)

    def above(self, layer: int) -> MultiExitViT:
        """The same backbone with the same exits (shared, not copied), those after layers below
        `layer` left out."""
        kept = {
            name: {int(b): head for b, head in at.items() if int(b) >= layer}
            for name, at in self.heads.items()
        }
        return MultiExitViT(self.backbone, self.task, kept, practical=self.practical_exits)

    @property
    def depth(self) -> int:
        return self.backbone.depth

    @property
    def device(self) -> torch.device:
        return self.backbone.vit.cls_token.device

    @property
    def dtype(self) -> torch.dtype:
        return self.backbone.vit.cls_token.dtype

    def exits(self, head: str | None = None) -> list[tuple[int, str]]:
        """Every (layer, head) that the model has, by layer; of one head if named."""
        names = [head] if head else list(self.heads)
        return sorted(
            ((int(b), n) for n in names for b in self.heads[n]),
            key=lambda e: (e[0], list(self.heads).index(e[1])),
        )

    @property
    def final_exit(self) -> tuple[int, str]:
        """Where the backbone itself answers, as a plan names it."""
        return self.depth, FINAL

    def plan(self, head: str | None = None) -> list[tuple[int, str]]:
        """The plan of one head's exits (of every head, if none is named), then the final exit."""
        return [*self.exits(head), self.final_exit]

    def practical(self, head: str) -> list[tuple[int, str]]:
        """The plan of one head's practical exits, then the final exit."""
        return [*(e for e in self.exits(head) if e in self.practical_exits), self.final_exit]

    def head_at(self, layer: int, head: str) -> nn.Module:
        """The module of an exit; raises PlanError if there is none."""
        if head == FINAL and layer == self.depth:
            return self.backbone.vit.head
        try:
            return self.heads[head][str(layer)]
        except KeyError:
            raise PlanError(
                f"there is no exit '{head}' after layer {layer}; heads: {', '.join(self.heads)}, "
                f"layers 1 to {self.depth}"
            ) from None

    def macs_up_to(self, layer: int) -> int:
        """Multiply-accumulates of the backbone alone up to `layer`, for all tiles of a picture."""
        return self.task.tiles * self.backbone_macs.up_to(layer)

    def head_macs(self, layer: int, head: str) -> int:
        """Multiply-accumulates of that head alone, for a whole picture (all its tiles)."""
        own = self.backbone_macs.final if head == FINAL else self.head_at(layer, head).macs
        return self.task.tiles * own

    def exit_macs(self, layer: int, head: str) -> int:
        """Multiply-accumulates of the backbone up to `layer` and of that head, for all tiles."""
        return self.macs_up_to(layer) + self.head_macs(layer, head)

    def checked(self, plan: Plan) -> list[tuple[int, str]]:
        """The plan in running order; raises PlanError if empty or if it names an exit that is not
        there."""
        if not plan:
            raise PlanError("the plan is empty: name at least one exit")
        for layer, head in plan:
            self.head_at(layer, head)
        return sorted(plan, key=lambda e: (e[0], e[1] == FINAL))

    def to_input(self, image: Image) -> torch.Tensor:
        """An RGB uint8 picture (H, W, 3), or an input that is already prepared (tiles, 3, S, S), on
        the model's device and dtype."""
        x = image if isinstance(image, torch.Tensor) else self.task.prepare(image)
        return x.to(self.device, self.dtype)

    def steps(
        self,
        x: torch.Tensor,
        plan: list[tuple[int, str]],
        clock,
        keep_going: Callable[[int], bool] = always,
    ) -> Iterator[Step]:
        """Run a checked plan one exit at a time on x: (B, 3, S, S), waiting for nothing.

        Time that the caller spends between two exits is charged to nobody. keep_going(layer) is
        asked before each block and each head: the run ends as soon as it says no.
        """
        claim(x.device)
        inference = torch.inference_mode()  # left between two exits: the caller's code runs then
        with inference:
            packed = self.engine.packed(self, x) if self.engine else None
            exits = {e: self._exit(*e, packed) for e in plan}
            start = clock.mark()
            tokens, layer = self.backbone.embed(x, packed), 0
        for target, head in plan:
            with inference:
                while layer < target:
                    if not keep_going(layer + 1):
                        return
                    layer += 1
                    tokens = self.backbone.block(tokens, layer, packed)
                if not keep_going(layer):
                    return
                before = clock.mark()
                logits = exits[target, head](tokens)
                step = Step(target, head, logits, marks=(start, before, clock.mark()))
            yield step
            start = clock.mark()

    def _exit(
        self, layer: int, head: str, packed: Packed | None
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """What computes an exit from tokens (B, 1+N, D)."""
        module = self.head_at(layer, head)
        own = packed.exit(module) if packed else module
        return partial(self.backbone.final, head=own) if head == FINAL else own

    def run(self, image: Image, plan: Plan, seen: Logits | None = None) -> Iterator[AnyExit]:
        """Yield each exit of the plan as it fires. Lazy: a block runs only when its exit is asked
        for, so leaving the loop saves the rest.

        seen: takes the logits of each. Raises PlanError at once for an exit that is not there.
        """
        return self._run(self.to_input(image), self.checked(plan), {} if seen is None else seen)

    def _run(self, x: torch.Tensor, plan: Plan, seen: Logits) -> Iterator[AnyExit]:
        clock, account = clock_for(x.device), self.account()
        for layer, head, logits, marks in self.steps(x, plan, clock):
            seen[layer, head] = logits
            scores = self.task.scores(logits).tolist()
            clock.finish()
            yield account(layer, head, scores, clock=clock, marks=marks)

    def account(self):
        """Return a function that makes Exits of successive marks and sums up their times."""
        backbone_ms = heads_ms = 0.0

        def account(layer: int, head: str, scores: list[float], clock, marks: tuple) -> AnyExit:
            nonlocal backbone_ms, heads_ms
            start, before, after = marks
            backbone_ms += clock.ms(start, before)
            head_ms = clock.ms(before, after)
            heads_ms += head_ms
            return KINDS[self.task.metric](
                layer,
                head,
                scores=scores,
                labels=self.task.labels,
                elapsed_ms=backbone_ms + heads_ms,
                head_ms=head_ms,
                ms=backbone_ms + head_ms,
                macs=self._macs[layer, head],
                practical=(layer, head) in self.practical_exits,
            )

        return account

    @cached_property
    def _macs(self) -> dict[tuple[int, str], int]:
        return {e: self.exit_macs(*e) for e in self.plan()}

    def trace(
        self, image: Image, heads: Sequence[str] | None = None, seen: Logits | None = None
    ) -> pd.DataFrame:
        """What `traced` finds as a table, one row an exit, with the `columns` of the task's kind of
        exit (mvit.models.exit). Its `attrs` name device and dtype."""
        exits = self.traced(image, heads, seen)
        table = pd.DataFrame([{c: getattr(e, c) for c in e.columns} for e in exits])
        table.attrs = {"device": str(self.device), "dtype": str(self.dtype).removeprefix("torch.")}
        return table

    def traced(
        self, image: Image, heads: Sequence[str] | None = None, seen: Logits | None = None
    ) -> list[AnyExit]:
        """Run the backbone once with every head at every layer: all exits, the final one last.
        seen: takes the logits of each. On a GPU nothing is waited for until the end. Raises
        PlanError if `heads` names one that is not there."""
        if no := [name for name in heads or () if name not in self.heads]:
            raise PlanError(f"there is no head '{no[0]}'; there are: {', '.join(self.heads)}")
        plan = [e for e in self.plan() if heads is None or e[1] in (*heads, FINAL)]
        clock, account = clock_for(self.device), self.account()
        done = list(self.steps(self.to_input(image), self.checked(plan), clock))
        clock.finish()
        if seen is not None:
            seen |= {step[:2]: step.logits for step in done}
        return [
            account(layer, head, self.task.scores(logits).tolist(), clock=clock, marks=marks)
            for layer, head, logits, marks in done
        ]
