"""The documents' Python runs as it stands, and the names they promise exist."""

import importlib
import re
from pathlib import Path

import pytest

import mvit

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"```python\n(.*?)```", re.S)
NAME = re.compile(r"`(mvit(?:\.\w+)+)[`(]")
LINE = re.compile(r"(\d+) (\w+) (\d+)% \d+\.\d ms (\d+)")


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
