"""Fixtures of the page tests: example pictures, recorded predictions, and a small counter."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bundles import save_bundle
from PIL import Image
from recorded import record
from thin import narrow
from visit import open_app, png

from mvit.evaluation.counts import Counts, save_counts
from mvit.evaluation.predictions import Predictions
from mvit.inference import baseline
from mvit.scenes.drawing import render
from mvit.tasks import CrowdTask
from pages.parts import models, pictures
from pages.parts import recorded as recorded_parts


@pytest.fixture
def examples(tmp_path_factory, monkeypatch):
    """Three small example pictures, so that these tests do not depend on the bundled ones."""
    folder = tmp_path_factory.mktemp("examples")
    entries = []
    for name, truth in (("cat", "cat"), ("ship", "ship"), ("cup", None)):
        (folder / f"{name}.png").write_bytes(png(len(entries)))
        entries.append({"file": f"{name}.png", "title": f"A {name}", "truth": truth})
    (folder / "examples.json").write_text(json.dumps(entries))
    monkeypatch.setattr(pictures, "FOLDER", folder)
    return folder


@pytest.fixture(autouse=True)
def _measured_briefly(monkeypatch):
    """A few runs are enough where nobody looks at how steady a time is."""
    monkeypatch.setattr(baseline, "ROUNDS", 2)
    monkeypatch.setattr(baseline, "PASSES", 3)
    monkeypatch.setattr(recorded_parts, "REPEATS", 3)


@pytest.fixture(autouse=True)
def _nothing_measured_yet(monkeypatch):
    """The model stays loaded from test to test; what an earlier test measured with it is
    forgotten."""
    load, seen = models.load, []

    def fresh(*choice):
        bundle = load(*choice)
        if not any(bundle is known for known in seen):
            seen.append(bundle)
            bundle.runs.clear()
        return bundle

    monkeypatch.setattr(models, "load", fresh)


@pytest.fixture(scope="session")
def recorded_bundle(tiny_bundle, tmp_path_factory) -> tuple[Path, dict[str, Predictions]]:
    """A weights folder with the small bundle and made-up recorded predictions, and these."""
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("recorded") / "weights")
    return folder, record(folder)


@pytest.fixture
def recorded(recorded_bundle, monkeypatch) -> dict[str, Predictions]:
    """The recorded predictions of each split; their bundle is in force, shared and read only."""
    monkeypatch.setenv("MVIT_WEIGHTS", str(recorded_bundle[0]))
    return recorded_bundle[1]


@pytest.fixture(scope="session")
def counter(tmp_path_factory):
    """A weights folder with a narrow untrained counter beside no other bundle, and recorded
    counts."""
    folder = tmp_path_factory.mktemp("counters")
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch, px=384)
        card = save_bundle(folder, CrowdTask("crowd"))
    exits = [(e["layer"], e["head"]) for e in card["exits"]] + [(12, "final")]
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 40, (9, 6))
    names = [f"part_A/{i}" for i in range(9)]
    counts = Counts(exits, truth + rng.normal(0, 3, (len(exits), 9, 6)), truth, names=names)
    save_counts(next((folder / "crowd").iterdir()), {"val": counts, "test": counts})
    return folder


@pytest.fixture
def lab(counter, tmp_path, monkeypatch):
    """Opens the page with the small counter and two drawn examples."""
    for name, size in (("wide", (240, 160)), ("upright", (160, 240))):
        Image.fromarray(render(5, 1, size).picture).save(tmp_path / f"{name}.png")
    entries = [
        {"file": f"{n}.png", "title": f"{n} scene", "truth": "5", "task": "crowd"}
        for n in ("wide", "upright")
    ]
    (tmp_path / "examples.json").write_text(json.dumps(entries))
    monkeypatch.setattr(pictures, "FOLDER", tmp_path)
    monkeypatch.setenv("MVIT_WEIGHTS", str(counter))
    narrow(monkeypatch, px=384)
    return lambda **link: open_app("crowd", **link)


@pytest.fixture
def with_counter(counter, tiny_bundle, tmp_path, monkeypatch) -> None:
    """The small bundle and the small counter, both in force."""
    for folder in (counter, tiny_bundle):
        for task in folder.iterdir():
            (tmp_path / task.name).symlink_to(task)
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    narrow(monkeypatch, px=384)
