"""The entry that loads everything before the first visitor."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import serve
from pages.parts import start


def test_loading_begins_with_the_server_and_the_script_is_the_app(monkeypatch):
    begun = []
    monkeypatch.setattr(start, "begin", lambda: begun.append(True))

    async def run() -> None:
        async with serve.loading(serve.app):
            assert begun == [True]

    with ThreadPoolExecutor(1) as thread:  # where no loop of another test can run
        thread.submit(asyncio.run, run()).result()
    assert serve.app.script_path.name == "app.py" and serve.app.script_path.is_file()
