"""A caller that waits for its deadline is woken in time."""

from __future__ import annotations

import sys
import threading


class Prompt:
    """While any caller waits for its deadline, Python hands its lock over every 0.2 ms instead of
    every 5 ms.

    Without it a worker whose operations are short keeps the caller from waking. Process-wide, so
    counted and put back.
    """

    def __init__(self):
        self.lock, self.waiting, self.usual = threading.Lock(), 0, sys.getswitchinterval()

    def __enter__(self):
        with self.lock:
            self.waiting += 1
            if self.waiting == 1:
                self.usual = sys.getswitchinterval()
                sys.setswitchinterval(0.0002)

    def __exit__(self, *_):
        with self.lock:
            self.waiting -= 1
            if self.waiting == 0:
                sys.setswitchinterval(self.usual)
