"""What came after the paper, on its page: its numbers in words and as a table."""

import json

import pytest
from bundles import BACKBONE
from visit import open_app, well

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


def test_no_way_is_praised_that_helps_nothing(page):
    worse = ROWS[2] | {"layers": [0.1] * 12}
    assert "None of these ways helps" in said(page([*ROWS[:2], worse]))


def test_a_damaged_file_is_left_out(own_weights):
    (own_weights / "cifar10" / BACKBONE / "ablation.json").write_text('{"rows": []}')
    app = well(open_app("paper"))
    assert "What came after the paper" not in [s.value for s in app.subheader]
