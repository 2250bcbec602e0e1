"""What every page keeps and draws in the same way: results, measured runs, charts and tables."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st
from altair import TitleParams, Undefined, data_transformers
from altair.utils import schemapi

from mvit.charts import style as charts
from mvit.charts.kept import MOST
from mvit.models.multi_exit import MultiExitViT
from pages.parts.columns import NOTHING, readable
from pages.parts.models import Bundle, inference
from pages.parts.pictures import EXAMPLE, Picture

# Streamlit looks for garbage after every run. What the libraries hold, half a million objects,
# never becomes any: it need not look there,
# which on two cores took a third of a second, while nothing could be sent.
gc.collect()
gc.freeze()

# Altair compares each part of a chart with Vega-Lite's schema, which takes most of the time that a
# page needs; the charts' own tests have done that.
schemapi.disable_debug_mode()

# what would turn the name of somebody's own class into markup
_MARKDOWN, _BACKSLASHED = re.compile(r"([\\`*_\[\]$~:<>#|])"), r"\\\1"
KEPT_RUNS = 64  # of one model, on examples
_specs: dict[tuple[int, bool], tuple[Any, dict]] = {}  # (figure, its words); the latest at the end


def once(name: str, key: Hashable, make: Callable[[], Any]) -> Any:
    """This visitor's latest result called `name`; `make()` runs again only when `key` changes. One
    result is kept for a name."""
    kept = st.session_state.get(f"_once_{name}")
    if kept is None or kept[0] != key:
        kept = (key, make())
        st.session_state[f"_once_{name}"] = kept
    return kept[1]


def measured(
    name: str,
    bundle: Bundle,
    more: Hashable,
    work: Callable[[MultiExitViT], dict],
    picture: Picture | None = None,
    again: bool = False,
) -> dict:
    """What `work(model)` measured, on this picture if it is on one, with "device" and "at", when
    that was (UTC).

    `more` tells it from other work of that name.

    Of a visitor's own picture, the visitor's own measurement. Of one of the lab's examples, or of
    none, the latest that anybody on this server made with this model, so that a class that opens
    the lab together need not wait in line; `again` measures anew, for everybody.
    """
    where, kept = (name, more, picture and picture.key), bundle.runs
    shared = picture is None or picture.source == EXAMPLE

    def latest() -> dict | None:
        return kept.get(where) if shared and not again else None

    def timed(model: MultiExitViT) -> dict:
        # Asked again: who waited in line may have waited for this very run.
        run = latest() or work(model) | {"device": str(model.device), "at": datetime.now(UTC)}
        # not what the CPU did in place of a GPU that failed
        if shared and run["device"] == bundle.device:
            kept[where] = run
            for oldest in list(kept)[:-KEPT_RUNS]:
                kept.pop(oldest, None)
        return run

    if again:
        st.session_state.pop(f"_once_{name}", None)
    return once(name, (*bundle.key, *where), lambda: latest() or inference(bundle, timed))


@dataclass(frozen=True)
class _Drawn:
    """A figure in a page's light or dark ink that Streamlit takes as it is, without a look at the
    schema. The same figure is put into Vega-Lite's words once, with its data, for all who ask."""

    figure: Any
    dark: bool

    def to_dict(self) -> dict:
        where = id(self.figure), self.dark
        figure, spec = _specs.pop(where, (None, None))
        if figure is not self.figure:  # the figure is kept too, so that no other gets its number
            spec = self._put()
        _specs[where] = self.figure, spec
        for oldest in list(_specs)[:-MOST]:
            _specs.pop(oldest, None)
        return dict(spec)

    def _put(self) -> dict:
        bare = self.figure.copy(deep=False)
        if isinstance(bare.title, TitleParams):
            bare.title = Undefined  # it stands above the chart
        spec = charts.themed(bare, self.dark).to_dict(validate=False)
        # where Streamlit gathers the data of the chart that it draws
        return spec | {"datasets": data_transformers.options.get("datasets", {})}


def chart(
    figure: Any, alt: str, key: str | None = None, *, picture: Picture | None = None, **options: Any
) -> Any:
    """Draw an Altair chart as wide as its place, in the page's light or dark ink; its title is a
    heading above it, which flows with the width. `alt`: the finding in words; `picture`: which the
    finding is about, shown small beside it."""
    if isinstance(figure.title, TitleParams):
        finding, how = (" ".join(lines) for lines in (figure.title.text, figure.title.subtitle))
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            if picture is not None:
                st.image(picture.thumbnail, width=48, alt=picture.title)
            st.container(width="stretch").markdown(
                f"#### {_MARKDOWN.sub(_BACKSLASHED, finding)}", anchors=False
            )
        if how:
            st.caption(_MARKDOWN.sub(_BACKSLASHED, how))
    return st.altair_chart(
        _Drawn(figure, st.context.theme.type == "dark"),
        width="stretch",
        alt=alt,
        key=key,
        **options,
    )


def table(frame: pd.DataFrame, label: str = "The same as a table", **options: Any) -> None:
    """The chart's numbers as a table, folded away."""
    with st.expander(label, icon=":material/table_rows:"):
        rows = readable(frame)
        st.dataframe(
            rows, width="stretch", hide_index=True, alt=label, placeholder=NOTHING, **options
        )
