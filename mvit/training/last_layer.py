"""Solve the last layer of every count exit exactly, after it was trained by small steps.

The count is linear in what an exit's last layer reads, so with everything before it fixed the best
last layer is a convex problem of a few hundred numbers. A few thousand steps of Adam with dropout
stop short of it, and then all sparse crowds are counted too low alike.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.functional import linear
from tqdm import tqdm

from mvit.clock import NoClock
from mvit.data.crowds import Tiles
from mvit.models.heads import Head
from mvit.models.multi_exit import MultiExitViT

Key = tuple[int, str]
EMPTY_SHARE = 3  # weight of tiles without anyone, all others having 1; see `count_nobody`


def last_linear(module: Head | nn.Module) -> nn.Linear:
    """The layer that makes an exit's output: of a head, or of the backbone's own regressor."""
    return module.mlp[-1] if isinstance(module, Head) else module.out


def inputs_of_last_layers(
    model: MultiExitViT, tiles: Tiles, accelerator: Accelerator, batch: int = 12
) -> tuple[dict[Key, torch.Tensor], torch.Tensor]:
    """What the last layer of every exit reads of the tiles and of their mirror images: {(layer,
    head): (2n, F)}, and which tile each row is of (2n,)."""
    n, seen = 2 * len(tiles), 0
    layers = {e: last_linear(model.head_at(*e)) for e in model.plan()}
    tile = torch.empty(n, dtype=torch.long)
    # one piece of memory each: a list of parts would hold on to that of whole passes
    found = {e: torch.empty(n, layer.in_features) for e, layer in layers.items()}

    def keep(key: Key, x: torch.Tensor) -> None:
        found[key][seen : seen + len(x)] = x

    model.eval()
    with ExitStack() as undo, torch.no_grad():
        for e, layer in layers.items():
            hook = layer.register_forward_pre_hook(lambda _, x, e=e: keep(e, x[0]))
            undo.callback(hook.remove)
        for index in tqdm(torch.arange(len(tiles)).split(batch), desc="reading exits"):
            x, _ = tiles.whole(index, model.task, accelerator.device)
            for image in (x, x.flip(3)):
                with accelerator.autocast():
                    # run for what the hooks hear
                    deque(model.steps(image.to(model.dtype), [*layers], NoClock()), maxlen=0)
                tile[seen : seen + len(index)] = index
                seen += len(index)
    return found, tile


def solve(
    layer: nn.Linear,
    x: torch.Tensor,
    loss: Callable[[torch.Tensor], torch.Tensor],
    ridge: float,
    steps: int = 200,
) -> list[float]:
    """Set a layer with one output to the least of loss(layer(x)) + ridge * |change of its weights,
    in the spread of what they read|^2.

    x: (n, F); loss: logits (n, 1) -> a convex loss. Returns the loss before and after.
    """
    with torch.no_grad():
        middle, spread = x.mean(0), x.std(0) + 1e-3
        z, own = (x - middle) / spread, layer.weight[0].float().cpu()
        start, bias = own * spread, layer.bias[0].float().cpu() + own @ middle
    weight, bias = start.clone().requires_grad_(), bias.requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=steps, history_size=20, line_search_fn="strong_wolfe"
    )

    def now() -> torch.Tensor:
        return loss((z @ weight + bias)[:, None])

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = now() + ridge * (weight - start).square().sum()
        total.backward()
        return total

    before = now().item()
    optimizer.step(closure)
    with torch.no_grad():
        layer.weight[0].copy_(weight / spread)
        layer.bias[0].copy_(bias - (weight / spread) @ middle)
        return [before, now().item()]


@torch.no_grad()
def count_nobody(
    layer: nn.Linear, x: torch.Tensor, empty: torch.Tensor, ridge: float = 1e-2
) -> None:
    """Let a layer with one output say 0 of what it reads of tiles without anyone, and of all others
    what it said, as far as both can be had: the least mean square change there + EMPTY_SHARE times
    the mean square of what is left here, in closed form.

    x: (n, F) what it reads of all tiles; empty: (m, F) of those without anyone.
    """
    rows, nobody = (
        torch.cat([part, part.new_ones(len(part), 1)], 1).double() for part in (x, empty)
    )
    own = torch.cat([layer.weight[0], layer.bias]).double().cpu()
    held, zero = rows.T @ rows / len(rows), EMPTY_SHARE * nobody.T @ nobody / len(nobody)
    spread = held.diagonal()
    held += torch.diag(ridge * spread + 1e-9 * spread.mean())  # units that never fire as well
    own += torch.linalg.solve(held + zero, -zero @ own)
    layer.weight[0].copy_(own[:-1])
    layer.bias.copy_(own[-1:])


def solve_last_layers(
    model: MultiExitViT, tiles: Tiles, accelerator: Accelerator, ridge: float = 1e-2
) -> dict:
    """Solve the last layer of every exit of a counter, the final one too, for the task's own loss
    on whole tiles and their mirror images; then see to it that pictures without anyone, if there
    are any, count nobody (see `count_nobody`).

    Returns what the card should say: ridge, tiles, and the loss before and after, each the mean
    over all exits.
    """
    inputs, tile = inputs_of_last_layers(model, tiles, accelerator)
    counts, empty, losses = tiles.y[tile], tiles.empty[tile], []
    for e, x in inputs.items():
        layer = last_linear(model.head_at(*e))
        first, last = solve(layer, x, lambda z: model.task.loss(z, counts), ridge=ridge)
        if empty.any():
            count_nobody(layer, x, x[empty])
            last = model.task.loss(linear(x, layer.weight.cpu(), layer.bias.cpu()), counts).item()
        losses.append((first, last))
    before, after = (round(sum(part) / len(losses), 5) for part in zip(*losses, strict=True))
    return {"ridge": ridge, "tiles": len(counts), "loss_before": before, "loss_after": after}
