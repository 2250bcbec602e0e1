"""The app does not grow: memory over many runs, what a visit keeps, and a class of visitors at
once. The long ones: `pytest -m slow`."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest
from visit import turn_to

from mvit.images.reader import read_image
from pages.parts import pictures as picking

ROOT = Path(__file__).resolve().parents[2]
MOST_KEPT = 20_000_000  # bytes of a visit that went round the pages with one large photo


def steady(part: str, count: int) -> dict:
    """The figures of one part of steady.py, after checking that nothing broke."""
    command = [
        sys.executable,
        str(ROOT / "tests" / "helpers" / "steady.py"),
        part,
        "--count",
        str(count),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.stdout, done.stderr
    figures = json.loads(done.stdout)
    print(json.dumps(figures, indent=1))
    assert figures["broken"] == [] and done.returncode == 0
    return figures


def photo(megapixels: int) -> bytes:
    """A JPEG of a camera's size."""
    pixels = np.random.default_rng(megapixels).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    side = int((megapixels * 1e6 / 12) ** 0.5)
    out = io.BytesIO()
    Image.fromarray(pixels).resize((4 * side, 3 * side)).save(out, "JPEG")
    return out.getvalue()


def size(thing, seen: set[int] | None = None) -> int:
    """Bytes that an object keeps alive, roughly: arrays, tables, text and what contains them."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, type):
        return 0
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    if isinstance(thing, pd.DataFrame):
        return int(np.sum(thing.memory_usage(deep=True)))
    if isinstance(thing, dict):
        return sys.getsizeof(thing) + sum(size(k, seen) + size(v, seen) for k, v in thing.items())
    if isinstance(thing, (list, tuple, set, frozenset)):
        return sys.getsizeof(thing) + sum(size(t, seen) for t in thing)
    return sys.getsizeof(thing) + size(getattr(thing, "__dict__", {}), seen)


def kept(app: AppTest) -> dict[str, int]:
    """Bytes of each entry of a visit's state."""
    return {key: size(value) for key, value in app.session_state.items()}


@pytest.mark.slow
def test_a_visit_keeps_a_bounded_state_however_long_it_lasts(tiny_weights):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()

    def tour(seed: int) -> dict[str, int]:
        app.segmented_control(key="example_source").set_value("Upload").run()
        app.file_uploader[0].set_value((f"{seed}.jpg", photo(5 + seed), "image/jpeg")).run()
        app.pills(key="head").set_value(["mlp", "resmlp", "cnn_ignore"][: 1 + seed % 3]).run()
        app.button(key="run").click().run()
        for page in ("latency", "compare", "watch"):
            turn_to(app, page)
            assert not app.exception and not app.error
        return kept(app)

    first, last = tour(0), tour(1)
    assert {"_once_watch", "_once_latency", "_once_compare"} <= last.keys()
    assert last.keys() == first.keys(), "every entry has a name of its own; none is added by use"
    assert sum(last.values()) < MOST_KEPT, last


def test_a_large_photo_is_kept_small_and_looks_the_same(tiny_weights):
    data = photo(6)
    whole, small = read_image(data), picking.picture_of(data, "", None, "Upload").pixels
    assert small.shape[0] * small.shape[1] <= picking.KEPT_PIXELS < whole.shape[0] * whole.shape[1]
    means = [
        np.asarray(Image.fromarray(p).resize((8, 6), Image.Resampling.BOX)).astype(int)
        for p in (whole, small)
    ]
    assert np.abs(means[0] - means[1]).max() <= 2


def test_an_upload_is_read_once_not_at_every_click(tiny_weights, monkeypatch):
    reads, read = [], picking.read_image
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    app.segmented_control(key="example_source").set_value("Upload").run()
    monkeypatch.setattr(picking, "read_image", lambda data: reads.append(len(data)) or read(data))
    app.file_uploader[0].set_value(("a.jpg", photo(1), "image/jpeg")).run()
    app.button(key="run").click().run()
    app.segmented_control(key="speed").set_value("1x").run()
    assert len(reads) == 1 and not app.exception


@pytest.mark.slow
@pytest.mark.parametrize(("part", "count"), [("traces", 2000), ("visitors", 30), ("memory", 3)])
def test_the_bundled_models_are_steady(part, count):
    if not any((ROOT / "weights").glob("*/*/card.json")):
        pytest.skip("there are no bundled weights")
    steady(part, count)
