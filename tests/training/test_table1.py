"""Table I: every cell is trained once, resumed cell by cell, compared with a plain backbone that
had as much training, and written down."""

import dataclasses
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import colours, write_folder

from mvit.data.labelled import Pictures
from mvit.models.backbone import Backbone
from mvit.models.multi_exit import PlanError
from mvit.training import checkpoints, table1_lab
from mvit.training.checkpoints import CheckpointError
from mvit.training.last_step import END_TO_END, OTHERS, from_others
from mvit.training.loop import Loop
from mvit.training.study import Study, own_task
from mvit.training.table1 import Table1, another_seed, beside, lab_of, measure
from mvit.training.table1_lab import Budget, TableLab, compared

TINY = "test_vit"  # timm's own toy: six layers of 64 channels
BUDGET = Budget(px=32, images=16, batch=8, val_images=3, round_images=16, max_rounds=3)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Two heads after layer 2 on a few pictures of three colours, the start weights already
    fine-tuned for them."""
    tmp_path = tmp_path_factory.mktemp("table")
    write_folder(tmp_path / "pictures" / "train", colours(8))
    folder = write_folder(tmp_path / "pictures" / "test", colours(3, seed=1)).parent
    torch.manual_seed(0)
    save_file(Backbone.create(TINY, 3, img_size=32).vit.state_dict(), tmp_path / "init.safetensors")
    task = dataclasses.replace(own_task(folder, "mine", native_px=8), input_px=32)
    study = Study(
        task=task,
        data=folder,
        run=tmp_path / "run",
        architecture=TINY,
        init=tmp_path / "init.safetensors",
        device="cpu",
    )
    return Table1(study=study, budget=BUDGET, layer=2, heads=("mlp", "cnn_ignore"))


@pytest.fixture(scope="module")
def done(table, tmp_path_factory):
    """The finished table, as it was written, and what was said. Later tests write others there."""
    root, said = tmp_path_factory.mktemp("weights"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVIT_WEIGHTS", str(root))
        found = measure(table, said.append)
        written = json.loads((root / "mine" / TINY / "table1.json").read_text())
        yield found, written, said


def test_all_strategies_and_heads_are_measured_and_written(done, table):
    result, written, said = done
    assert {(r["strategy"], r["head"]) for r in result["rows"]} == {
        (s, h)
        for s in ("classifier-wise", "layer-wise", "end-to-end")
        for h in ("mlp", "cnn_ignore")
    }
    assert result["missing"] == 0 and result["layer"] == 2 and result["n"] == 9 and len(said) == 6
    assert written == json.loads(json.dumps(result))
    assert (
        result["budget"]["images"],
        result["budget"]["px"],
        result["budget"]["training pictures"],
    ) == (16, 32, 21)


def test_the_final_exit_is_compared_with_the_plain_backbone(done):
    result, *_ = done
    for row in result["rows"]:
        assert row["change"] == pytest.approx(
            100 * (row["final"] - result["plain"]["accuracy"]), abs=1e-3
        )
        # its backbone is the plain one
        assert row["strategy"] != "classifier-wise" or row["change"] == 0


def test_two_trainings_are_compared_picture_by_picture(done, table):
    run = table.study.run / "table1"
    cells = {name: json.loads((run / f"{name}.json").read_text()) for name in ("plain", "start")}
    ours = json.loads((run / "end-to-end_mlp.json").read_text())
    assert [len(e) for e in ours["errors"].values()] == [9, 9]
    assert sum(ours["errors"]["final"]) == round(9 * (1 - ours["final"]))
    assert compared(ours, ours, "final") == (0.0, 0.0)
    assert "-0.0" not in json.dumps(done[1]["rows"])
    [row] = [r for r in done[0]["rows"] if (r["strategy"], r["head"]) == ("end-to-end", "mlp")]
    worse, noise = compared(ours, cells["plain"], "final")
    assert (row["change"], row["change_noise"]) == (
        pytest.approx(-100 * worse, abs=1e-3),
        pytest.approx(100 * noise, abs=1e-3),
    )
    alone = json.loads((run / "classifier-wise.json").read_text())
    assert row["gain"] == pytest.approx(
        100 * (ours["exits"]["mlp"] - alone["exits"]["mlp"]), abs=1e-3
    )


def test_chance_is_judged_by_the_pictures_that_two_trainings_differ_in():
    one = {"errors": {"mlp": [1, 0, 1, 0] * 100}}
    other = {"errors": {"mlp": [1, 0, 1, 1] * 100}}
    worse, noise = compared(one, other, "mlp")
    assert worse == -0.25 and noise == pytest.approx(1.96 * (0.25 * 0.75 / 399) ** 0.5)


def test_a_finished_table_trains_nothing_again(done, table, monkeypatch):
    monkeypatch.setattr(Pictures, "augmented", lambda *_: pytest.fail("took a step"))
    assert measure(table, lambda _: None) == done[0]
    # no cell's is left over
    assert sorted(f.name for f in (table.study.run / "table1").glob("*.safetensors")) == [
        "plain.safetensors",
        "start.safetensors",
    ]


def as_json(table: dict) -> dict:
    return json.loads(json.dumps(table))


class Interrupted(Exception):
    pass


def test_every_cell_starts_from_exits_that_were_trained_to_the_end(
    done, table, tmp_path, monkeypatch
):
    start = done[0]["start"]
    assert start["rounds"] == 3 and all(len(v) == 3 for v in start["validation"].values())
    shutil.copytree(table.study.run / "table1", tmp_path / "table1")
    (tmp_path / "table1" / "end-to-end_mlp.json").unlink()
    begun = {}

    def began(model, *_, **__):
        begun.update(model.heads["mlp"]["2"].state_dict())
        raise Interrupted

    monkeypatch.setattr(table1_lab, "learn_together", began)
    again = dataclasses.replace(table, study=dataclasses.replace(table.study, run=tmp_path))
    with pytest.raises(Interrupted):
        measure(again, lambda _: None)
    trained = load_file(tmp_path / "table1" / "start.safetensors")
    for name, tensor in begun.items():
        [kept] = [v for k, v in trained.items() if k.endswith(f"best.mlp.2.{name}")]
        assert torch.equal(tensor, kept)


def test_an_interrupted_table_goes_on_with_the_cell_it_was_in(done, table, tmp_path, monkeypatch):
    again = dataclasses.replace(table, study=dataclasses.replace(table.study, run=tmp_path))
    save, saved, said = checkpoints.save, [], []

    def save_and_stop(path, *args, **about):
        save(path, *args, **about)
        saved.append(path.name)
        if path.name.startswith("layer-wise_mlp"):
            raise Interrupted

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(checkpoints, "save", save_and_stop)
        measure(again, said.append)
    assert len(said) == 2 and saved[-1] == "layer-wise_mlp.safetensors"
    steps, step = [], Loop.step
    monkeypatch.setattr(Loop, "step", lambda loop, n: steps.append(n) or step(loop, n))
    result = measure(again, said.append)
    # the second part of the cell it was in, and the three cells after it
    assert len(steps) == 2 + 2 + 4 + 2
    assert [{k: v for k, v in r.items() if k != "seconds"} for r in result["rows"]] == [
        {k: v for k, v in r.items() if k != "seconds"} for r in done[0]["rows"]
    ]


def test_cells_of_another_budget_are_not_mixed_in_nor_another_table_replaced(done, table):
    other = dataclasses.replace(table, budget=dataclasses.replace(BUDGET, images=24))
    with pytest.raises(CheckpointError, match="table1.json holds the table of another run; name"):
        measure(other)
    other.study = dataclasses.replace(table.study, overwrite=True)
    with pytest.raises(CheckpointError, match="plain.json was begun with images 16, now it is 24"):
        measure(other)


@pytest.fixture(scope="module")
def again(done, table, tmp_path_factory):
    """The same table of another seed with one head and all last steps, as it was measured, and the
    file that it joined."""
    root = tmp_path_factory.mktemp("again")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MVIT_WEIGHTS", str(root))
        file = root / "mine" / TINY / "table1.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(done[1]))
        other = dataclasses.replace(
            table,
            study=dataclasses.replace(table.study),
            budget=dataclasses.replace(BUDGET, seed=1),
            heads=("mlp",),
            last_step=True,
        )
        yield measure(other, lambda _: None), json.loads(file.read_text()), other


def test_a_table_of_another_seed_joins_the_one_that_is_there(done, again, table):
    result, written, _ = again
    assert {k: v for k, v in written.items() if k != "again"} == done[1]
    assert written["again"] == [json.loads(json.dumps(result))]
    assert result["budget"]["seed"] == 1 and result["missing"] == 0
    assert {row["head"] for row in result["rows"]} == {"mlp"}
    # measured again it replaces itself, and the first table stays the first
    assert as_json(beside(written, result, table=again[2])) == written
    assert as_json(beside(written, done[0], table=table)) == written


def test_what_is_not_measured_now_stays_in_the_table(done, again, table):
    result, _, other = again
    less = result | {"last_steps": [], "rows": [r for r in result["rows"] if r["final"] < 0]}
    assert beside(as_json(result), less, table=other) == result
    alone = dataclasses.replace(other, strategies=("classifier-wise",), last_step=False)
    assert beside({}, less, table=alone)["missing"] == 1


def test_other_heads_or_test_pictures_are_another_table(done, again, table, tmp_path):
    _, written, other = again
    fewer = dataclasses.replace(table, heads=("mlp",))
    with pytest.raises(CheckpointError, match="holds the table of another run"):
        measure(fewer)
    now = lab_of(other).settings
    assert another_seed(written["budget"], now)
    assert not another_seed(written["budget"], now | {"test pictures and labels": "others"})
    fewer.study = dataclasses.replace(table.study, overwrite=True)
    with pytest.raises(CheckpointError, match="plain.json was begun with heads"):
        measure(fewer)


def test_the_last_step_begins_from_three_weights_and_leaves_the_exit_as_it_is(again, table):
    result, *_ = again
    assert [(row["head"], row["begins"]) for row in result["last_steps"]] == [
        ("mlp", "the original"),
        ("mlp", "nothing"),
        ("mlp", "end-to-end training"),
    ]
    own = next(row for row in result["rows"] if row["strategy"] == "layer-wise")
    assert result["last_steps"][0]["final"] == own["final"]
    run = table.study.run / "table1_seed_1"
    exits = {
        name: json.loads((run / f"layer-wise_mlp{name}.json").read_text())["exits"]
        for name in ("", "_from_nothing", "_from_end-to-end_training")
    }
    assert exits[""] == exits["_from_nothing"] == exits["_from_end-to-end_training"]
    assert sorted(f.name for f in run.glob("*.safetensors")) == [
        "plain.safetensors",
        "start.safetensors",
    ]


@pytest.mark.parametrize("begins", OTHERS)
def test_only_layers_above_the_exit_begin_from_others(again, monkeypatch, begins):
    seen = []

    def moved(lab, model, phases, file):  # a training that moves all by how many phases it has
        with torch.no_grad():
            for parameter in model.backbone.parameters():
                parameter += 10 * len(phases)
        seen.append({k: v.clone() for k, v in model.backbone.vit.state_dict().items()})

    monkeypatch.setattr(TableLab, "together", moved)
    monkeypatch.setattr(TableLab, "quality", lambda *_: {})
    from_others(lab_of(again[2]), "mlp", begins)
    layer_wise, last = seen[0], seen[-1]
    for name in ("patch_embed.proj.weight", "blocks.1.attn.qkv.weight"):
        assert torch.equal(last[name], layer_wise[name] + 10)
    for name in ("blocks.2.attn.qkv.weight", "blocks.5.mlp.fc1.bias", "head.weight"):
        if begins == END_TO_END:
            assert torch.equal(last[name], seen[1][name] + 10)
        else:
            assert last[name].mean() == pytest.approx(10, abs=0.1)


def test_the_last_step_needs_both_trainings(table):
    lone = dataclasses.replace(table, last_step=True, strategies=("layer-wise",))
    with pytest.raises(PlanError, match="begins from end-to-end training; add it to --strategies"):
        measure(lone)
