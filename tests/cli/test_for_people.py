"""What commands print for people: headings and words, and nothing that only a program can read."""

import re

import pytest
from bundles import BACKBONE, save_bundle

from mvit.bundles import weights
from mvit.cli import evaluate
from mvit.cli import main as cli
from mvit.cli.tables import answers, in_words
from mvit.tasks import TASKS

RAW = re.compile(r"[{}\[\]]|None|True|False|nan\b")


@pytest.fixture
def printed(capsys):
    """A function that runs a command and returns what it printed, which holds nothing raw."""

    def run(*args: object) -> str:
        assert cli.main([*map(str, args)]) == 0
        said = capsys.readouterr().out
        assert not RAW.search(said), said
        return said

    return run


def test_trace_explains_its_columns_and_shows_the_best_head_alone(tiny_weights, photo, printed):
    said = printed("trace", photo, "--device", "cpu")
    lines = said.splitlines()
    assert lines[0].startswith("What the exits of head ") and lines[2].split() == (
        ["layer", "answer", "sure", "ms", "MACs"]
    )
    assert [line.split()[0] for line in lines[3:16]] == [*map(str, range(1, 13)), "final"]
    assert f"Model: cifar10/{BACKBONE}." in said and "Watch" not in said
    assert "--json all 36 early exits and the final one." in said and len(lines) < 22


def test_trace_says_that_watch_shows_the_model_trained_as_a_whole(
    tmp_path, photo, printed, monkeypatch
):
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    card = save_bundle(tmp_path / "weights", TASKS["cifar10"])
    folder = next((tmp_path / "weights" / "cifar10").iterdir())
    weights.write_card(folder, card | {"strategy": "classifier-wise"})
    whole = folder.with_name(f"{folder.name}_end_to_end")
    whole.mkdir()
    weights.write_card(whole, card | {"strategy": "end-to-end"})
    said = printed("trace", photo, "--backbone", folder.name, "--head", "mlp", "--device", "cpu")
    assert f"Watch shows the model trained as a whole: --backbone {whole.name}" in said


def test_evaluate_verify_and_deadline_speak_in_words(tiny_weights, photo, test_split, printed):
    said = printed("evaluate", "--data", test_split, "--limit", 5, "--device", "cpu")
    assert "Right answers on 5 test pictures (" in said and re.search(r"final exit: [\d.]+%", said)
    assert said.splitlines()[2].split()[0] == "layer" and len(said.splitlines()) == 16
    first, second = printed("verify").splitlines()
    assert first == f"cifar10/{BACKBONE}: every file is intact"
    assert re.fullmatch(f"cifar10/vit_base_.*: grown from {BACKBONE} at load, .*", second)
    said = printed("deadline", photo, "--ms", 60_000, "--device", "cpu")
    assert re.match(
        r"prediction: [a-z]+, [\d> ]+% sure, by the final exit\n", said.replace("\xa0", " ")
    )
    assert said.endswith("ms; the deadline was 60000 ms\n")


def test_counts_are_told_as_people():
    exits = [
        {"layer": 3, "head": "mlp", "count": -4.0, "ms": 2.0, "macs": 3e6, "practical": True},
        {"layer": 12, "count": 51.2, "ms": 9.0, "macs": 2e9},
    ]
    heading, first, last = (line.split() for line in answers(exits))
    assert heading == ["layer", "people", "ms", "MACs"]
    assert first == ["3", "0", "2.0", "3", "M", "*"] and last[:2] == ["final", "51"]


def test_any_value_is_told_without_brackets():
    assert in_words({"images": 5, "rates": [0.1, 1e-05]}) == "images 5, rates 0.1, 1e-05"


def test_errors_of_a_counter_and_unknown_pictures_are_told_in_lines():
    exits = [{"layer": 3, "head": "mlp", "mae": 9.26}, {"layer": 6, "head": "mlp", "mae": 8.0}]
    part = {"n": 3, "final": {"mae": 7.5, "rmse": 9.0}, "exits": exits}
    about = {"task": "crowd", "backbone": BACKBONE}
    said = evaluate.describe(about | {"splits": {"part_A": part}, "left_out": ["a.jpg: damaged"]})
    assert "on average, on 3 test pictures (part_A), by layer and head:" in said
    assert said.splitlines()[3].split() == ["3", "9.3"] and "final exit: 7.5" in said
    assert said.endswith("left out: 1\n  a.jpg: damaged") and not RAW.search(said)
    told = {"known": [{"name": "test pictures", "n": 900, "warned": 0.05}]}
    told |= {"others": [{"name": "rooms", "n": 300, "warned": 0.61, "auroc": 0.93}]}
    told |= {"threshold": 2.5, "chosen_on": 1000, "wrongly": 0.05, "left_out": []}
    said = evaluate.describe(about | told)
    assert "  5.0% of 900 test pictures, wrongly\n" in said
    assert "  61.0% of 300 rooms, rightly, told apart 93.0% (AUROC)\n" in said


def test_any_record_is_printed_without_brackets(capsys):
    cli.show({"task": "a", "budget": {"px": 96, "rates": [0.1]}, "rows": [{"head": "mlp", "n": 2}]})
    assert capsys.readouterr().out == "task: a\nbudget: px 96, rates 0.1\nhead  n\n mlp  2\n"
