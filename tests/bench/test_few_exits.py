"""The bench of a bundle with few exits, of any head: it measures the exits that exist."""

import pytest
import torch
from thin import picture, records, thin_model

from mvit.bench import measures, peers
from mvit.bench.report import bench, markdown
from mvit.models.multi_exit import FINAL, MultiExitViT, PlanError


@pytest.fixture(scope="module")
def few() -> MultiExitViT:
    """A thin model with one head, and that no `mlp`, after layers 6, 9 and 12."""
    whole = thin_model(heads=("resmlp",))
    kept = {b: whole.head_at(b, "resmlp") for b in (6, 9, 12)}
    return MultiExitViT(whole.backbone, whole.task, {"resmlp": kept})


def test_every_part_measures_the_exits_that_exist(few, monkeypatch):
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    recorded = {split: records(few, seed, "resmlp") for seed, split in enumerate(("val", "test"))}
    result = bench(few, pictures=[picture()], recorded=recorded, n=1, runs=1)
    assert (result["head"], result["layers"]) == ("resmlp", [6, 9, 12])
    assert [row["layer"] for row in result["leaving"]] == [6, 9]
    assert [e["layer"] for e in result["exits"]] == [6, 9, 12, 12]
    assert result["threshold"]["plan"][-1] == (12, FINAL)
    assert result["deadlines"]["late_answers"] == 0
    assert {"skipped": "has no `resmlp` there"}.items() <= result["peers"][2].items()
    assert "head `resmlp` after layers 6, 9, 12" in markdown(result)
    with pytest.raises(PlanError, match="no head 'mlp'; there are: resmlp"):
        bench(few, "mlp")


def test_one_exit_after_the_last_layer_is_enough():
    whole = thin_model(depth=3, heads=("mlp",))
    last = MultiExitViT(whole.backbone, whole.task, {"mlp": {3: whole.head_at(3, "mlp")}})
    result = bench(last, n=1, runs=1, only=("overhead", "leaving", "threshold"))
    assert [row["layer"] for row in result["leaving"]] == [3]


def test_batches_are_of_whole_pictures():
    tiles = torch.zeros(6, 3, 64, 64)
    rows = measures.batches(thin_model(depth=1), tiles, (1, 2, 16), n=1)
    assert [row["batch"] for row in rows] == [1, 2]


def test_the_confidence_rule_is_left_out_for_counts(monkeypatch):
    said, model = [], thin_model(depth=2, heads=("mlp",))
    object.__setattr__(model.task, "counts", True)
    monkeypatch.setattr(measures, "overhead", lambda *_, **how: {"plain_ms": 1.0})
    result = bench(model, n=1, only=("threshold",), say=said.append)
    assert "threshold" not in result and said == [
        "left out threshold: the confidence rule is for classes"
    ]
