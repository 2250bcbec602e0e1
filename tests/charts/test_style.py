"""Charts: colours that everyone can read, titles that fit a phone, and exactly the marks the data
asks for."""

import altair as alt
import pandas as pd
import pytest

from mvit.charts import style as charts
from mvit.charts.text import reads_black


def rows(labels=("dog", "dog", "cat", "cat"), truth="cat") -> pd.DataFrame:
    n = len(labels)
    table = pd.DataFrame(
        {
            "head": ["mlp"] * (n - 1) + ["final"],
            "layer": [*range(1, n), n - 1],
            "label": labels,
            "confidence": [0.2 + 0.7 * i / n for i in range(n)],
            "elapsed_ms": [2.0 * i + 2 for i in range(n)],
            "ms": [2.0] * n,
            "macs": [10**8 * (i + 1) for i in range(n)],
            "practical": [True, False, True, False],
            "accuracy": [0.3, 0.5, 0.8, 0.95],
            "verdict": [charts.RIGHT if label == truth else charts.WRONG for label in labels],
        }
    )
    return table.assign(macs_text=table.macs.map(charts.macs_text))


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("percent", range(0, 101, 5))
def test_the_number_in_a_lamp_is_readable_at_every_confidence(percent):
    fill, ink = charts.confidence_colour(percent / 100)
    assert contrast(fill, ink) >= 4.5


def test_a_surer_lamp_is_brighter_for_every_eye():
    shades = [luminance(charts.confidence_colour(i / 20)[0]) for i in range(21)]
    assert shades == sorted(shades)
    assert charts.confidence_colour(-1) == charts.confidence_colour(0) and charts.confidence_colour(
        2
    ) == charts.confidence_colour(1)


def test_words_on_a_bar_read_in_the_ink_chosen_for_its_colour():
    for colour in charts.HEAD_COLOURS.values():
        assert contrast(colour, "#000000" if reads_black(colour) else "#ffffff") >= 4.5


def test_head_colours_differ_and_show_on_light_and_dark_pages():
    colours = list(charts.HEAD_COLOURS.values())
    assert len(set(colours)) == len(colours)
    assert all(contrast(c, "#ffffff") >= 3 and contrast(c, "#0f1620") >= 3 for c in colours)


def test_every_head_of_the_library_has_its_colour():
    from mvit.models.heads import HEADS

    assert set(HEADS) <= set(charts.HEAD_COLOURS)


def test_titles_are_wrapped_and_lose_no_word():
    finding = "'automobile' from layer 7 on; 98 % sure at the end (wrong: it is a truck)"
    lines = charts.title(finding).text
    assert " ".join(lines) == finding and max(map(len, lines)) <= 40


def test_macs_are_written_with_three_figures():
    assert [charts.macs_text(m) for m in (561_000_000, 1_253_493_120)] == ["561 M", "1.25 G"]


def test_nothing_is_called_a_hundred_percent_sure():
    said = [charts.sure_text(c).replace("\u00a0", " ") for c in (0.004, 0.984, 0.994, 0.996, 1.0)]
    assert said == ["0 %", "98 %", "99 %", "> 99 %", "> 99 %"]


def test_confidence_chart_names_each_change_of_answer_once():
    spec = charts.confidence_by_layer(rows(), "finding").to_dict()
    words = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "text")
    shown = spec["datasets"][words["data"]["name"]]
    assert [(r["layer"], r["label"]) for r in shown] == [(1, "dog"), (3, "cat")]


def test_words_and_bars_stay_within_the_chart():
    spec = charts.confidence_by_layer(rows(), "finding").to_dict()
    words = next(layer["mark"] for layer in spec["layer"] if layer["mark"]["type"] == "text")
    assert words["align"]["expr"] == "datum.confidence < 0.5 ? 'left' : 'right'"
    alone = charts.macs_by_layer(rows()[:3], "finding").to_dict()["encoding"]
    assert alone["y"]["scale"]["domain"][1] > rows()[:3].macs.max() / 1e9
    assert "xOffset" not in alone, "a bar alone stands over its layer"
    assert "xOffset" in charts.macs_by_layer(rows(), "finding").to_dict()["encoding"]


def test_right_and_wrong_differ_in_shape_not_only_in_colour():
    spec = charts.confidence_by_layer(rows(), "finding").to_dict()
    shapes = [
        layer["encoding"]["shape"]["scale"]
        for layer in spec["layer"]
        if "shape" in layer["encoding"]
    ]
    assert (
        shapes
        and len(set(shapes[0]["range"])) == 3
        and shapes[0]["domain"][:2] == [charts.RIGHT, charts.WRONG]
    )


def test_time_chart_always_shows_the_plain_backbone():
    spec = charts.time_by_layer(rows(), plain_ms=50.0, finding="finding").to_dict()
    tops = [
        layer["encoding"]["y"]["scale"]["domain"][1]
        for layer in spec["layer"]
        if "scale" in layer["encoding"].get("y", {})
    ]
    assert tops and min(tops) > 50
    assert any("50.0 ms" in str(values) for values in spec["datasets"].values())


def test_accuracy_map_rings_practical_exits_only():
    spec = charts.accuracy_map(rows(), "finding").to_dict()
    assert [layer["transform"] for layer in spec["layer"] if "transform" in layer] == [
        [{"filter": "datum.practical"}]
    ]


@pytest.mark.parametrize("dark", [True, False])
def test_text_reads_on_the_page(dark):
    for figure in (
        charts.confidence_by_layer(rows(), "f"),
        charts.time_by_layer(rows(), 9, "f"),
        charts.macs_by_layer(rows(), "f"),
    ):
        themed = charts.themed(figure, dark)
        assert isinstance(themed, alt.TopLevelMixin)
        config, page = themed.to_dict()["config"], "#0f1620" if dark else "#ffffff"
        inks = [
            config["title"]["color"],
            config["title"]["subtitleColor"],
            config["axis"]["labelColor"],
            config["legend"]["labelColor"],
        ]
        assert all(contrast(ink, page) >= 4.5 for ink in inks)
