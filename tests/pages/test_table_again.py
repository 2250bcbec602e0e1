"""Table I beyond its cells on the paper's page: another seed, and other beginnings of layer-wise
training's last step."""

import json

import pandas as pd
import pytest
from bundles import BACKBONE
from tables import write_table1
from visit import open_app, well

from mvit.evaluation import paper
from mvit.evaluation.table_again import gains, last_steps, repeats, same_side
from pages.parts.paper import again
from pages.parts.paper.table import decision

BEGINS = {"the original": 0.88, "nothing": 0.5, "end-to-end training": 0.89}


def text(app) -> str:
    return " ".join(m.value for m in [*app.markdown, *app.caption])


def write(weights, **more) -> dict:
    """A table with a second seed of one head, as it was written; more: what else that one holds."""
    write_table1(weights, (-3.0, 0.0))
    file = weights / "cifar10" / BACKBONE / paper.TABLE1
    found = json.loads(file.read_text())
    other = found | {"plain": {"accuracy": 0.91}} | more
    other["rows"] = [r | {"accuracy": 0.7} for r in found["rows"] if r["head"] == "vit"]
    file.write_text(json.dumps(found | {"again": [other]}))
    return found | {"again": [other]}


def test_a_second_seed_is_told_beside_the_first(own_weights):
    write(own_weights)
    words = text(well(open_app("paper")))
    assert "otherwise?** With 2 of 2 trainings: end-to-end and layer-wise, 0 of 2 came" in words
    assert (
        "first weights of the exits: `vit` 80.0\u00a0% and 70.0\u00a0% classifier-wise, "
        "85.0\u00a0% and 70.0\u00a0% layer-wise, 85.0\u00a0% and 70.0\u00a0% end-to-end." in words
    )
    assert "begin from, layer-wise" not in words


def test_a_gain_that_another_seed_does_not_repeat_is_said_to_be_of_one(own_weights):
    found = write(own_weights)
    for t in (found, found["again"][0]):
        for row in t["rows"]:
            row |= {"gain": 5.0, "gain_noise": 0.4, "change": -0.3, "change_noise": 0.2}
    table = found | {"again": [{"rows": [r | {"gain": 0.1} for r in found["rows"]]}]}
    assert gains(table, "end-to-end", "vit") == [(0.1, 0.4)]
    assert gains({"again": [{}]}, "end-to-end", "vit") == gains({}, "end-to-end", "vit") == []
    pairs = ((5.0, 0.4), (0.1, 0.4), (-3.0, 0.4))
    assert decision([pairs[0]], "layer-wise") == "Yes, layer-wise"
    assert decision([*pairs[:2]], "layer-wise") == "With 1 of 2 seeds, layer-wise"
    assert decision([*pairs[1:]], "layer-wise") == "Not decided by these runs"
    assert decision([pairs[2]], "layer-wise") == "No"
    luck, *_ = again.lines(found, "accuracy", "{:.2f}".format)
    assert "The final exit changes, in points: `vit` -0.30 and -0.30 layer-wise, " in luck


def test_seeds_that_agree_are_counted():
    rows = pd.DataFrame(
        [
            ("classifier-wise", "vit", 0.90, [0.91]),
            ("end-to-end", "vit", 0.92, [0.92]),
            ("layer-wise", "vit", 0.91, [0.90]),
            ("end-to-end", "mlp", 0.80, [0.70]),
        ],
        columns=["strategy", "head", "first", "again"],
    )
    assert same_side(rows) == (1, 2)


def test_other_beginnings_are_told_against_their_own_plain_network(own_weights):
    rows = [{"head": "vit", "begins": b, "final": f, "change": 0.0} for b, f in BEGINS.items()]
    write(own_weights, last_steps=rows, budget={"seed": 1})
    assert (
        "The final exit is (another training, seed 1), with `vit` 88.0\u00a0% from the original, "
        "50.0\u00a0% from nothing, 89.0\u00a0% from end-to-end training; the plain network, after "
        "as much training, 91.0\u00a0%." in text(well(open_app("paper")))
    )


def test_a_counter_s_are_told_in_people():
    rows = [{"strategy": "end-to-end", "head": "mlp", "mae": 20.0}]
    steps = [{"head": "mlp", "begins": "nothing", "final": 30.0}]
    table = {"layer": 6, "rows": rows, "plain": 15.0, "last_steps": steps, "budget": {}}
    table["again"] = [{"rows": [rows[0] | {"mae": 21.5}]}]
    luck, last = again.lines(table, "mae", lambda off: f"off by {off:.1f}")
    assert "`mlp` off by 20.0 and off by 21.5 end-to-end." in luck
    assert (
        "off by 30.0 from nothing; the plain network, after as much training, off by 15.0" in last
    )


@pytest.mark.parametrize("more", [{}, {"again": 3}, {"again": [{}]}, {"last_steps": [{"head": 1}]}])
def test_a_table_without_them_or_with_damaged_ones_tells_nothing(own_weights, more):
    write_table1(own_weights, (-3.0, 0.0))
    table = paper.table1("cifar10", {"architecture": BACKBONE}) | more
    assert repeats(table, "accuracy").empty and last_steps(table) is None
