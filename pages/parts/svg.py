"""A button that saves the page's charts as SVG files, straight from what the browser drew (PNG is
in each chart's own toolbar)."""

from pathlib import Path

import streamlit as st

HTML = """
<button type="button" title="Saves every chart on this page as a vector graphic.">
Charts as SVG</button>
"""
CSS = """
button { font: inherit; font-size: .875rem; color: inherit; background: transparent;
  cursor: pointer; padding: .5rem .75rem; white-space: nowrap;
  border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); }
button:hover, button:focus-visible { border-color: var(--st-primary-color);
  color: var(--st-primary-color); }
"""
JS = (Path(__file__).resolve().parent / "assets" / "svg.js").read_text()
_component = st.components.v2.component("mvit_svg", html=HTML, css=CSS, js=JS)


def svg_button(name: str) -> None:
    """Draw the button; `name` begins the file names."""
    _component(key=f"{name}_svg", data={"name": name}, width="content")
