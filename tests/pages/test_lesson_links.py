"""The lesson's links to other pages open on the numbers that the step has just told."""

import json
import re
from itertools import cycle
from types import SimpleNamespace
from urllib.parse import parse_qs

import numpy as np
import pytest
from bundles import BACKBONE
from recorded import record
from visit import metric, open_app, well

from mvit.evaluation.predictions import save_predictions
from mvit.models.multi_exit import MultiExitViT
from pages import parts as ui
from pages.parts.lesson import clock
from pages.parts.lesson.steps import STEPS

pytestmark = pytest.mark.usefixtures("examples")
NUMBER = {step.name: n for n, step in enumerate(STEPS, 1)}


def told_and_opened(step: str):
    """What a step tells, and the page that its link opens, on which nothing was mended."""
    lesson = well(open_app("lesson", step=str(NUMBER[step]), hide="guess"))
    [link] = [p.proto for p in lesson.get("page_link")]
    query = {key: values[0] for key, values in parse_qs(link.query_string).items()}
    app = well(open_app(STEPS[NUMBER[step] - 1].deeper[0], **query))
    assert not any("link" in i.value for i in app.info), [i.value for i in app.info]
    return lesson.info[0].value, app


def test_the_stop_rule_opens_with_its_accuracy(recorded):
    told, app = told_and_opened("rule")
    right = re.search(r"([\d.]+)\u00a0% of its answers", told)[1]
    assert f"{float(metric(app, 'Right').split()[0]):.1f}" == right


def test_the_moving_clock_opens_with_its_share_in_time(recorded, monkeypatch):
    """Also when the machine is busy in some of the runs that are timed."""
    traced, slower = MultiExitViT.trace, cycle([1, 1, 4, 4])

    def trace(*args, **options):
        run, factor = traced(*args, **options), next(slower)
        return run.assign(ms=factor * run.ms, head_ms=factor * run.head_ms)

    monkeypatch.setattr(MultiExitViT, "trace", trace)
    told, app = told_and_opened("static")
    answered = metric(app, "plain network: in time").split("\u00a0")[0]
    assert f"answers {float(answered):.0f}\u00a0% in time" in told


@pytest.mark.parametrize("step", ["clock", "choose", "heads", "work", "settle", "trust"])
def test_other_links_are_legal(step, recorded):
    told_and_opened(step)


def test_settled_means_right_or_wrong_in_every_step(own_weights):
    splits = record(own_weights)
    for one in splits.values():  # all exits say the same, which is wrong of every second picture
        one.top1[:] = (one.truth + np.arange(len(one.truth)) % 2) % 10
    save_predictions(own_weights / "cifar10" / BACKBONE, splits)
    app = well(open_app("lesson", step=str(NUMBER["easy"]), hide="guess"))
    [told] = [m.value for m in app.markdown if "Of the whole test set" in m.value]
    assert re.findall(r"\d+\u00a0%", told) == ["100\u00a0%", "0\u00a0%"]


@pytest.mark.parametrize(
    ("plain_ms", "first_ms", "deadline"),
    [(50, 10, 22), (30, 7, 16.5), (535, 125, 187.5), (535, 500, 481.5)],
    ids=["as usual", "quieter than ever", "ten times busier", "the first exit is late"],
)
def test_the_clock_stops_after_the_first_exit_and_before_the_end(
    plain_ms, first_ms, deadline, monkeypatch
):
    monkeypatch.setattr(ui, "plain", lambda bundle: SimpleNamespace(ms=40.0), raising=False)
    monkeypatch.setattr(clock, "few", lambda scene: [(1, "vit"), (12, "final")])
    first = SimpleNamespace(layer=1, head="vit", ms=first_ms)
    scene = SimpleNamespace(plain_ms=plain_ms, bundle=None, exits=[first])
    assert clock.deadline(scene) == deadline


def test_a_model_of_one_head_leaves_out_the_comparison_of_heads(own_weights):
    file = own_weights / "cifar10" / BACKBONE / "card.json"
    card = json.loads(file.read_text())
    card["files"] = {
        n: f for n, f in card["files"].items() if n in ("heads/mlp.safetensors",) or "backbone" in n
    }
    card["exits"] = [e | {"practical": False} for e in card["exits"] if e["head"] == "mlp"]
    file.write_text(json.dumps(card))
    for hide in ("", "guess"):
        app = well(open_app("lesson", step=str(NUMBER["heads"]), hide=hide))
        assert "several heads" in app.info[0].value
    app = well(open_app("lesson", step=str(NUMBER["practical"])))
    assert "0" in next(p for p in app.pills if (p.key or "").startswith("guess_")).options
