"""Fixtures that several test files share: a small bundle with untrained exits, so that tests run
without the real weights."""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.pages_manager import PagesManager

# so that a bare `pytest` finds mvit and pages too
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bundles import save_bundle  # noqa: E402
from live import Server, disk_is_full  # noqa: E402

from mvit.bundles import weights  # noqa: E402
from mvit.tasks import CIFAR10_LABELS, Task  # noqa: E402

# Every AppTest searches all installed packages for components, for half a second: once is enough.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory) -> Path:
    """A weights folder with a small untrained CIFAR-10 bundle (64 px input); read only, see
    tiny_weights and own_weights."""
    folder = tmp_path_factory.mktemp("weights")
    save_bundle(folder, Task("cifar10", CIFAR10_LABELS, native_px=32, input_px=64))
    return folder


@pytest.fixture(autouse=True)
def _navigated(monkeypatch):
    """AppTest begins every run in Streamlit's old multipage mode; a server leaves it for good at
    its first st.navigation."""
    begin = PagesManager.__init__

    def begun(self, *args, **options) -> None:
        begin(self, *args, **options)
        PagesManager.uses_pages_directory = False

    monkeypatch.setattr(PagesManager, "__init__", begun)


@pytest.fixture
def tiny_weights(tiny_bundle, monkeypatch) -> Iterator[Path]:
    """The small bundle, in force as MVIT_WEIGHTS; all tests share it, so that it is loaded once.
    One that writes there takes own_weights."""
    before = stamps(tiny_bundle)
    monkeypatch.setenv("MVIT_WEIGHTS", str(tiny_bundle))
    yield tiny_bundle
    assert stamps(tiny_bundle) == before, "this test changed the shared bundle: use own_weights"


def stamps(folder: Path) -> dict[Path, tuple[int, int]]:
    """When each file of a folder was last written, and how large it is."""
    return {file: (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.rglob("*")}


@pytest.fixture
def own_weights(tiny_bundle, tmp_path, monkeypatch) -> Path:
    """This test's own copy of the small bundle, in force as MVIT_WEIGHTS; the test may damage
    it."""
    folder = shutil.copytree(tiny_bundle, tmp_path / "weights")
    monkeypatch.setenv("MVIT_WEIGHTS", str(folder))
    return folder


@pytest.fixture(scope="session")
def gate(tmp_path_factory) -> Path:
    """While this file exists, no run of `server` gets past layer 1. Each visitor takes
    another example: one that was run before is not run again."""
    return tmp_path_factory.mktemp("gate") / "closed"


@pytest.fixture(scope="session")
def server(tiny_bundle, gate) -> Iterator[Server]:
    """A running app with a gate, on a disk without room."""
    variables = {"MVIT_WEIGHTS": str(tiny_bundle), "MVIT_TEST_GATE": str(gate)}
    script = Path(__file__).parent / "helpers" / "gated_app.py"
    with Server(script, before=disk_is_full, **variables) as server:
        yield server


@pytest.fixture
def reseal():
    """A function that writes the present sha256 of a bundle's files into its card, after a test has
    changed them."""

    def seal(bundle: Path) -> None:
        card = json.loads((bundle / "card.json").read_text())
        for name, about in card["files"].items():
            about["sha256"] = hashlib.sha256((bundle / name).read_bytes()).hexdigest()
        weights.write_card(bundle, card)

    return seal
