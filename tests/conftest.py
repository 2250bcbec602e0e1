"""Fixtures that several test files share: a small bundle with untrained exits, so that tests run
without the real weights."""

import gc
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.runtime.pages_manager import PagesManager

# what the libraries hold, half a million objects, never becomes garbage: nobody looks there
gc.disable()
# processes that share the cores do not each start a thread for every core; before torch is imported
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))
# so that a bare `pytest` finds mvit and pages too
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bundles import save_bundle  # noqa: E402
from live import Server, Visitor, disk_is_full  # noqa: E402
from once import do_once  # noqa: E402
from thin import narrow  # noqa: E402

from mvit.bundles import weights  # noqa: E402
from mvit.inference import engine  # noqa: E402
from mvit.tasks import CIFAR10_LABELS, Task  # noqa: E402
from pages.parts import start  # noqa: E402

do_once()


def pytest_xdist_auto_num_workers(config) -> int | None:
    """The whole default run is shared by processes, one a core; files that are named, the browser
    and the long tests, which measure time, run in this one."""
    default = "not slow" in config.option.markexpr and "not browser" in config.option.markexpr
    return None if default and not config.option.file_or_dir else 0


def pytest_collection_finish() -> None:
    """All is imported."""
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True, scope="session")
def _narrow():
    """Every network for inputs of 64 px, the small bundle's among them, is a narrow one."""
    with pytest.MonkeyPatch.context() as patch:
        narrow(patch, px=64)
        yield


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory, _narrow) -> Path:
    """A weights folder with a small untrained CIFAR-10 bundle (64 px input, narrow); read only, see
    tiny_weights and own_weights."""
    folder = tmp_path_factory.mktemp("weights")
    save_bundle(folder, Task("cifar10", CIFAR10_LABELS, native_px=32, input_px=64))
    return folder


@pytest.fixture(autouse=True)
def _started(monkeypatch):
    """Tests have imported all libraries; no thread loads models beside them."""
    monkeypatch.setattr(start, "over", lambda: True)


@pytest.fixture(autouse=True, scope="session")
def _one_engine():
    """`auto` stays with timm's layers: engines round differently, and which is faster by a little
    is chance. The tests of engines choose one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "WORTHWHILE", math.inf)
        yield


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
        with Visitor(server) as first:  # its model is loaded and timed while the gate is open
            first.open()
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
