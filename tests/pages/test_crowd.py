"""The page "Crowd" through Streamlit's test client, with a small untrained counter."""

import io
import re

from PIL import Image
from visit import open_app, png, well


def test_first_load_counts_an_example_without_a_click(lab):
    app = well(lab())
    assert app.title[0].value == "Crowd" and {
        "For comparison: final exit",
        "Time of this exit alone",
        "Really there",
        "Leaves at",
    } <= {m.label for m in app.metric}
    assert (
        len(app.get("vega_lite_chart")) == 3
        and next(m for m in app.metric if m.label == "Really there").value == "5"
    )
    said = " ".join(m.value for m in app.markdown)
    assert "live on this machine" in said and re.search(r"plain network: [\d.]+ ms", said)
    [why] = [c.value for c in app.caption if c.value.startswith("Exits that run: ")]
    assert "least work on validation pictures; other pages choose" in why


def told(app) -> str:
    """Whose count is the page's answer, which stands above it."""
    assert re.match(r"\d+ (people|person)", app.subheader[0].value)
    return next(m.value for m in app.markdown if m.value.startswith("This is what"))


def test_layer_and_head_choose_the_exit_without_counting_again(lab):
    app = well(lab(layer="3", head="resmlp"))
    rows = app.session_state["_once_crowd"][1]
    assert told(app) == "This is what the exit **resmlp after layer 3** counts."
    well(app.slider(key="layer").set_value(11).run())
    assert (
        told(app) == "This is what the exit **resmlp after layer 11** counts."
        and app.session_state["_once_crowd"][1] is rows
    )


def test_where_it_looks_is_drawn_over_both_shapes_of_picture(lab):
    for example in ("wide", "upright"):
        app = well(lab(example=example, show="tokens", layer="4"))
        assert app.pills(key="show").value == "tokens" and app.get("imgs") or app.get("image")


def test_a_drawn_crowd_has_the_number_asked_for(lab):
    app = well(lab(count="Drawn crowd", people="7", ground="park", seed="3"))
    assert next(m for m in app.metric if m.label == "Really there").value == "7"


def test_several_photos_are_counted_and_a_broken_one_is_said(lab):
    app = well(lab(count="Several photos"))
    video = b"\x00\x00\x00\x18ftypmp42" + bytes(300)
    narrow = io.BytesIO()
    Image.new("L", (1000, 100), 90).save(narrow, "PNG")
    files = [
        ("a.png", png(1), "image/png"),
        ("b.mp4", video, "video/mp4"),
        ("c.png", narrow.getvalue(), "image/png"),
    ]
    app.file_uploader(key="crowd_many").set_value(files)
    well(app.run())
    table = app.dataframe[0].value
    assert list(table.photo) == ["a.png", "b.mp4", "c.png"] and list(table.people.notna()) == [
        True,
        False,
        True,
    ]
    assert table.remark[1] and "stretched" in table.remark[2]
    assert app.subheader[0].value.startswith("2 of 3 photos: ")


def test_illegal_link_values_are_mended_and_said(lab):
    app = well(lab(layer="99", tau="7", count="everything", show="soul"))
    said = " ".join(i.value for i in app.info)
    assert all(word in said for word in ("layer = 99", "tau = 7", "everything", "soul"))


def test_a_task_of_classes_in_the_sidebar_does_not_matter(with_counter):
    app = well(open_app("crowd", task="cifar10", count="Several photos"))
    assert any("always uses the model for Crowd counting" in c.value for c in app.caption)


def test_without_a_counter_the_page_says_how_to_get_one(tiny_weights):
    app = well(open_app("crowd"))
    assert any("No model that counts is installed" in i.value for i in app.info) and not app.metric
