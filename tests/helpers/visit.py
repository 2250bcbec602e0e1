"""A visit to the app through Streamlit's test client: open a page, look at it."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

APP = Path(__file__).resolve().parents[2] / "app.py"


def open_app(page: str | None = None, **params) -> AppTest:
    """The app as a link to that page, or to none, opens it."""
    app = AppTest.from_file(str(APP), default_timeout=180)
    for key, value in (params | ({"page": page} if page else {})).items():
        app.query_params[key] = value
    return app.run()


def turn_to(app: AppTest, page: str, **params) -> AppTest:
    """The app after a click on that page in its menu, or by a link to the page's own address."""
    for key, value in params.items():
        app.query_params[key] = value
    app._page_hash = calc_hash(page)  # Streamlit's own `switch_page` knows pages that are files
    return app.run()


def well(app: AppTest) -> AppTest:
    """The app, after checking that nothing went wrong on it."""
    assert not app.exception and not app.error, [e.value for e in [*app.exception, *app.error]]
    return app


def metric(app: AppTest, label: str) -> str:
    return next(m.value for m in app.metric if m.label == label)


def timeline(app: AppTest) -> dict:
    """What the page hands to the browser's timeline."""
    [shown] = [c.proto for c in app.get("bidi_component") if "timeline" in c.proto.component_name]
    return json.loads(shown.json or shown.mixed.json)


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


def png(seed: int) -> bytes:
    """A PNG file of 70 x 50 random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()
