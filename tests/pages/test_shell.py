"""What all pages share: loading, the link's values, and the record of a run."""

import json

import pandas as pd
import pytest
import torch
from bundles import BACKBONE, save_bundle
from streamlit.util import calc_hash
from visit import open_app, well

from mvit.tasks import Task
from pages.parts import link, models, pictures
from pages.parts.provenance import run_record


def test_new_weights_are_read_anew(own_weights):
    before = models.load("cifar10", BACKBONE, "cpu")
    assert models.load("cifar10", BACKBONE, "cpu") is before
    save_bundle(
        own_weights, Task("cifar10", before.model.task.labels, native_px=32, input_px=64), seed=1
    )
    assert models.load("cifar10", BACKBONE, "cpu") is not before


def test_the_run_record_names_weights_versions_and_device(tiny_weights):
    bundle = models.load("cifar10", BACKBONE, "cpu")
    record = json.loads(
        json.dumps(
            run_record(
                bundle, {"heads": ["mlp"]}, pd.DataFrame({"layer": [1], "confidence": [0.5]})
            )
        )
    )
    assert (
        record["weights_sha256"]["backbone.safetensors"]
        == bundle.card["files"]["backbone.safetensors"]["sha256"]
    )
    assert (
        record["device"] == "cpu"
        and {"python", "torch", "timm", "streamlit"} <= record["versions"].keys()
    )
    assert record["rows"] == [{"layer": 1, "confidence": 0.5}] and record["settings"] == {
        "heads": ["mlp"]
    }


def test_an_inference_falls_back_to_the_cpu_when_the_gpu_is_full(tiny_weights):
    bundle, seen = models.load("cifar10", BACKBONE, "cpu"), []

    def work(model):
        seen.append(model)
        if len(seen) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert models.inference(bundle, work) == "done" and seen[1] is not bundle.model
    with pytest.raises(RuntimeError, match="other"):
        models.inference(bundle, lambda model: (_ for _ in ()).throw(RuntimeError("other")))


@pytest.mark.parametrize(
    ("asked", "options", "value", "complains"),
    [
        (["1.7"], {"min_value": 0.0, "max_value": 1.0}, 1.0, True),
        (["0.25"], {"min_value": 0.0, "max_value": 1.0}, 0.25, False),
        (["nan"], {"min_value": 0.0, "max_value": 1.0}, None, True),
        (["-3"], {"min_value": 1, "max_value": 12}, 1, True),
        (["7"], {"min_value": 1, "max_value": 12}, 7, False),
        (["true"], {"value": False}, True, False),
        (["perhaps"], {"value": False}, None, True),
        (["b"], {"options": ["a", "b"]}, "b", False),
        (["B"], {"options": ["a", "b"], "format_func": str.upper}, "b", False),
        (["c"], {"options": ["a", "b"]}, None, True),
        (["3"], {"options": [1, 2, 3]}, 3, False),
        (["a", "c", "a"], {"options": ["a", "b"], "selection_mode": "multi"}, ["a"], True),
        (["['a', 'b']"], {"options": ["a", "b"]}, "b", False),
        (["['a', 'b']"], {"options": ["a", "b"], "selection_mode": "multi"}, ["a", "b"], False),
    ],
)
def test_reading_a_link_clamps_to_legal_values(asked, options, value, complains):
    got, complaint = link.legal_value(asked, options)
    assert got == value and bool(complaint) == complains


def turn_to(app, page: str):
    """A click on a page of the menu, as AppTest sees it."""
    app._page_hash = calc_hash(page)
    return app


@pytest.mark.parametrize("page", ["rules", "lesson"])
def test_two_heads_on_watch_leave_one_for_a_page_that_has_room_for_one(page, tiny_weights):
    app = well(open_app(head=["mlp", "resmlp"]))
    assert app.session_state["head"] == ["mlp", "resmlp"]
    well(turn_to(app, page).run())
    assert app.session_state["head"] == "resmlp" and not any("head" in i.value for i in app.info)
    well(turn_to(app, "watch").run())
    assert app.session_state["head"] == ["resmlp"]


def test_a_task_of_one_s_own_is_not_told_what_the_example_photos_show():
    assert pictures.examples("cifar10")["cat"]["truth"] == "cat"
    assert pictures.examples("crowd")["park"]["truth"] == "60"
    assert not any(e["truth"] for e in pictures.examples("flowers").values())
