"""The documents' Python runs as it stands, and the names they promise exist."""

import importlib
import re
from pathlib import Path

import pytest

import mvit
from mvit.bundles import weights
from mvit.evaluation.counts import load_counts

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```python\n(.*?)```", re.S)
NAME = re.compile(r"`(mvit(?:\.\w+)+)[`(]")
LINE = re.compile(r"(\d+) (\w+) (\d+)% \d+\.\d ms (\d+)")

RESULTS = {  # bundle: how its row in the README begins
    ("cifar10", "vit_tiny_patch16_224"): "CIFAR-10, {} exits, backbone kept",
    ("cifar10", "vit_tiny_patch16_224_end_to_end"): "CIFAR-10, {} exits (heads `mlp`, `vit`)",
    ("cifar100", "vit_tiny_patch16_224"): "CIFAR-100, {} exits, backbone kept",
    ("cifar100", "vit_tiny_patch16_224_end_to_end"): "CIFAR-100, {} exits (heads `mlp`, `vit`)",
    ("cifar10", "vit_base_patch16_224"): "CIFAR-10, ViT-B/16 grown from the mean",
    ("cifar100", "vit_base_patch16_224"): "CIFAR-100, ViT-B/16 grown from the mean",
    ("imagenet1k", "vit_tiny_patch16_224"): "any photo, 1,000 things, {} exits (the 84",
    ("imagenet1k", "vit_tiny_patch16_224_end_to_end"): "any photo, backbone and exits taught",
}


def cells(beginning: str) -> list[str]:
    """The figures in the README's row that begins so."""
    lines = (ROOT / "README.md").read_text().splitlines()
    [row] = [line for line in lines if line.startswith(f"| {beginning}")]
    return [cell.removesuffix(" %") for cell in row.strip("| ").split(" | ")[1:]]


@pytest.mark.parametrize("bundle", RESULTS, ids="/".join)
def test_the_readme_s_accuracies_are_the_cards(bundle):
    card = weights.card_of(*bundle)
    exits = card["exits"]
    best = [max(e["accuracy"] for e in exits if e["layer"] == layer) for layer in (9, 6, 3)]
    wanted = [f"{100 * share:.1f}" for share in (card["final"]["accuracy"], *best)]
    assert cells(RESULTS[bundle].format(len(exits))) == wanted


COUNTER, TOGETHER = "vit_tiny_patch16_384", "vit_tiny_patch16_384_end_to_end"


@pytest.mark.parametrize(
    ("backbone", "part", "name"),
    [
        (COUNTER, "part_A", "ShanghaiTech A, dense crowds (mean {:.0f})"),
        (COUNTER, "part_B", "ShanghaiTech B, streets (mean {:.0f})"),
        (TOGETHER, "part_A", "A, exits taught together with the backbone"),
        (TOGETHER, "part_B", "B, exits taught together with the backbone"),
        (COUNTER, "beijing_brt", "Beijing-BRT, a bus stop (mean {:.0f})"),
        (TOGETHER, "beijing_brt", "Beijing-BRT, exits taught together with the backbone"),
    ],
)
def test_the_readme_s_counts_are_the_cards(backbone, part, name):
    bundle = ("crowd", backbone)
    split, test = weights.card_of(*bundle)["splits"][part], load_counts(weights.folder(*bundle))
    own = [n.startswith(part) for n in test["test"].names]
    mean = test["test"].truth[own].sum(1).mean()
    best = [
        min(e["mae"] for e in split["exits"] if e["layer"] in layers)
        for layers in (range(1, 12), [8], [4])
    ]
    wanted = [f"{off:.1f}" for off in (split["final"]["mae"], *best)]
    assert cells(name.format(mean)) == wanted


def test_the_readme_shows_a_lazy_run_that_stops_when_sure(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    [block] = BLOCK.findall((ROOT / "README.md").read_text())
    exec(block, {})
    said = [LINE.fullmatch(line) for line in capsys.readouterr().out.splitlines()]
    assert len(said) >= 2 and all(said)
    layers, macs = ([int(line[at]) for line in said] for at in (1, 4))
    assert layers == sorted(set(layers)) and macs == sorted(set(macs))
    sure = [int(line[3]) >= 90 for line in said]
    assert not any(sure[:-1]) and said[-1][2] == "cat"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_name_that_a_document_promises_exists(document):
    for name in set(NAME.findall(document.read_text())):
        module, _, attribute = name.rpartition(".")
        try:
            assert hasattr(importlib.import_module(module), attribute), name
        except ModuleNotFoundError:
            importlib.import_module(name)


def test_the_library_answers_by_a_deadline_as_the_readme_says():
    model = mvit.load("cifar10", "vit_tiny_patch16_224")
    image = mvit.images.read_image((ROOT / "examples" / "cat.jpg").read_bytes())
    answer = mvit.answer_by(model, image, deadline_ms=60_000, plan=model.practical("resmlp"))
    assert answer.ready and answer.exit.layer == 12
