"""A button that saves the page's charts as SVG files, straight from what the browser drew (PNG is
in each chart's own toolbar)."""

import streamlit as st

HTML = """
<button type="button" title="Saves every chart on this page as a vector graphic.">Charts as SVG</button>
"""
CSS = """
button { font: inherit; color: inherit; background: transparent; cursor: pointer; padding: .5rem .75rem; white-space: nowrap;
  font-size: .875rem; border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color); }
"""
JS = """
export default function (component) {
  component.parentElement.querySelector('button').onclick = () => {
    document.querySelectorAll('[data-testid="stVegaLiteChart"] svg.marks').forEach((svg, i) => {
      const copy = svg.cloneNode(true);
      copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
      copy.style.background = getComputedStyle(document.querySelector('.stApp')).backgroundColor;
      const link = document.createElement('a');
      link.href = URL.createObjectURL(new Blob([copy.outerHTML], { type: 'image/svg+xml' }));
      link.download = component.data.name + '-' + (i + 1) + '.svg';
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  };
}
"""
_component = st.components.v2.component("mvit_svg", html=HTML, css=CSS, js=JS)


def svg_button(name: str) -> None:
    """Draw the button; `name` begins the file names."""
    _component(key=f"{name}_svg", data={"name": name}, width="content")
