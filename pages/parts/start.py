"""The start of a server: libraries, models and what pages open with come in one thread in the
background, once.

Importing PyTorch takes seconds, and so does loading and timing a model. What app.py imports while
the thread runs was imported before: two threads that import the same in another order would wait
for each other.
"""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Sized
from contextlib import suppress
from importlib import import_module

FIRST = ("pages.parts.first", "pages.parts.link", "pages.parts.queue")
EVERY_PAGE = ("pages.parts.choice", "pages.parts.shared", "pages.watch")
LATER = ("lesson", "compare", "latency", "rules", "budget", "paper", "models", "crowd")

CALM_S = 2.0

_lock = threading.Lock()
_there, _loaded = threading.Event(), threading.Event()
_thread: threading.Thread | None = None


def begin() -> threading.Thread:
    """Begin, unless that has been done, and return the thread at once."""
    global _thread
    with _lock:
        if _thread is None:
            for name in FIRST:
                import_module(name)
            _thread = threading.Thread(target=_work, name="mvit-start")
            _thread.start()
        return _thread


def over() -> bool:
    """Whether all that every page needs has been imported."""
    return _there.is_set()


def wait() -> None:
    """Wait for that."""
    _there.wait()


def wait_for_model() -> None:
    """Wait until the model of the first page is there, or cannot be had."""
    _loaded.wait()


def _work() -> None:
    gc.disable()  # half a million objects that stay: looking for garbage among them costs a fifth
    try:
        import_module("pages.parts.lean").import_timm()
        for name in EVERY_PAGE:
            import_module(name)
    except Exception:  # the page that needs it meets the same error and says so
        logging.getLogger("mvit.app").exception("a library could not be imported")
        _loaded.set()
        return
    finally:
        gc.enable()
        _there.set()
    try:
        warm_up()
    finally:
        _loaded.set()


def warm_up() -> None:
    """Load the models that pages open with, the first page's first, then import the other pages and
    open each once. A model is loaded and probed in turn with the visitors' runs, whose times it
    would spoil; all but the first when nobody has been in the line for a while."""
    choice, models, queue = (
        import_module(f"pages.parts.{name}") for name in ("choice", "models", "queue")
    )
    for number, opening in enumerate(choice.openings()):
        if number and not _calm(queue.QUEUE):
            return
        with suppress(models.WeightsError, queue.BusyError), queue.QUEUE.turn(lambda before: None):
            models.load(*opening)
        _loaded.set()
    for name in LATER:
        import_module(f"pages.{name}")
    rehearse()


def rehearse() -> None:
    """Open every page but the first once, each when nobody has been in the line for a while."""
    try:
        queue, rehearsal = (import_module(f"pages.parts.{name}") for name in ("queue", "rehearsal"))
        for name in LATER:
            if not (rehearsal.possible() and _calm(queue.QUEUE)):
                return
            rehearsal.visit(name, threading.main_thread().is_alive)
    except Exception:  # it speaks to parts of Streamlit that another release may name differently
        logging.getLogger("mvit.app").info("pages are not opened in advance", exc_info=True)


def _calm(line: Sized) -> bool:
    """Wait until nobody has been in the line for CALM_S; False if the server stops meanwhile."""
    since = time.monotonic()
    while time.monotonic() - since < CALM_S:
        if not threading.main_thread().is_alive():
            return False
        if len(line):
            since = time.monotonic()
        time.sleep(0.05)
    return True
