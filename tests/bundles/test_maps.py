"""The maps of a bundle: written beside the other files, verified like them."""

import pytest
import torch
from bundles import BACKBONE, save_bundle
from thin import narrow

from mvit.bundles import maps as bundled_maps
from mvit.bundles.maps import load_maps, save_maps
from mvit.bundles.weights import WeightsError, verify
from mvit.models.people_map import people_maps
from mvit.tasks import CrowdTask


@pytest.fixture
def folder(tmp_path, monkeypatch):
    narrow(monkeypatch, px=384)
    save_bundle(tmp_path, CrowdTask("crowd"))
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path))
    return tmp_path / "crowd" / BACKBONE


def test_maps_join_a_bundle_and_change_no_other_file(folder):
    assert load_maps(folder) is None
    before = {f: f.read_bytes() for f in folder.rglob("*.safetensors")}
    maps = people_maps(64, (2, 6), hidden=16)
    card = save_maps(folder, maps, {"recipe": {"rounds": 1}})
    assert card["maps"]["layers"] == [2, 6] and card["maps"]["recipe"] == {"rounds": 1}
    assert all(f.read_bytes() == data for f, data in before.items())
    tokens = torch.randn(1, 5, 64)
    for layer, own in load_maps(folder).items():
        assert torch.allclose(own(tokens), maps[layer](tokens), atol=0.02)
    assert verify()[0]["ok"]


def test_an_interruption_before_the_card_leaves_the_old_maps_whole(folder, monkeypatch):
    old, new = people_maps(64, (2,)), people_maps(64, (2, 6))
    save_maps(folder, old, {})
    with monkeypatch.context() as fault:
        fault.setattr(bundled_maps, "write_card", stopped)
        with pytest.raises(KeyboardInterrupt):
            save_maps(folder, new, {})
    assert list(load_maps(folder)) == ["2"] and verify()[0]["ok"]
    for _ in range(2):
        save_maps(folder, new, {})
        assert list(load_maps(folder)) == ["2", "6"] and len(list(folder.glob("maps*"))) == 1


def stopped(*_):
    raise KeyboardInterrupt


def test_altered_maps_are_refused_by_name(folder):
    save_maps(folder, people_maps(64, (2,)), {})
    file = folder / "maps.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(WeightsError, match=r"maps\.safetensors refused"):
        load_maps(folder)
    assert "maps.safetensors" in verify()[0]["reason"]
