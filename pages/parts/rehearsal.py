"""A visit to every page by nobody, before anybody comes: what a page opens with is then measured,
computed and imported, and its first visitor sees it at once.

The visitor without a browser is a session like any other, which the server's runtime holds.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from streamlit import runtime
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.session_manager import SessionClient

WAIT_S = 10  # for the server's loop, which never takes that long
LONGEST_S = 60  # for a page


class Nobody(SessionClient):
    """Looks at nothing but the end of a run. done: set when a page is whole."""

    def __init__(self) -> None:
        self.done = threading.Event()

    def write_forward_msg(self, msg: ForwardMsg) -> None:
        """Hear what the server says."""
        if msg.WhichOneof("type") == "script_finished":
            if msg.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                self.done.set()


def possible() -> bool:
    """Whether this process is a server."""
    return runtime.exists()


def visit(page: str, go_on: Callable[[], bool]) -> None:
    """Open a page, by its name in links, and leave when it is whole, when `go_on()` is false, after
    a minute, or when the server stops."""
    server, nobody, asked = runtime.get_instance(), Nobody(), BackMsg()
    asked.rerun_script.query_string = f"page={page}"

    async def come() -> str:
        session = server.connect_session(nobody, {})
        server.handle_backmsg(session, asked)
        return session

    async def leave() -> None:
        server.close_session(session)

    # the runtime may be spoken to only there; Streamlit has no public way to it
    loop = server._get_async_objs().eventloop
    with suppress(RuntimeError, TimeoutError):  # it stops
        session = asyncio.run_coroutine_threadsafe(come(), loop).result(WAIT_S)
        end = time.monotonic() + LONGEST_S
        while not nobody.done.wait(0.1) and go_on() and time.monotonic() < end:
            pass
        asyncio.run_coroutine_threadsafe(leave(), loop).result(WAIT_S)
