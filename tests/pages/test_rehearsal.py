"""The visit by nobody: one page is opened as a link opens it, and left when it is whole."""

import asyncio
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from pages.parts import rehearsal


@pytest.fixture
def server(monkeypatch) -> Iterator[SimpleNamespace]:
    """A server's runtime, which notes what it is asked for and draws nothing."""
    loop, told = asyncio.new_event_loop(), []
    fake = SimpleNamespace(told=told, says=[ForwardMsg.FINISHED_SUCCESSFULLY])

    def connect(client, user) -> str:
        fake.client = client
        return "nobody"

    def handle(session: str, message) -> None:
        told.append((session, message.rerun_script.query_string))
        for status in fake.says:
            fake.client.write_forward_msg(ForwardMsg(script_finished=status))

    fake.connect_session, fake.handle_backmsg = connect, handle
    fake.close_session = lambda session: told.append((session, "left"))
    fake._get_async_objs = lambda: SimpleNamespace(eventloop=loop)
    monkeypatch.setattr(rehearsal.runtime, "get_instance", lambda: fake)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield fake
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_a_page_is_opened_by_its_link_and_left_when_it_is_whole(server):
    rehearsal.visit("rules", lambda: pytest.fail("it was whole at once"))
    assert server.told == [("nobody", "page=rules"), ("nobody", "left")]


def test_a_run_that_leads_to_another_is_no_end_and_a_server_that_stops_is_left(server):
    server.says, asked = [ForwardMsg.FINISHED_EARLY_FOR_RERUN], iter([True, False])
    rehearsal.visit("rules", lambda: next(asked))
    assert server.told[-1] == ("nobody", "left") and next(asked, None) is None
