"""The checks that come with the lab's own bundles, on the lab's own example photos."""

import json
from pathlib import Path

import pytest
import torch

from mvit.bundles import weights
from mvit.clock import NoClock
from mvit.evaluation.unlike import Check
from mvit.images.reader import read_image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CHECKED = [b for b in weights.bundles() if "unlike" in weights.card_of(*b)]


@pytest.mark.parametrize(("task", "backbone"), CHECKED)
def test_no_example_that_a_model_names_rightly_is_called_unknown(task, backbone):
    card = weights.card_of(task, backbone)
    heads = sorted({head for _, head in card["unlike"]["exits"]} - {"final"})
    model = weights.load(task, backbone, device="cpu", heads=heads)
    known = [
        entry
        for entry in json.loads((EXAMPLES / "examples.json").read_text())
        if entry.get("task", task) == task and entry["truth"] in model.task.labels
    ]
    if not known:
        return
    pictures = [read_image((EXAMPLES / entry["file"]).read_bytes()) for entry in known]
    check, x = Check.of(card, model), torch.cat([model.to_input(p) for p in pictures])
    [final] = model.steps(x, [model.final_exit], NoClock())
    called = [
        entry["title"]
        for entry, score, said in zip(
            known, check.scores(model, x), final.logits.argmax(1), strict=True
        )
        if score < check.threshold and model.task.labels[said] == entry["truth"]
    ]
    assert not called, f"{task}/{backbone} says that it does not know {called}"
