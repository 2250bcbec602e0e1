"""Bad input to the commands ends in status 2 and one line that helps."""

import re

import pytest
import torch
from bundles import BACKBONE

from mvit.cli.main import main


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
            ["train", "--strategy", "end-to-end", "--drop-path", "0.5", "--data", "."],
            "--drop-path belongs to fine-tuning",
        ),
        (
            ["train", "--add-heads", "gmlp", "--from-layer", "3", "--data", "."],
            "--from-layer belongs to fine-tuning",
        ),
        (["train", "--exit-weights", "heavy"], "nor 'half' or 'depth'"),
        (["train", "--name", "x" * 61], "at most 60"),
        (["table1", "--strategies", "end-to-end,bold"], "unknown strategy 'bold'"),
        (["table1", "--px", "0"], "'0' is not a whole number"),
        (["grow", "--seed", "9" * 30], "is not a whole number from 0 to"),
        (["export"], "--exit"),
        (["export", "--exit", "1", "--format", "exe"], "exe"),
    ],
)
def test_bad_arguments(refused, args, words):
    assert words in refused(*args)


@pytest.mark.parametrize(
    "args, words",
    [
        (["--head", "psychic"], "has no head 'psychic'; it has: mlp, cnn_ignore, resmlp"),
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
        said = refused(*name)
        assert re.search(words, said) and file.name in said
    assert "cannot be read" in refused("trace", tmp_path)  # a folder


@pytest.mark.parametrize("ms", ["nan", "inf", "0", "-5", "1e9"])
def test_a_deadline_that_is_no_time(tiny_weights, refused, photo, ms):
    assert "deadline" in refused("deadline", photo, "--ms", ms, "--json")


def test_a_null_byte_is_in_no_name_of_a_file(tiny_weights, refused):
    assert "no file's name has one" in refused("trace", "a\0b.png")
    assert "no file's name has one" in refused("evaluate", "--data", "a\0b")


def test_data_that_is_not_there(tiny_weights, refused, tmp_path):
    assert "pass --data DIR or set MVIT_DATA" in refused("evaluate", "--json")
    told = refused("evaluate", "--data", tmp_path / "nowhere")
    assert "no such data folder" in told and "DIR holds a folder for each set" in told
    assert "no test split of cifar10" in refused("evaluate", "--data", tmp_path)
    assert "no data folder" in refused("train")
    assert "no train split of cifar10" in refused("train", "--data", tmp_path)
    (tmp_path / "bare").mkdir()
    assert "0 class folders" in refused("train", "--data", tmp_path / "bare", "--task-name", "mine")
    assert "cannot name a task" in refused("train", "--data", tmp_path, "--task-name", "my task")
    assert "for tasks with classes" in refused("ablation", "--data", tmp_path, "--task", "crowd")
    assert "no weights for cifar10/" in refused(
        "train", "--data", tmp_path, "--add-heads", "gmlp", "--name", "nothing"
    )
    assert "unknown task 'mine'; there are: cifar10, cifar100" in refused(
        "train", "--data", tmp_path, "--task", "mine"
    )


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


def test_a_place_that_takes_no_files_is_told_before_the_work(
    tiny_weights, refused, tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    below = tmp_path / "file" / "run"
    told = f"{tmp_path / 'file'}: Not a directory"
    assert told in refused("train", "--data", tmp_path, "--run", below)
    assert told in refused("grow", "--out", below)
    assert "Is a directory" in refused("export", "--exit", "1", "--head", "mlp", "--out", tmp_path)
    monkeypatch.setenv("MVIT_WEIGHTS", str(below))
    assert told in refused("train", "--data", tmp_path, "--run", tmp_path / "run")


def test_an_interrupted_command_ends_in_one_line(tiny_weights, photo, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("mvit.cli.trace.load", interrupted)
    assert main(["trace", photo]) == 130
    assert capsys.readouterr().err == "python -m mvit trace: interrupted\n"


@pytest.mark.parametrize("ask", [torch.empty, bytearray], ids=["PyTorch", "Python"])
def test_a_memory_that_is_too_small_is_told_in_one_line(
    refused, photo, tiny_weights, monkeypatch, ask
):
    monkeypatch.setattr("mvit.cli.trace.load", lambda _: ask(2**60))
    assert "the memory is too small" in refused("trace", photo)


def test_a_result_that_cannot_be_written_ends_in_one_line(tiny_weights, photo, monkeypatch, capfd):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert main(["trace", photo]) == 2
        said = capfd.readouterr().err
    assert said == (
        "python -m mvit trace: the result could not be written: No space left on device\n"
    )


@pytest.mark.parametrize("device", ["cuda:99", "tpu"])
def test_training_does_not_fall_back_to_another_device_without_a_word(refused, tmp_path, device):
    told = refused("train", "--data", tmp_path, "--device", device)
    assert f"device '{device}' is not available here" in told


def test_an_empty_name_is_not_taken_for_the_usual_one(tiny_weights, refused, photo):
    assert "--task is empty" in refused("trace", photo, "--task", "")
