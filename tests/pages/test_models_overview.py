"""The overview of the Models page: figures side by side are of the same pictures."""

from pages import models


def test_a_counter_has_a_row_for_each_set_of_pictures(monkeypatch):
    def split(mae: float) -> dict:
        exits = [{"layer": 1, "head": "mlp", "mae": mae + 1}]
        return {"final": {"mae": mae}, "exits": exits}

    counter = {"layers": [1, 2], "splits": {"part_A": split(80.0), "part_B": split(12.0)}}
    counter |= split(40.0)
    classes = {"layers": [1, 2], "final": {"accuracy": 0.9}, "exits": []}
    shown = []
    monkeypatch.setattr(models.st, "table", lambda rows, **_: shown.append(rows))
    models.overview({("crowd", "toy"): counter, ("cifar10", "toy"): classes})
    rows = shown[0].replace("\u00a0", " ", regex=True).to_dict("records")
    assert [r["final exit"] for r in rows] == ["off by 80.0", "off by 12.0", "90.0 %"]
    assert rows[0]["model"].endswith("toy, dense crowds (part A)")
    assert rows[0]["best early exit"] == "off by 81.0"
