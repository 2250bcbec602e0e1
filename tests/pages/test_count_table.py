"""Table I of a counter on the paper's page: what is drawn, what is answered, and by how much two
trainings may differ by chance."""

import json
import shutil

import pytest
from bundles import BACKBONE
from visit import charts, open_app, well

from mvit.evaluation.count_table import count_table, decided
from pages.parts.paper.count_table import verdict

CARD = {"architecture": BACKBONE}


def row(strategy: str, head: str, gain: float, change: float) -> dict:
    """A training whose exit counts `gain` people closer and whose final exit is `change` worse;
    chance explains one person."""
    return {
        "strategy": strategy,
        "head": head,
        "mae": 20.0 - gain,
        "final": 15.0 + change,
        "gain": gain,
        "gain_noise": 1.0,
        "change": change,
        "change_noise": 1.0,
        "splits": {"part_A": {"mae": 30.0, "final": 20.0}, "part_B": {"mae": 9.0, "final": 8.0}},
        "seconds": 1,
    }


@pytest.fixture
def table(lab, counter, tmp_path, monkeypatch):
    """Writes a table beside a copy of the small counter, which is in force from then on."""
    own = tmp_path / "own"
    shutil.copytree(counter, own)
    monkeypatch.setenv("MVIT_WEIGHTS", str(own))

    def write(rows: list[dict], missing: int = 0):
        found = {
            "init": "the bundle crowd/toy",
            "layer": 6,
            "n": 200,
            "budget": {"images": 4800, "px": 192},
            "plain": {"mae": 15.0},
            "rows": rows,
            "missing": missing,
        }
        file = own / "crowd" / BACKBONE / "table1.json"
        file.write_text(json.dumps(found))
        return file

    return write


def words(app) -> str:
    return " ".join(m.value for m in [*app.markdown, *app.caption])


def test_both_claims_are_answered_from_the_differences(table):
    rows = [row("classifier-wise", "mlp", 0.0, 0.0)]
    rows += [row("end-to-end", head, gain, 0.2) for head, gain in (("mlp", 4.0), ("vit", 2.0))]
    table([*rows, row("layer-wise", "mlp", -3.0, 2.5)], missing=2)
    app = well(open_app("paper", task="crowd"))
    said = words(app)
    assert charts(app) == 3
    assert (
        "**End-to-end**: after layer 6 against classifier-wise, in people closer: `mlp` +4.0"
        in said
    )
    assert (
        "count better when trained end-to-end?** Yes, with every head tried. The paper says yes."
        in said
    )
    assert "final exit gain by end-to-end training?** Not decided by these runs" in said
    assert "`mlp` -2.5 (chance ±1.0)" in said and "2 of these trainings are still missing" in said
    assert "4,800 squares of 192 × 192 pixels" in said
    [own] = [d.value for d in app.dataframe if "strategy" in d.value]
    assert len(own) == 8 and set(own["set"]) == {"dense crowds (part A)", "streets (part B)"}


def test_without_a_table_the_command_is_named_and_a_damaged_one_is_no_table(table):
    app = well(open_app("paper", task="crowd"))
    assert charts(app) == 1 and "`python -m mvit table1 --task crowd` measures it" in words(app)
    file = table([row("end-to-end", "mlp", 1.0, 0.0)])
    assert count_table("crowd", CARD)["plain"] == 15.0
    for damage in ("no", json.dumps({"rows": [{"strategy": "end-to-end"}]}), "[]"):
        file.write_text(damage)
        assert count_table("crowd", CARD) is None


def test_nothing_is_said_of_watch_which_shows_no_counts(table, counter, tmp_path):
    table([row("classifier-wise", "mlp", 0.0, 0.0)])
    both = tmp_path / "own" / "crowd"
    shutil.copytree(both / BACKBONE, both / f"{BACKBONE}_end_to_end")
    app = well(open_app("paper", task="crowd"))
    assert app.selectbox(key="backbone").value == "auto" and "Watch opens" not in words(app)


@pytest.mark.parametrize("gain, noise, said", [(2, 1, 1), (-2, 1, -1), (1, 1, 0), (-0.5, 1, 0)])
def test_a_difference_within_chance_decides_nothing(gain, noise, said):
    assert decided(gain, noise) == said


def test_a_verdict_is_of_all_heads():
    assert verdict({1}).startswith("Yes") and verdict({-1}).startswith("No,")
    assert verdict({0}).startswith("Not decided by") and verdict({1, 0}) == "Not with every head."
    assert verdict({0, -1}).startswith("Not decided, and worse")
