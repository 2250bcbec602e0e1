"""Multi-Exit ViT Lab: page config, navigation, and the sidebar that every page shares. Start with
`streamlit run app.py`."""

import logging
from importlib import import_module
from pathlib import Path

import streamlit as st

# light, so that they are there even if the rest cannot be imported
from pages.parts import first, link, start
from pages.parts.queue import BusyError

st.set_page_config("Multi-Exit ViT Lab", "💡", layout="wide")

PAGES = {  # heading in the menu: (file in pages/, title, icon); the first one opens
    "": [
        ("watch", "Watch exits fire", "bolt"),
        ("lesson", "Lesson", "school"),
        ("compare", "Compare heads", "grid_on"),
        ("latency", "Latency slider", "timer"),
        ("crowd", "Crowd", "groups"),
    ],
    "For engineers": [("rules", "Stop rules", "rule"), ("budget", "Moving budget", "show_chart")],
    "About": [
        ("paper", "The paper, reproduced", "menu_book"),
        ("models", "Models", "deployed_code"),
    ],
}
LOGO = Path(__file__).resolve().parent / "pages" / "parts" / "assets" / "logo.svg"
STYLE = """<style>
.stMainBlockContainer { padding-top: 3.5rem; padding-bottom: 4rem; }
@media (max-width: 480px) {  /* four choices stay in one row */
  [data-testid="stButtonGroup"] button:not([data-testid="stTooltipIcon"] *) {
    padding-inline: .6rem;
  }
}
/* on a phone a model's long name may break, or it leaves the figures no room */
.stTable td:first-child p { overflow-wrap: anywhere !important; }
.stMarkdownBadge { white-space: normal !important; }  /* on a phone */
.stTooltipContent:has(img) { max-height: min(31rem, 46vh); }  /* pictures of heads */
.stTooltipContent ul:has(img) { columns: 18rem; margin: 0; }
.stTooltipContent li:has(img) { break-inside: avoid; list-style: none; margin: 0; padding: 0; }
</style>"""


def add(name: str, title: str, icon: str) -> st.Page:
    """The page of that file for the menu; its module, and so what it needs, is imported when it is
    opened."""
    return st.Page(
        lambda: import_module(f"pages.{name}").page(),
        title=title,
        icon=f":material/{icon}:",
        url_path="start" if name == "watch" else name,  # where "watch" is: see below
        default=name == "watch",
    )


link.start_run()
pages = {group: [add(*about) for about in members] for group, members in PAGES.items()}
# Streamlit serves the first page at the root only, and people type this
pages[""].append(st.Page(lambda: None, title="Watch", url_path="watch", visibility="hidden"))
known = {name: p for g, m in PAGES.items() for (name, *_), p in zip(m, pages[g], strict=False)}
st.session_state["_pages"] = known
chosen = st.navigation(pages, position="hidden" if link.hidden("nav") else "sidebar")
if chosen is pages[""][-1]:
    asked = {name: st.query_params.get_all(name) for name in st.query_params}
    st.switch_page(known["watch"], query_params=asked)
st.logo(str(LOGO), size="large")
st.html(STYLE)

try:
    if not start.over():
        try:
            recorded = chosen is known["watch"] and first.show()
        finally:
            start.begin()
        with st.spinner("Starting the lab …", show_time=True):
            start.wait()
            if recorded:  # which stays as it is meanwhile, not greyed
                start.wait_for_model()
                st.rerun()
    from pages.parts import choice

    wanted, rest = link.asked_page()
    if wanted in known and (known[wanted] is not chosen or "lesson" in st.query_params):
        st.switch_page(known[wanted], query_params=rest)
    if wanted and wanted not in known:
        link.notice(
            f"The link asks for the page {wanted[:40]}, which is not here; this is {chosen.title}."
        )
    link.say_unknown()
    choice.controls()
    chosen.run()
except BusyError as busy:
    st.warning(f"{busy}.", title="The line is full", icon=":material/hourglass_top:")
    st.button("Try again", icon=":material/refresh:", key="again")
except Exception:
    logging.getLogger("mvit.app").exception("a page failed")
    st.error(
        "Something on this page did not work. What you gave it is still here: change a setting, "
        "reload, or open another page.",
        title="That did not work",
        icon=":material/sentiment_dissatisfied:",
    )
