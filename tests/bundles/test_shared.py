"""Two bundles with one backbone hold its file once; the second is refused by name without the
first, or with another one in its place."""

import json
import shutil

import pytest
from bundles import BACKBONE
from toys import same, snapshot
from visit import png

import mvit
from mvit.bundles import first_view, opening, weights
from mvit.bundles.weights import WeightsError
from mvit.cli.main import main
from pages.parts import models

FILE = "backbone.safetensors"


@pytest.fixture
def beside(own_weights):
    """The folder of a second bundle, which uses the first one's backbone."""
    folder = own_weights / "cifar10" / "beside"
    shutil.copytree(own_weights / "cifar10" / BACKBONE, folder)
    (folder / FILE).unlink()
    told(folder, of=BACKBONE)
    return folder


def told(folder, **about) -> None:
    """Change what a card says of its backbone's file."""
    card = weights.read_card(folder)
    card["files"][FILE] |= about
    weights.write_card(folder, card)


def test_a_file_of_another_bundle_loads_as_if_it_were_there(beside):
    first, second = (mvit.load("cifar10", name, "cpu") for name in (BACKBONE, "beside"))
    assert same(snapshot(first), snapshot(second))
    assert weights.folders("cifar10", "beside") == [beside, beside.parent / BACKBONE]
    assert all(bundle["ok"] for bundle in weights.verify())


def test_a_model_is_read_anew_when_the_file_that_it_shares_changes(beside):
    before = models.load("cifar10", "beside", "cpu")
    assert models.load("cifar10", "beside", "cpu") is before
    shutil.copyfile(beside.parent / BACKBONE / FILE, beside.parent / "copy")
    (beside.parent / "copy").replace(beside.parent / BACKBONE / FILE)
    assert models.load("cifar10", "beside", "cpu") is not before


def gone(folder):
    shutil.rmtree(folder.parent / BACKBONE)


def replaced(folder):
    told(folder.parent / BACKBONE, sha256="0" * 64)


def unlisted(folder):
    card = weights.read_card(folder.parent / BACKBONE)
    del card["files"][FILE]
    weights.write_card(folder.parent / BACKBONE, card)


USES = f"beside/card.json refused: it uses the {FILE} of cifar10/"
WRONG = f"beside/card.json refused: the card is wrong: in files, in {FILE}, of is"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (gone, f"{USES}{BACKBONE}, which is not installed"),
        (replaced, f"{USES}{BACKBONE}, where it has been replaced since"),
        (unlisted, f"{USES}{BACKBONE}, where it has been replaced since"),
        (lambda folder: told(folder, of="../crowd"), f"{WRONG} '../crowd'"),
        (lambda folder: told(folder, of=".."), f"{WRONG} '..'"),
        (lambda folder: told(folder, of=5), f"{WRONG} 5"),
        (
            lambda folder: (folder.parent / BACKBONE / FILE).write_bytes(b"no"),
            f"{BACKBONE}/{FILE} refused: its sha256 differs",
        ),
    ],
)
def test_without_the_other_bundle_s_file_it_is_refused_by_name_in_one_sentence(
    damage, reason, beside, capsys
):
    damage(beside)
    with pytest.raises(WeightsError) as error:
        mvit.load("cifar10", "beside", "cpu")
    assert str(error.value).startswith(reason)
    with pytest.raises(WeightsError) as shown:  # once, not once a head
        models.load("cifar10", "beside", "cpu")
    assert str(shown.value) == str(error.value)
    assert [b["ok"] for b in weights.verify(only_backbone="beside")] == [False]
    assert main(["deadline", "x.png", "--ms", "9", "--backbone", "beside"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_recorded_run_holds_while_the_shared_file_does(beside, tmp_path, monkeypatch):
    picture = tmp_path / "cat.png"
    picture.write_bytes(png(0))
    monkeypatch.setattr(opening, "EXAMPLES", tmp_path)
    monkeypatch.setattr(opening, "opens_with", lambda: (beside, {"file": picture.name}))
    assert main(["trace", str(picture), "--backbone", "beside", "--record", "--json"]) == 0
    assert first_view.read(beside).weights.keys() == {FILE, "heads/mlp.safetensors"}
    (beside.parent / BACKBONE / FILE).write_bytes(b"other")
    assert first_view.read(beside) is None


def test_the_lab_s_own_bundles_hold_no_file_twice():
    seen = {}
    for card in sorted(weights.ROOT.glob("*/*/card.json")):
        for name, about in json.loads(card.read_text())["files"].items():
            if "of" not in about:
                assert about["sha256"] not in seen, f"{card.parent} and {seen[about['sha256']]}"
                seen[about["sha256"]] = f"{card.parent}/{name}"
    assert seen
