"""`train` and `table1`: what the options say reaches the study, what would be ignored is refused,
and the end is told."""

import re
from pathlib import Path

import pytest
from bundles import BACKBONE
from PIL import Image
from thin import picture

from mvit.cli import train as train_command


@pytest.fixture
def studies(monkeypatch) -> list:
    """The studies that `train` would have carried out, in turn."""
    asked = []
    monkeypatch.setattr(
        train_command, "train", lambda study: asked.append(study) or {"task": study.task.name}
    )
    return asked


def test_train_hands_over_what_the_options_say(tmp_path, command, studies):
    for name in "ab":
        (tmp_path / name).mkdir()
    options = (
        "--task-name mine --init start.safetensors --stages 96:3,224:0.5 --batch 16 "
        "--exit-batch 24 --rates 1e-3,1e-4 --max-rounds 7 --learning-rate 3e-4 --seed 5 --limit 100"
    )
    command("train", "--data", tmp_path, "--run", tmp_path / "r", *options.split())
    command("train", "--data", tmp_path)
    study, usual = studies
    assert (study.task.name, study.task.labels) == ("mine", ("a", "b"))
    assert (study.data, study.run) == (tmp_path, tmp_path / "r")
    recipe, exits = study.recipe, study.exits
    assert recipe.stages == ((96, 3.0), (224, 0.5))
    assert (recipe.batch, recipe.learning_rate, recipe.seed) == (16, 3e-4, 5)
    assert (exits.batch, exits.rates, exits.max_rounds, exits.seed) == (24, (1e-3, 1e-4), 7, 5)
    assert (str(study.init), study.limit) == ("start.safetensors", 100)
    assert (study.test_limit, study.device) == (None, "cpu")
    assert (usual.task.name, usual.run) == ("cifar10", Path("runs/cifar10"))
    # the defaults, untouched
    assert usual.recipe == type(recipe)() and usual.exits == type(exits)()


def test_train_hands_over_strategies_and_exits(tmp_path, command, studies):
    options = (
        "--strategy end-to-end --heads cnn_ignore,gmlp --layers 9,3 --exit-weights 0.2,0.8 "
        "--exit-rate 2e-3 --layer-decay 0.95 --stages none --init weights/x"
    )
    command("train", "--data", tmp_path, *options.split())
    command("train", "--data", tmp_path, "--strategy", "layer-wise")
    first, second = studies
    assert (first.strategy, first.heads) == ("end-to-end", ("cnn_ignore", "gmlp"))
    assert (first.layers, first.exit_weights) == ((3, 9), (0.2, 0.8))
    recipe = first.recipe
    assert (recipe.exit_rate, recipe.layer_decay, recipe.stages) == (2e-3, 0.95, ())
    assert first.bundle == f"{BACKBONE}_end_to_end" and second.bundle == f"{BACKBONE}_layer_wise"
    assert (second.heads, second.layers) == (("cnn_ignore",), None)
    assert second.recipe == type(recipe)()


def test_table1_hands_over_its_budget(tmp_path, command, monkeypatch):
    tables = []
    monkeypatch.setattr(
        train_command, "measure", lambda table, say: tables.append(table) or {"rows": []}
    )
    options = "--images 640 --px 64 --batch 32 --layer 4 --heads mlp --strategies end-to-end"
    command("table1", "--data", tmp_path, *options.split())
    [table] = tables
    budget = table.budget
    assert (budget.images, budget.px, budget.batch, budget.seed) == (640, 64, 32, 0)
    assert (table.layer, table.heads, table.strategies) == (4, ("mlp",), ("end-to-end",))
    assert table.study.task.name == "cifar10"


def test_heads_are_added_to_the_bundle_that_is_named(tiny_weights, tmp_path, command, monkeypatch):
    asked = []
    monkeypatch.setattr(
        train_command,
        "add_heads",
        lambda *given: asked.append(given) or {"task": given[0].task.name},
    )
    options = "--add-heads gmlp,fnet --exit-batch 16 --into beside"
    command("train", "--data", tmp_path, *options.split())
    [(study, heads, into)] = asked
    assert (study.task.name, study.task.input_px, study.bundle) == ("cifar10", 64, BACKBONE)
    assert (heads, into, study.exits.batch) == (("gmlp", "fnet"), "beside", 16)


def test_an_architecture_that_cannot_be_cut_at_its_blocks(refused, tmp_path):
    for split in ("train", "test"):
        for name in "ab":
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(3):
                Image.fromarray(picture(i)).save(tmp_path / split / name / f"{i}.png")
    for name in ("resnet18", "vit_colossal"):
        own = ("--data", tmp_path, "--task-name", "mine", "--run", tmp_path, "--device", "cpu")
        line = refused("train", *own, "--backbone", name, "--init", tmp_path / "x")
        assert f"'{name}' cannot be a backbone" in line


@pytest.mark.parametrize(
    "args, words",
    [
        ("--task crowd --stages 96:1", "--stages belongs to .*; --task crowd would ignore it"),
        (
            "--task crowd --mix 0.5",
            r"--mix belongs to fine-tuning \(--strategy classifier-wise\), ",
        ),
        ("--task crowd --batch 8", "--batch belongs to"),
        ("--task crowd --exit-rate 1e-3", "--exit-rate belongs to --strategy end-to-end, "),
        ("--strategy end-to-end --max-rounds 3", "--max-rounds belongs to fine-tuning"),
        (
            "--strategy layer-wise --exit-weights half",
            "--exit-weights belongs to --strategy end-to",
        ),
        ("--strategy end-to-end --rates 1e-3", "--rates belongs to"),
        ("--scenes 3", "--scenes belongs to --task crowd"),
        ("--zoom 1.5", "--zoom belongs to --task crowd"),
        ("--task crowd --zoom 0.5", "'0.5' is not a list of factors from 1 to 4"),
        ("--task crowd --repeat part_A", "'part_A' is not of the form SET:TIMES"),
        ("--exit-weights half", "--exit-weights belongs to --strategy end-to-end"),
        ("--into beside", "--into belongs to --add-heads"),
        ("--add-heads gmlp --init x", "--init belongs to"),
        ("--add-heads gmlp --learning-rate 1e-3", "--learning-rate belongs to"),
        ("--add-heads gmlp --strategy end-to-end", "--strategy belongs to"),
        ("--task crowd --strategy end-to-end --max-rounds 3", "--task crowd with --strategy end-"),
        ("--task crowd --strategy layer-wise --exit-weights half", "--exit-weights belongs to"),
        ("--name ../../x", "'../../x' cannot name a bundle"),
        ("--add-heads gmlp --into a/b", "'a/b' cannot name a bundle"),
        ("--name .hidden", "cannot name a bundle"),
        ("--learning-rate nan", "'nan' is not a list of learning rates"),
        ("--seed -1", "--seed"),
    ],
)
def test_an_option_that_would_be_ignored_or_lead_astray_is_refused(refused, tmp_path, args, words):
    assert re.search(words, refused("train", "--data", tmp_path, *args.split()))


def test_table1_refuses_what_its_strategies_do_not_read(refused, tmp_path):
    start = ("table1", "--data", tmp_path, "--strategies", "end-to-end", "--rates", "1e-3")
    assert "--rates belongs to --strategies classifier-wise" in refused(*start)
    assert "--notes" in refused("table1", "--data", tmp_path, "--notes", "x")


def test_a_counter_gets_the_heads_and_layers_it_is_asked_for(tmp_path, command, studies):
    options = "--heads mlp --layers 12 --scenes 0 --test-limit 2 --tile-stages 64:8:4 --zoom 1.5"
    options += " --repeat part_A:3,part_B:2"
    command("train", "--task", "crowd", "--data", tmp_path, *options.split())
    [study] = studies
    assert (study.heads, study.layers, study.scenes, study.empties) == (("mlp",), (12,), 0, 16)
    assert (study.test_limit, study.recipe.stages) == (2, ((64, 8, 4),))
    assert (study.recipe.zoom, study.recipe.repeat) == (1.5, (("part_A", 3), ("part_B", 2)))


def test_sizes_that_the_patches_do_not_divide_are_refused_before_anything_is_read(
    refused, tmp_path, monkeypatch
):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    own = ("--data", tmp_path, "--task-name", "mine")
    wrong = "100 pixels cannot be cut into the patches of vit_tiny.*; take multiples of 16"
    for args in (
        ("train", *own, "--stages", "96:1,100:1"),
        ("train", *own, "--stages", "100:1", "--strategy", "end-to-end"),
        ("train", "--data", tmp_path, "--task", "crowd", "--tile-stages", "100:8:2"),
        ("table1", *own, "--px", "100"),
    ):
        assert re.search(wrong, refused(*args))
    line = refused("train", *own, "--layers", "3,13")
    assert "there is no layer 13; vit_tiny_patch16_224 has layers 1 to 12" in line


def test_the_end_of_a_training_is_told_in_a_few_lines():
    exits = [
        {"layer": b, "head": h, "accuracy": a}
        for b, h, a in ((6, "mlp", 0.5), (6, "vit", 0.75), (12, "mlp", 0.7), (12, "vit", 0.6))
    ]
    card = {"task": {"name": "pets"}, "n": 8, "final": {"accuracy": 0.9}, "exits": exits}
    card |= {"data": {"unreadable": ["a.png: broken"]}, "bundle": f"pets/{BACKBONE}"}
    lines = train_command.describe(card).splitlines()
    assert lines[0] == "Accuracy on 8 test pictures, by layer and head:"
    assert [line.split() for line in lines[1:4]] == [
        ["layer", "mlp", "vit"],
        ["6", "50.0%", "75.0%"],
        ["12", "70.0%", "60.0%"],
    ]
    assert lines[4:7] == [
        "final exit: 90.0%",
        "best head: vit, 75.0% after layer 6",
        "left out: 1 (named in card.json with the reason)",
    ]
    assert lines[7].endswith(f"pets/{BACKBONE}")
    assert lines[8].startswith("see it: python -m mvit trace PICTURE --task pets, or")
    counts = {
        "exits": [{"layer": 3, "head": "mlp", "mae": 12.3}, {"layer": 6, "head": "mlp", "mae": 9}]
    }
    counts |= {"task": {"name": "crowd"}, "n": 2, "final": {"mae": 10.0}, "data": {}}
    text = train_command.describe(counts | {"bundle": "crowd/mine"})
    assert "best head: mlp, 9.0 after layer 6" in text and "--task crowd --backbone mine" in text
