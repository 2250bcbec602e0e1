"""Where a bundle comes from: what its card says of its trainings, in words."""

from __future__ import annotations

from itertools import groupby

import pandas as pd

from mvit.bundles import delta
from pages.parts import words

SHOWN_ELSEWHERE = {"task", "architecture", "layers", "exits", "final", "files", "splits"}
SHOWN_ELSEWHERE |= {"unusual", "before", "unlike", "coarse", "intervals", "elsewhere", "maps"}
SHOWN_ELSEWHERE |= {"run", "storage", "test_part"}
NOISE = {"losses", "seconds", "unreadable"}  # of no use to a reader
LABELS = {
    "init": "Started from",
    "delta": "Kept as",
    "exit_recipe": "Recipe of the exits",
    "exit_weights": "Weight of each exit's loss",
    "n": "Test pictures",
    "strategy": "Training strategy",
    "seed": "Random seed",
    "precision": "Computed in",
}
NAMES = {
    "round_images": "pictures a round",
    "val_images": "validation pictures",
    "val_accuracy": "accuracy on validation",
    "val_mae": "people off on validation",
    "stop": "stop after rounds without gain",
    "train": "for training",
    "test": "for the test",
    "validation": "for validation",
    "rendered": "drawn",
} | words.SPLITS
FORMATS = {"bf16": "bfloat16", "fp16": "float16"}  # as accelerate calls them


def _named(key: str, value: object) -> str:
    """The name of one entry, in words; of a recipe's stages also what their numbers mean."""
    if key == "stages":
        tiles = any(len(stage) == 3 for stage in value)
        return f"stages ({'pixels / tiles / batch' if tiles else 'pixels / rounds over the data'})"
    return NAMES.get(key, key.replace("_", " "))


def as_text(value: object, joint: str = "; ") -> str:
    """What a card says, in words: names and numbers instead of brackets and quotes."""
    if isinstance(value, dict):
        told = {k: v for k, v in value.items() if k not in NOISE and v is not None}
        said = {_named(k, v): as_text(v, ", ") for k, v in told.items()}
        if len(said) > 3 and len(set(said.values())) == 1:
            return f"{next(iter(said.values()))} each"
        return joint.join(f"{name} {text}" for name, text in said.items())
    if isinstance(value, list):
        joint = ", " if any(isinstance(v, list) for v in value) else " / "
        return joint.join(as_text(v) for v in value) or "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else FORMATS.get(value, str(value))


def exit_weights(weights: dict[str, float]) -> str:
    """How much each exit's loss counted in one phase of training, layers of equal weights together.
    weights: {"layer:head": weight}."""
    layers: dict[str, dict[str, float]] = {}
    for name, weight in weights.items():
        layer, head = name.split(":")
        layers.setdefault(layer, {})[head] = weight
    same = [(a, list(b)) for a, b in groupby(layers, key=lambda layer: as_text(layers[layer]))]
    return "; ".join(
        f"layer {own[0]}: {said}" if len(own) == 1 else f"layers {own[0]} to {own[-1]}: {said}"
        for said, own in same
    )


def _told(key: str, value: object) -> str:
    """The value of one entry of a card, in words."""
    if key == "exit_weights":
        return "; then ".join(exit_weights(phase) for phase in value)
    if key == "delta":
        rank, way = value["rank"], ""
        if further := value.get("toward"):
            way = f" ({further['share']:.0%} of the way to the second)"
        source = delta.told(value, form=f"{value['task']}/{{}}")
        return (
            f"what training changed in the network grown from {source}{way}, at rank "
            f"{rank * delta.BACKBONE_RANK} in the layers and {rank} in the exits"
        )
    if key == "precision":
        name, _, rest = str(value).partition(" (accelerate) on ")
        return f"{FORMATS.get(name, 'float32')} on {rest.upper()}" if rest else name
    return as_text(value)


def provenance(card: dict) -> pd.DataFrame:
    """Everything the card says in words: which training, what, value; the latest training
    first."""
    task = card["task"]
    pixels = [f"{task[side]} px" for side in ("native_px", "input_px") if side in task]
    shown = " enlarged to ".join(dict.fromkeys(pixels))
    rows = [("", "Architecture", card["architecture"]), ("", "Input", shown)]
    number, told = 0, card
    while isinstance(told, dict):
        when = "latest" if not number else f"{number} before"
        rows += [
            (when, LABELS.get(k, k.replace("_", " ").capitalize()), _told(k, v))
            for k, v in told.items()
            if k not in SHOWN_ELSEWHERE and v not in ("", None, [], {})
        ]
        number, told = number + 1, told.get("before")
    return pd.DataFrame(rows, columns=["training", "what", "value"])
