"""The pictures of heads in hover help: one for each head, true to what the head does."""

from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import torch
from visit import open_app, well

from mvit.models.extra_heads import EVERY, build
from mvit.models.heads import Head
from pages.parts import diagrams, words

SEEN = {  # what a visitor must find in the picture: how tokens are mixed, what is left of them
    "mlp": "dense layers",
    "vit": "transformer layer: attention class",
    "cnn_add": "class added convolution, max pool",
    "cnn_project": "side by side convolution, max pool",
    "cnn_ignore": "convolution, max pool",
    "mixer": "Mixer layer: MLP average",
    "resmlp": "ResMLP layer: dense average",
    "gmlp": "gated MLP: average",
    "fnet": "Fourier transform average",
    "perceiver": "learned questions average",
    "mlp_mean": "class average dense",
    "lens": "class average spread linear map",
}


def drawing(head: str) -> ElementTree.Element:
    """The picture as a browser finds it in the head's help."""
    address = words.drawn(head).split("](data:image/svg+xml,")[1].split(")\\\n")[0]
    return ElementTree.fromstring(unquote(address))


def named(head: str) -> list[str]:
    return [e.text for e in drawing(head).iter() if e.tag.endswith("text")]


@pytest.mark.parametrize("head", EVERY)
def test_a_head_s_picture_names_its_parts_and_its_alt_text_is_the_words(head):
    assert named(head)[:2] == ["class", "patches"] and named(head)[-1] == "answer"
    assert set(SEEN[head].split()) <= set(" ".join(named(head)[2:]).split())
    image, line = words.drawn(head).split("\\\n")
    assert image.startswith(f"![{words.about(head)}](data:")
    assert line.strip() == f"**{head}**: {words.about(head)}"


@pytest.mark.parametrize("head", EVERY)
def test_what_is_hollow_in_the_picture_is_what_the_head_does_not_read(head):
    torch.manual_seed(0)
    tokens = torch.randn(2, 10, 24, requires_grad=True)
    build(head, 24, 3, 5).eval()(tokens).square().sum().backward()
    read = [bool(tokens.grad[:, part].any()) for part in (slice(0, 1), slice(1, None))]
    squares = [e for e in drawing(head) if e.tag.endswith("path")][:2]
    assert [e.get("class") for e in squares] == ["c" if read[0] else None, "p" if read[1] else None]


def test_the_seven_heads_help_is_small():
    assert len(words.head_help(list(EVERY)[:7]).encode()) < 10_000


def test_a_head_from_outside_gets_words_only(monkeypatch):
    monkeypatch.setitem(EVERY, "toy", Head)
    assert words.head_help(["toy"]) == f"{words.WORDS['head']}\n\n- **toy**: {Head.about}"
    both = words.head_help(["mlp", "toy"])
    assert both.count("![") == 1 and "hollow" in both


def test_the_class_token_is_explained_where_a_head_reads_it():
    assert words.WORDS["class token"] in words.head_help(["resmlp", "vit"])
    assert words.WORDS["class token"] not in words.head_help(["resmlp"])


def test_the_head_menu_offers_the_pictures(examples):
    app = well(open_app("latency"))
    menu = next(box for box in app.selectbox if box.label == "Head")
    assert all(words.drawn(head) in menu.help for head in menu.options)
    assert diagrams.PICTURES.keys() >= set(menu.options)
