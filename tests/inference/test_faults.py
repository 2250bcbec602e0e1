"""What goes wrong while the app runs - no memory, a failing worker, lost weights, a full disk, a
closed browser - and that it goes on."""

import json
import subprocess
import sys

import pytest
import torch
from bundles import BACKBONE
from live import ROOT, Visitor, disk_is_full
from streamlit.testing.v1 import AppTest

import pages.parts
from mvit.models.backbone import Backbone
from pages.parts import queue

SAID = "That did not work"


def open_app(**params) -> AppTest:
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    for key, value in params.items():
        app.query_params[key] = value
    return app.run()


def works(app: AppTest) -> AppTest:
    """The app, run again, after checking that the page is whole and the line is empty."""
    app.run()
    assert not app.exception and not app.error, [e.value for e in [*app.exception, *app.error]]
    assert app.dataframe and len(queue.QUEUE) == 0
    return app


def no_memory(*_):
    """What the allocator itself says when there is none."""
    return torch.empty(1 << 50)


def python_has_no_memory(*_):
    raise MemoryError


@pytest.mark.parametrize(
    ("page", "fail"), [("watch", no_memory), ("latency", python_has_no_memory)]
)
def test_out_of_memory_is_said_and_the_next_run_is_fine(page, fail, tiny_weights, monkeypatch):
    with monkeypatch.context() as fault:
        fault.setattr(Backbone, "block", fail)
        app = open_app(page=page)
        assert [e.proto.title for e in app.error] == [SAID] and not app.exception
    works(app)


def test_an_error_in_the_worker_of_an_interrupted_run_is_said_and_the_next_run_is_fine(
    tiny_weights, monkeypatch
):
    app = works(open_app(page="latency", deadline="2000"))
    with monkeypatch.context() as fault:
        fault.setattr(Backbone, "block", lambda *_: 1 / 0)
        app.button(key="repeat").click().run()
        assert [e.proto.title for e in app.error] == [SAID] and "zero" not in app.error[0].value
    works(app)


@pytest.mark.parametrize("lost", ["backbone.safetensors", "card.json", "heads"])
def test_weights_deleted_while_running_are_named_and_their_return_is_noticed(lost, own_weights):
    app = works(open_app())
    file = own_weights / "cifar10" / BACKBONE / lost
    file.rename(own_weights / "away")
    app.run()
    assert not app.exception and len(app.error) == 1
    assert app.error[0].value and (
        lost in app.error[0].value or "no weights" in app.error[0].value.lower()
    )
    (own_weights / "away").rename(file)
    works(app)


def test_one_deleted_head_is_named_and_the_rest_serves(own_weights):
    app = works(open_app())
    (own_weights / "cifar10" / BACKBONE / "heads" / "resmlp.safetensors").unlink()
    works(app)
    assert (
        "resmlp.safetensors" in app.warning[0].value
        and "resmlp" not in app.pills(key="head").options
    )


def test_a_full_line_is_said_with_a_way_to_try_again(own_weights, monkeypatch):
    monkeypatch.setattr(queue, "QUEUE", queue.Queue(limit=0))
    app = open_app()
    assert app.warning[0].proto.title == "The line is full" and not app.error and not app.exception
    monkeypatch.setattr(queue, "QUEUE", queue.Queue())
    app.button(key="again").click()
    works(app)


def test_a_part_that_cannot_be_imported_is_said_and_tried_again(tiny_weights, monkeypatch):
    with monkeypatch.context() as fault:
        fault.delattr(pages.parts, "choice", raising=False)
        fault.setitem(sys.modules, "pages.parts.choice", None)
        app = open_app()
        assert [e.proto.title for e in app.error] == [SAID] and not app.exception
    works(app)


@pytest.mark.slow  # a process each
@pytest.mark.parametrize("format", ["pt2", "onnx"])
def test_a_disk_that_fills_up_during_export_is_one_sentence_and_leaves_no_half_file(
    format, own_weights, tmp_path
):
    if format == "onnx":
        pytest.importorskip(
            "onnxscript", reason="onnxscript is not installed (requirements-dev.txt)"
        )
    out = tmp_path / f"cut.{format}"
    command = [
        sys.executable,
        "-m",
        "mvit",
        "export",
        "--exit",
        "1",
        "--head",
        "mlp",
        "--format",
        format,
        "--out",
        str(out),
    ]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, preexec_fn=disk_is_full, timeout=180
    )
    assert (
        done.returncode == 2 and "cannot be written" in done.stderr and done.stderr.count("\n") == 1
    ), done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["weights"]


def test_the_app_serves_and_exports_with_a_full_disk(server):
    with Visitor(server) as visitor:
        visitor.open("head=mlp&exits=all+layers")
        assert not visitor.alerts and len(visitor.rows()) == 13
        assert len(json.loads(visitor.download("JSON run record"))["rows"]) == 13


def test_who_closes_the_browser_frees_the_place_waiting_or_running(server, gate):
    with Visitor(server) as running, Visitor(server) as waiting, Visitor(server) as last:
        gate.touch()
        running.ask("example=dog&exits=all+layers")
        running.until_drawn("Running now")
        waiting.ask("example=bird")
        waiting.until_told("1 before you")
        last.ask("example=ship&exits=all+layers")
        last.until_told("2 before you")
        waiting.line.close()
        last.until_told("1 before you")
        running.line.close()
        gate.unlink()
        assert len(last.settled().rows()) == 13
    with Visitor(server) as later:
        assert not later.open("example=deer&exits=all+layers").alerts and len(later.rows()) == 13


def test_a_visitor_who_changes_a_setting_while_waiting_has_one_place_and_gets_the_last_wish(
    server, gate
):
    with Visitor(server) as running, Visitor(server) as eager, Visitor(server) as last:
        gate.touch()
        running.ask("example=kitten&exits=all+layers")
        running.until_drawn("Running now")
        eager.ask("example=horse&head=mlp")
        eager.until_told("1 before you")
        for head in ("resmlp", "cnn_ignore", "resmlp", "cnn_ignore", "resmlp"):
            eager.ask(f"example=horse&head={head}")
        eager.until_told("1 before you")
        last.ask("example=coffee&head=mlp")
        last.until_told("2 before you")
        gate.unlink()
        for visitor in (running, eager, last):
            visitor.settled()
        assert set(eager.rows()["head"]) == {"resmlp", "final"} and set(last.rows()["head"]) == {
            "mlp",
            "final",
        }
