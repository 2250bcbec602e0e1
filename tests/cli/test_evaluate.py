"""`evaluate` on a folder of one's own: the pictures that training kept, what is left out by name,
on any terminal."""

import io
import json
import os
import sys

import pytest
from bundles import save_bundle
from toys import colours, write_folder

from mvit.bundles import weights
from mvit.cli import main as cli
from mvit.data.splits import own_labels, three_parts
from mvit.tasks import Task

EVALUATE = ["evaluate", "--task", "mine", "--head", "mlp", "--device", "cpu"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of three classes, one of them not named in UTF-8, with a damaged picture; and a
    bundle of it whose card remembers what was kept for testing."""
    folder = write_folder(tmp_path / "flowers", colours(5))
    os.rename(os.fsencode(folder / "a"), os.fsencode(folder) + b"/caf\xe9")
    (folder / "b").rename(folder / "日本")
    (folder / "c" / "IMG_日.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "weights"))
    task = Task("mine", own_labels(folder), native_px=8, input_px=32)
    card = save_bundle(tmp_path / "weights", task)
    origin = three_parts(task, folder, 0)[2].origin
    weights.write_card(next((tmp_path / "weights").glob("*/*")), card | {"test_part": origin})
    return folder


def test_the_kept_pictures_are_measured_and_the_rest_is_named(own, capsys):
    assert cli.main([*EVALUATE, "--data", str(own), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["split"]) == (3, "the 20% that training kept (seed 0)")
    assert [line.split(": ")[0] for line in found["left_out"]] == [f"{own}/c/IMG_日.heic"]
    assert cli.main([*EVALUATE, "--data", str(own), "--limit", "2"]) == 0
    out = capsys.readouterr().out
    assert "on 2 test pictures" in out and f"left out: 1\n  {own}/c/IMG_日.heic: " in out
    assert "official" not in out


def test_other_pictures_are_refused(own, capsys):
    next((own / "c").glob("*.png")).unlink()
    assert cli.main([*EVALUATE, "--data", str(own)]) == 2
    assert "cannot be told from the others" in capsys.readouterr().err


def test_a_terminal_without_unicode_shows_the_rest(own, monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", screen)
    assert cli.main([*EVALUATE, "--data", str(own)]) == 0
    screen.flush()
    assert rb"IMG_\u65e5.heic" in screen.buffer.getvalue()
