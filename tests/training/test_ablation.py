"""Joint training since the paper, part by part: every way costs the same and is trained once."""

import dataclasses
import json

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from toys import colours, write_folder

from mvit.data.labelled import Pictures
from mvit.evaluation.ablation import ablation
from mvit.models.backbone import Backbone
from mvit.training import ablation as study_of_ways
from mvit.training.ablation import PLAIN, WAYS, Ablation, Cost, compare
from mvit.training.checkpoints import CheckpointError
from mvit.training.study import Study, own_task

TINY = "test_vit"  # timm's own toy: six layers of 64 channels


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """A few pictures of three colours."""
    tmp_path = tmp_path_factory.mktemp("ablation")
    write_folder(tmp_path / "pictures" / "train", colours(8))
    folder = write_folder(tmp_path / "pictures" / "test", colours(3, seed=1)).parent
    torch.manual_seed(0)
    save_file(Backbone.create(TINY, 3, img_size=32).vit.state_dict(), tmp_path / "init.safetensors")
    study = Study(
        task=dataclasses.replace(own_task(folder, "mine", native_px=8), input_px=32),
        data=folder,
        run=tmp_path / "run",
        architecture=TINY,
        init=tmp_path / "init.safetensors",
        device="cpu",
    )
    return Ablation(study=study, cost=Cost(px=32, images=32, batch=8))


@pytest.fixture(scope="module")
def done(comparison, tmp_path_factory):
    """What was measured, the pictures that each step saw, and the folder it was written to."""
    root, seen = tmp_path_factory.mktemp("weights"), []
    augmented = Pictures.augmented

    def counted(self, index, *args, **more):
        seen.append(len(index))
        return augmented(self, index, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVIT_WEIGHTS", str(root))
        patch.setattr(Pictures, "augmented", counted)
        yield compare(comparison, lambda _: None), seen, root


def test_every_way_is_measured_at_every_layer_and_written(done):
    result, _, root = done
    rows = {row["way"]: row for row in result["rows"]}
    assert list(rows) == [PLAIN, *WAYS] and result["missing"] == 0 and result["n"] == 9
    assert all(len(rows[way]["layers"]) == 6 for way in WAYS) and rows[PLAIN]["layers"] == []
    written = json.loads((root / "mine" / TINY / "ablation.json").read_text())
    assert written == json.loads(json.dumps(result))


def test_every_way_costs_the_same_number_of_pictures(done):
    # all but the two mixed ones see 32; those share the half in which the backbone learns alone
    assert sum(done[1]) == 32 * (1 + 4) + 16 * (1 + 2)


def test_each_way_trains_as_it_says(comparison, monkeypatch, tmp_path):
    begun = []

    def together(model, phases, *, recipe, **_):
        begun.append((recipe, model))

    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(study_of_ways, "learn_together", together)
    again = dataclasses.replace(comparison.study, run=tmp_path)
    compare(dataclasses.replace(comparison, study=again), lambda _: None)
    for way, (recipe, model) in zip(WAYS.values(), begun, strict=True):
        assert (recipe.self_distillation > 0) == way.self_distillation
        assert recipe.gradient_equilibrium == way.gradient_equilibrium
        assert list(model.heads) == [way.head]
        assert recipe.stages[0][1] * 21 == pytest.approx(16 if way.mixed else 32)


def test_a_finished_comparison_trains_nothing_again_and_another_budget_is_refused(
    done, comparison, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(Pictures, "augmented", lambda *_: pytest.fail("took a step"))
        assert compare(comparison, lambda _: None) == done[0]
    with pytest.raises(CheckpointError, match="images"):
        other = dataclasses.replace(comparison, cost=Cost(px=32, images=64, batch=8))
        other.study.overwrite = True
        compare(other, lambda _: None)


def test_the_table_gives_gains_over_the_papers_way(tmp_path, monkeypatch):
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    folder = tmp_path / "mine" / TINY
    folder.mkdir(parents=True)
    rows = [
        {"way": PLAIN, "final": 0.8, "layers": []},
        {"way": "end-to-end", "final": 0.7, "layers": [0.25, 0.5]},
        {"way": "all together", "final": 0.75, "layers": [0.5, 0.5]},
    ]
    (folder / "ablation.json").write_text(json.dumps({"n": 100, "rows": rows}))
    found = ablation("mine", {"architecture": TINY})
    table = found["rows"].set_index(["way", "exit", "layer"])
    assert table.gain["all together", "early", 1] == pytest.approx(25)
    assert table.gain["all together", "final", 2] == pytest.approx(5)
    assert table.gain[PLAIN, "final", 2] == pytest.approx(10) and found["depth"] == 2
    assert isinstance(found["rows"], pd.DataFrame)
    (folder / "ablation.json").write_text("{}")
    assert ablation("mine", {"architecture": TINY}) is None
