"""The page on stop rules: first load, links, moving the threshold, and a bundle without recorded
answers."""

import shutil
from dataclasses import dataclass

import pytest
from bundles import BACKBONE
from recorded import record
from visit import charts, metric, open_app, png, well

from mvit.policies.outcomes import operate
from mvit.policies.replay import choose_threshold
from mvit.policies.rules import POLICIES, Confidence, Policy


def test_first_load_shows_the_rule_that_validation_chose(recorded):
    app = well(open_app("rules"))
    assert app.title[0].value == "Stop rules" and charts(app) == 7 and not app.info
    assert metric(app, "Right").endswith("%") and metric(app, "Average MACs")
    assert float(app.slider(key="threshold").value) == pytest.approx(
        float(metric(app, "Validation's choice")), abs=0.0011
    )
    said = " ".join(m.value for m in app.markdown)
    assert (
        "recorded on the official CIFAR-10 test split, 400 pictures" in said
        and "times live on this machine" in said
    )
    named = exits_that_run(app)  # few of them by default
    assert named.count("layer") <= 4 and "final." in named


def test_the_marked_threshold_was_chosen_on_validation_only(recorded):
    app = well(open_app("rules", head="mlp", exits="all", drop="1.0", scaled="false"))
    val = recorded["val"].of_head("mlp")
    from mvit import load
    from mvit.policies.plans import costs

    macs = costs(load("cifar10", BACKBONE, device="cpu"), val.exits)
    chosen, _ = choose_threshold(Confidence(), val, macs, max_drop=0.01)
    shown = next(m for m in app.metric if m.label == "Validation's choice")
    assert float(shown.value) == pytest.approx(chosen, abs=0.002)
    # what was allowed and what was lost stand side by side
    test = recorded["test"].of_head("mlp")
    lost = 100 * (test.accuracy[-1] - operate(Confidence(chosen), test, macs, macs).accuracy)
    assert shown.delta == f"allowed 1, {'lost' if lost >= 0 else 'gained'} {abs(lost):.2f} on test"


def test_moving_the_threshold_trades_accuracy_for_work(recorded):
    app = well(open_app("rules", threshold="1.0", exits="all"))
    everything = metric(app, "Right")
    assert float(everything.split("\u00a0")[0]) > 90
    well(app.slider(key="threshold").set_value(0.2).run())
    assert float(metric(app, "Right").split("\u00a0")[0]) < 90
    well(app.button(key="take").click().run())
    assert float(app.slider(key="threshold").value) == pytest.approx(
        float(metric(app, "Validation's choice")), abs=0.0011
    )
    assert not app.warning and "take" not in [b.key for b in app.button]


@pytest.mark.parametrize("page", ["rules", "budget"])
def test_too_few_test_pictures_are_said_and_no_number_is_made_of_them(page, own_weights):
    record(own_weights, pictures=2)
    app = well(open_app(page))
    assert any("only 2 test pictures, too few to say much" in i.value for i in app.info)
    told = [*app.markdown, *app.caption, *app.subheader]
    shown = [e.value for e in told] + [f"{m.value} {m.delta}" for m in app.metric]
    assert shown and not [text for text in shown if "nan" in text.lower().split()]


LINKS = [
    ("entropy", "entropy", "0.4"),
    ("margin", "margin", "0.7"),
    ("patience", "patience", "3"),
    ("patience and confidence", "both", "0.6"),
    ("product of experts", "product", "0.7"),
    ("performance control", "target", "0.9"),
    ("guaranteed", "guarantee", "0.8"),
]


@pytest.mark.parametrize(("rule", "key", "value"), LINKS)
def test_every_rule_opens_from_a_link(rule, key, value, recorded):
    app = well(
        open_app(
            "rules",
            **{
                "rule": rule,
                key: value,
                "head": "resmlp",
                "exits": "all",
                "cost": "time",
                "whose": "exit 6",
            },
        )
    )
    assert float(app.slider(key=key).value) == float(value) and app.pills(key="rule").value == rule
    assert (
        app.pills(key="head").value == "resmlp"
        and app.segmented_control(key="cost").value == "time"
    )
    assert app.selectbox(key="whose").value == "exit 6"
    assert not app.info and charts(app) == 7


def test_illegal_links_are_mended_and_said(recorded):
    app = well(
        open_app(
            "rules",
            rule="astrology",
            threshold="7",
            exits="none",
            drop="lots",
            whose="exit 99",
            cost="€",
        )
    )
    said = " ".join(i.value for i in app.info)
    assert all(
        word in said
        for word in (
            "astrology",
            "threshold = 7",
            "exits = none",
            "drop = lots",
            "whose = exit 99",
            "cost",
        )
    )
    assert app.slider(key="threshold").value == 1.0 and charts(app) == 7


def test_hidden_controls_keep_their_values(recorded):
    app = well(open_app("rules", hide="threshold,rule,take,export", rule="margin", margin="0.5"))
    assert (
        "rule" not in [p.key for p in app.pills]
        and not app.get("download_button")
        and charts(app) == 7
    )


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_without_predictions_the_card_still_speaks(damage, own_weights):
    if damage == "cut":
        record(own_weights)
        file = own_weights / "cifar10" / BACKBONE / "predictions.safetensors"
        file.write_bytes(file.read_bytes()[:500])
    app = well(open_app("rules"))
    assert len(app.info) == 1 and "answers" in app.info[0].value
    assert charts(app) == 1 and app.pills(key="head").value and len(app.dataframe[0].value) == 13


@pytest.mark.parametrize("page", ["rules", "budget"])
def test_a_task_that_counts_is_explained_not_replayed(page, with_counter):
    app = well(open_app(page, task="Crowd counting"))
    assert len(app.info) == 1 and "Crowd counting" in app.info[0].value and charts(app) == 0


def test_difficulty_and_trust_look_at_every_exit_whatever_runs(recorded):

    def groups(exits):
        app = well(open_app("rules", exits=exits, whose="exit 4"))
        return next(d.value for d in app.dataframe if "group" in d.value.columns).share.tolist()

    assert groups("few") == groups("practical") == groups("all")


def test_a_rule_from_outside_is_on_the_page_with_its_slider_and_in_the_chart(recorded):
    @dataclass
    class Gap(Policy):
        """Leave when the confidence is far from one half."""

        threshold: float = 0.2
        title = "far from half"
        meaning = "leave when the probability is at least this far from one half"
        key = "gap"
        step, format = 0.01, "%.2f"

        def stop(self, exit):
            return abs(exit.confidence - 0.5) >= self.threshold

        def limits(self, exits, classes):
            return 0.0, 0.5

    try:
        app = well(open_app("rules", rule="far from half", gap="0.3", exits="all"))
    finally:
        del POLICIES["far from half"]
    assert "far from half" in app.pills(key="rule").options
    slider = app.slider(key="gap")
    assert (slider.value, slider.max, slider.step) == (0.3, 0.5, 0.01)
    assert not app.info and charts(app) == 7
    assert any("this rule at every threshold" in c.value for c in app.caption)
    assert any(m.value.startswith("#### far from half 0.3") for m in app.markdown)
    assert "Threshold of far from half" in app.get("vega_lite_chart")[0].proto.spec


def test_another_allowance_says_if_it_changes_the_exits_and_an_untouched_slider_follows(recorded):
    app = well(open_app("rules", drop="0.1"))
    first = exits_that_run(app)
    well(app.select_slider(key="drop").set_value(5.0).run())
    said = any("instead of 0.1 points has changed" in c.value for c in app.caption)
    assert said == (first != exits_that_run(app))
    choice = float(metric(app, "Validation's choice"))
    assert float(app.slider(key="threshold").value) == pytest.approx(choice, abs=0.0011)
    assert not app.warning


def exits_that_run(app) -> str:
    return next(c.value for c in app.caption if c.value.startswith("Exits that run"))


@pytest.mark.parametrize(
    ("rule", "scaled"),
    [
        ("confidence", "true"),
        ("confidence", "false"),
        ("product of experts", "true"),
        ("deadline", "false"),
        ("performance control", "true"),
    ],
)
def test_the_code_to_copy_runs_and_answers(rule, scaled, recorded, tmp_path, monkeypatch, capsys):
    app = well(open_app("rules", rule=rule, head="mlp", exits="practical", scaled=scaled))
    assert ("Tempered" in app.code[0].value) == (scaled == "true")
    (tmp_path / "photo.jpg").write_bytes(png(3))
    monkeypatch.chdir(tmp_path)
    exec(app.code[0].value, {})
    assert " sure, after layer " in capsys.readouterr().out


def test_the_page_opens_on_the_model_trained_together_with_its_exits(own_weights):
    other = own_weights / "cifar10" / f"{BACKBONE}_end_to_end"
    shutil.copytree(own_weights / "cifar10" / BACKBONE, other)
    record(own_weights, other.name)
    app = well(open_app("rules"))
    assert charts(app) == 7 and other.name in app.code[0].value
    asked = well(open_app("rules", backbone=BACKBONE))
    assert len(asked.info) == 1 and not asked.code  # that model has no recorded answers


def frame(app, *columns):
    return next(d.value for d in app.dataframe if {*columns} <= {*d.value.columns})


def test_engineers_see_who_leaves_where_how_long_answers_take_and_batches(recorded):
    app = well(open_app("rules", head="mlp", exits="all", threshold="0.7"))
    test = recorded["test"].of_head("mlp")
    rows = frame(app, "agreement", "pictures")
    first = test.confidence[0] >= 0.7
    assert rows.pictures.sum() == 400 and rows.pictures.iloc[0] == first.sum()
    left = rows[rows.pictures > 0]
    assert (left.low <= left.accuracy).all() and (left.accuracy <= left.high + 1e-9).all()
    assert left.agreement.iloc[-1] == 1 or left.exit.iloc[-1] != "final"
    times = frame(app, "p99")
    assert (times.p50 <= times.p95).all() and (times.p95 <= times.p99).all()
    saved = frame(app, "waiting").waiting.tolist()
    assert saved == sorted(saved, reverse=True)  # a batch waits for its slowest picture
    told = " ".join(c.value for c in app.caption)
    assert "A smaller network" in told or "No smaller network" in told
    classes = frame(app, "lost")
    worst = (classes.lost * classes.pictures).sum() / 400
    assert test.accuracy[-1] - worst == pytest.approx(
        float(metric(app, "Right")[:5]) / 100, abs=1e-3
    )
    keys = [b.key for b in app.get("download_button")]
    assert {"rule_pictures", "rule_exits"} <= set(keys)


def test_scaled_confidences_are_said_and_change_what_is_shown(recorded):
    told = []
    for scaled in ("true", "false"):
        app = well(open_app("rules", head="mlp", exits="all", threshold="0.7", scaled=scaled))
        caption = next(c.value for c in app.caption if c.value.startswith("Exits that run"))
        told.append(("with temperatures" in caption, metric(app, "Average MACs")))
    assert told[0][0] and not told[1][0] and told[0][1] != told[1][1]
    # what is promised on pictures that chose nothing is not scaled
    app = well(open_app("rules", rule="guaranteed", scaled="true"))
    assert "scaled" not in [t.key for t in app.toggle] and "Tempered" not in app.code[0].value
