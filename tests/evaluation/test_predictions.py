"""Recorded predictions and the metrics made of them, against counting by brute force."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from thin import TASK, thin_model
from toys import colours, count_blocks
from two_processes import PICTURES, launch, score

from mvit.evaluation.predictions import (
    FIELDS,
    FILE,
    Predictions,
    PredictionsError,
    calibration_error,
    failure_auroc,
    load_predictions,
    overthinking,
    practical,
    predict,
    save_predictions,
    summary,
)
from mvit.models.multi_exit import FINAL

EXITS = [(1, "mlp"), (1, "vit"), (2, "mlp"), (2, "vit"), (2, FINAL)]


def made_up(n: int = 200, classes: int = 10, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    tops = {"confidence": 1, "entropy": 2.3, "margin": 1}
    values = {f: rng.random((len(EXITS), n)).astype(np.float32) * top for f, top in tops.items()}
    top1, truth = (rng.integers(0, classes, size) for size in ((len(EXITS), n), n))
    return Predictions(EXITS, top1, truth=truth, **values)


def test_predictions_come_back_from_their_file(tmp_path):
    splits = {"val": made_up(50), "test": made_up(200, seed=1)}
    assert save_predictions(tmp_path, splits) == tmp_path / FILE
    found = load_predictions(tmp_path)
    assert found.keys() == splits.keys()
    for split, expected in splits.items():
        assert found[split].exits == EXITS
        assert (found[split].top1 == expected.top1).all() and (
            found[split].truth == expected.truth
        ).all()
        for field in FIELDS[1:]:
            # float16
            assert np.abs(getattr(found[split], field) - getattr(expected, field)).max() < 1e-3
    # compact: 7 bytes an exit and picture
    assert (tmp_path / FILE).stat().st_size < 250 * len(EXITS) * 8 + 250 * 2 + 2000


def test_what_repeats_is_packed_and_older_files_that_hold_it_plain_are_read_alike(tmp_path):
    alike = replace(made_up(400), confidence=np.full((len(EXITS), 400), 0.99, np.float32))
    (packed := tmp_path / "packed").mkdir()
    size = save_predictions(packed, {"test": alike}).stat().st_size
    found = load_predictions(packed)["test"]
    plain = {f: getattr(found, f).astype(np.float16) for f in FIELDS[1:]}
    plain |= {"top1": found.top1.astype(np.uint8), "truth": found.truth.astype(np.uint16)}
    names = {"test": ",".join(f"{layer}:{head}" for layer, head in EXITS)}
    save_file({f"test.{f}": values for f, values in plain.items()}, tmp_path / FILE, names)
    assert size < 0.75 * (tmp_path / FILE).stat().st_size
    older = load_predictions(tmp_path)["test"]
    assert older.exits == found.exits
    for field in (*FIELDS, "truth"):
        assert np.array_equal(getattr(older, field), getattr(found, field))


@pytest.mark.parametrize("cut", [slice(0, -9), slice(0, 0), slice(9, None)])
def test_a_packed_field_that_is_cut_short_is_refused_by_the_file_s_name(tmp_path, cut):
    file = save_predictions(tmp_path, {"test": made_up()})
    with safe_open(file, "np") as opened:
        names = opened.metadata()
    held = load_file(file)
    held["test.entropy"] = held["test.entropy"][cut]
    save_file(held, file, names)
    with pytest.raises(PredictionsError, match=f"{FILE} are missing or damaged"):
        load_predictions(tmp_path)


def test_more_than_256_classes_fit(tmp_path):
    save_predictions(tmp_path, {"test": made_up(classes=1000)})
    assert (load_predictions(tmp_path)["test"].top1 == made_up(classes=1000).top1).all()


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda f: f.write_bytes(b"\x80\x04"),
        lambda f: f.write_bytes(f.read_bytes()[:-5]),
    ],
    ids=["missing", "pickle", "cut"],
)
def test_damaged_predictions_are_refused_by_name(tmp_path, spoil):
    spoil(save_predictions(tmp_path, {"test": made_up()}))
    with pytest.raises(PredictionsError, match=f"{tmp_path.name}/{FILE} are missing or damaged"):
        load_predictions(tmp_path)


def test_predictions_can_be_narrowed_to_exits_and_to_one_head():
    p = made_up()
    chosen = p.select([(2, "vit"), (1, "mlp")])
    assert (
        chosen.exits == [(2, "vit"), (1, "mlp")]
        and (chosen.top1 == p.top1[[3, 0]]).all()
        and (chosen.margin == p.margin[[3, 0]]).all()
    )
    assert p.of_head("vit").exits == [(1, "vit"), (2, "vit"), (2, FINAL)]
    with pytest.raises(ValueError):
        p.select([(3, "mlp")])


def test_accuracy_is_the_share_of_right_answers():
    p = made_up()
    assert p.accuracy.tolist() == [
        sum(a == b for a, b in zip(row, p.truth, strict=True)) / 200 for row in p.top1
    ]


def test_predict_says_what_a_trace_of_each_picture_says():
    model, pictures = (
        thin_model(depth=4, heads=("mlp", "vit", "resmlp")),
        colours(2, side=TASK.native_px),
    )
    calls = count_blocks(model.backbone)
    found = predict(model, pictures, Accelerator(cpu=True), batch=4, show=False)
    assert calls == [1, 2, 3, 4] * 2  # two batches
    assert found.exits == [*model.exits(), (4, FINAL)] and (found.truth == pictures.y.numpy()).all()
    for i, x in enumerate(pictures.x):
        table = model.trace(x.permute(1, 2, 0).numpy())
        assert found.top1[:, i].tolist() == table.prediction.tolist()
        for field in FIELDS[1:]:
            assert np.abs(getattr(found, field)[:, i] - table[field]).max() < 1e-5


@pytest.mark.slow  # three times the start of Python with PyTorch
def test_two_processes_score_what_one_scores(tmp_path):
    launch(tmp_path / "part", "score")
    one = score()
    assert len(one.truth) == PICTURES
    for rank in range(2):
        part = np.load(tmp_path / f"part-{rank}.npz")
        assert (part["top1"] == one.top1).all() and (part["truth"] == one.truth).all()
        assert all(np.abs(part[field] - getattr(one, field)).max() < 1e-5 for field in FIELDS[1:])


@pytest.mark.parametrize("seed", range(5))
def test_practical_exits_are_better_than_every_earlier_one_of_their_head(seed):
    rng = np.random.default_rng(seed)
    # with ties
    accuracy = {
        (b, h): float(rng.integers(0, 8)) / 10
        for b in rng.permutation(12) + 1
        for h in ("mlp", "vit")
    }
    expected = {
        (b, h)
        for (b, h), a in accuracy.items()
        if all(a > other for (c, g), other in accuracy.items() if g == h and c < b)
    }
    assert practical(accuracy) == expected
    assert {(1, "mlp"), (1, "vit")} <= practical(accuracy)  # the first has no earlier one
    # what is no better than guessing is of no use, first or not
    assert practical(accuracy, 0.5) == {e for e in expected if accuracy[e] > 0.5}


def test_a_summary_has_accuracy_cost_and_practical_of_every_exit():
    model, pictures = thin_model(depth=3), colours(3, side=TASK.native_px)
    found = predict(model, pictures, Accelerator(cpu=True), show=False)
    card = summary(model, found)
    assert card["n"] == 9 and card["final"] == {
        "accuracy": found.accuracy[-1],
        "macs": model.backbone_macs.total,
    }
    assert [(e["layer"], e["head"], e["macs"]) for e in card["exits"]] == [
        (b, h, model.exit_macs(b, h)) for b, h in model.exits()
    ]
    assert [e["accuracy"] for e in card["exits"]] == found.accuracy[:-1].tolist()
    quality = {(e["layer"], e["head"]): e["accuracy"] for e in card["exits"]}
    good = practical(quality, guessing=0.1)  # of ten classes
    assert {(e["layer"], e["head"]) for e in card["exits"] if e["practical"]} == good


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    confidence, correct = np.append(rng.random(300), [0.0, 1.0]), rng.random(302) < 0.6
    total = 0.0
    for i in range(15):
        inside = [
            j
            for j, c in enumerate(confidence)
            if i / 15 <= c < (i + 1) / 15 or (i == 14 and c == 1)
        ]
        if inside:
            total += (
                len(inside)
                / 302
                * abs(
                    np.mean([correct[j] for j in inside]) - np.mean([confidence[j] for j in inside])
                )
            )
    assert calibration_error(confidence, correct) == pytest.approx(total)


def test_calibration_of_the_honest_and_of_the_boaster():
    assert calibration_error(np.full(10, 0.7), np.arange(10) < 7) == pytest.approx(0)
    assert calibration_error(np.full(10, 1.0), np.arange(10) < 4) == pytest.approx(0.6)


@pytest.mark.parametrize("seed", range(3))
def test_failure_auroc_by_brute_force(seed):
    rng = np.random.default_rng(seed)
    correct = rng.random(80) < 0.7
    confidence = np.round(rng.random(80) + 0.2 * correct, 1)  # rounded, so that there are ties
    pairs = [(a > b) + 0.5 * (a == b) for a in confidence[correct] for b in confidence[~correct]]
    assert failure_auroc(confidence, correct) == pytest.approx(np.mean(pairs))


def test_failure_auroc_at_its_ends():
    confidence = np.array([0.9, 0.8, 0.3, 0.2])
    assert failure_auroc(confidence, np.array([True, True, False, False])) == 1
    assert failure_auroc(confidence, np.array([False, False, True, True])) == 0
    assert np.isnan(failure_auroc(confidence, np.ones(4, bool))) and np.isnan(
        failure_auroc(confidence, np.zeros(4, bool))
    )


def test_overthinking_and_agreement_by_counting():
    top1 = np.array([[0, 1, 2, 3], [9, 1, 9, 3], [0, 9, 9, 3]])  # the last row is the final exit
    rest = np.zeros((3, 4), np.float32)
    p = Predictions(
        [(1, "mlp"), (2, "mlp"), (2, FINAL)],
        top1,
        rest,
        entropy=rest,
        margin=rest,
        truth=np.array([0, 1, 2, 7]),
    )
    assert overthinking(p) == 0.5  # the second and the third picture were right before
