"""Pages through Streamlit's own test client: first load, good and bad pictures, any link, missing
and damaged weights."""

import json
import random
import shutil
from pathlib import Path

import pandas as pd
import pytest
from bundles import BACKBONE, HEADS, save_bundle
from streamlit.testing.v1 import AppTest
from visit import metric, open_app, png, timeline, well

from mvit.tasks import CIFAR100_LABELS, Task
from pages.parts import pictures as picking
from pages.parts.timeline.page import WHY

pytestmark = pytest.mark.usefixtures("examples")

ROOT = Path(__file__).resolve().parents[2]


def rows(app: AppTest) -> pd.DataFrame:
    return app.session_state["_once_watch"][1]["exits"]


def test_first_load_shows_a_result_without_a_click(tiny_weights):
    app = well(open_app(dtype="float32"))
    assert app.title[0].value == "Watch exits fire"
    shown = timeline(app)
    assert shown["deadline"] is None and "; the plain network needs " in shown["finding"]
    labels = [e.label for e in rows(app)]
    assert set(labels[shown["settled"] :]) == {labels[-1]}
    assert labels[: shown["settled"]][-1:] != labels[-1:], "the first that stays, as none is sure"
    assert [e["ms"] for e in shown["exits"]] == [e.elapsed_ms for e in rows(app)]
    assert shown["parts"]["lamps"].count('class="lamp') == len(rows(app)) <= 5
    assert len(app.get("vega_lite_chart")) == 2 and len(app.get("bidi_component")) == 2
    assert any("live on this machine: CPU, float32" in m.value for m in app.markdown)
    assert any("replay of measured times" in m.value for m in app.markdown)


def test_the_table_holds_every_exit_of_the_run(tiny_weights):
    app = well(open_app(exits="all layers"))
    table = app.dataframe[0].value
    assert len(table) == 13 and table["head"].iloc[-1] == "final"
    assert (table.elapsed_ms.diff().dropna() > 0).all() and table.confidence.between(0, 1).all()
    assert (table.macs_run >= table.macs).all() and table.macs_run.is_monotonic_increasing
    assert f"{table.elapsed_ms.iloc[-1]:.1f} ms" in timeline(app)["parts"]["lamps"]


def test_run_again_measures_anew_and_speed_does_not(tiny_weights):
    app = well(open_app())
    before = rows(app)
    well(app.segmented_control(key="speed").set_value("1x").run())
    assert rows(app) is before
    well(app.button(key="run").click().run())
    assert rows(app) is not before


def test_choosing_heads_runs_exactly_these(tiny_weights):
    app = well(open_app(exits="all layers"))
    well(app.pills(key="head").set_value(["mlp", "resmlp"]).run())
    assert {e.head for e in rows(app)} == {"mlp", "resmlp", "final"} and len(rows(app)) == 25
    work = next(m.value for m in app.markdown if "the plain network's" in m.value)
    assert work.startswith(("#### mlp's answer is settled only", "#### With only mlp's exit after"))
    well(app.pills(key="head").set_value([]).run())
    assert len({e.head for e in rows(app)}) == 2  # none chosen: the best one


@pytest.mark.parametrize("asked", ["few useful exits", "practical exits", "all layers"])
def test_the_exits_that_run_are_named_with_the_reason_and_their_head_explained(asked, tiny_weights):
    app = well(open_app(exits=asked, head="mlp"))
    [said] = [c.value for c in app.caption if c.value.startswith("Exits that run: ")]
    layers = [f"layer {e.layer}" for e in rows(app)[:-1]]
    assert said.startswith(
        f"Exits that run: {', '.join([*layers, 'final'])}. {WHY[asked]}. **mlp**"
    )
    assert "reads only the class token" in said


def test_upload_of_a_good_picture_is_used(tiny_weights):
    app = well(open_app())
    well(app.segmented_control(key="example_source").set_value("Upload").run())
    well(app.file_uploader[0].set_value(("my secret.png", png(9), "image/png")).run())
    key = app.session_state["_once_watch"][0]
    assert picking.picture_of(png(9), "", None, "Upload").key in key
    assert "secret" not in app.dataframe[0].value.to_csv()


def test_upload_of_a_bad_file_is_one_sentence_and_keeps_the_last_picture(tiny_weights):
    app = well(open_app())
    well(app.segmented_control(key="example_source").set_value("Upload").run())
    well(app.file_uploader[0].set_value(("a.png", png(9), "image/png")).run())
    good = rows(app)
    app.file_uploader[0].set_value(("b.png", b"this is no picture", "image/png")).run()
    assert (
        len(app.error) == 1
        and "picture before it stays" in app.error[0].value
        and not app.exception
    )
    assert rows(app) is good and timeline(app)


def test_bad_upload_first_keeps_the_example(tiny_weights):
    app = well(open_app(example="ship"))
    before = rows(app)
    app.segmented_control(key="example_source").set_value("Upload").run()
    app.file_uploader[0].set_value(("b.svg", b"<svg/>", "image/svg+xml")).run()
    assert len(app.error) == 1 and len(rows(app)) == len(before) and timeline(app)


def test_link_restores_the_view(tiny_weights):
    app = well(open_app(head=["mlp", "resmlp"], example="ship", speed="1/10"))
    assert app.pills(key="head").value == ["mlp", "resmlp"]
    assert app.pills(key="example").value == "ship"
    assert app.segmented_control(key="speed").value == "1/10"
    assert not app.info


def test_illegal_link_values_are_mended_and_said(tiny_weights):
    app = well(
        open_app(
            head=["mlp", "zebra"],
            example="<b>x",
            speed="fast",
            task="cars",
            device="cuda:99",
            nonsense="1",
        )
    )
    said = " ".join(i.value for i in app.info)
    assert all(
        word in said for word in ("zebra", "speed = fast", "task = cars", "device = cuda:99")
    )
    assert app.pills(key="head").value == ["mlp"] and app.pills(key="example").value == "cat"
    assert rows(app)


def test_any_legal_link_reopens_the_same_view(tiny_weights):
    chance = random.Random(0)
    for _ in range(3):
        asked = {
            "head": chance.sample(HEADS, chance.randint(1, 3)),
            "example": chance.choice(["cat", "ship", "cup"]),
            "speed": chance.choice(["1x", "1/10", "1/100"]),
        }
        app = well(open_app(**asked))
        shown = {
            "head": app.pills(key="head").value,
            "example": app.pills(key="example").value,
            "speed": app.segmented_control(key="speed").value,
        }
        assert shown == asked
        again = well(
            open_app(
                **{k: v if isinstance(v, str) else list(v) for k, v in app.query_params.items()}
            )
        )
        assert (
            again.pills(key="head").value == asked["head"]
            and again.pills(key="example").value == asked["example"]
        )


def test_any_garbage_in_the_link_leaves_the_page_standing(tiny_weights):
    chance = random.Random(1)
    letters = "abc019-._%<>&=/\\'\"é中 "
    for _ in range(3):
        keys = ("head", "example", "speed", "task", "hide", "page")
        garbage = {k: "".join(chance.choices(letters, k=chance.randint(0, 30))) for k in keys}
        app = open_app(**garbage)
        assert not app.exception and not app.error and timeline(app)


def test_hide_removes_controls_and_keeps_the_value(tiny_weights):
    app = well(open_app(hide="head,upload,run,export", head="resmlp"))
    assert (
        {p.key for p in app.pills} == {"example"}
        and not app.button
        and not app.get("download_button")
    )
    assert {e.head for e in rows(app)} == {"resmlp", "final"}
    assert not [s for s in app.segmented_control if s.key == "example_source"]
    bare = well(open_app(hide="all,sidebar", example="ship"))
    assert not bare.pills and not bare.selectbox and timeline(bare)


def test_a_link_that_hides_all_shows_the_picture_once(tiny_weights):
    shown, bare = well(open_app()), well(open_app(hide="all"))
    assert shown.get("image") and not bare.get("image")


def test_models_page_shows_the_card(tiny_weights):
    app = well(open_app("models"))
    assert app.title[0].value == "Models" and BACKBONE in app.subheader[0].value
    assert metric(app, "Final exit") == "95.0 %" and metric(app, "Exits") == "36"
    hashes = json.loads((tiny_weights / "cifar10" / BACKBONE / "card.json").read_text())["files"]
    shown = " ".join(d.value.to_csv() for d in app.dataframe)
    assert (
        all(about["sha256"] in shown for about in hashes.values())
        and "untrained, for tests" in shown
    )


def test_verify_button_tells_intact_from_damaged(own_weights):
    app = well(open_app("models"))
    app.button(key="verify").click().run()
    assert len(app.success) == 1 and "intact" in app.success[0].value
    spoil(own_weights / "cifar10" / BACKBONE / "heads" / "mlp.safetensors")
    app.button(key="verify").click().run()
    assert not app.success and "mlp.safetensors" in app.error[0].value


def spoil(file) -> None:
    data = bytearray(file.read_bytes())
    data[-100] ^= 0xFF
    file.write_bytes(bytes(data))


@pytest.mark.parametrize("page", [None, "models"])
def test_no_weights_at_all_is_explained(page, tmp_path, monkeypatch):
    monkeypatch.setenv("MVIT_WEIGHTS", str(tmp_path / "nothing"))
    app = open_app(page)
    assert not app.exception and len(app.error) == 1 and "no weights" in app.error[0].value
    assert app.title


def test_a_damaged_head_is_named_and_the_others_work(own_weights):
    spoil(own_weights / "cifar10" / BACKBONE / "heads" / "resmlp.safetensors")
    app = well(open_app())
    assert "resmlp.safetensors" in app.warning[0].value and "sha256" in app.warning[0].value
    assert app.pills(key="head").options == ["mlp", "cnn_ignore"] and rows(app)


def test_a_damaged_backbone_is_named_and_another_model_offered(own_weights):
    save_bundle(own_weights, Task("cifar100", CIFAR100_LABELS, native_px=32, input_px=64))
    spoil(own_weights / "cifar10" / BACKBONE / "backbone.safetensors")
    app = open_app()
    assert not app.exception and "backbone.safetensors" in app.error[0].value
    assert any(f"cifar100/{BACKBONE}" in m.value for m in app.markdown)
    well(app.selectbox(key="task").set_value("cifar100").run())
    assert rows(app)[-1].head == "final"


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_damaged_card_is_refused_kindly_on_every_page(text, own_weights):
    (own_weights / "cifar10" / BACKBONE / "card.json").write_text(text)
    for page in (None, "models"):
        app = open_app(page)
        assert not app.exception and "card.json" in app.error[0].value


def test_no_examples_asks_for_a_picture(tiny_weights, examples):
    (examples / "examples.json").unlink()
    app = well(open_app())
    assert any("picture" in i.value for i in app.info) and app.file_uploader


def test_a_damaged_example_is_skipped_and_said(tiny_weights, examples):
    (examples / "cat.png").write_bytes(b"no picture")
    app = well(open_app())
    assert "A cat could not be read" in app.info[0].value and rows(app)


def test_auto_takes_the_model_trained_end_to_end_where_a_run_is_watched_in_time(own_weights):
    task, joint = own_weights / "cifar10", f"{BACKBONE}_end_to_end"
    shutil.copytree(task / BACKBONE, task / joint)
    app = well(open_app())
    assert {"auto", BACKBONE, joint} <= set(app.selectbox(key="backbone").options)
    assert any(f"**{joint}**" in c.value for c in app.sidebar.caption)
    said = f"The network here is {BACKBONE}; Watch opens on another, {joint}"
    assert not any(said in m.value for m in app.markdown)
    compare = well(open_app("compare"))
    assert any(f"**{BACKBONE}**: it has all heads" in c.value for c in compare.sidebar.caption)
    assert any(said in m.value for m in compare.markdown)
    lesson = well(open_app("lesson", step="2", hide="sidebar,teacher"))
    assert any(said in c.value for c in lesson.caption)
    # who cannot go to Watch need not be told of it
    locked = well(open_app("lesson", step="2", hide="sidebar,teacher,nav"))
    assert not any("Watch opens" in c.value for c in locked.caption)
    chosen = well(open_app("lesson", step="2", backbone=BACKBONE))
    assert not any("Watch opens" in c.value for c in chosen.caption)
    named = well(open_app(backbone=BACKBONE))
    assert named.session_state["_once_watch"][0][1] == BACKBONE


def test_the_finding_of_a_chart_is_a_heading_above_it(tiny_weights):
    app = well(open_app())
    findings = [m.value for m in app.markdown if m.value.startswith("#### ")]
    assert any("The final exit says" in text for text in findings)
    specs = [json.loads(c.proto.spec) for c in app.get("vega_lite_chart")]
    assert len(specs) == 2 == len(findings) and not any("title" in spec for spec in specs)
