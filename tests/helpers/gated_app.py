"""The app with a gate: while the file named in MVIT_TEST_GATE exists, every run stops behind layer
1, so that tests can come and go. MVIT_TEST_SLOW: seconds that every layer takes longer."""

import os
import runpy
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GATE = Path(os.environ["MVIT_TEST_GATE"])
SLOW = float(os.environ.get("MVIT_TEST_SLOW", 0))
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import pytest  # noqa: E402
from thin import narrow  # noqa: E402

from mvit.models.backbone import Backbone  # noqa: E402
from pages.parts import start  # noqa: E402

if not hasattr(Backbone, "ungated_block"):
    narrow(pytest.MonkeyPatch(), px=64)  # as the tests' small bundle is
    Backbone.ungated_block = Backbone.block

    def block(self, tokens, layer, *packed):
        until = time.monotonic() + 120
        while layer > 1 and GATE.exists() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(SLOW)
        return self.ungated_block(tokens, layer, *packed)

    Backbone.block = block
    start.warm_up = lambda: None  # whoever is first loads the model

runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
