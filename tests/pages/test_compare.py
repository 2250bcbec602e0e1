"""The page "Compare heads" through Streamlit's test client, and the tables and charts behind it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bundles import BACKBONE, HEADS
from visit import open_app, png, well

from mvit.charts import compare as charts_compare
from mvit.charts import compared
from mvit.charts.text import cell_lines, short_names
from mvit.inference.explain import METHODS
from mvit.models.multi_exit import FINAL
from pages.parts import models

pytestmark = pytest.mark.usefixtures("examples")


def rows(app, name: str = "compare") -> pd.DataFrame:
    return app.session_state[f"_once_{name}"][1]["rows"]


def test_first_load_compares_two_heads_without_a_click(tiny_weights):
    app = well(open_app("compare"))
    assert app.title[0].value == "Compare heads"
    assert len(rows(app)) == 12 * len(HEADS) + 1 and set(rows(app)["head"]) == {*HEADS, FINAL}
    assert len(app.get("vega_lite_chart")) == 5  # the map, two panes, time and work
    assert len(app.get("imgs")) >= 2 or len(app.get("image")) >= 2
    assert app.selectbox(key="left").value != app.selectbox(key="right").value
    assert any("live on this machine" in m.value for m in app.markdown)


def test_both_sides_share_the_layer(tiny_weights):
    app = well(open_app("compare"))
    well(app.slider(key="layer").set_value(3).run())
    sides = [s.value for s in app.subheader if "after layer" in s.value]
    assert len(sides) == 2 and all("after layer 3:" in s for s in sides)


def test_the_layer_does_not_run_the_network_again(tiny_weights):
    app = well(open_app("compare"))
    before = rows(app)
    well(app.slider(key="layer").set_value(9).run())
    assert rows(app) is before


def test_link_restores_the_view(tiny_weights):
    app = well(
        open_app("compare", left="resmlp", right="mlp", layer="9", look="saliency", example="ship")
    )
    assert (app.selectbox(key="left").value, app.selectbox(key="right").value) == ("resmlp", "mlp")
    assert app.slider(key="layer").value == 9 and app.pills(key="look").value == "saliency"
    assert any(s.value.startswith("resmlp after layer 9") for s in app.subheader) and not app.info


def test_illegal_link_values_are_mended_and_said(tiny_weights):
    app = well(open_app("compare", left="zebra", layer="99", look="magic", compare="all"))
    said = " ".join(i.value for i in app.info)
    assert all(word in said for word in ("zebra", "layer = 99", "look = magic", "compare = all"))
    assert app.slider(key="layer").value == 12


def test_a_model_with_one_kind_of_head_compares_two_pictures(own_weights):
    for head in ("cnn_ignore", "resmlp"):
        (own_weights / "cifar10" / BACKBONE / "heads" / f"{head}.safetensors").unlink()
    app = well(open_app("compare"))
    assert app.segmented_control(key="compare").value == "pictures"
    assert any("only one kind of head, mlp" in c.value for c in app.caption)


def test_two_pictures_side_by_side_keep_one_head_and_layer(tiny_weights):
    app = well(open_app("compare", compare="pictures", layer="4"))
    assert app.pills(key="example").value == "cat" and app.pills(key="second").value == "ship"
    sides = [s.value for s in app.subheader if "after layer 4" in s.value]
    assert len(sides) == 2 and sides[0].split(":")[0] == sides[1].split(":")[0]
    assert not [s for s in app.selectbox if s.key == "right"]
    assert set(app.dataframe[0].value.picture) == {"A cat", "A ship"}
    other = well(open_app("compare", compare="pictures", second="cup"))
    assert other.pills(key="second").value == "cup"


def test_a_bad_upload_keeps_the_last_result(tiny_weights):
    app = well(open_app("compare"))
    well(app.segmented_control(key="example_source").set_value("Upload").run())
    well(app.file_uploader[0].set_value(("a.png", png(9), "image/png")).run())
    good = rows(app)
    app.file_uploader[0].set_value(("b.png", b"this is no picture", "image/png")).run()
    assert (
        len(app.error) == 1
        and "picture before it stays" in app.error[0].value
        and not app.exception
    )
    assert rows(app) is good and app.metric


def test_hide_removes_controls_and_keeps_the_link_s_values(tiny_weights):
    app = well(open_app("compare", hide="all", layer="8", left="resmlp"))
    assert not app.slider and not app.get("download_button")
    assert any(s.value.startswith("resmlp after layer 8") for s in app.subheader)


@pytest.mark.parametrize("method", METHODS)
def test_every_way_of_looking_works(method, tiny_weights):
    well(open_app("compare", look=method, layer="2"))


@pytest.fixture
def table(tiny_weights, examples) -> pd.DataFrame:
    model = models.load("cifar10", BACKBONE, "cpu").model
    run = model.traced(np.zeros((8, 8, 3), np.uint8))
    slow = [replace(e, ms=9 * e.ms) for e in run]
    return compared.comparison(model, [run, slow, run], run, truth=run[0].label)


def test_the_map_tells_right_wrong_and_differing_by_shape_and_edge_with_a_legend(table):
    assert ((table.label != table.label.iloc[-1]) == ~table.agrees).all()
    spec = str(charts_compare.answer_map(table, 6, "a finding").to_dict())
    legend = charts_compare.LEGEND
    assert all(sign in legend for sign in ("● right", "✚ wrong", "A dashed edge"))
    assert all(sign in spec for sign in ("circle", "cross", "strokeDash"))
    assert "≠" not in spec and "✗" not in spec


def test_answers_in_narrow_cells_are_told_apart_and_explained():
    names = ["frog", "horse", "maple tree", "mapper", "automobile"]
    short = short_names(names)
    assert short["frog"] == "frog" and max(map(len, short.values())) <= 4
    assert len({*short.values()}) == len(names)
    rows = pd.DataFrame({"answer": names})
    said = charts_compare.legend(rows)
    assert "hor. is horse, map. is maple tree, ma2 is mapper" in said and "frog" not in said
    assert charts_compare.legend(rows[:1]) == charts_compare.LEGEND
    long = pd.DataFrame({"answer": [*names, "pickup truck"]})
    assert charts_compare.legend(long) == charts_compare.LEGEND, "whole words need no key"


def test_long_answers_stand_in_their_cells_in_whole_words(table):
    assert cell_lines("German shepherd", 9, 2) == ["German", "shepherd"]
    assert cell_lines("something made by people", 9, 2) == ["made by", "people"]
    assert cell_lines("something made by people", 10, 3) == ["something", "made by", "people"]
    assert cell_lines("hippopotamus", 9, 2) == ["hippopotamus"]
    rows = table.assign(answer="black and gold garden spider")
    spec = json.dumps(charts_compare.answer_map(rows, 6, "a finding").to_dict())
    assert "and gold\\ngarden\\nspider" in spec and '"garden\\nspider"' in spec
    assert (
        charts_compare.answer_map(rows, 6, "").height
        > charts_compare.answer_map(table, 6, "").height
    )


def test_the_first_to_keep_to_the_final_answer_is_not_the_first_to_give_it():
    says = {"mlp": "dog cat dog cat", "vit": "dog dog cat cat", "final": "cat"}
    rows = pd.DataFrame(
        [
            (h, 4 if h == FINAL else b, answer, answer == "cat", False)
            for h, own in says.items()
            for b, answer in enumerate(own.split(), 1)
        ],
        columns=["head", "layer", "answer", "agrees", "unsure"],
    )
    assert compared.keeps(rows, "mlp") == 4 and compared.keeps(rows, "vit") == 3
    assert compared.agreement(rows).endswith("; vit settles on it first, from layer 3 on")
    assert compared.agreement(rows).startswith("4 of 8 exits say 'cat'")
    alone = rows[rows["head"] != "mlp"]
    assert compared.agreement(alone).endswith("; vit settles on it from layer 3 on")


def test_times_are_medians_and_macs_split_into_layers_and_head(table):
    assert (table.ms < 9 * table.ms.min() * 40).all() and (table.own_macs < table.macs).all()
    own = table[table["head"] == "mlp"]
    assert own.own_macs.nunique() == 1 and (own.macs.diff().dropna() > 0).all()


def test_the_dearest_head_is_the_one_with_the_longest_bar(tiny_weights):
    model = models.load("cifar10", BACKBONE, "cpu").model
    run = model.traced(np.zeros((8, 8, 3), np.uint8))
    # in one run the layers were slow, in the others this or that head was
    head_ms = [e.head_ms * (1 + (e.head == "resmlp") * 0.5) for e in run]
    other = [
        replace(e, head_ms=ms, ms=e.ms - e.head_ms + ms + 7)
        for e, ms in zip(run, head_ms, strict=True)
    ]
    slow = [replace(e, ms=e.ms + 3) for e in run]
    rows = compared.comparison(model, [run, other, slow], run, truth=None)
    for layer in (1, 6, 12):
        own = rows[(rows.layer == layer) & (rows["head"] != FINAL)]
        assert (own.ms - own.head_ms).round(9).nunique() == 1, "one time for the same layers"
        longest = own.loc[own.ms.idxmax(), "head"]
        assert f"the dearest is {longest}," in compared.dearest(rows, layer, "ms")


def test_the_findings_count_what_the_table_says(table):
    exits = table[table["head"] != FINAL]
    finding = compared.agreement(table)
    assert str(int(exits.agrees.sum())) in finding or "No exit" in finding
    nobody = table.assign(agrees=table["head"] == FINAL)
    assert compared.agreement(nobody).startswith("No exit says")
    assert "After layer 5 the cheapest head is mlp, which adds" in compared.dearest(
        table, 5, "macs"
    )
    alone = compared.dearest(table[table["head"] == "mlp"], 5, "macs")
    assert alone.startswith("After layer 5 the head mlp adds ") and "dearest" not in alone


def test_charts_are_complete_vega_with_a_click_and_a_title(table):
    spec = charts_compare.answer_map(table, 6, "a finding").to_dict()
    assert spec["params"][0]["name"] == charts_compare.CELL and spec["params"][0]["select"][
        "fields"
    ] == ["layer", "head"]
    assert spec["title"]["text"] == ["a finding"] and "practical" in str(spec)
    assert charts_compare.pane_line(table, "mlp", 6, "a finding").to_dict()["params"]
    for what in ("ms", "macs"):
        bars = charts_compare.cost_bars(table, 6, what, "a finding").to_dict()
        assert {d["head"] for d in next(iter(bars["datasets"].values()))} == set(HEADS)
