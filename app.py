"""Multi-Exit ViT Lab: page config, navigation, and the sidebar that every page shares. Start with
`streamlit run app.py`."""

import logging
from pathlib import Path

import streamlit as st

# light, so that it is there even if the rest cannot be imported
from pages.parts.queue import BusyError

st.set_page_config("Multi-Exit ViT Lab", "💡", layout="wide")

PAGES = [  # (file in pages/, title, icon); the first one opens
    ("watch", "Watch exits fire", "bolt"),
    ("compare", "Compare heads", "grid_on"),
    ("latency", "Latency slider", "timer"),
    ("crowd", "Crowd", "groups"),
    ("rules", "Stop rules", "rule"),
    ("budget", "Moving budget", "show_chart"),
    ("paper", "The paper, reproduced", "menu_book"),
    ("lesson", "Lesson", "school"),
    ("models", "Models", "deployed_code"),
]
HERE = Path(__file__).resolve().parent / "pages"
pages = [
    st.Page(
        HERE / f"{name}.py",
        title=title,
        icon=f":material/{icon}:",
        url_path=name,
        default=name == "watch",
    )
    for name, title, icon in PAGES
    if (HERE / f"{name}.py").exists()
]
chosen = st.navigation(pages)
st.logo(str(HERE / "parts" / "assets" / "logo.svg"), size="large")

try:
    with st.spinner("Starting the lab …", show_time=True):
        from pages.parts import link, models, shared  # noqa: F401 - what a page needs, so that its time is told
    link.start_run()
    link.short_lesson()
    if wanted := st.query_params.get("page"):
        rest = {k: st.query_params.get_all(k) for k in st.query_params if k != "page"}
        match = [p for p in pages if p.url_path == wanted or (p is pages[0] and wanted == "watch")]
        if not match:
            link.notice(
                f"The link asks for the page {wanted[:40]}, which is not here; this is {chosen.title}."
            )
        elif match[0] is not chosen:
            st.switch_page(match[0], query_params=rest)
    models.choose()
    chosen.run()
except BusyError as busy:
    st.warning(f"{busy}.", title="The line is full", icon=":material/hourglass_top:")
    st.button("Try again", icon=":material/refresh:", key="again")
except Exception:
    logging.getLogger("mvit.app").exception("a page failed")
    st.error(
        "Something on this page did not work. What you gave it is still here: change a setting, reload, or open another page.",
        title="That did not work",
        icon=":material/sentiment_dissatisfied:",
    )
