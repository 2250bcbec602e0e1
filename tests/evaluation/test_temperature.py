"""Temperature scaling: of live probabilities, of records, and how it is fitted and told."""

import numpy as np
import pytest

from mvit.evaluation.predictions import FIELDS, Predictions, calibration_error
from mvit.evaluation.temperature import fitted, of_card, of_records, of_scores, with_temperatures
from mvit.models.multi_exit import FINAL


def drawn(temperature: float, classes: int = 10, n: int = 3_000, seed: int = 0):
    """Probabilities (n, classes) that are right as often as they say once they are scaled by the
    temperature, and the truth."""
    chance = np.random.default_rng(seed)
    honest = np.exp(chance.normal(0, 2, (n, classes)))
    honest /= honest.sum(axis=1, keepdims=True)
    truth = (honest.cumsum(axis=1) > chance.random(n)[:, None]).argmax(axis=1)
    said = honest**temperature
    return said / said.sum(axis=1, keepdims=True), truth


def recorded(p: np.ndarray, truth: np.ndarray) -> Predictions:
    """Records of one exit and a final one that says the same, as they come from a file."""
    second, first = np.sort(p, axis=1)[:, -2:].T
    columns = first, -(p * np.log(p)).sum(axis=1), first - second
    twice = (np.stack([c, c]).astype(np.float16).astype(np.float32) for c in columns)
    fields = dict(zip(FIELDS[1:], twice, strict=True))
    top1 = np.stack([p.argmax(axis=1)] * 2)
    return Predictions([(1, "mlp"), (2, FINAL)], top1, truth=truth, **fields)


def test_scaling_is_dividing_the_logits():
    logits = np.array([2.0, -1.0, 0.5, 3.0])
    softmax = np.exp(logits) / np.exp(logits).sum()
    cooled = np.exp(logits / 1.7) / np.exp(logits / 1.7).sum()
    assert of_scores(softmax.tolist(), 1.7) == pytest.approx(cooled)
    assert of_scores([1.0, 0.0], 2.0) == pytest.approx([1.0, 0.0])


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
@pytest.mark.parametrize("temperature", [0.6, 0.9, 1.5])
def test_records_are_scaled_nearly_as_the_whole_probabilities_are(temperature, classes):
    p, truth = drawn(temperature, classes)
    found = of_records(recorded(p, truth), {(1, "mlp"): temperature})
    exact = np.array([of_scores(row, temperature) for row in p])
    second, first = np.sort(exact, axis=1)[:, -2:].T
    assert abs(found.confidence[0] - first).mean() < 0.012
    assert abs(found.margin[0] - (first - second)).mean() < 0.012
    entropy = -(exact * np.log(np.maximum(exact, 1e-30))).sum(axis=1)
    assert abs(found.entropy[0] - entropy).mean() < 0.01 + 0.03 * np.log(classes)
    assert (found.top1 == recorded(p, truth).top1).all()
    # the final exit has no temperature
    assert (found.confidence[1] == recorded(p, truth).confidence[1]).all()


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.8])
def test_the_fitted_temperature_is_the_one_that_was_in_the_answers(temperature):
    p, truth = drawn(temperature)
    found = fitted(recorded(p, truth))
    assert found.keys() == {(1, "mlp"), (2, FINAL)}
    assert found[1, "mlp"] == pytest.approx(temperature, rel=0.1)


def test_the_card_tells_temperatures_that_mend_confidence_on_other_pictures():
    p, truth = drawn(2.0)
    test = recorded(*drawn(2.0, seed=1))
    figures = {"n": 1, "final": {"accuracy": 0.5}, "exits": [{"layer": 1, "head": "mlp"}]}
    card = with_temperatures(figures, fitted(recorded(p, truth)), test) | {"layers": [1, 2]}
    for row in (card["exits"][0], card["final"]):
        assert row["ece"] == calibration_error(test.confidence[0], test.correct[0])
        assert row["ece_scaled"] < 0.03 < row["ece"]
    assert of_card(card) == fitted(recorded(p, truth))
    assert (
        card["final"]["accuracy"] == 0.5 and of_card({"exits": [{"layer": 1, "head": "x"}]}) == {}
    )


@pytest.mark.parametrize("wrong", [0, -1.0, float("nan"), float("inf"), "1.5", None, True])
def test_a_temperature_that_is_no_positive_number_is_passed_over(wrong):
    exits = [{"layer": 1, "head": "mlp", "temperature": wrong}]
    card = {"layers": [1, 2], "exits": exits, "final": {"temperature": 2.0}}
    assert of_card(card) == {(2, FINAL): 2.0}
