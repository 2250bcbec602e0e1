"""The commands: --json prints one object with the promised keys, and bad input ends in status 2 and
one line that helps."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bundles import BACKBONE
from PIL import Image
from thin import picture
from toys import write_folder

import mvit
from mvit.cli import main as cli
from mvit.cli import train as train_command
from mvit.data.labelled import Pictures
from mvit.models.multi_exit import FINAL
from mvit.tasks import CIFAR10_LABELS

EXIT = ["layer", "head", "prediction", "confidence", "ms", "macs", "practical"]


@pytest.fixture(autouse=True)
def no_data_named(monkeypatch):
    monkeypatch.delenv("MVIT_DATA", raising=False)


@pytest.fixture
def photo(tmp_path) -> str:
    Image.fromarray(picture(side=50)).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


@pytest.fixture
def test_split(tmp_path) -> Path:
    """CIFAR-10's layout with two random pictures a class; the folder that holds the set's own
    folder."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, 256, (20, 3, 32, 32), dtype=np.uint8))
    write_folder(
        tmp_path / "data" / "cifar10" / "test", Pictures(x, torch.arange(20) % 10, CIFAR10_LABELS)
    )
    return tmp_path / "data"


@pytest.fixture
def command(capsys):
    """A function that runs a command with --json on the CPU and gives back its one JSON object."""

    def run(*args: object) -> dict:
        status = cli.main([*map(str, args), "--json", "--device", "cpu"])
        out = capsys.readouterr().out
        assert status == 0 and out.count("\n") == 1 and out.endswith("\n")
        return json.loads(out)

    return run


@pytest.fixture
def refused(capsys):
    """A function that runs a command that must end in status 2, nothing on standard output, and one
    line; gives back the line."""

    def run(*args: object) -> str:
        try:
            status = cli.main([*map(str, args)])
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        assert (
            status == 2 and out == "" and err.count("\n") == 1 and err.startswith("python -m mvit")
        )
        return err

    return run


def test_trace(tiny_weights, photo, command):
    result = command("trace", photo)
    assert list(result) == ["task", "backbone", "device", "dtype", "exits", "final"]
    assert (result["task"], result["backbone"], result["device"], result["dtype"]) == (
        "cifar10",
        BACKBONE,
        "cpu",
        "float32",
    )
    assert len(result["exits"]) == 36 and all(list(e) == EXIT for e in result["exits"])
    assert list(result["final"]) == ["layer", "prediction", "confidence", "ms", "macs"]
    model = mvit.load("cifar10", device="cpu")
    for said, exit in zip(
        [*result["exits"], result["final"]],
        model.run(picture(side=50), [*model.exits(), (12, FINAL)]),
        strict=True,
    ):
        assert (said["layer"], said["prediction"], said["macs"]) == (
            exit.layer,
            exit.label,
            exit.macs,
        ) and said["ms"] > 0
        assert (
            said["confidence"] == pytest.approx(exit.confidence, abs=1e-5)
            and said.get("practical", False) == exit.practical
        )


def test_trace_of_one_head_reads_and_runs_that_head_alone(own_weights, photo, command):
    (own_weights / "cifar10" / BACKBONE / "heads" / "mlp.safetensors").write_bytes(b"damaged")
    assert {e["head"] for e in command("trace", photo, "--head", "resmlp")["exits"]} == {"resmlp"}


def test_deadline_with_time_enough(tiny_weights, photo, command):
    result = command("deadline", photo, "--ms", 60_000, "--head", "mlp")
    assert list(result) == [
        "deadline_ms",
        "answered_ms",
        "layer",
        "head",
        "prediction",
        "confidence",
        "ready",
    ]
    assert (result["deadline_ms"], result["layer"], result["head"], result["ready"]) == (
        60_000,
        12,
        FINAL,
        True,
    )
    assert (
        result["prediction"] in CIFAR10_LABELS
        and 0.1 <= result["confidence"] <= 1
        and 0 < result["answered_ms"] < 60_000
    )


def test_a_deadline_before_the_first_exit_is_answered_with_nulls(tiny_weights, photo, command):
    result = command("deadline", photo, "--ms", 0.001)
    assert list(result) == [
        "deadline_ms",
        "answered_ms",
        "layer",
        "head",
        "prediction",
        "confidence",
        "ready",
    ]
    assert (
        result["ready"] is False
        and [result[k] for k in ("layer", "head", "prediction", "confidence")] == [None] * 4
    )
    assert result["deadline_ms"] == 0.001


def test_evaluate(tiny_weights, test_split, command):
    result = command("evaluate", "--data", test_split, "--head", "mlp")
    names = ["task", "backbone", "n", "split", "left_out", "final", "exits"]
    assert list(result) == names and list(result["final"]) == ["accuracy"]
    # as many as in a folder of one's own
    assert (result["split"], result["left_out"]) == ("the folder test/", [])
    assert (result["task"], result["backbone"], result["n"]) == ("cifar10", BACKBONE, 20)
    assert [list(e) for e in result["exits"]] == [
        ["layer", "head", "accuracy", "macs", "practical"]
    ] * 12
    # the set's own folder, too
    assert result == command("evaluate", "--data", test_split / "cifar10", "--head", "mlp")


def test_evaluate_takes_a_seeded_sample_and_the_data_folder_from_the_environment(
    tiny_weights, test_split, command, monkeypatch
):
    monkeypatch.setenv("MVIT_DATA", str(test_split))
    first = command("evaluate", "--limit", 5, "--head", "mlp")
    assert first["n"] == 5 and first == command(
        "evaluate", "--limit", 5, "--seed", 0, "--head", "mlp"
    )


def test_verify(own_weights, command, capsys):
    assert command("verify") == {
        "root": "weights",
        "ok": True,
        "bundles": [{"task": "cifar10", "backbone": BACKBONE, "ok": True, "reason": None}],
    }
    file = own_weights / "cifar10" / BACKBONE / "heads" / "mlp.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert cli.main(["verify", "--json"]) == 2
    out, err = capsys.readouterr()
    assert (
        json.loads(out)["ok"] is False
        and "mlp.safetensors" in json.loads(out)["bundles"][0]["reason"]
    )
    assert err.count("\n") == 1 and "mlp.safetensors refused" in err


def test_verify_of_nothing_is_not_a_success(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    assert cli.main(["verify", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["bundles"] == [] and "no weights" in err and err.count("\n") == 1


def test_export(tiny_weights, tmp_path, command):
    result = command(
        "export", "--exit", 1, "--head", "mlp", "--format", "pt2", "--out", tmp_path / "cut.pt2"
    )
    assert (result["layer"], result["head"], result["size"]) == (
        1,
        "mlp",
        (tmp_path / "cut.pt2").stat().st_size,
    )


def test_train_hands_over_what_the_options_say(tmp_path, command, monkeypatch):
    studies = []
    monkeypatch.setattr(
        train_command, "train", lambda study: studies.append(study) or {"task": study.task.name}
    )
    for name in "ab":
        (tmp_path / name).mkdir()
    command(
        "train",
        "--data",
        tmp_path,
        "--task-name",
        "mine",
        "--init",
        "start.safetensors",
        "--stages",
        "96:3,224:0.5",
        "--batch",
        16,
        "--exit-batch",
        24,
        "--rates",
        "1e-3,1e-4",
        "--max-rounds",
        7,
        "--learning-rate",
        "3e-4",
        "--seed",
        5,
        "--limit",
        100,
        "--run",
        tmp_path / "r",
    )
    [study] = studies
    assert (study.task.name, study.task.labels, study.data, study.run) == (
        "mine",
        ("a", "b"),
        tmp_path,
        tmp_path / "r",
    )
    assert (
        study.recipe.stages,
        study.recipe.batch,
        study.recipe.learning_rate,
        study.recipe.seed,
    ) == (((96, 3.0), (224, 0.5)), 16, 3e-4, 5)
    assert (study.exits.batch, study.exits.rates, study.exits.max_rounds, study.exits.seed) == (
        24,
        (1e-3, 1e-4),
        7,
        5,
    )
    assert (str(study.init), study.limit, study.test_limit, study.device) == (
        "start.safetensors",
        100,
        None,
        "cpu",
    )
    command("train", "--data", tmp_path)
    assert (studies[1].task.name, studies[1].run) == ("cifar10", Path("runs/cifar10"))
    # the defaults, untouched
    assert studies[1].recipe == type(study.recipe)() and studies[1].exits == type(study.exits)()


def test_train_hands_over_strategies_and_exits(tmp_path, command, monkeypatch):
    studies = []
    monkeypatch.setattr(
        train_command, "train", lambda study: studies.append(study) or {"task": study.task.name}
    )
    command(
        "train",
        "--data",
        tmp_path,
        "--strategy",
        "end-to-end",
        "--heads",
        "cnn_ignore,gmlp",
        "--layers",
        "9,3",
        "--exit-weights",
        "0.2,0.8",
        "--exit-rate",
        "2e-3",
        "--layer-decay",
        "0.95",
        "--stages",
        "none",
        "--init",
        "weights/x",
    )
    command("train", "--data", tmp_path, "--strategy", "layer-wise")
    first, second = studies
    assert (first.strategy, first.heads, first.layers, first.exit_weights) == (
        "end-to-end",
        ("cnn_ignore", "gmlp"),
        (3, 9),
        (0.2, 0.8),
    )
    assert (first.recipe.exit_rate, first.recipe.layer_decay, first.recipe.stages) == (
        2e-3,
        0.95,
        (),
    )
    assert first.bundle == f"{BACKBONE}_end_to_end" and second.bundle == f"{BACKBONE}_layer_wise"
    assert (second.heads, second.layers, second.recipe) == (
        ("cnn_ignore",),
        None,
        type(first.recipe)(),
    )


def test_table1_hands_over_its_budget(tmp_path, command, monkeypatch):
    tables = []
    monkeypatch.setattr(
        train_command, "measure", lambda table, say: tables.append(table) or {"rows": []}
    )
    command(
        "table1",
        "--data",
        tmp_path,
        "--images",
        640,
        "--px",
        64,
        "--batch",
        32,
        "--layer",
        4,
        "--heads",
        "mlp",
        "--strategies",
        "end-to-end",
    )
    [table] = tables
    assert (table.budget.images, table.budget.px, table.budget.batch, table.budget.seed) == (
        640,
        64,
        32,
        0,
    )
    assert (table.layer, table.heads, table.strategies, table.study.task.name) == (
        4,
        ("mlp",),
        ("end-to-end",),
        "cifar10",
    )


def test_heads_are_added_to_the_bundle_that_is_named(tiny_weights, tmp_path, command, monkeypatch):
    asked = []
    monkeypatch.setattr(
        train_command,
        "add_heads",
        lambda *given: asked.append(given) or {"task": given[0].task.name},
    )
    command(
        "train",
        "--data",
        tmp_path,
        "--add-heads",
        "gmlp,fnet",
        "--exit-batch",
        16,
        "--into",
        "beside",
    )
    [(study, heads, into)] = asked
    assert into == "beside"
    assert (study.task.name, study.task.input_px, study.bundle, heads, study.exits.batch) == (
        "cifar10",
        64,
        BACKBONE,
        ("gmlp", "fnet"),
        16,
    )


def test_without_json_a_person_gets_tables(tiny_weights, photo, capsys):
    assert cli.main(["trace", photo, "--head", "mlp", "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert (
        "task: cifar10" in out and len([line for line in out.splitlines() if " mlp " in line]) == 12
    )


@pytest.mark.parametrize(
    "args, words",
    [
        ([], "required"),
        (["dance"], "'dance'"),
        (["trace"], "image"),
        (["trace", "x.png", "--colour", "red"], "--colour"),
        (["deadline", "x.png"], "--ms"),
        (["deadline", "x.png", "--ms", "soon"], "'soon'"),
        (["evaluate", "--limit", "0"], "'0' is not a whole number above 0"),
        (["evaluate", "--limit", "-3"], "--limit"),
        (["evaluate", "--limit", "x"], "'x' is not a whole number"),
        (["train", "--stages", "96"], "'96' is not of the form"),
        (["train", "--stages", "4:1"], "'4:1' is not of the form"),
        (["train", "--rates", "fast"], "'fast' is not a list of learning rates"),
        (["train", "--precision", "int4"], "int4"),
        (["train", "--strategy", "bold"], "'bold'"),
        (["train", "--heads", "mlp,psychic"], "unknown head 'psychic'; there are: mlp, vit"),
        (["train", "--add-heads", ""], "unknown head ''"),
        (["train", "--layers", "0"], "'0' is not a list of layers"),
        (["train", "--mix", "2"], "'2' is not a list of numbers from 0 to 1"),
        (
            ["train", "--strategy", "end-to-end", "--mix", "0.5", "--data", "."],
            "--mix belongs to fine-tuning",
        ),
        (
            ["train", "--add-heads", "gmlp", "--from-layer", "3", "--data", "."],
            "--from-layer belongs to fine-tuning",
        ),
        (["train", "--exit-weights", "heavy"], "nor 'half' or 'depth'"),
        (["table1", "--strategies", "end-to-end,bold"], "unknown strategy 'bold'"),
        (["table1", "--px", "0"], "'0' is not a whole number"),
        (["export"], "--exit"),
        (["export", "--exit", "1", "--format", "exe"], "exe"),
    ],
)
def test_bad_arguments(refused, args, words):
    assert words in refused(*args)


@pytest.mark.parametrize(
    "args, words",
    [
        (["--head", "psychic"], "unknown head 'psychic'; there are: mlp, vit"),
        (["--head", "vit"], "has no head 'vit'; it has: mlp, cnn_ignore, resmlp"),
        (
            ["--task", "imagenet"],
            f"no weights for imagenet/{BACKBONE} .*there are: cifar10/{BACKBONE}",
        ),
        (["--backbone", "vit_huge"], "no weights for cifar10/vit_huge"),
        (["--device", "tpu"], "device 'tpu' is not available here; use cpu"),
        (["--device", "cuda:99"], "device 'cuda:99' is not available here"),
    ],
)
@pytest.mark.parametrize("name", ["trace", "evaluate", "export"])
def test_an_unknown_head_task_backbone_or_device(tiny_weights, refused, photo, name, args, words):
    start = {
        "trace": ["trace", photo],
        "evaluate": ["evaluate", "--data", "."],
        "export": ["export", "--exit", "1"],
    }[name]
    assert re.search(words, refused(*start, *args, "--json"))


@pytest.mark.parametrize(
    "data, words",
    [
        (b"no picture", "not a picture"),
        (b"", "file is empty|not a picture"),
        (None, "cannot be read: No such file"),
    ],
    ids=["text", "empty", "missing"],
)
def test_a_picture_that_is_none(tiny_weights, refused, tmp_path, data, words):
    file = tmp_path / "photo.png"
    if data is not None:
        file.write_bytes(data)
    for name in (["trace", file], ["deadline", file, "--ms", "5"]):
        assert re.search(words, refused(*name))
    assert "cannot be read" in refused("trace", tmp_path)  # a folder


@pytest.mark.parametrize("ms", ["nan", "inf", "0", "-5", "1e9"])
def test_a_deadline_that_is_no_time(tiny_weights, refused, photo, ms):
    assert "deadline" in refused("deadline", photo, "--ms", ms, "--json")


def test_data_that_is_not_there(tiny_weights, refused, tmp_path):
    assert "pass --data DIR or set MVIT_DATA" in refused("evaluate", "--json")
    assert "no such data folder" in refused("evaluate", "--data", tmp_path / "nowhere")
    assert "no test split of cifar10" in refused("evaluate", "--data", tmp_path)
    assert "no data folder" in refused("train")
    assert "no train split of cifar10" in refused("train", "--data", tmp_path)
    (tmp_path / "bare").mkdir()
    assert "0 class folders" in refused("train", "--data", tmp_path / "bare", "--task-name", "mine")
    assert "cannot name a task" in refused("train", "--data", tmp_path, "--task-name", "my task")
    assert "for tasks with classes" in refused(
        "train", "--data", tmp_path, "--task", "crowd", "--strategy", "end-to-end"
    )
    assert "no weights for cifar10/" in refused(
        "train", "--data", tmp_path, "--add-heads", "gmlp", "--name", "nothing"
    )
    assert "unknown task 'mine'; there are: cifar10, cifar100" in refused(
        "train", "--data", tmp_path, "--task", "mine"
    )


def test_an_architecture_that_cannot_be_cut_at_its_blocks(refused, tmp_path):
    for split in ("train", "test"):
        for name in "ab":
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(3):
                Image.fromarray(picture(i)).save(tmp_path / split / name / f"{i}.png")
    for name in ("resnet18", "vit_colossal"):
        line = refused(
            "train",
            "--data",
            tmp_path,
            "--task-name",
            "mine",
            "--backbone",
            name,
            "--init",
            tmp_path / "x",
            "--run",
            tmp_path,
            "--device",
            "cpu",
        )
        assert f"'{name}' cannot be a backbone" in line


def test_an_exit_that_is_not_there(tiny_weights, refused, tmp_path):
    assert "layer 13" in refused(
        "export", "--exit", "13", "--head", "mlp", "--format", "pt2", "--out", tmp_path / "x.pt2"
    )
    assert "no folder" in refused(
        "export",
        "--exit",
        "1",
        "--head",
        "mlp",
        "--format",
        "pt2",
        "--out",
        tmp_path / "nowhere" / "x.pt2",
    )


def test_a_real_process_keeps_standard_output_clean_and_its_exit_status(tiny_weights, test_split):
    start = [sys.executable, "-m", "mvit", "evaluate", "--head", "mlp", "--device", "cpu", "--json"]
    home = Path(mvit.__file__).parent.parent
    good = subprocess.run(
        [*start, "--data", test_split, "--limit", "4"],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=300,
    )
    # the progress bar and warnings went elsewhere
    assert good.returncode == 0 and json.loads(good.stdout)["n"] == 4
