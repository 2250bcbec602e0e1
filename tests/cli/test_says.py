"""Commands say no more than an exit is sure of, and that a picture is unlike anything taught."""

import json

import numpy as np
import pytest
from PIL import Image

from mvit.cli import deadline
from mvit.cli.answer import I_DO_NOT_KNOW, speaker
from mvit.cli.main import main
from mvit.models.tree import tree_of
from mvit.tasks import TASKS

LABELS = TASKS["imagenet1k"].labels
EVENLY = [0.25 * (name in ("pug", "valley", "pizza", "teapot")) for name in LABELS]
PHOTO = "examples/cat.jpg"
TASK = ("--task", "imagenet1k", "--head", "lens", "--device", "cpu")


def told(capsys, *argv) -> str:
    assert main([*argv, *TASK]) == 0
    return capsys.readouterr().out


@pytest.fixture
def noise(tmp_path):
    file = tmp_path / "noise.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)).save(file)
    return str(file)


def test_trace_says_the_kind_of_thing_before_its_name(capsys):
    found = json.loads(told(capsys, "trace", PHOTO, "--json"))
    tree = tree_of("imagenet1k")
    names = {tree.spoken(node) for node in range(tree.classes)}
    first, last = found["exits"][0], found["final"]
    assert first["says"] not in names and first["sure"] >= 0.5
    assert last["says"] == "Egyptian cat" == last["prediction"]
    assert not found["unlike"]
    lines = told(capsys, "trace", PHOTO)
    assert first["says"] in lines and I_DO_NOT_KNOW not in lines


def test_trace_says_that_it_does_not_know_noise(capsys, noise):
    assert told(capsys, "trace", noise).startswith(I_DO_NOT_KNOW)
    assert json.loads(told(capsys, "trace", noise, "--json"))["unlike"]


def test_deadline_says_what_trace_says(capsys):
    found = json.loads(told(capsys, "deadline", PHOTO, "--ms", "60000", "--json"))
    assert found["says"] == "Egyptian cat" and found["sure"] == pytest.approx(found["confidence"])
    assert "Egyptian cat" in told(capsys, "deadline", PHOTO, "--ms", "60000")


def test_who_says_nothing_is_not_called_sure():
    found = {"deadline_ms": 5, "answered_ms": 4.0, "layer": 1, "head": "lens", "ready": True}
    found |= {"prediction": "tench", "confidence": 0.04}
    told = deadline.describe(found | speaker("imagenet1k", {})((1, "lens"), EVENLY))
    assert "prediction: not sure yet, 25\u00a0% for its best guess, by the lens exit" in told
    assert "tench, 4\u00a0% sure" in deadline.describe(found)


def test_a_command_says_the_name_that_people_know():
    bear = [float(name == "ice bear") for name in LABELS]
    assert speaker("imagenet1k", {})((12, "final"), bear)["says"] == "polar bear"


def test_a_task_without_a_tree_has_names_only(capsys):
    assert main(["trace", PHOTO, "--task", "cifar10", "--head", "mlp", "--json"]) == 0
    assert "says" not in json.loads(capsys.readouterr().out)["final"]
