"""The sidebar's choices: number format, and a network that is grown when it is loaded."""

import pytest
from bundles import BACKBONE
from thin import thin_base
from visit import open_app, well

from mvit.inference import precision

BASE = "vit_base_patch16_224"


@pytest.fixture
def probed(monkeypatch) -> list[str]:
    """A probe that always finds bfloat16 faster; what it was asked."""
    asked, real = [], precision.without_probe
    found = precision.Choice("bfloat16", "2.00 times faster than float32 with the same answers")
    monkeypatch.setattr(
        precision,
        "without_probe",
        lambda device, override="auto": None if override == "auto" else real(device, override),
    )
    monkeypatch.setattr(
        precision,
        "choose_dtype",
        lambda model, pictures=None, override="auto", n=5: asked.append(override) or found,
    )
    return asked


def test_the_number_format_is_probed_shown_and_can_be_overridden(probed, own_weights):
    app = well(open_app("watch"))
    assert probed == ["auto"] and any("CPU, bfloat16" in m.value for m in app.markdown)
    assert any("**bfloat16**: 2.00 times faster" in c.value for c in app.sidebar.caption)
    before = app.session_state["_once_watch"]
    well(app.selectbox(key="dtype").set_value("float32").run())
    assert any("CPU, float32" in m.value for m in app.markdown)
    assert any(
        "**float32**: chosen by hand" in c.value for c in app.sidebar.caption
    ) and probed == ["auto"]
    assert app.session_state["_once_watch"] is not before, "another number format is measured anew"


def test_the_engine_is_said_and_can_be_chosen(tiny_weights):
    app = well(open_app("watch", engine="timm"))
    assert any("Engine **timm float32**: chosen by hand" in c.value for c in app.sidebar.caption)
    before = app.dataframe[0].value
    well(app.selectbox(key="engine").set_value("packed").run())
    [line] = [c.value for c in app.sidebar.caption if c.value.startswith("Engine")]
    assert "times as fast as timm's layers here" in line or "timm float32" in line
    assert (before.confidence - app.dataframe[0].value.confidence).abs().max() < 1e-4


def test_vit_b_is_offered_grown_and_badged_with_its_own_cost_and_the_small_one_s_answers(
    own_weights,
):
    small = well(open_app("watch", dtype="float32", head="mlp"))
    large = well(open_app("watch", dtype="float32", head="mlp", backbone=BASE))
    assert small.selectbox(key="backbone").options == [BACKBONE, BASE]
    tables = [app.dataframe[0].value for app in (small, large)]
    assert tables[0].label.tolist() == tables[1].label.tolist()
    assert (tables[0].confidence - tables[1].confidence).abs().max() < 1e-4
    assert (tables[1].macs > 8 * tables[0].macs).all()
    assert any(f"grown: {BACKBONE}'s answers" in m.value for m in large.markdown)
    assert not any("grown:" in m.value for m in small.markdown)


@pytest.mark.parametrize(
    "page", ["compare", "latency", "rules", "budget", "paper", "lesson", "models"]
)
def test_every_page_takes_the_grown_network(page, tiny_weights, monkeypatch):
    thin_base(monkeypatch)
    app = well(open_app(page, backbone=BASE, dtype="float32"))
    assert app.selectbox(key="backbone").value == BASE
