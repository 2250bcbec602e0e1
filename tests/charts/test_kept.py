"""Charts that are put together once for equal numbers."""

from collections import OrderedDict, namedtuple
from enum import Enum, IntEnum

import numpy as np
import pandas as pd
import pytest

from mvit.charts import kept, style

Pair, Turned = namedtuple("Pair", "x y"), namedtuple("Pair", "y x")
Shade, Level = Enum("Shade", "LOW HIGH"), IntEnum("Level", "LOW HIGH")


class Title(str):
    """Text that may carry more than its letters."""


def rows(share: float) -> pd.DataFrame:
    return pd.DataFrame({"exit": ["1", "final"], "share": [share, 1 - share], "more": [[1], None]})


def test_equal_numbers_give_the_same_figure_and_any_other_its_own(monkeypatch):
    monkeypatch.setattr(kept, "_figures", {})
    drawn = []

    @kept.kept
    def bars(table: pd.DataFrame, finding: str) -> list:
        drawn.append(finding)
        return [table.share[0], finding]

    first = bars(rows(0.25), "a")
    assert bars(rows(0.25), "a") is first and drawn == ["a"]
    assert bars(rows(0.2500001), "a")[0] == 0.2500001 and bars(rows(0.25), finding="b")[1] == "b"
    table = rows(0.25)
    assert bars(table, "a") is first
    table.loc[0, "share"] = 0.5
    assert bars(table, "a")[0] == 0.5, "a table that was changed meanwhile is another one"


def among(*categories: str, ordered: bool = False) -> pd.Categorical:
    return pd.Categorical(["a", "b"], categories, ordered=ordered)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Pair(1, 2), Turned(1, 2)),
        (Pair(1, 2), (1, 2)),
        ((1, 2), [1, 2]),
        ({"a": 1}, OrderedDict(a=1)),
        (1, True),
        (1, 1.0),
        (1, np.int64(1)),
        (True, np.True_),
        (0.0, -0.0),
        (Level.LOW, 1),
        (Level.LOW, Level.HIGH),
        (Shade.LOW, Level.LOW),
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros((0, 3)), np.zeros(0)),
        (np.zeros(2, "f4"), np.zeros(2, "i4")),
        (np.array(["a", None]), np.array(["a", "None"], dtype=object)),
        (among("a", "b"), among("b", "a")),
        (among("a", "b"), among("a", "b", "c")),
        (among("a", "b"), among("a", "b", ordered=True)),
        (among("a", "b"), np.array(["a", "b"])),
        (pd.Series([1, 2]), pd.Series([1, 2], name="n")),
        (pd.Series([1, 2]), pd.Series([1, 2], dtype="Int64")),
        (pd.Series([1, 2]), pd.Series([1, 2], index=[1, 0])),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1]}, index=["x"])),
        (pd.DataFrame(index=[0, 1]), pd.DataFrame(index=[1, 0])),
        (pd.DataFrame({"a": among("a", "b")}), pd.DataFrame({"a": among("b", "a")})),
        (pd.DataFrame({1: [1]}), pd.DataFrame({True: [1]})),
    ],
    ids=str,
)
def test_what_differs_in_its_kind_alone_is_another_argument(one, other):
    assert repr(kept.content(one)) == repr(kept.content(one)) != repr(kept.content(other))


def test_what_may_hold_more_than_can_be_read_is_drawn_anew():
    class Own:
        pass

    for what in (Title("a"), Own, Own(), np.ma.masked_array([1], [True]), pd.Timestamp(0)):
        with pytest.raises(TypeError):
            kept.content(what)


def test_few_are_kept_and_what_cannot_be_told_apart_is_drawn_anew(monkeypatch):
    monkeypatch.setattr(kept, "_figures", {})
    monkeypatch.setattr(kept, "MOST", 2)
    draw = kept.kept(lambda n: [n])
    once = [draw(n) for n in range(3)]
    assert draw(2) is once[2] and draw(0) is not once[0] and len(kept._figures) == 2
    assert draw(lambda: 0) is not draw(lambda: 0) and len(kept._figures) == 2


def test_a_page_that_themes_a_figure_leaves_it_as_it_was():
    exits = pd.DataFrame(
        {"head": ["mlp"], "layer": [1], "accuracy": [0.5], "practical": [True], "macs": [10**8]}
    )
    figure = style.accuracy_map(exits, "Half")
    before = figure.to_dict()
    assert style.themed(figure, True).to_dict() != before == figure.to_dict()
