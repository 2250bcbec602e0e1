"""Charts that are put together once for equal numbers."""

import pandas as pd

from mvit.charts import kept, style


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
