"""The check that says when a picture is unlike anything that a classifier was taught."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from thin import TASK, thin_model
from toys import colours

from mvit.data.splits import sample
from mvit.evaluation.unlike import METHODS, Check, chosen, fewest, figures, learn, measure
from mvit.models.multi_exit import FINAL

STRONG, WEAK = [9.0, 0, 0], [0.2, 0.1, 0.0]


@pytest.fixture(scope="module")
def learned():
    """A thin model, what its card says of unlike pictures, and known pictures."""
    model, known = thin_model(depth=4, heads=("mlp", "resmlp")), colours(20, side=TASK.native_px)
    return model, learn(model, known, known)["unlike"], known


@pytest.mark.parametrize("method", METHODS)
def test_a_strong_response_scores_higher_than_a_weak_one(method):
    exits = torch.tensor([[STRONG, WEAK], [STRONG, WEAK]])  # (2 exits, 2 pictures, 3 classes)
    strong, weak = METHODS[method](exits).tolist()
    assert strong > weak


def test_exits_that_disagree_score_lower_than_exits_that_agree():
    apart = torch.tensor([[STRONG[::-1]], [STRONG]])
    same = torch.tensor([[STRONG], [STRONG]])
    assert METHODS["agreement"](apart) < METHODS["agreement"](same)


def test_a_training_warns_about_one_known_picture_in_twenty(learned):
    model, told, known = learned
    assert told["known"] == [{"name": "test pictures", "n": 60, "warned": 0.05}]
    assert told["others"] == [] and told["chosen_on"] == 60
    assert told["exits"] == ((4, "mlp"), (4, FINAL))  # mlp is the cheapest


def test_too_few_pictures_give_no_check(learned):
    model, _, known = learned
    assert learn(model, sample(known, 19), known) == learn(model, known, sample(known, 19)) == {}
    assert learn(model, sample(known, 20), sample(known, 20))["unlike"]["chosen_on"] == 20
    assert [fewest(share) for share in (0.02, 0.05, 1 / 3, 1)] == [50, 20, 3, 1]
    for share in (0, 1e-320):
        with pytest.raises(ValueError, match="never wrong"):
            fewest(share)


def test_one_picture_is_judged_as_many_are(learned):
    model, told, known = learned
    check = Check.of({"unlike": told}, model)
    scores = check.over(model, known, batch=7)
    one = known.x[3].permute(1, 2, 0).numpy()
    assert check.scores(model, model.to_input(one)).item() == pytest.approx(scores[3], abs=1e-4)


def test_a_run_that_was_made_already_tells_what_the_check_says(learned):
    model, told, known = learned
    check, image = Check.of({"unlike": told}, model), known.x[3].permute(1, 2, 0).numpy()
    score, by_run, by_trace = check.over(model, known)[3], {}, {}
    list(model.run(image, model.plan(), by_run))
    model.trace(image, seen=by_trace)
    for seen in (by_run, by_trace):
        assert not replace(check, threshold=score - 0.01).unlike(seen)
        assert replace(check, threshold=score + 0.01).unlike(seen)


def test_figures_say_how_well_known_and_other_pictures_are_told_apart(learned):
    known, other = np.array([3.0, 4.0, 5.0, 1.0]), np.array([0.0, 0.5])
    found = figures(2.0, {"test pictures": known}, {"trains": other})
    assert found["known"] == [{"name": "test pictures", "n": 4, "warned": 0.25}]
    assert found["others"] == [{"name": "trains", "n": 2, "warned": 1.0, "auroc": 1.0}]
    model, told, pictures = learned
    check = Check.of({"unlike": told}, model)
    alike = measure(check, model, {"test pictures": pictures}, {"the same": pictures})
    assert alike["others"][0]["auroc"] == pytest.approx(0.5)


def test_a_card_without_a_check_or_with_one_of_missing_exits_gives_none(learned):
    model, told, known = learned
    assert Check.of({}, model) is None
    assert Check.of({"unlike": told | {"exits": [[4, "vit"], [4, FINAL]]}}, model) is None
    assert Check.of({"unlike": told | {"method": "a later one"}}, model) is None
    assert chosen(model, known)["threshold"] == told["threshold"]


def test_a_damaged_check_counts_as_none(learned):
    model, told, _ = learned
    changes = ({"exits": 3}, {"exits": []}, {"threshold": "low"}, {"threshold": np.nan})
    damaged = [{"method": "energy"}, "energy", ["energy"], None]
    damaged += [told | change for change in changes] + [told | {"method": ["energy"]}]
    assert [Check.of({"unlike": one}, model) for one in damaged] == [None] * len(damaged)
