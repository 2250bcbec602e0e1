"""Where a number comes from, and how to take it away: badges, CSV, and the JSON record of a run."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from importlib import metadata

import pandas as pd
import streamlit as st

from mvit.bundles.card import measured_on
from mvit.bundles.opening import TASK_NAMES
from pages.parts import link
from pages.parts.models import GROWN_HELP, Bundle
from pages.parts.svg import svg_button


def live_badge(
    bundle: Bundle,
    run: dict | None = None,
    what: str = "",
    how: str = "Computed on this picture by the real network",
) -> None:
    """Mark what follows (or only `what` of it) as computed here, with its device, number type and
    age.

    run: what `shared.measured` gave, if that is shown; else it was computed just now, on the
    bundle's device.
    """
    run = run or {}
    now = datetime.now(UTC)
    minutes = int((now - run.get("at", now)).total_seconds() // 60)
    when = (
        "live"
        if not minutes
        else f"measured {minutes} min ago"
        if minutes < 60
        else f"measured {minutes // 60} h ago"
    )
    text = f"{what} {when} on this machine: {run.get('device', bundle.device).upper()}, "
    text += bundle.dtype
    by = "just now" if not minutes else "in this visit, or in another one since the server started"
    st.badge(
        text.strip(),
        icon=":material/bolt:",
        color="green",
        help=f"{how} on the device named, {by}.",
    )
    _grown_badge(bundle)


def _grown_badge(bundle: Bundle) -> None:
    """Mark a network that was never trained at its size."""
    if bundle.grown_from:
        text = f"grown: {bundle.grown_from}'s answers at this network's cost"
        st.badge(text, icon=":material/open_in_full:", color="orange", help=GROWN_HELP)


def recorded_badge(bundle: Bundle, what: str = "10,000 pictures") -> None:
    """Mark what follows as recorded, with its source."""
    name = TASK_NAMES.get(bundle.task, bundle.task)
    by = f", by {bundle.grown_from}" if bundle.grown_from else ""
    st.badge(
        f"recorded on {measured_on(bundle.card, name)}, {what}{by}",
        icon=":material/inventory_2:",
        color="blue",
        help="Measured once, when the weights were made, and read from their card.",
    )


def replay_badge(text: str = "replay of measured times") -> None:
    """Mark what follows as a replay of times that were measured before."""
    st.badge(
        text,
        icon=":material/replay:",
        color="violet",
        help="The times were measured by a real run; only the display is slowed down.",
    )


@cache
def versions() -> dict[str, str]:
    """Of Python and of the packages that a result depends on."""
    packages = ("torch", "timm", "numpy", "pandas", "streamlit")
    return {"python": platform.python_version()} | {p: metadata.version(p) for p in packages}


def run_record(bundle: Bundle, settings: dict, rows: pd.DataFrame) -> dict:
    """The JSON record of a run: weights' hashes, versions, device, settings and every row. Never
    holds an upload's name."""
    return {
        "record": "Multi-Exit ViT Lab run",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": bundle.task,
        "backbone": bundle.backbone,
        "device": bundle.device,
        "dtype": bundle.dtype,
        "engine": bundle.engine.name,
        "grown_from": bundle.grown_from,
        "weights_sha256": {name: about["sha256"] for name, about in bundle.card["files"].items()},
        "versions": versions(),
        "settings": settings,
        "rows": json.loads(rows.to_json(orient="records")),
    }


def csv_button(
    label: str, data: str | Callable[[], str], name: str, *, key: str | None = None, help: str
) -> None:
    """Draw a button that downloads a table; `name` is the file's, and the key if there is no
    other. data: the text, or what makes it when it is asked for."""
    st.download_button(
        label,
        data,
        f"{name}.csv",
        "text/csv",
        key=key or name,
        icon=":material/download:",
        on_click="ignore",
        help=help,
    )


def export(
    name: str, rows: pd.DataFrame, bundle: Bundle, settings: dict, run: dict | None = None
) -> None:
    """Draw the download buttons: CSV of the rows, JSON record of the run, the charts as SVG; `name`
    begins file names and keys.

    run: what `shared.measured` gave, if the rows come from it; the record then says when that was.
    """
    if link.hidden("export"):
        return
    when = {"measured": run["at"].isoformat(timespec="seconds")} if run else {}
    record = json.dumps(run_record(bundle, settings | when, rows), indent=1)
    with st.container(horizontal=True):
        told = "The table as comma-separated values."
        csv_button("CSV", rows.to_csv(index=False), name, key=f"{name}_csv", help=told)
        st.download_button(
            "JSON run record",
            record,
            f"{name}.json",
            "application/json",
            key=f"{name}_json",
            icon=":material/data_object:",
            on_click="ignore",
            help="The rows with the weights' hashes, versions, device and settings.",
        )
        svg_button(name)
