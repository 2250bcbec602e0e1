"""Sentences agree with the tables behind them, on every bundle that is here."""

import pandas as pd
import pytest

from mvit.bundles import weights
from mvit.charts import crowd
from mvit.evaluation import paper
from mvit.evaluation.paper import strategy_findings
from pages.parts.cards.origin import as_text, provenance
from pages.parts.crowd.numbers import off_by
from pages.parts.paper.table import answers

CARDS = [weights.card_of(*bundle) for bundle in weights.bundles()]


def row(layer: int, head: str, count: float) -> pd.Series:
    return pd.Series({"layer": layer, "head": head, "count": count})


@pytest.mark.parametrize(
    ("early", "final", "truth", "nearer"),
    [(63, 56, 60, "the early exit"), (40, 56, 60, "the final exit"), (64, 56, 60, "neither")],
)
def test_which_count_is_nearer_is_said_by_the_truth(early, final, truth, nearer):
    said = crowd.finding(row(9, "vit", early), row(12, "final", final), truth)
    assert said.endswith(f"{truth} people are there, and {nearer} is nearer")
    assert "near" not in crowd.finding(row(9, "vit", early), row(12, "final", final), None)


def test_how_far_a_count_is_off_is_the_difference_of_the_numbers_shown():
    # 49.51 is shown as 50, so it is one off and not two
    said = {count: off_by(count, 51) for count in (49.51, 51.4, 53.2)}
    assert said == {
        49.51: "the answer is 1 too low",
        51.4: "the answer is exact",
        53.2: "the answer is 2 too high",
    }
    assert off_by(-3.0, 0) == "the answer is exact"


def test_counts_are_people_and_tiles_add_up_to_them():
    assert crowd.people_words(-8.2) == "0 people (the raw output is -8)"
    assert [crowd.people_words(n) for n in (1.2, 50)] == ["1 person", "50 people"]
    assert "1 person is there" in crowd.finding(row(9, "vit", 1), row(12, "final", 1), 1)
    assert crowd.people_text(-8.2) == "0 (the raw output is -8)" and crowd.people_text(-0.3) == "0"
    tiles = [9.4, 15.4, 21.4, 6.4, 7.4, 3.0]
    assert sum(crowd.whole_tiles(tiles)) == round(sum(tiles)) == 63
    assert crowd.whole_tiles([-2.0, 3.4, 0, 0, 0, 0]) == [0, 3, 0, 0, 0, 0]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card["architecture"])
def test_early_exits_are_compared_as_early_exits_and_practical_means_better_than_guessing(card):
    depth, exits = max(card["layers"]), pd.DataFrame(card["exits"])
    best, early = paper.best_early(exits, depth), exits[exits.layer < depth]
    assert best.layer < depth
    if "accuracy" in exits:
        assert best.accuracy == early.accuracy.max()
        assert (exits[exits.practical].accuracy > 1 / len(card["task"]["labels"])).all()
    else:
        assert best.mae == early.mae.min()


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card["architecture"])
def test_a_card_is_told_in_words(card):
    told = provenance(card)
    assert not told["value"].str.contains(r"[{}\[\]]").any()
    assert told["value"].str.contains(str(card["seed"])).any()
    assert not told["value"].str.contains("accelerate|bf16|None(?:;|$)").any()
    assert as_text({"mlp": 0.1, "vit": 0.1, "cnn": 0.1, "mixer": 0.1}) == "0.1 each"
    assert as_text({"stages": []}).endswith(" none")


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ((-3.0, -3.1, -2.9), "Yes, with every head"),
        ((-0.3, -0.42, -0.26), "Not decided by these runs"),
        ((0.0, -0.1, 0.1), "Not decided by these runs"),
        ((0.3, 0.9, -0.2), "No"),
        ((-0.2, -2.0, 0.4), "With 1 of 3 heads"),
    ],
)
def test_what_could_be_chance_is_not_called_a_loss(changes, verdict):
    rows = pd.DataFrame({"change": changes, "gain": 1.0, "change_noise": 0.83, "gain_noise": 0.5})
    found = strategy_findings({"rows": rows.assign(strategy="end-to-end")})
    (line,) = answers(found, 6)
    change = sum(changes) / 3
    assert "better by more than chance with 3 of 3 heads, and worse with 0." in line
    assert f"final exit?** {verdict}: " in line and f"{change:+.2f} points" in line
