"""For the tests of the replay pages: the app opened at a page, and made-up recorded predictions (later exits are better)."""

import json
from pathlib import Path

import numpy as np
from streamlit.testing.v1 import AppTest

from mvit.evaluation import Predictions, save_predictions

APP = Path(__file__).resolve().parent.parent / "app.py"


def open_app(page: str, **params) -> AppTest:
    """The app as a link to that page opens it."""
    app = AppTest.from_file(str(APP), default_timeout=180)
    for key, value in (params | {"page": page}).items():
        app.query_params[key] = value
    return app.run()


def well(app: AppTest) -> AppTest:
    """The app, after checking that nothing went wrong on it."""
    assert not app.exception and not app.error, [e.value for e in [*app.exception, *app.error]]
    return app


def metric(app: AppTest, label: str) -> str:
    return next(m.value for m in app.metric if m.label == label)


def charts(app: AppTest) -> int:
    return len(app.get("vega_lite_chart"))


def made_up(card: dict, n: int, seed: int) -> Predictions:
    """N pictures seen by every exit of a card, each about as accurate as the card says."""
    chance = np.random.default_rng(seed)
    exits = [(e["layer"], e["head"]) for e in card["exits"]] + [(max(card["layers"]), "final")]
    skill = np.array([e["accuracy"] for e in card["exits"]] + [card["final"]["accuracy"]])[:, None]
    classes = len(card["task"]["labels"])
    truth = chance.integers(0, classes, n)
    ease = chance.random(n) * 0.7 + chance.random((len(exits), n)) * 0.3  # (E, N), an exit is right on what is easy enough for it
    top1 = np.where(ease < skill, truth, (truth + 1) % classes)
    confidence = np.clip(0.2 + 0.8 * skill - 0.5 * ease + 0.15, 0.11, 0.99).astype(np.float32)
    return Predictions(exits, top1, confidence, (1 - confidence) * 2, np.clip(2 * confidence - 1, 0, 1), truth)


def record(weights: Path, backbone: str = "vit_tiny_patch16_224") -> dict[str, Predictions]:
    """Write predictions beside the small bundle's card."""
    folder = weights / "cifar10" / backbone
    card = json.loads((folder / "card.json").read_text())
    splits = {"val": made_up(card, 120, 1), "test": made_up(card, 400, 2)}
    save_predictions(folder, splits)
    return splits
