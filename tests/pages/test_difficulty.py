"""Easy and hard classes and pictures on the page on stop rules: what is said, and of how many."""

import json

import pandas as pd
from recorded import record
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
from visit import open_app, well

from mvit.charts.text import macs_text
from mvit.tasks import TASKS
from pages.parts.columns import NOTHING
from pages.parts.rules import difficulty
from pages.parts.rules.program import sharper


def table(app, *columns: str):
    return next(d.value for d in app.dataframe if {*columns} <= {*d.value.columns})


def test_no_class_is_named_for_too_few_pictures(own_weights):
    record(own_weights, pictures=60)  # about six of each class
    app = well(open_app("rules"))
    told = " ".join(e.value for e in [*app.markdown, *app.caption])
    assert "60 test pictures of 10 classes are too few to compare classes" in told
    assert "easiest" not in told and "The rule costs" not in told
    assert table(app, "lost").pictures.sum() == 60  # the table has them all


def test_photos_are_called_sharper_only_than_small_test_pictures():
    assert "32 × 32 pixels" in sharper(TASKS["cifar10"])
    assert "may be why" in sharper(TASKS["cifar10"])  # no sure cause
    assert sharper(TASKS["imagenet1k"]) == ""


def test_tables_write_macs_and_shares_as_the_sentences_do(recorded):
    app, written = well(open_app("rules", head="mlp")), []
    for shown in app.dataframe:
        config = json.loads(shown.proto.columns or "{}")
        if "macs" in shown.value.columns:
            assert "format" not in config["macs"].get("type_config", {})  # it would win
            words = convert_arrow_bytes_to_pandas_df(shown.proto.arrow_data.styler.display_values)
            assert words.macs.tolist() == [
                NOTHING if n != n else macs_text(n) for n in shown.value.macs
            ]
            written += words.macs.tolist()
        for share in {"share", "right", "wrong"} & {*shown.value.columns}:
            assert config[share]["type_config"]["format"] == "percent"
    assert len(written) > 20


def classes(monkeypatch, pictures: list[int], lost: list[float]) -> tuple[str, str]:
    """The heading and the captions that the page shows of classes of so many pictures."""
    captions, headings = [], []
    monkeypatch.setattr(difficulty.st, "caption", captions.append)
    monkeypatch.setattr(difficulty.ui, "chart", lambda figure, alt: headings.append(alt))
    monkeypatch.setattr(difficulty.ui, "table", lambda *_, **__: None)
    rows = pd.DataFrame({"label": [*"abc"], "pictures": pictures, "lost": lost})
    rows = rows.assign(settled=[1.0, 2.0, 3.0], left=4.0, accuracy=0.9)
    difficulty._classes(rows, 12)
    return headings[0], " ".join(captions)


def test_classes_with_few_pictures_are_left_out_and_one_picture_is_no_loss(monkeypatch):
    told, more = classes(monkeypatch, [1, 30, 30], [1.0, 1 / 30, 0.0])
    assert "Of 2 classes with 20 test pictures or more, b is easiest" in told
    assert "The other 1 classes" not in more and "The rule costs" not in more
    told, more = classes(monkeypatch, [100, 100, 100], [0.0, 0.05, 0.02])
    assert "difficulty. a is easiest" in told and "The rule costs b most: 5.0 points" in more
