"""Whether a bundle is whole: its weights, and the recorded answers beside them."""

from __future__ import annotations

from mvit.bundles import weights
from mvit.evaluation.counts import load_counts
from mvit.evaluation.predictions import FILE, PredictionsError, load_predictions


def verify(only_task: str | None = None, only_backbone: str | None = None) -> list[dict]:
    """Check every bundle, or those of one task or backbone, as `weights.verify` does, and that its
    recorded answers, if it has any, are those that its card tells of: {task, backbone, ok, reason}
    of each; never raises."""
    found = weights.verify(only_task, only_backbone)
    for bundle in found:
        if bundle["ok"] and (reason := _unreadable(bundle["task"], bundle["backbone"])):
            bundle |= {"ok": False, "reason": reason}
    return found


def _unreadable(task: str, backbone: str) -> str | None:
    """Why the recorded answers of a bundle cannot be used, in words; None if they can, or there are
    none."""
    folder = weights.folder(task, backbone)
    if not (folder / FILE).exists():
        return None
    try:
        counts = weights.task_of(weights.read_card(folder)).counts
        (load_counts if counts else load_predictions)(folder)
    except (PredictionsError, weights.WeightsError) as error:
        return str(error)
    return None
