"""The page with the paper's figures: what it draws, what it says about the paper, and how a point
is opened."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from bundles import BACKBONE, save_bundle
from tables import write_table1
from visit import charts, metric, open_app, well

from mvit.evaluation import paper
from mvit.tasks import CIFAR100_LABELS, Task
from mvit.training.identity import of_start
from pages.paper import most
from pages.parts.paper.begun import began_from, how_the_start_ended
from pages.parts.paper.table import ordered


def card_of(weights: Path) -> dict:
    return json.loads((weights / "cifar10" / BACKBONE / "card.json").read_text())


def text(app) -> str:
    return " ".join(m.value for m in [*app.markdown, *app.caption])


def test_first_load_draws_every_exit_and_opens_one(tiny_weights):
    app = well(open_app("paper"))
    assert app.title[0].value == "The paper, reproduced" and charts(app) == 2 and not app.info
    table = app.dataframe[0].value
    assert len(table) == 36 and table.practical.sum() == 12
    assert app.subheader[0].value.split(" at layer ")[0] in ("mlp", "cnn_ignore", "resmlp")
    assert "recorded on the official CIFAR-10 test split" in text(app)


def test_the_paper_is_quoted_beside_ours_and_the_differences_are_said(tiny_weights):
    app = well(open_app("paper"))
    beside = app.table[0].value
    assert beside["the paper reports"].tolist() == ["98.31\u00a0%", "95.97\u00a0%"]
    ours = card_of(tiny_weights)["final"]["accuracy"]
    assert beside["we measured"].iloc[0] == f"{100 * ours:.2f}\u00a0%"
    assert beside["points"].iloc[0] == f"{100 * (ours - 0.9831):+.2f}"
    words = text(app)
    assert "ViT-B/16 with 86 M" in words and "M." in words and "Table I" in words


def test_an_exit_trained_in_another_way_is_not_subtracted_from_the_paper_s(own_weights):
    folder, card = own_weights / "cifar10" / BACKBONE, card_of(own_weights)
    (folder / "card.json").write_text(json.dumps(card | {"strategy": "classifier-wise"}))
    app = well(open_app("paper"))
    beside = app.table[0].value
    assert beside.what.iloc[1].endswith("layer-wise in the paper, classifier-wise here")
    assert beside["points"].iloc[1] == "trained differently"
    assert "the paper's was trained layer-wise, which also" in text(app)
    alike = paper.side_by_side("cifar10", card | {"strategy": "layer-wise"})
    assert alike.what[1] == "CNN-Ignore-EE, layer 6, layer-wise" and alike.difference.notna().all()


def test_an_exit_of_table_one_trained_as_the_paper_s_was_is_compared_with_it(own_weights):
    folder, card = own_weights / "cifar10" / BACKBONE, card_of(own_weights)
    write_table1(own_weights, (-3.0, 0.0), heads=("mlp", "cnn_ignore"))
    (folder / "card.json").write_text(json.dumps(card | {"strategy": "classifier-wise"}))
    app = well(open_app("paper"))
    shown, words = app.table[0].value.iloc[1], text(app)
    assert (shown.what, shown["we measured"], shown["points"]) == (
        "CNN-Ignore-EE, layer 6, layer-wise",
        "85.00\u00a0%",
        f"{100 * (0.85 - 0.9597):+.2f}",
    )
    assert "cnn_ignore at layer 6, layer-wise, 96 × 96 pixels" in words
    own = next(e for e in card["exits"] if (e["layer"], e["head"]) == (6, "cnn_ignore"))
    assert f"classifier-wise and gets {100 * own['accuracy']:.2f}\u00a0% right" in words


def test_cifar100_has_its_own_number(own_weights):
    save_bundle(own_weights, Task("cifar100", CIFAR100_LABELS, native_px=32, input_px=64))
    app = well(open_app("paper", task="CIFAR-100"))
    assert app.table[0].value["the paper reports"].tolist() == ["91.24\u00a0%"]


def test_a_link_opens_one_exit(tiny_weights):
    app = well(open_app("paper", head="resmlp", layer="7", zoom="true", beside="false"))
    assert app.subheader[0].value == "resmlp at layer 7" and not app.info
    known = next(
        e for e in card_of(tiny_weights)["exits"] if (e["layer"], e["head"]) == (7, "resmlp")
    )
    assert (
        metric(app, "Accuracy") == f"{100 * known['accuracy']:.2f}\u00a0%"
        and metric(app, "Practical") == "no"
    )
    assert app.toggle(key="zoom").value is True and app.toggle(key="beside").value is False


def test_menus_open_another_exit(tiny_weights):
    app = well(open_app("paper"))
    app.selectbox(key="head").set_value("cnn_ignore")
    well(app.select_slider(key="layer").set_value(12).run())
    assert app.subheader[0].value == "cnn_ignore at layer 12" and metric(app, "Practical") == "yes"


def test_illegal_links_are_mended_and_said(tiny_weights):
    app = well(open_app("paper", head="zebra", layer="99", zoom="perhaps"))
    said = " ".join(i.value for i in app.info)
    assert (
        all(word in said for word in ("zebra", "layer = 99", "zoom = perhaps")) and charts(app) == 2
    )


def test_a_card_without_accuracies_is_explained(own_weights, reseal):
    folder = own_weights / "cifar10" / BACKBONE
    card = card_of(own_weights)
    card["exits"] = [{k: v for k, v in e.items() if k != "accuracy"} for e in card["exits"]]
    (folder / "card.json").write_text(json.dumps(card))
    app = well(open_app("paper"))
    assert len(app.info) == 1 and "no accuracy" in app.info[0].value and "ViT-B/16" in text(app)


def test_practical_is_counted_when_the_card_does_not_say():
    rows = [
        {"layer": b, "head": "mlp", "accuracy": a, "macs": 100 * b}
        for b, a in ((1, 0.5), (2, 0.4), (3, 0.6))
    ]
    table = paper.exits_of({"exits": rows, "final": {"accuracy": 0.61, "macs": 400}})
    assert table.practical.tolist() == [
        True,
        False,
        True,
    ] and table.behind.tolist() == pytest.approx([11, 21, 1])
    assert (
        paper.cheapest_within(table, 1.0).layer == 3 and paper.cheapest_within(table, 0.5) is None
    )


def test_the_paper_s_numbers_are_the_paper_s():
    assert [r.value for r in paper.REPORTED["cifar10"]] == [0.9831, 0.9597]
    assert (
        paper.REPORTED["cifar100"][0].value == 0.9124 and paper.REPORTED["crowd"][0].value == 11.07
    )
    assert paper.side_by_side("crowd", {"architecture": "x", "exits": [], "final": {}}).empty


def test_table_one_is_drawn_and_the_paper_s_questions_answered(own_weights):
    write_table1(own_weights, (-3.0, 0.0))
    app = well(open_app("paper"))
    assert charts(app) == 4 and "9,600 pictures of 96 × 96" in text(app)
    words = text(app)
    assert (
        "fail beyond its first step?** Yes, with every head: the final exit changes by -3.00 "
        "points on average, from -3.10 to -2.90" in words
    )
    assert (
        "end-to-end training cost the final exit?** Not decided by these runs: the final exit "
        "changes by +0.00 points" in words
    )
    assert words.count("differs by +5.0 points") == 2
    assert (
        "better when the backbone learns with it?** Yes, layer-wise: the best is right for 85.0"
        "\u00a0% (`mlp`, layer-wise), 85.0\u00a0% (`mlp`, end-to-end) and 80.0\u00a0% "
        "(`mlp`, classifier-wise); a difference of up to 1.11 points could be chance. "
        "The paper says yes." in words
    )


def test_bundles_that_were_trained_for_longer_answer_too(own_weights):
    write_table1(own_weights, (-3.0, 0.0))
    first = own_weights / "cifar10" / BACKBONE
    joint = first.with_name(BACKBONE + "_joint")
    shutil.copytree(first, joint)
    card = json.loads((joint / "card.json").read_text())
    for e in card["exits"]:
        e["accuracy"] = 0.42 if (e["layer"], e["head"]) == (6, "mlp") else 0.1
    (joint / "card.json").write_text(json.dumps(card | {"strategy": "end-to-end"}))
    words = text(well(open_app("paper")))
    assert "their best exit after layer 6 is right for " in words
    assert " and 42.0\u00a0% (`mlp`, end-to-end), their final exit for " in words


def test_table_one_is_set_apart_from_the_bundle_s_own_exits(own_weights):
    write_table1(own_weights, (-3.0, 0.0))
    folder, card = own_weights / "cifar10" / BACKBONE, card_of(own_weights)
    recipe = {"rounds": 7, "round_images": 3200}
    longer = {"strategy": "classifier-wise", "exit_recipe": recipe}
    before = longer | {"exit_recipe": {"rounds": 4, "round_images": 3200}}
    (folder / "card.json").write_text(json.dumps(card | longer | {"before": before}))
    file = folder / paper.TABLE1
    found = json.loads(file.read_text())
    found["budget"]["round_images"] = 5000
    file.write_text(json.dumps(found | {"start": {"rounds": 16}}))
    words = text(well(open_app("paper")))
    assert "(mlp, 80.0\u00a0%) saw up to 89,600 pictures of 96 × 96 pixels; the best" in words
    assert "saw up to 35,200 pictures of at most 64 × 64 pixels." in words


def test_pictures_are_counted_along_trainings_of_one_kind_only():
    alone = {"strategy": "classifier-wise", "exit_recipe": {"rounds": 3, "round_images": 100}}
    first = {"strategy": "end-to-end", "recipe": {"pictures_seen": 20}, "before": alone}
    second = first | {"recipe": {"pictures_seen": 5}, "before": first}
    assert (paper.pictures_seen(second), paper.pictures_seen(alone)) == (25, 300)
    assert paper.pictures_seen(first | {"recipe": {}}) is None
    learned_on = first | {"recipe": {"stages": []}, "exit_recipe": alone["exit_recipe"]}
    assert paper.pictures_seen(learned_on | {"before": first}) == 320
    upper = alone | {"recipe": {"from_layer": 7}, "before": alone}
    assert [paper.pictures_seen(upper, layer) for layer in (None, 6, 7)] == [600, 300, 600]
    whole = alone | {"exit_recipe": {"rounds": 3, "round_images": None}, "data": {"train": 50}}
    assert (paper.pictures_seen(whole), paper.pictures_seen(whole | {"data": "x"})) == (150, None)
    shared = {"files": {"backbone.safetensors": {"of": "first"}}}
    assert paper.pictures_seen(alone | {"before": alone}) == 600
    assert paper.pictures_seen(alone | shared | {"before": alone}) == 300


def test_a_fair_start_is_told_and_its_learning_shown(own_weights):
    write_table1(own_weights, (-3.0, 0.0))
    file = own_weights / "cifar10" / BACKBONE / paper.TABLE1
    curves = {"mlp": [2.0, 1.5, 1.4], "vit": [1.5, 1.2]}
    start = {"exits": {}, "final": 0.9, "rounds": 3, "validation": curves}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"start": start, "missing": 2}))
    app = well(open_app("paper"))
    words = text(app)
    assert "trained on it for 3 rounds, until they no longer got better" in words
    table = {"start": start, "budget": {"max_rounds": 3}}
    assert "when some still got a little better" in how_the_start_ended(table)
    assert "hardly begun" not in words and "2 of these trainings are still missing" in words
    assert charts(app) == 5


def test_a_bundle_that_changed_since_is_not_called_what_the_table_began_from(own_weights):
    folder = own_weights / "cifar10" / BACKBONE
    table = {"init": f"the bundle cifar10/{BACKBONE}", "budget": {"start weights": "0123"}}
    assert began_from(table) == table["init"] + " as it was then; it has changed since"
    table["budget"]["start weights"] = of_start(folder, None, exits=False)
    assert began_from(table) == table["init"]
    assert began_from({"init": "another.safetensors", "budget": {}}) == "another.safetensors"


@pytest.mark.parametrize(
    ("practical", "told"),
    [
        ((3, 2, 1, 0), "a has the most, 3 of 3"),
        ((3, 3, 1, 0), "a and b have the most, 3 of 3 each"),
        ((2, 2, 2, 2), "every head has 2 of 3"),
        ((2, 2, 2, 2, 1), "4 heads have the most, 2 of 3 each"),
    ],
)
def test_heads_that_share_the_first_place_are_said_to(practical, told):
    rows = pd.DataFrame({"head": list("abcde")[: len(practical)], "practical": practical, "of": 3})
    assert most(rows) == told


@pytest.mark.parametrize("content", ["{", "[]", '{"rows": []}', '{"rows": 3, "plain": {}}'])
def test_a_damaged_table_one_leaves_the_page_standing(content, own_weights):
    (own_weights / "cifar10" / BACKBONE / paper.TABLE1).write_text(content)
    app = well(open_app("paper"))
    assert charts(app) == 2 and "was not measured" in text(app)


def test_what_was_compared_picture_by_picture_is_judged_by_that(own_weights):
    write_table1(own_weights, (-0.6, -0.4))
    file = own_weights / "cifar10" / BACKBONE / paper.TABLE1
    found = json.loads(file.read_text())
    for row in found["rows"]:
        row |= {"gain_noise": 0.4, "change_noise": 0.45}
    file.write_text(json.dumps(found))
    words = text(well(open_app("paper")))
    assert "up to 0.40 points could be chance. The paper says yes." in words
    assert "first step?** Yes, with every head: the final" in words
    assert "the final exit?** With 1 of 2 heads: the final" in words
    assert words.count("better by more than chance with 2 of 2 heads, and worse with 0.") == 2


def test_chance_shrinks_with_more_pictures():
    assert paper.chance(0.9, 10_000) == pytest.approx(0.83, abs=0.01) and paper.chance(
        0.9, 100
    ) == pytest.approx(8.3, abs=0.1)


def test_future_work_tells_the_rank_of_each_extra_head():
    card = {
        "final": {"accuracy": 0.9, "macs": 100},
        "exits": [
            {"layer": b, "head": h, "accuracy": a + b / 100, "macs": b, "practical": True}
            for h, a in (("mlp", 0.5), ("gmlp", 0.7), ("fnet", 0.2))
            for b in (1, 2)
        ],
    }
    rows = paper.future_work(paper.exits_of(card))
    assert (
        rows["head"].tolist() == ["gmlp", "fnet"]
        and rows["rank"].tolist() == [1, 3]
        and rows.practical.tolist() == [2, 2]
    )


def test_the_heads_beyond_the_paper_are_ranked_in_words():
    assert ordered(pd.DataFrame({"head": ["vit", "gmlp", "mlp", "fnet"]})) == "gmlp 2nd, fnet 4th"
