"""A real server in a process of its own, and visitors who speak Streamlit's websocket protocol to
it: as many as one likes, no browser."""

from __future__ import annotations

import io
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from pages.parts.start import CALM_S

ROOT = Path(__file__).resolve().parents[2]
FULL = 4096  # bytes that a file may have on a "full" disk
QUIET_S = 3 * CALM_S  # the start in the background opens two pages meanwhile, or is over
PATIENCE = 180  # seconds for any one step, on a machine that does other things too


def disk_is_full() -> None:
    """For a new process: let no file grow beyond FULL."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, FULL))


class Server:
    """`with Server(MVIT_WEIGHTS=...) as server`: a running app. script: what to run; before: called
    in the new process first."""

    def __init__(self, script: Path = ROOT / "app.py", before=None, **environment: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.script, self.before = script, before
        self.environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"} | environment
        self.log = tempfile.TemporaryFile("w+")

    def __enter__(self) -> Server:
        command = [
            sys.executable,
            "-m",
            "streamlit",
            "run",
            str(self.script),
            "--server.headless=true",
            f"--server.port={self.port}",
            "--server.address=127.0.0.1",
        ]
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
            preexec_fn=self.before,
        )
        until = time.monotonic() + PATIENCE
        while not self.healthy():
            assert self.process.poll() is None and time.monotonic() < until, (
                f"the server did not start: {self.said()}"
            )
            time.sleep(0.2)
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()  # a polite end waits for every open connection
        self.process.wait(20)
        self.log.close()

    def healthy(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.address}/_stcore/health", timeout=5).status == 200
        except OSError:
            return False

    def megabytes(self) -> float:
        """Resident memory of the process."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def peak_megabytes(self) -> float:
        """The most that the process ever held (on Linux; elsewhere what it holds now)."""
        status = Path(f"/proc/{self.process.pid}/status")
        held = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
        return int(held[1]) * 1024 / 1e6 if held else self.megabytes()

    def seconds(self) -> float:
        """Processor time that the process has used, which is the same on a busy machine."""
        spent = psutil.Process(self.process.pid).cpu_times()
        return spent.user + spent.system

    def idle(self) -> Server:
        """Wait until the process has had nothing to do for a while."""
        until, last = time.monotonic() + PATIENCE, -QUIET_S
        while self.seconds() - last > QUIET_S / 20:
            assert time.monotonic() < until, "the server was never idle"
            last = self.seconds()
            time.sleep(QUIET_S)
        return self

    def said(self) -> str:
        """What the server wrote to its console."""
        self.log.seek(0)
        return self.log.read()


class Visitor:
    """One connection to a server; `ask` runs the page, and what it drew last can be looked at."""

    def __init__(self, server: Server):
        self.server, self.drawn = server, []
        self._open = ExitStack()
        line = connect(
            f"ws://127.0.0.1:{server.port}/_stcore/stream",
            subprotocols=["streamlit"],
            max_size=None,
            open_timeout=PATIENCE,
            close_timeout=1,
            proxy=None,
        )
        self.line = self._open.enter_context(line)

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_) -> None:
        self._open.close()

    def ask(self, query: str = "") -> None:
        """Open the link `?query`, without waiting for what comes."""
        message = BackMsg()
        message.rerun_script.query_string = query
        self.line.send(message.SerializeToString())

    def hear(self) -> ForwardMsg:
        """The next thing that the server says; a new run begins with an empty page."""
        message = ForwardMsg()
        message.ParseFromString(self.line.recv(PATIENCE))
        if message.WhichOneof("type") == "new_session":
            self.drawn = []
        elif message.WhichOneof("type") == "delta":
            self.drawn.append(message.delta.new_element)
        return message

    def open(self, query: str = "") -> Visitor:
        """Open the link and wait until the page is done."""
        self.ask(query)
        return self.settled()

    def settled(self) -> Visitor:
        until = time.monotonic() + PATIENCE
        while not self.heard_the_end():
            assert time.monotonic() < until, f"the page was not done after {PATIENCE} s"
        return self

    def heard_the_end(self) -> bool:
        """Hear the next thing; whether it was that the page is done."""
        message = self.hear()
        return (
            message.WhichOneof("type") == "script_finished"
            and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
        )

    def until_told(self, pattern: str) -> str:
        """Listen until a message box matches, and return what matched."""
        return self._until(lambda: self.drawn[-1].alert.body, pattern)

    def until_drawn(self, pattern: str) -> str:
        """The same for markup, such as lamps that light up during a run."""
        return self._until(lambda: self.drawn[-1].html.body, pattern)

    def _until(self, last, pattern: str) -> str:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self.hear()
            if self.drawn and (found := re.search(pattern, last())):
                return found[0]
        raise TimeoutError(f"nobody said {pattern!r}")

    def elements(self, kind: str) -> list:
        return [getattr(e, kind) for e in self.drawn if e.WhichOneof("type") == kind]

    @property
    def alerts(self) -> list[str]:
        """Texts of the message boxes that the run drew, gone ones included."""
        return [f"{a.title} {a.body}".strip() for a in self.elements("alert")]

    @property
    def headings(self) -> list[str]:
        return [h.body for h in self.elements("heading")]

    def download(self, label: str) -> bytes:
        """What the download button of that label gives."""
        url = next(b.url for b in self.elements("download_button") if b.label == label)
        return urllib.request.urlopen(self.server.address + url, timeout=PATIENCE).read()

    def rows(self) -> pd.DataFrame:
        """The page's table as its CSV button gives it: numbers at full precision."""
        return pd.read_csv(io.BytesIO(self.download("CSV")))
