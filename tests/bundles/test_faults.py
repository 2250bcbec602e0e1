"""A card that cannot be true is refused in one sentence, by every command and before any number."""

import json
import math
from dataclasses import asdict

import pytest
from bundles import BACKBONE, HEADS

from mvit.bundles import weights
from mvit.bundles.faults import card_fault, task_fault
from mvit.bundles.weights import WeightsError
from mvit.cli import main as cli
from mvit.tasks import TASKS

EXIT = {"layer": 1, "head": "mlp", "accuracy": 0.5, "macs": 7, "practical": True}


@pytest.mark.parametrize("bundle", weights.bundles(), ids="/".join)
def test_the_cards_that_come_with_the_lab_are_right(bundle):
    card = weights.card_of(*bundle)
    assert card_fault(card) is None and task_fault(weights.task_of(card)) is None


@pytest.mark.parametrize("bundle", weights.bundles(), ids="/".join)
def test_what_the_cards_call_practical_is_read_so_where_it_beats_guessing(bundle):
    folder = weights.folder(*bundle)
    written = json.loads((folder / "card.json").read_text())
    exits = zip(written["exits"], weights.read_card(folder)["exits"], strict=True)
    guess = 1 / len(written["task"]["labels"]) if written["task"]["labels"] else 0
    for told, read in exits:
        assert read["practical"] == (told["practical"] and told.get("accuracy", 1) > guess)
    assert sum(e["practical"] for e in weights.read_card(folder)["exits"]) > 5


@pytest.mark.parametrize(
    ("card", "fault"),
    [
        ({"layers": [1, 2.5]}, "layers is 2.5"),
        ({"layers": [True]}, "layers is True"),
        ({"layers": [3, 3]}, "layers names a layer twice"),
        ({"exits": None}, "exits is None"),
        ({"exits": [None]}, "exits is None"),
        ({"exits": [EXIT, EXIT]}, "tells twice of mlp after layer 1"),
        (
            {"exits": [EXIT, {"layer": 2, "head": "mlp"}]},
            "exits tells the accuracy of some and not of all",
        ),
        ({"exit_recipe": {"round_images": "all"}}, "round_images is 'all'"),
        ({"before": {"data": {"train": "all"}}}, "in before, in data, train is 'all'"),
        ({"data": 3}, "data is 3"),
        ({"layers": [2]}, "exits tells of layer 1, and layers does not"),
        ({"final": 3}, "final is 3"),
        ({"splits": {"part_A": {"exits": []}}}, "part_A lacks 'final'"),
        (
            {"splits": {"part_A": {"final": {}, "exits": [EXIT | {"mae": math.nan}]}}},
            "in splits, in part_A, in exits, mae is nan",
        ),
        ({"exits": [{"layer": 1}]}, "exits lacks 'head'"),
        ({"exits": [EXIT | {"layer": 0}]}, "layer is 0"),
        ({"exits": [EXIT | {"layer": 10**400}]}, "layer is 1000"),
        ({"exits": [EXIT | {"accuracy": None}]}, "accuracy is None"),
        ({"exits": [EXIT | {"accuracy": 97}]}, "accuracy is 97"),
        ({"exits": [EXIT | {"practical": "yes"}]}, "practical is 'yes'"),
        ({"final": {"accuracy": math.nan}}, "accuracy is nan"),
        ({"final": {"macs": math.inf}}, "macs is inf"),
        ({"files": {"backbone.safetensors": {"bytes": 7}}}, "lacks 'sha256'"),
        ({"files": {"backbone.safetensors": {"sha256": None}}}, "sha256 is None"),
        ({"strategy": 5}, "strategy is 5"),
        ({"maps": {"dim": 10**9, "hidden": 64, "layers": [1]}}, "in maps, dim is 1000000000"),
        ({"n": -1}, "n is -1"),
        ({"test_part": {"seed": None}}, "in test_part, seed is None"),
        ({"before": {"before": {"recipe": {"stages": 3}}}}, "stages is 3"),
        ({"exit_weights": [{"1": 0.5}]}, "exit_weights is {'1': 0.5}"),
        ({"delta": {"task": "../x"}}, "delta lacks 'backbone'"),
        ({"unusual": [{"picture": "blank", "counts": {"1:mlp": None}}]}, "counts is"),
    ],
    ids=str,
)
def test_what_cannot_be_true_of_a_card_is_named(card, fault):
    assert fault in card_fault({"exits": [EXIT]} | card)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": 3},
        {"labels": []},
        {"labels": "cat"},
        {"labels": ["cat", None]},
        {"labels": ["cat", "cat"]},
        {"native_px": None},
        {"native_px": 0},
        {"native_px": 10**9},
        {"input_px": [224]},
        {"input_px": 224.5},
        {"mean": math.nan},
        {"mean": []},
        {"std": 0},
        {"std": [1, 1, 0]},
        {"mean": [0.5, 0.5, 1e300]},
        {"crop": 3},
        {"resample": "a later one"},
        {"metric": []},
    ],
    ids=str,
)
def test_a_task_that_no_picture_can_be_prepared_for_is_refused(change):
    with pytest.raises(WeightsError, match="a card describes"):
        weights.task_of({"task": asdict(TASKS["cifar10"]) | change})
    with pytest.raises(WeightsError, match="'people_per_unit' is nan"):
        weights.task_of({"task": asdict(TASKS["crowd"]) | {"people_per_unit": math.nan}})


def test_a_command_refuses_such_a_card_in_one_line(own_weights, capsys):
    file = own_weights / "cifar10" / BACKBONE / "card.json"
    card = json.loads(file.read_text())
    card["exits"][0]["accuracy"] = math.nan
    weights.write_card(file.parent, card)
    for command in (["trace", "x.png"], ["evaluate", "--data", "."], ["verify"]):
        assert cli.main(command) == 2
        said = capsys.readouterr().err
        assert "card.json refused: the card is wrong: in exits, accuracy is nan" in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "reason"), [("[" * 10**5, "not JSON"), ('{"files": {}, "files": {}}', "'files' twice")]
)
def test_a_card_nested_without_end_or_with_an_entry_twice_is_refused(tmp_path, text, reason):
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(WeightsError, match=f"card.json refused: .*{reason}"):
        weights.read_card(tmp_path)


def test_a_file_that_the_system_does_not_give_is_told_by_verify(own_weights):
    file = own_weights / "cifar10" / BACKBONE / "heads" / "mlp.safetensors"
    file.unlink()
    file.mkdir()
    [found] = weights.verify()
    assert not found["ok"] and "mlp.safetensors" in found["reason"]


def test_a_head_of_a_later_version_is_named_and_the_others_can_be_used(own_weights):
    folder = own_weights / "cifar10" / BACKBONE
    card = weights.read_card(folder)
    card["files"]["heads/oracle.safetensors"] = {"sha256": "0", "bytes": 1}
    weights.write_card(folder, card)
    with pytest.raises(WeightsError, match="a head 'oracle', which this version does not know"):
        weights.load("cifar10", device="cpu")
    assert list(weights.load("cifar10", device="cpu", heads=HEADS[:1]).heads) == ["mlp"]
