"""A real server and a real Chromium for the browser tests; they skip, with the reason, where either
is missing.

Chromium: `apt-get install chromium`, or name another one in MVIT_CHROMIUM. axe-core (only for the
accessibility test): `npm install axe-core` anywhere, and its axe.min.js in MVIT_AXE. Screenshots
stay in tests/browser/shots/.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
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
# Streamlit itself first asks for its service files below the page's path, and is told they are
# elsewhere
OWN_404 = "/_stcore/"


@pytest.fixture(scope="session")
def server(tiny_bundle):
    """The address of a running app; it uses the bundled weights if there are any, else the small
    untrained bundle."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    bundled = any((ROOT / "weights").glob("*/*/card.json"))
    environment = os.environ | ({} if bundled else {"MVIT_WEIGHTS": str(tiny_bundle)})
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(ROOT / "app.py"),
        "--server.headless=true",
        f"--server.port={port}",
        "--server.address=127.0.0.1",
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=1)
                break
            except OSError:
                time.sleep(0.25)
        yield address
    finally:
        process.kill()  # a polite end waits for every open browser connection
        process.wait(10)


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


class Visit:
    """A page in the browser with what it complained about."""

    def __init__(self, page, server: str):
        self.page, self.server, self.complaints = page, server, []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._hear)

    def _hear(self, message) -> None:
        if message.type == "error" and OWN_404 not in message.location.get("url", ""):
            self.complaints.append(message.text)

    def open(self, path: str = "/") -> "Visit":
        self.page.goto(self.server + path, timeout=90_000)
        self.page.wait_for_selector("h1", timeout=90_000)
        return self.settled()

    def settled(self) -> "Visit":
        """Wait until the script has ended, the browser has fetched all it needs to draw, and the
        lamps, if any, are all lit."""
        self.page.wait_for_selector(
            '[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=90_000
        )
        self.page.wait_for_function(
            "!document.querySelector('[data-testid=stSkeleton]')", timeout=90_000
        )
        if self.page.locator(".lab").count():
            self.page.wait_for_selector('.lab[data-state="done"]', timeout=90_000)
        self.page.wait_for_timeout(600)
        return self

    def whole(self) -> None:
        """Grow the window to the page's full height, so that a screenshot shows all of it."""
        height = self.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        self.page.set_viewport_size(
            {"width": self.page.viewport_size["width"], "height": min(height + 20, 5000)}
        )
        self.page.wait_for_timeout(800)

    def shot(self, name: str) -> None:
        (HERE / "shots").mkdir(exist_ok=True)
        self.page.screenshot(path=str(HERE / "shots" / f"{name}.png"))

    @property
    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate("""Math.max(document.documentElement.scrollWidth - innerWidth,
            ...[...document.querySelectorAll('[data-testid=stMain]')].map(m => m.scrollWidth - m.clientWidth))""")


@pytest.fixture
def visit(chromium, server):
    """A function (width, scheme) -> Visit, each in a fresh browser profile."""
    contexts = []

    def start(width: int = 1400, scheme: str = "light", **options) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            accept_downloads=True,
            **options,
        )
        contexts.append(context)
        return Visit(context.new_page(), server)

    yield start
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script."""
    places = [os.environ.get("MVIT_AXE", ""), str(ROOT / "node_modules/axe-core/axe.min.js")]
    for place in places:
        if place and Path(place).is_file():
            return Path(place).read_text()
    pytest.skip("axe-core is not here (npm install axe-core, then set MVIT_AXE to its axe.min.js)")
