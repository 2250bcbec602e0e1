"""ViT-B/16 that was grown and then trained: it stands beside ViT-Ti/16 with its own figures; where
it is refused, the network grown from ViT-Ti takes its place."""

import shutil

import pandas as pd
import pytest
from bundles import BACKBONE, HEADS, save_bundle
from recorded import record
from thin import two_widths
from visit import metric, open_app, well

from mvit.bundles import delta, weights
from mvit.charts import compared
from mvit.models.growth import grow
from mvit.tasks import CIFAR10_LABELS, Task
from pages.parts import models

BASE = "vit_base_patch16_224"
ACCURACY = 0.9312
GROWN = f"{BACKBONE}'s answers"
pytestmark = pytest.mark.usefixtures("examples")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A weights folder with a small bundle of two layers, and one grown from it and trained."""
    folder = tmp_path_factory.mktemp("trained") / "weights"
    with pytest.MonkeyPatch.context() as patch:
        two_widths(patch)
        small = save_bundle(folder, Task("cifar10", CIFAR10_LABELS, native_px=32, input_px=64))
        source = folder / "cifar10" / BACKBONE
        grown, model = (grow(weights.read(source, "cifar10"), BASE) for _ in range(2))
        for parameter in model.parameters():
            parameter.data += 0.01
        held = delta.changes(model, grown, 2)
        exits = [e | {"macs": model.exit_macs(e["layer"], e["head"])} for e in small["exits"]]
        final = {"accuracy": ACCURACY, "macs": model.exit_macs(*model.final_exit)}
        of = delta.origin(source, HEADS, 2)
        card = small | {"architecture": BASE, "strategy": "classifier-wise", "delta": of}
        card |= {"exits": exits, "final": final, "init": f"the bundle cifar10/{BACKBONE}"}
        weights.save(model, folder / "cifar10" / BASE, card, {"rank": 2}, changes=held)
    record(folder)
    record(folder, BASE)
    return folder


@pytest.fixture
def trained(made, tmp_path, monkeypatch):
    """This test's own copy of that folder, in force; networks have two layers."""
    two_widths(monkeypatch)
    folder = shutil.copytree(made, tmp_path / "weights")
    monkeypatch.setenv("MVIT_WEIGHTS", str(folder))
    return folder


def said(app) -> str:
    parts = [app.markdown, app.caption, app.info, app.warning, app.subheader]
    return " ".join(str(e.value) for kind in parts for e in kind)


def test_it_is_offered_second_without_the_badge_of_a_grown_one(trained):
    app = well(open_app("watch", head="mlp"))
    choice = app.selectbox(key="backbone")
    assert choice.value == BACKBONE and choice.options == [BACKBONE, BASE]
    assert "is grown from" not in choice.help
    app = well(open_app("watch", head="mlp", backbone=BASE))
    assert app.selectbox(key="backbone").value == BASE and GROWN not in said(app)
    assert app.dataframe[0].value.macs.iloc[-1] == weights.card_of("cifar10", BASE)["final"]["macs"]


@pytest.mark.parametrize("page", ["compare", "lesson", "rules", "budget", "latency"])
def test_every_page_takes_it(page, trained):
    app = well(open_app(page, backbone=BASE))
    assert app.selectbox(key="backbone").value == BASE and GROWN not in said(app)


def test_the_paper_s_page_has_its_own_figures_and_tells_where_it_differs(trained):
    app = well(open_app("paper", backbone=BASE))
    assert f"{100 * ACCURACY:.2f}" in said(app) + app.table[0].value.to_string()
    assert f"This one was grown from `{BACKBONE}`, and at full width it learned from" in said(app)
    assert "It was chosen because a laptop" not in said(app)


def test_the_models_page_tells_what_is_kept_of_it(trained):
    app = well(open_app("models", backbone=BASE, card=f"cifar10/{BASE}"))
    assert metric(app, "Final exit") == "93.1 %"
    [disk] = [m for m in app.metric if m.label == "On disk"]
    assert f"grown from {BACKBONE} at every load" in disk.help
    told = next(t.value for t in app.dataframe if "training" in t.value)
    kept = told[told.what == "Kept as"].value.item()
    assert kept == (
        f"what training changed in the network grown from cifar10/{BACKBONE}, "
        "at rank 8 in the layers and 2 in the exits"
    )


def test_the_race_tells_it_from_the_small_one(trained):
    app = well(open_app("latency", backbone=BACKBONE, against=BASE, example="cat"))
    assert f"A larger network, grown from {BACKBONE} and then trained" in said(app)
    assert GROWN not in said(app)
    found = ("No crossing", "Crossing at", "The lead changes")
    assert any(words in said(app) for words in found)


def test_like_every_large_model_it_is_kept_only_until_the_next_one(trained):
    first = models.load("cifar10", BASE, "cpu")
    assert models.load("cifar10", BASE, "cpu") is first
    models.load("cifar10", BASE, "cpu", "float32", "timm")
    assert models.load("cifar10", BASE, "cpu") is not first


def other_rank(folder):
    card = weights.read_card(folder / "cifar10" / BASE)
    card["delta"]["rank"] = 9
    weights.write_card(folder / "cifar10" / BASE, card)


def retrained(folder):
    card = weights.read_card(folder / "cifar10" / BASE)
    card["delta"]["files"]["backbone.safetensors"] = "0" * 64
    weights.write_card(folder / "cifar10" / BASE, card)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (other_rank, "backbone.safetensors is the change of a network with another rank"),
        (retrained, f"it was trained from cifar10/{BACKBONE}, whose backbone.safetensors has been"),
    ],
)
def test_where_it_is_refused_the_grown_one_is_shown_and_badged(damage, reason, trained):
    damage(trained)
    app = well(open_app("watch", head="mlp", backbone=BASE))
    [warning] = [w.value for w in app.warning if "refused" in w.value]
    assert warning.startswith(f"cifar10/{BASE} refused: {reason}")
    assert f"Until then you see the network grown from {BACKBONE}" in warning
    assert GROWN in said(app)
    assert f"**{BASE}** is grown from {BACKBONE}" in app.selectbox(key="backbone").help
    app = open_app("models", backbone=BASE)  # no figures of another network under its name
    assert [e.value for e in app.error] == [warning.partition(". Until then")[0]]
    assert app.selectbox(key="card").options == [f"CIFAR-10 · {BACKBONE}"]


def test_without_its_source_it_is_refused_once_by_name(trained):
    shutil.rmtree(trained / "cifar10" / BACKBONE)
    app = open_app("watch", backbone=BASE)
    [error] = [e.value for e in app.error]
    assert error.startswith(
        f"{BASE}/card.json refused: it was trained from cifar10/{BACKBONE}, which"
    )
    assert error.count("refused") == 1 and not app.exception


def test_the_work_of_a_large_head_is_told_in_whole_millions():
    macs = {"mlp": 480_768, "vit": 1_454_435_328}
    rows = pd.DataFrame({"layer": 6, "head": macs.keys(), "own_macs": macs.values()})
    told = compared.dearest(rows, 6, "macs")
    assert "adds 481 thousand MACs" in told and told.endswith("vit, which adds 1,454 million MACs")
