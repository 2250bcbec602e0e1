"""Learn where the people are: a map after every layer of a counter whose backbone stays as it is.

The points of the training pictures say how many people stand in each patch. A map learns these
numbers as Poisson rates on blocks of a few patches, so its own sum is a count as well (compare ZIP,
2025, which also counts by blocks).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from mvit.models.people_map import PeopleMap, normed
from mvit.training.map_tokens import Windows


@dataclass(kw_only=True)
class MapRecipe:
    """How to learn the maps. tiles: of each picture; window: side in patches of what is kept of a
    tile; block: side in patches of a block; empties, scenes: pictures without anyone and drawn
    crowds that join the others."""

    tiles: int = 3
    empties: int = 40
    scenes: int = 30
    hidden: int = 64
    window: int = 12
    block: int = 2
    rate: float = 2e-3
    weight_decay: float = 0.01
    batch: int = 32
    rounds: int = 10
    seed: int = 0


def blocks(people: torch.Tensor, side: int) -> torch.Tensor:
    """People in each block of `side` x `side` patches: (B, P) -> (B, P / side^2), square maps."""
    grid = round(people.shape[1] ** 0.5)
    return F.avg_pool2d(people.view(-1, 1, grid, grid), side).flatten(1) * side**2


def loss_of(found: torch.Tensor, people: torch.Tensor, side: int) -> torch.Tensor:
    """The loss of maps (B, P) against people in each patch (B, P): blocks of `side` x `side`
    patches as Poisson rates.

    It is least at the mean, so sums come out right. An absolute error would be least at the median,
    and since most blocks are empty, every sum would be too low.
    """
    rates, truth = (blocks(of, side) for of in (found, people))
    return F.poisson_nll_loss(rates, truth, log_input=False, eps=1e-6)


def learn_map(windows: Windows, layer: int, recipe: MapRecipe) -> PeopleMap:
    """Learn the map after one layer from windows of tiles."""
    torch.manual_seed(recipe.seed)
    tokens = normed(windows.layer(layer))  # once, instead of in every step
    own = PeopleMap(tokens.shape[-1], recipe.hidden)
    with torch.no_grad():  # begin at the mean, or the first steps are spent on it
        own.f2.bias.fill_(float(windows.people.mean().clamp(min=1e-3).expm1().log()))
    steps = recipe.rounds * -(-len(tokens) // recipe.batch)
    optimizer = torch.optim.AdamW(own.parameters(), recipe.rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.rate, total_steps=steps, pct_start=0.1
    )
    for _ in range(recipe.rounds):
        for index in torch.randperm(len(tokens)).split(recipe.batch):
            found = own.read(tokens[index])
            loss = loss_of(found, windows.people[index], recipe.block)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return own.eval().requires_grad_(False)
