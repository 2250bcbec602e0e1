"""What tests of the commands share: a picture, a small test split, and functions that run a
command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from thin import picture
from toys import write_folder

from mvit.cli import main as cli
from mvit.data.labelled import Pictures
from mvit.tasks import CIFAR10_LABELS


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
    """A function that runs a command with --json on the CPU and returns its one JSON object."""

    def run(*args: object) -> dict:
        status = cli.main([*map(str, args), "--json", "--device", "cpu"])
        out = capsys.readouterr().out
        assert status == 0 and out.count("\n") == 1 and out.endswith("\n")
        return json.loads(out)

    return run


@pytest.fixture
def refused(capsys):
    """A function that runs a command that must end in status 2, nothing on standard output, and one
    line; returns the line."""

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
