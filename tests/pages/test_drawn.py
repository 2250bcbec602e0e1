"""A chart that somebody has seen is there at once for the next visitor, and is the same chart."""

from types import SimpleNamespace

from streamlit.testing.v1 import AppTest

from mvit.charts import style
from pages.parts import shared


def script(accuracy: float) -> None:
    import pandas as pd

    from mvit.charts import style
    from pages import parts as ui

    exits = {"head": ["mlp"], "layer": [1], "accuracy": accuracy, "practical": True, "macs": 10**8}
    ui.chart(style.accuracy_map(pd.DataFrame(exits), f"{accuracy:.0%} right"), alt="how good")


def drawn(accuracy: float = 0.5):
    app = AppTest.from_function(script, args=(accuracy,)).run()
    assert not app.exception
    [chart] = app.get("vega_lite_chart")
    return chart.proto.spec, [(d.name, d.data.data) for d in chart.proto.datasets]


def test_the_next_visitor_gets_the_same_chart_without_its_being_put_together_again(monkeypatch):
    monkeypatch.setattr(shared, "_specs", {})
    first, other = drawn(0.5), drawn(0.25)
    assert first[1] and first != other
    with monkeypatch.context() as without:
        without.setattr(style, "themed", None)
        assert drawn(0.5) == first and drawn(0.25) == other
    with monkeypatch.context() as night:
        night.setattr(shared.st, "context", SimpleNamespace(theme=SimpleNamespace(type="dark")))
        assert drawn(0.5) != first, "a dark page has its own ink"
    monkeypatch.setattr(shared, "MOST", 1)
    assert drawn(0.25) == other and drawn(0.5) == first, "what is no longer kept is drawn anew"
