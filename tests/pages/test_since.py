"""What came after the paper, on its page: its numbers in words and as a table."""

import json

import pytest
from bundles import BACKBONE
from visit import open_app, well

from mvit.evaluation.ablation import early_exits, table
from pages.parts.paper.ablation import finding

ROWS = [
    {"way": "no exits", "final": 0.82, "layers": []},
    {"way": "end-to-end", "final": 0.80, "layers": [0.2, 0.4, 0.5, 0.6, 0.7, 0.75] * 2},
    {"way": "patch average", "final": 0.70, "layers": [0.3, 0.5, 0.6, 0.7, 0.8, 0.85] * 2},
]


@pytest.fixture
def page(own_weights):
    """The page of a bundle for which the comparison was measured."""

    def opened(rows):
        about = {"images": 24_000, "px": 96, "batch": 64, "init": "start.safetensors"}
        file = own_weights / "cifar10" / BACKBONE / "ablation.json"
        file.write_text(json.dumps({"n": 10_000, "budget": about, "rows": rows, "missing": 4}))
        return well(open_app("paper"))

    return opened


def said(app) -> str:
    return " ".join(m.value for m in [*app.markdown, *app.caption])


def test_every_way_is_told_with_its_numbers(page):
    app = page(ROWS)
    assert "What came after the paper" in [s.value for s in app.subheader]
    words = said(app)
    assert "**patch average**: early exits +10.0 points on average" in words
    assert "the final exit -10.0." in words and "**no exits**: the final exit +2.0 points." in words
    assert "50.0 % after layer 3" in words and "80.0 % at the final exit" in words
    assert "24,000 pictures of 96 × 96" in words and "4 are still missing" in words
    table = next(d.value for d in app.dataframe if "training" in d.value)
    assert table.set_index("training").loc["patch average", "layer 2"] == pytest.approx(0.5)


def told(*ways: dict) -> str:
    """The heading for ways that were measured beside the paper's."""
    rows = table({"n": 10_000, "rows": [*ROWS[:2], *ways]})["rows"]
    return finding(early_exits(rows), rows)


def way(name: str, points: float, final: float = 0.0) -> dict:
    """A way whose exits are all better than the paper's by so many points."""
    layers = [share + points / 100 for share in ROWS[1]["layers"]]
    return {"way": name, "final": 0.80 + final / 100, "layers": layers}


def test_a_way_that_helps_most_is_named_with_what_could_be_chance():
    said = told(way("patch average", 5.0, 0.4), way("mixed regime", 2.0))
    assert said == (
        "Patch average helps the early exits most: +5.0 points on average, +0.4 at the final exit "
        "(could be chance)"
    )


@pytest.mark.parametrize(
    "ways, said",
    [
        ((0.3,), "none helps the early exits by more than chance could"),
        ((0.3, -9.1), "by more than chance could; b costs them 9.1 points"),
        ((2.6, 2.2), "a and b help the early exits by 2.2 to 2.6 points on average, too close"),
    ],
)
def test_no_way_is_praised_for_what_could_be_chance(ways, said):
    found = told(*(way(name, points) for name, points in zip("ab", ways, strict=False)))
    assert found.startswith("No way stands out") and said in found


def test_the_layers_that_gain_and_lose_beyond_chance_are_named(page):
    gains = [0.05] * 4 + [0.002, 0.05] + [-0.05] * 6
    mixed = [share + gain for share, gain in zip(ROWS[1]["layers"], gains, strict=True)]
    app = page([*ROWS[:2], {"way": "all together", "final": 0.815, "layers": mixed}])
    words = said(app)
    assert (
        "points on average (could be chance): better after layers 1 to 4, 6, worse after layers 7 "
        "to 12; the final exit +1.5." in words
    )
    assert "Every way was trained only once" in words and "With 10,000 test pictures" in words


def test_a_damaged_file_is_left_out(own_weights):
    (own_weights / "cifar10" / BACKBONE / "ablation.json").write_text('{"rows": []}')
    app = well(open_app("paper"))
    assert "What came after the paper" not in [s.value for s in app.subheader]
