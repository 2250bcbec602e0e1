"""The paper's heads taught by the network itself: each begins from the backbone's own layers and
learns the final exit's features and answer, step by step.

A `vit` head begins as the backbone's next layer, so that it starts from what the next exit sees and
has only to learn to do without the layers after it. Every head's dense layer is first solved in
closed form, see mvit.training.distill.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from torch.nn import functional as F

from mvit.data.photos import read_batch
from mvit.models.multi_exit import MultiExitViT
from mvit.training.distill import list_of, prepared, split
from mvit.training.exits import copied, name_of
from mvit.training.joint_loss import Key, distance
from mvit.training.loop import Loop, Step, begin

RATE, FRESH, WARMUP = 2e-4, 5e-4, 50
SAVE_EVERY = 40  # steps


@torch.no_grad()
def start_from_backbone(model: MultiExitViT, layer: int, name: str) -> None:
    """Give a fresh exit the parts of the backbone that fit: the next encoder layer for one of its
    own, the final norm for its norm, the final classifier.

    After the last layer there is no next one: there the head's layer begins by changing nothing.
    """
    head, vit = model.head_at(layer, name), model.backbone.vit
    head.mlp[1].load_state_dict(vit.head.state_dict())
    if isinstance(norm := getattr(head, "norm", None), nn.LayerNorm):
        copied(vit.norm, norm)
    encoder = getattr(head, "encoder", None)
    if encoder is not None and copied(vit.blocks[min(layer, model.depth - 1)], encoder):
        for last in (encoder.attn.proj, encoder.mlp.fc2) if layer == model.depth else ():
            last.weight.zero_()
            last.bias.zero_()


def learning(head: nn.Module) -> dict:
    """What an exit learns, and how fast: faster where layers of its own begin at random."""
    own = {name.split(".")[0] for name, _ in head.named_parameters()} - {"mlp", "norm", "encoder"}
    free = [p for p in head.parameters() if p.requires_grad]
    return {"params": free, "lr": FRESH if own else RATE}


def run_through(
    model: MultiExitViT, x: torch.Tensor, exits: Sequence[Key] = ()
) -> tuple[dict[int, torch.Tensor], torch.Tensor]:
    """x: (B, 3, S, S) -> the tokens (B, 1+N, D) of each layer that the exits read, and the features
    (B, D) that the final exit's classifier reads."""
    vit, tokens, wanted, found = model.backbone.vit, model.backbone.embed(x), dict(exits), {}
    for layer in range(1, model.depth + 1):
        tokens = model.backbone.block(tokens, layer)
        if layer in wanted:
            found[layer] = tokens
    return found, vit.forward_head(vit.norm(tokens), pre_logits=True)


def apart(
    guess: torch.Tensor, features: torch.Tensor, said: torch.Tensor, answer: torch.Tensor
) -> torch.Tensor:
    """How far an exit is from its teacher: in features (B, D), as a share of their variance, and in
    the softened answer, from logits (B, out)."""
    return F.mse_loss(guess, features) / features.var() + distance(said, answer)


def losses_of(
    model: MultiExitViT, exits: Sequence[Key], photos: Sequence[Path], step: Step
) -> Iterator[torch.Tensor]:
    """Yield the loss of every exit on a step's photos."""
    x, _ = read_batch([photos[i] for i in step.index.tolist()], model.task)
    if not len(x):  # none of them could be read
        yield torch.zeros((), requires_grad=True)
        return
    with torch.no_grad():
        tokens, features = run_through(model, prepared(model, x), exits)
        answer = model.backbone.vit.head(features)
    for layer, name in exits:
        head = model.head_at(layer, name)
        guess = head.mlp[0](head.describe(tokens[layer]))
        yield apart(guess, features, said=head.mlp[1](guess), answer=answer)


@torch.no_grad()
def agreement(
    model: MultiExitViT, exits: Sequence[Key], photos: Sequence[Path], batch: int = 32
) -> dict[Key, float]:
    """How often each exit says what the final exit says of these photos; {} if none can be read."""
    found, seen = dict.fromkeys(exits, 0), 0
    for start in range(0, len(photos), batch):
        x, _ = read_batch(photos[start : start + batch], model.task)
        if not len(x):
            continue
        tokens, features = run_through(model, prepared(model, x), exits)
        said = model.backbone.vit.head(features).argmax(1)
        seen += len(x)
        for layer, name in exits:
            own = model.head_at(layer, name)(tokens[layer]).argmax(1)
            found[layer, name] += (own == said).sum().item()
    return {key: number / seen for key, number in found.items()} if seen else {}


def teach_or_leave(
    model: MultiExitViT, exits: Sequence[Key], photos: Sequence[Path], *, seed: int, **given
) -> dict:
    """Teach these exits, as `teach_heads` does, and let each be again what it began as where that
    agrees more often with the final exit, on photos that are kept back. given: for `teach_heads`.
    Return what the card should say."""
    kept_back, learned = split(photos, seed)
    begun = {key: copy.deepcopy(model.head_at(*key).state_dict()) for key in exits}
    before = agreement(model, exits, kept_back)
    told = teach_heads(model, exits, learned, seed=seed, **given)
    after = agreement(model, exits, kept_back)
    spoilt = [key for key in after if after[key] < before[key]]
    for key in spoilt:
        model.head_at(*key).load_state_dict(begun[key])
    return told | {"kept back": len(kept_back), "left as they began": [*map(name_of, spoilt)]}


def teach_heads(
    model: MultiExitViT,
    exits: Sequence[Key],
    photos: Sequence[Path],
    *,
    checkpoint: Path,
    accelerator: Accelerator,
    batch: int = 16,
    seed: int = 0,
) -> dict:
    """Teach these exits of a model, already begun, by one look at each photo; resumes from
    `checkpoint`. Return what the card should say. The backbone and the classifiers stay as they
    are. Raises TrainingError at a loss that is no number."""
    heads = nn.ModuleDict({f"{layer}_{name}": model.head_at(layer, name) for layer, name in exits})
    model.to(accelerator.device).eval().requires_grad_(False)
    for head in heads.values():
        head.requires_grad_(True)
        head.mlp[1].requires_grad_(False)
    steps = max(1, len(photos) // batch)
    recipe = {
        "exits": list(heads),
        "photos": len(photos),
        "batch": batch,
        "learning_rate": RATE,
        "fresh_rate": FRESH,
        "seed": seed,
    }
    progress = begin(checkpoint, recipe | {"list of photos": list_of(photos)})
    loop = Loop(
        plan=[(model.task.input_px, batch)] * steps,
        losses=partial(losses_of, model, exits, photos),
        pictures=len(photos),
        state=heads,
        optimizer=torch.optim.AdamW(map(learning, heads.values()), weight_decay=0.01),
        accelerator=accelerator,
        seed=seed,
        checkpoint=checkpoint,
        warmup=WARMUP,
        clip=1.0,
        title="teaching exits",
    )
    loop.resume()
    done = loop.run(progress, SAVE_EVERY)
    model.requires_grad_(False)
    return recipe | {"steps": steps, "seconds": round(done["seconds"]), "loss": done["mean"]}
