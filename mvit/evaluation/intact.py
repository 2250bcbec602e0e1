"""Whether a bundle is whole: its weights, the figures in its card, and the recorded answers."""

from __future__ import annotations

from mvit.bundles import weights
from mvit.bundles.places import located
from mvit.evaluation.counts import load_counts
from mvit.evaluation.predictions import FILE, PredictionsError, load_predictions


def verify(only_task: str | None = None, only_backbone: str | None = None) -> list[dict]:
    """Check every bundle, or those of one task or backbone, as `weights.verify` does, and that
    every file of its card is there, that the card tells how good each exit is, and that the
    recorded answers are those that it tells of: {task, backbone, ok, reason} of each; never
    raises."""
    found = weights.verify(only_task, only_backbone)
    for bundle in found:
        if bundle["ok"] and (reason := _lacking(bundle["task"], bundle["backbone"])):
            bundle |= {"ok": False, "reason": reason}
    return found


def _lacking(task: str, backbone: str) -> str | None:
    """What a bundle whose weights can be loaded lacks, in words; None if nothing."""
    try:
        folder = weights.folder(task, backbone)
        card = weights.read_card(folder)
        for name, about in card["files"].items():
            if not located(folder, name, about).is_file():
                return f"{folder.name}/{name} is missing"
        question = weights.task_of(card)
        if reason := _untold(card, question.metric):
            return f"{folder.name}/card.json {reason}"
        # a card that tells how many pictures were measured was written with their answers
        if "n" in card or (folder / FILE).exists():
            found = (load_counts if question.counts else load_predictions)(folder)
            if lost := {"val", "test"} - found.keys():
                return f"{folder.name}/{FILE} holds no answers to {' and '.join(sorted(lost))}"
    except (PredictionsError, weights.WeightsError) as error:
        return str(error)
    return None


def _untold(card: dict, figure: str) -> str | None:
    """Which exit's figure a card does not tell, in words; None if it tells all."""
    if figure not in card.get("final", {}):
        return f"does not tell the {figure} of the final exit"
    told = {(row["layer"], row["head"]) for row in card.get("exits", []) if figure in row}
    for head in weights.head_names(card["files"]):
        for layer in card["layers"]:
            if (layer, head) not in told:
                return f"does not tell the {figure} of {head} after layer {layer}"
    return None
