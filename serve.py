"""The lab for a class or a container: `streamlit run serve.py` is `streamlit run app.py` whose
libraries and models are loaded from the start of the process on, before anybody comes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st

from pages.parts import start


@asynccontextmanager
async def loading(_server: st.App) -> AsyncIterator[None]:
    """Begin to load when the server starts; it answers meanwhile."""
    start.begin()
    yield


app = st.App(Path(__file__).with_name("app.py"), lifespan=loading)
