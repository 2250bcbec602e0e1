"""The paper's figures 6 to 8 from a bundle's card, and the few numbers of the paper that we set
beside our own.

Source: Bakhtiarnia, Zhang, Iosifidis, "Multi-Exit Vision Transformer for Dynamic Inference" (2021).
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass

import numpy as np
import pandas as pd

from mvit.bundles import weights
from mvit.evaluation.predictions import practical, wilson
from mvit.models.extra_heads import FUTURE_WORK
from mvit.models.heads import HEADS

BACKBONE, PARAMETERS = "ViT-B/16", 86_000_000
TABLE1 = "table1.json"
ALONE = "classifier-wise"
JOINT = ("end-to-end", "layer-wise")  # the strategies that change the final exit


@dataclass(frozen=True)
class Reported:
    """One number that the paper reports. layer and head are None for its plain backbone; strategy:
    how its exit was trained."""

    what: str
    value: float
    unit: str = "accuracy"
    _: KW_ONLY
    layer: int | None = None
    head: str | None = None
    strategy: str | None = None


REPORTED = {
    "cifar10": (
        Reported("plain backbone", 0.9831),
        Reported(
            "CNN-Ignore-EE, layer 6, layer-wise",
            0.9597,
            layer=6,
            head="cnn_ignore",
            strategy="layer-wise",
        ),
    ),
    "cifar100": (Reported("plain backbone", 0.9124),),
    "crowd": (Reported("plain backbone", 11.07, unit="MAE"),),
}


def accuracies(task: str) -> list[Reported]:
    """What the paper reports as an accuracy on a task."""
    return [said for said in REPORTED.get(task, ()) if said.unit == "accuracy"]


def exits_of(card: dict) -> pd.DataFrame:
    """Every exit of a card that has an accuracy: layer, head, accuracy, macs, practical, behind
    (points below the final exit), share of the final exit's MACs. What is practical is counted
    again here when the card does not say it. Empty if the card records none."""
    rows = pd.DataFrame(
        [e for e in card.get("exits", []) if e.get("accuracy") is not None and e.get("macs")]
    )
    final = card.get("final", {})
    if rows.empty or "accuracy" not in final or "macs" not in final:
        return pd.DataFrame(
            columns=["layer", "head", "accuracy", "macs", "practical", "behind", "share"]
        )
    if "practical" not in rows:
        good = practical({(e.layer, e.head): e.accuracy for e in rows.itertuples()})
        rows["practical"] = [(e.layer, e.head) in good for e in rows.itertuples()]
    rows = rows.assign(
        behind=100 * (final["accuracy"] - rows.accuracy), share=rows.macs / final["macs"]
    )
    return rows[["layer", "head", "accuracy", "macs", "practical", "behind", "share"]].sort_values(
        ["head", "layer"], ignore_index=True
    )


def cheapest_within(exits: pd.DataFrame, points: float) -> pd.Series | None:
    """The exit of fewest MACs that is at most `points` below the final exit and cheaper than it;
    None if there is none."""
    near = exits[(exits.behind <= points + 1e-9) & (exits.share < 1)]
    return None if near.empty else near.loc[near.macs.idxmin()]


def best_early(exits: list[dict] | pd.DataFrame, depth: int) -> pd.Series:
    """The best of the exits before the last layer (of all, if there are none before it): the most
    accurate one, or the one with the smallest mean absolute error."""
    rows = pd.DataFrame(exits)
    early = rows[rows.layer < depth] if (rows.layer < depth).any() else rows
    return early.loc[early.accuracy.idxmax() if "accuracy" in early else early.mae.idxmin()]


def by_head(exits: pd.DataFrame) -> pd.DataFrame:
    """One row a head: practical (how many), of (how many), best_layer, best_accuracy,
    mean_accuracy."""
    rows = []
    for head, own in exits.groupby("head", sort=False):
        best = own.loc[own.accuracy.idxmax()]
        rows.append(
            (
                head,
                int(own.practical.sum()),
                len(own),
                int(best.layer),
                float(best.accuracy),
                float(own.accuracy.mean()),
            )
        )
    table = pd.DataFrame(
        rows, columns=["head", "practical", "of", "best_layer", "best_accuracy", "mean_accuracy"]
    )
    return table.sort_values("mean_accuracy", ascending=False, ignore_index=True)


def side_by_side(task: str, card: dict) -> pd.DataFrame:
    """What the paper reports beside what we measured: what, paper, ours, ours_is, difference
    (points, ours minus the paper's; NaN for an exit that was trained in another way than the
    paper's, or nobody knows how). Where Table I has an exit that was trained as the paper's was,
    ours is that one."""
    exits, rows = exits_of(card), []
    for said in accuracies(task):
        what, difference = said.what, 1.0
        if said.head is None:
            ours = card.get("final", {}).get("accuracy")
            name = f"final exit of {card['architecture']}"
        else:
            own = exits[(exits.layer == said.layer) & (exits["head"] == said.head)]
            ours = None if own.empty else float(own.accuracy.iloc[0])
            strategy = card.get("strategy", "strategy not recorded")
            name = f"{said.head} at layer {said.layer}, {strategy}"
            if strategy != said.strategy and (alike := trained_alike(task, card, said)):
                ours, px = alike
                name = f"{said.head} at layer {said.layer}, {said.strategy}, {px} × {px} pixels"
            elif strategy != said.strategy:
                what, difference = f"{what} in the paper, {strategy} here", math.nan
        if ours is not None:
            rows.append((what, said.value, ours, name, difference * 100 * (ours - said.value)))
    return pd.DataFrame(rows, columns=["what", "paper", "ours", "ours_is", "difference"])


def trained_alike(task: str, card: dict, said: Reported) -> tuple[float, int] | None:
    """The accuracy of the exit in Table I that was trained as the paper's was, and the pixels a
    side of its pictures; None if there is none."""
    table = table1(task, card)
    if table is None or table["layer"] != said.layer:
        return None
    rows = table["rows"]
    like = rows[(rows.strategy == said.strategy) & (rows["head"] == said.head)]
    return None if like.empty else (float(like.accuracy.iloc[0]), table["budget"]["px"])


def table1(task: str, card: dict) -> dict | None:
    """What `python -m mvit table1` measured for a task and architecture (see
    mvit.training.table1.measure); None if it never did, or is damaged.

    Its "rows" become a table: strategy, head, accuracy (at the layer), final, change (of the final
    exit against the plain backbone, in points), gain (at the layer, against the same head trained
    classifier-wise, in points; NaN where that is not known), change_noise and gain_noise (what
    chance could do to them, 95 %; of a table that was not compared picture by picture as for
    pictures of each its own), low and high (the accuracy's 95 % interval).
    """
    try:
        found = json.loads(
            (
                weights.root() / task / (card.get("grown_from") or card["architecture"]) / TABLE1
            ).read_text()
        )
        read, plain = pd.DataFrame(found["rows"]), float(found["plain"]["accuracy"])
        rows = read[["strategy", "head", "accuracy", "final", "change"]].copy()
        alone = rows[rows.strategy == ALONE].set_index("head").accuracy
        rows["gain"] = 100 * (rows.accuracy - rows["head"].map(alone))
        for of, share in (("gain", rows["head"].map(alone)), ("change", plain)):
            rows[f"{of}_noise"] = read.get(f"{of}_noise", chance(share, found["n"]))
        rows["low"], rows["high"] = wilson(rows.accuracy * found["n"], found["n"])
        return found | {"rows": rows, "plain": plain}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def chance(share, n: int):
    """By how many points two measured accuracies near `share`, of n pictures each, may differ by
    chance (95 %). share: a number or a column."""
    return 100 * 1.96 * np.sqrt(2 * share * (1 - share) / n)


def strategy_findings(table: dict) -> dict[str, dict[str, float]]:
    """{strategy: {"change": mean change of the final exit, "worst", "best", "noise" (the most that
    chance could do to one), "costs" (how many heads' it costs more than that), "heads", "gain":
    mean gain at the layer, "better" and "worse" (than chance, how many heads are)}} of the joint
    strategies."""
    found = {}
    for strategy in JOINT:
        own = table["rows"][table["rows"].strategy == strategy]
        if len(own):
            found[strategy] = {
                "change": float(own.change.mean()),
                "worst": float(own.change.min()),
                "best": float(own.change.max()),
                "noise": float(own.change_noise.max()),
                "costs": int((own.change < -own.change_noise).sum()),
                "heads": len(own),
                "gain": float(own.gain.mean()),
                "better": int((own.gain > own.gain_noise).sum()),
                "worse": int((own.gain < -own.gain_noise).sum()),
            }
    return found


def best_after(rows: pd.DataFrame) -> pd.DataFrame:
    """Each strategy's row of its most accurate head, the best strategy first. rows: strategy,
    accuracy and whatever else."""
    best = rows.sort_values("accuracy", ascending=False, kind="stable")
    return best.drop_duplicates("strategy", ignore_index=True)


def bundled_exits(task: str, architecture: str, layer: int) -> pd.DataFrame:
    """The best exit after `layer` of the bundles that one network has, with the paper's heads, one
    row a strategy: strategy, head, accuracy, final, px (of the pictures), pictures (see
    `pictures_seen`); the best first."""
    found = []
    for backbone in [b for name, b in weights.bundles() if name == task]:
        with suppress(weights.WeightsError, KeyError, AttributeError):
            card = weights.read_card(weights.root() / task / backbone)
            exits = exits_of(card)
            own = exits[(exits.layer == layer) & exits["head"].isin(list(HEADS))]
            if card["architecture"] == architecture and len(own):
                best = own.loc[own.accuracy.idxmax(), ["head", "accuracy"]].to_dict()
                about = {"final": card["final"]["accuracy"], "px": card["task"]["input_px"]}
                seen = pictures_seen(card, layer)
                found.append({"strategy": card["strategy"], "pictures": seen} | about | best)
    columns = ["strategy", "head", "accuracy", "final", "px", "pictures"]
    return best_after(pd.DataFrame(found, columns=columns))


def pictures_seen(card: dict, layer: int | None = None) -> int | None:
    """How many pictures a bundle's exits, or only those after a layer, were trained on in the way
    that its card names, earlier trainings in that way included; None where the card does not
    say."""
    total, strategy = 0, card.get("strategy")
    while card and card.get("strategy", strategy) == strategy:
        whole = card["data"].get("train", 0) if isinstance(card.get("data"), dict) else 0
        parts = ("recipe", "exit_recipe") if strategy in JOINT else ("exit_recipe",)
        told = [card[part] for part in parts if isinstance(card.get(part), dict)]  # or in words
        if not (seen := sum(_seen(own, whole) for own in told)):
            return None
        tuned = card["recipe"] if isinstance(card.get("recipe"), dict) else {}
        if layer and tuned.get("from_layer", 1) > layer:  # it left the exits below alone
            seen = 0
        shares = any("of" in file for file in card.get("files", {}).values())  # another's backbone
        total, card = total + seen, None if shares else card.get("before")
    return total or None


def _seen(recipe: dict, whole: int) -> int:
    """Pictures of one training. whole: those of a round of the whole training set."""
    rounds = recipe.get("rounds", 0) * (recipe.get("round_images", 0) or whole)
    return recipe.get("pictures_seen", rounds)


def with_siblings(task: str, card: dict) -> pd.DataFrame:
    """The exits of a card, and those of every other head that was trained on the very same backbone
    and lies in a bundle beside it, with `pictures` (see `pictures_seen`)."""
    found, sha = [_counted(card)], card["files"].get("backbone.safetensors", {}).get("sha256")
    for backbone in [b for name, b in weights.bundles() if name == task]:
        with suppress(weights.WeightsError, KeyError, AttributeError):
            other = weights.read_card(weights.root() / task / backbone)
            same = sha and other["files"]["backbone.safetensors"]["sha256"] == sha
            if same and not card.get("grown_from"):
                found.append(_counted(other))
    return pd.concat(found, ignore_index=True).drop_duplicates(["layer", "head"], ignore_index=True)


def _counted(card: dict) -> pd.DataFrame:
    """The exits of a card with `pictures`."""
    return exits_of(card).assign(pictures=pictures_seen(card) or math.nan)


def future_work(exits: pd.DataFrame) -> pd.DataFrame:
    """The heads that the paper left for later, as `by_head` rows with `rank` (by mean accuracy
    among all heads, 1 is the best)."""
    rows = by_head(exits)
    rows["rank"] = rows.index + 1
    return rows[rows["head"].isin(FUTURE_WORK)].reset_index(drop=True)
