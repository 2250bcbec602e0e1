"""The bench: a full record from a thin model, honest parts, and a readable table."""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from bundles import BACKBONE
from thin import picture, records, thin_model

from mvit.bench import measures as bench_parts
from mvit.bench import peers as peers_module
from mvit.bench.report import PARTS, add_arguments, bench, describe, markdown, run
from mvit.evaluation.predictions import FILE, PredictionsError
from mvit.models.multi_exit import FINAL, PlanError
from mvit.policies.plans import costs


@pytest.fixture(scope="module")
def model():
    return thin_model(heads=("mlp",))


@pytest.fixture(scope="module")
def result(model):
    recorded = {"val": records(model, 0), "test": records(model, 1)}
    said = []
    found = bench(
        model,
        "mlp",
        [picture(), picture(1)],
        recorded,
        n=3,
        runs=1,
        only=PARTS[:6],
        say=said.append,
    )
    assert len(said) == 6
    return found


def test_every_part_is_there_and_survives_json(result):
    assert set(PARTS[:6]) <= result.keys()
    assert json.loads(json.dumps(result))["environment"]["device"]
    assert result["memory"]["backbone_mb"] > 0 and result["memory"]["process_peak_mb"] > 50


def test_the_engine_stands_beside_timm_and_the_roofline(result):
    part = result["engine"]
    assert [run["name"] for run in part["runs"]] == [
        "final exit only",
        "`mlp` at 12 layers",
        "leaving after layer 4",
    ]
    assert all(0 < run["ms"] and 0 < run["ratio"] < 20 for run in part["runs"])
    for one in part["runs"]:
        low, high = one["quartiles"]
        assert low <= one["ratio"] <= high
        assert f"{one['ratio']:.2f} ({low:.2f} to {high:.2f})" in markdown(result)
    assert part["runs"][2]["ms"] < part["runs"][1]["ms"]
    assert part["timm_better"] in part["timm_ms"] and part["engine"] == "timm"
    macs = thin_model(heads=("mlp",)).exit_macs(12, FINAL)
    assert part["roofline_ms"] == pytest.approx(2 * macs / part["gflops"] / 1e6)


def test_the_overhead_is_a_ratio_of_real_times(result):
    part = result["overhead"]
    assert 0 < part["heads_ms"] and 0 < part["plain_ms"] and part["run_ms"] > 0
    assert 0.3 < part["run_ratio"] < 5 and 0.3 < part["instrumented_ratio"] < 3


def test_leaving_early_is_measured_at_three_depths(result):
    assert [row["layer"] for row in result["leaving"]] == [3, 6, 9]
    assert all(row["ratio"] > 0 for row in result["leaving"])


def test_every_exit_has_a_latency(result):
    assert [(e["layer"], e["head"]) for e in result["exits"]] == [
        *[(b, "mlp") for b in range(1, 13)],
        (12, FINAL),
    ]
    assert all(0 < e["head_ms"] < e["ms"] <= e["p95"] <= e["p99"] for e in result["exits"])


def test_the_stop_rule_is_chosen_on_val_and_judged_on_test(model, result):
    part = result["threshold"]["recorded"]
    test = records(model, 1)
    assert part["n"] == 500 and part["final_accuracy"] == test.accuracy[-1]
    plan = result["threshold"]["plan"]
    assert 2 <= len(plan) <= 5 and plan[-1] == (12, FINAL), (
        "few exits, since every head on the way costs"
    )
    test = test.select(plan)
    first = test.confidence >= part["threshold"]
    taken = np.where(first[:-1].any(0), first[:-1].argmax(0), len(plan) - 1)
    assert part["accuracy"] == pytest.approx(
        np.mean([test.correct[t, i] for i, t in enumerate(taken)])
    )
    assert part["macs_saving"] == pytest.approx(
        model.backbone_macs.total / costs(model, plan)[taken].mean()
    )
    for whose in ("", "plain_"):
        assert part[f"{whose}p50_ms"] <= part[f"{whose}p95_ms"] <= part[f"{whose}p99_ms"]
    assert "p50, p95, p99 of the rule" in markdown(result)
    assert result["threshold"]["live"]["n"] == 2 and result["threshold"]["live"]["speedup"] > 0


def test_the_live_rule_runs_only_the_blocks_it_needs(model):
    inputs = [model.to_input(picture())]
    plan = model.plan("mlp")
    assert bench_parts._live(model, inputs, plan, bench_parts.Confidence(0.0), 1)["mean_layer"] == 1
    assert (
        bench_parts._live(model, inputs, plan, bench_parts.Confidence(2.0), 1)["mean_layer"] == 12
    )


def test_no_deadline_gets_a_late_answer(result):
    part = result["deadlines"]
    assert part["runs"] == 20 and part["late_answers"] == 0 and len(part["by_budget"]) == 20
    assert part["median_ms"] <= part["p99_ms"] <= part["worst_ms"]
    assert part["by_budget"][0]["median_layer"] <= part["by_budget"][-1]["median_layer"]


def test_batches_count_pictures(model):
    rows = bench_parts.batches(model, model.to_input(picture()), (1, 8), n=1)
    assert [r["batch"] for r in rows] == [1, 8]
    assert all(r["pictures_per_s"] == pytest.approx(1000 * r["batch"] / r["ms"]) for r in rows)


def test_a_peer_that_is_not_installed_is_said_so(model, monkeypatch):
    monkeypatch.setattr(peers_module.importlib.util, "find_spec", lambda name: None)
    rows = peers_module.peers(model, model.to_input(picture()), "mlp", 1)
    assert [r["name"] for r in rows if r.get("skipped") == "not installed"] == [
        "this backbone in ONNX Runtime",
        "this backbone in OpenVINO",
        "earlyon ViT-B/16",
    ]
    assert all(r["dtype"] == "float32" or r["ms"] for r in rows if "ms" in r)
    assert rows[-1] == {"name": "earlyon ViT-B/16", "skipped": "not installed"}
    assert {"this backbone, plain", "plain ViT-Ti"} <= {r["name"] for r in rows} and rows[0][
        "ms"
    ] > 0


def test_other_runtimes_are_timed_on_the_same_backbone():
    pytest.importorskip("onnxscript")
    small = thin_model(depth=1, heads=("mlp",))
    rows = peers_module.peers(small, small.to_input(picture()), "mlp", 1)
    for package, name in (("onnxruntime", "ONNX Runtime"), ("openvino", "OpenVINO")):
        [row] = [row for row in rows if row["name"] == f"this backbone in {name}"]
        there = find_spec(package) is not None
        assert row["ms"] > 0 if there else row["skipped"] == "not installed"


def test_the_table_is_markdown_with_the_context_first(result):
    text = markdown(result)
    assert text.startswith("thin, ") and result["environment"]["device"] in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 20 and all(line.endswith("|") for line in rows)
    assert "| 6 `mlp` |" in text and "answered - deadline" in text
    assert describe(result) == text


def test_the_command_writes_both_files(model, tmp_path):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(
        ["--rounds", "1", "--only", "overhead", "--write", str(tmp_path / "bench")]
    )
    args.head, args.task, args.backbone = "mlp", "no", "weights"
    found = run(args, model)
    assert json.loads((tmp_path / "bench.json").read_text())["overhead"] == found["overhead"]
    assert (tmp_path / "bench.md").read_text() == markdown(found)
    assert "deadlines" not in found


def test_what_cannot_be_measured_is_refused(model):
    with pytest.raises(PlanError, match="resmlp"):
        bench(model, "resmlp")
    with pytest.raises(ValueError, match="no part 'luck'"):
        bench(model, only=("luck",))
    args = argparse.Namespace(rounds=0, runs=1, only=list(PARTS), write=None, head=None)
    with pytest.raises(ValueError, match="--rounds"):
        run(args, model)
    args = argparse.Namespace(
        rounds=1, runs=1, only=list(PARTS), write=Path("nowhere") / "bench", head=None
    )
    with pytest.raises(ValueError, match="no folder nowhere"):
        run(args, model)


def asked(*options: str) -> argparse.Namespace:
    """The arguments of a short bench of the small bundle's confidence rule."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--rounds", "1", "--only", *options])
    args.head, args.task, args.backbone = "mlp", "cifar10", BACKBONE
    return args


def test_a_threshold_is_not_chosen_by_damaged_records(model, own_weights):
    file = own_weights / "cifar10" / BACKBONE / FILE
    file.write_bytes(b"damaged")
    with pytest.raises(PredictionsError, match="recorded predictions in .* damaged"):
        run(asked("threshold"), model)
    assert run(asked("overhead"), model)["overhead"]  # which reads none


def test_a_threshold_without_records_is_told_as_not_chosen(model, tiny_weights):
    found = run(asked("threshold"), model)
    assert "recorded" not in found["threshold"] and found["threshold"]["live"]["threshold"] == 0.9
    assert "confidence >= 0.9 | not chosen for its accuracy: the bundle has no" in markdown(found)


@pytest.mark.slow
def test_exits_cost_little_more_than_their_own_work():
    model = thin_model(dim=192, px=224, heads=("mlp",))
    x = model.to_input(picture())
    part = bench_parts.overhead(model, x, "mlp", 40)
    assert part["run_ratio"] <= 1.05 and part["instrumented_ratio"] < 1.03
    assert all(row["ratio"] <= 1.05 for row in bench_parts.leaving(model, x, "mlp", 40))
