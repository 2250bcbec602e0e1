"""A real server and a real Chromium for the browser tests; they skip, with the reason, where either
is missing.

Chromium: `apt-get install chromium`, or name another one in MVIT_CHROMIUM. axe-core (only for the
accessibility test): `npm install axe-core` anywhere, and its axe.min.js in MVIT_AXE. Screenshots
stay in tests/browser/shots/.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import visits
from live import ROOT, Server

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(autouse=True)
def _alone(request, tmp_path_factory) -> Iterator[None]:
    """Where processes share the tests, one that is marked `timed` runs while no other does."""
    kind = fcntl.LOCK_EX if request.node.get_closest_marker("timed") else fcntl.LOCK_SH
    with open(tmp_path_factory.getbasetemp().parent / "browser.lock", "w") as lock:
        fcntl.flock(lock, kind)
        yield


@pytest.fixture(scope="session")
def running(tiny_bundle):
    """A running app; it uses the bundled weights if there are any, else the small untrained
    bundle."""
    bundled = any((ROOT / "weights").glob("*/*/card.json"))
    with Server(**({} if bundled else {"MVIT_WEIGHTS": str(tiny_bundle)})) as server:
        yield server


@pytest.fixture(scope="session")
def server(running):
    """The address of that app."""
    return running.address


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed (pip install playwright)"
    )
    path = (
        os.environ.get("MVIT_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
    )
    if not path:
        pytest.skip("Chromium is not installed (apt-get install chromium, or set MVIT_CHROMIUM)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def small_server(tiny_bundle):
    """The address of a running app with the small untrained bundle, ready sooner; its gate stays
    open."""
    with small(tiny_bundle) as server:
        yield server.address


@pytest.fixture
def slow_server(tiny_bundle):
    """The address of such an app, on a machine on which every layer takes 10 ms at least."""
    with small(tiny_bundle, MVIT_TEST_SLOW="0.01") as server:
        yield server.address


def small(bundle: Path, **more: str) -> Server:
    """An app with this bundle alone; its gate stays open."""
    script = ROOT / "tests" / "helpers" / "gated_app.py"
    variables = {"MVIT_WEIGHTS": str(bundle), "MVIT_TEST_GATE": str(bundle / "none")}
    return Server(script, **variables, **more)


@pytest.fixture
def visit(chromium, request):
    """A function (width, scheme) -> Visit, each in a fresh browser profile. The visits that every
    run of the tests makes are to the small bundle."""
    bundled = request.node.get_closest_marker("browser")
    address = request.getfixturevalue("server" if bundled else "small_server")
    with visits(chromium, address) as start:
        yield start


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script."""
    places = [os.environ.get("MVIT_AXE", ""), str(ROOT / "node_modules/axe-core/axe.min.js")]
    for place in places:
        if place and Path(place).is_file():
            return Path(place).read_text()
    pytest.skip("axe-core is not here (npm install axe-core, then set MVIT_AXE to its axe.min.js)")
