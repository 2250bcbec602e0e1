"""The split of one network between a device and a server."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from mvit.charts import budget as draw
from mvit.evaluation.predictions import Predictions
from mvit.policies import split
from pages import parts as ui
from pages.parts import columns
from pages.parts.words import WORDS, percent

MBITS = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0]
FASTER = [1, 2, 5, 10, 20, 50, 100]
SIDES = [32, 64, 96, 128, 224, 384, 640, 1080]  # of a picture on its way, in pixels
SENT = {"tokens": "tokens", "picture": "pictures"}
ABOUT = (
    "The device runs the layers up to one exit. If that exit is sure, its answer counts; else a "
    "server goes on."
)
FORMULA_HELP = (
    "With tokens the server runs the layers that remain, with the picture all of them. The "
    "server's answer is a few bytes and not counted. The link and the server are your settings; "
    "the device's times are measured."
)

COLUMNS = {
    "sent": TextColumn(help="What goes to the server."),
    "layer": NumberColumn("exit at layer"),
    "offloaded": columns.share("sent on", help="Share of the pictures that go to the server."),
    "accuracy": columns.share("right", help="Of all pictures, wherever they are answered."),
    "ms": NumberColumn("mean ms", format="%.1f", help="Of an answer, over all pictures."),
    "slowest_ms": NumberColumn(
        "sent on, ms", format="%.1f", help="Until a picture that goes to the server is answered."
    ),
    "kilobytes": NumberColumn("mean kB", format="%.1f", help="Sent to the server, per picture."),
}


@dataclass(frozen=True, kw_only=True)
class Link:
    """The way to the server and the server: bandwidth, delay there and back, how many times as fast
    as this machine, and the side of the picture sent, in pixels."""

    mbit: float
    delay_ms: int
    faster: int
    side: int


def show(bundle: ui.Bundle, head: str, test: Predictions, trace: pd.DataFrame) -> None:
    """One exit on the device, the rest at a server. trace: the times that all rests on."""
    st.subheader("Split between device and server", anchor=False, help=ABOUT)
    backbone, own = bundle.model.backbone, [e for e in bundle.model.exits(head) if e in test.exits]
    layer, sure, mbit = _pick_exit([b for b, _ in own])
    link = _pick_server(mbit, bundle.model.task.native_px)
    sizes = {
        "tokens": split.token_bytes(backbone.grid, backbone.dim),
        "picture": split.picture_bytes(link.side),
    }
    device_ms = float(trace.ms.iloc[-1])
    server_ms = split.link_ms(sizes["picture"], link.mbit, link.delay_ms) + device_ms / link.faster
    seen, times = test.select(own), trace.set_index(["layer", "head"]).loc[own]
    rows = split.split(
        [b for b, _ in own],
        backbone_ms=(times.ms - times.head_ms).tolist(),
        head_ms=times.head_ms.tolist(),
        full_ms=device_ms,
        leaves=seen.confidence >= sure,
        correct=seen.correct,
        final_correct=test.correct[-1],
        sizes=sizes,
        mbit=link.mbit,
        delay_ms=link.delay_ms,
        faster=link.faster,
    )
    plain = pd.DataFrame(
        {"where": ["on the device", "on the server"], "ms": [device_ms, server_ms]}
    ).assign(accuracy=float(test.accuracy[-1]))
    said = finding(rows, plain, layer)
    figure = draw.split(rows, device_ms=device_ms, server_ms=server_ms, picked=layer, finding=said)
    ui.chart(figure, alt=said)
    _say_formula(backbone.grid, backbone.dim, link.side, sizes=sizes)
    ui.table(rows, "Every split as a table", column_config=COLUMNS)


def _say_formula(grid: int, dim: int, side: int, sizes: dict[str, int]) -> None:
    tokens, picture = sizes["tokens"] / 1000, sizes["picture"] / 1000
    st.caption(
        f"Tokens: (1 + {grid} × {grid}) × {dim} numbers in half precision, {tokens:.1f} kB. "
        f"Picture: {side} × {side} × 3 bytes, {picture:.1f} kB. Mean time = device + share sent "
        "to the server × (delay + 8 × bytes / bandwidth + server).",
        help=FORMULA_HELP,
    )


def finding(rows: pd.DataFrame, plain: pd.DataFrame, layer: int) -> str:
    """What the split at a layer gives, and what would be quicker. rows: as `split.split` gives
    them; plain: the plain network's where, ms and accuracy."""
    here = rows[rows.layer == layer]
    picked, best, alone = (table.loc[table.ms.idxmin()] for table in (here, rows, plain))
    said = (
        f"Exit at layer {layer}: {picked.ms:.1f} ms on average, {percent(picked.accuracy, 1)} "
        f"right; {percent(1 - picked.offloaded)} answered on the device, the others sent as "
        f"{SENT[picked.sent]}. "
    )
    if picked.ms <= min(best.ms, alone.ms):
        return f"{said}No other layer is quicker, and neither is the plain network"
    name = f"the plain network {alone['where']}"
    if best.ms <= alone.ms:
        name, alone = f"the exit at layer {best.layer} with {SENT[best.sent]} sent", best
    return f"{said}Quickest is {name}: {alone.ms:.1f} ms, {percent(alone.accuracy, 1)} right"


def _pick_exit(layers: list[int]) -> tuple[int, float, float]:
    """Layer of the exit on the device, confidence at which it keeps a picture, Mbit/s."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        layer = ui.linked(
            st.select_slider,
            "Exit on the device, at layer",
            key="split",
            options=layers,
            value=layers[len(layers) // 2],
            width=230,
            help=WORDS["layer"],
        )
        sure = ui.linked(
            st.slider,
            "Sure enough at confidence",
            key="sure",
            min_value=0.0,
            max_value=1.0,
            value=0.9,
            step=0.01,
            width=230,
            help="The device keeps a picture if its exit is at least this sure. "
            f"{WORDS['confidence']}",
        )
        mbit = ui.linked(
            st.select_slider,
            "Bandwidth, Mbit/s",
            key="mbit",
            options=MBITS,
            value=10.0,
            width=230,
            help="Of the link from the device to the server.",
        )
    return layer, sure, mbit


def _pick_server(mbit: float, native: int) -> Link:
    """What a first look does not need. native: side of the pictures that the model knows."""
    with (
        ui.folded("Delay, server and size of the picture sent", "delay", "faster", "side"),
        st.container(horizontal=True, vertical_alignment="bottom"),
    ):
        delay = ui.linked(
            st.slider,
            "Delay, ms",
            key="delay",
            min_value=0,
            max_value=500,
            value=20,
            width=200,
            help="There and back.",
        )
        faster = ui.linked(
            st.select_slider,
            "Server faster by",
            key="faster",
            options=FASTER,
            value=10,
            width=200,
            help="How many times as fast as this machine the server is. This is your assumption; "
            "it is not measured.",
        )
        side = ui.linked(
            st.select_slider,
            "Picture sent, pixels a side",
            key="side",
            options=sorted({*SIDES, native}),
            value=native,
            width=230,
            help=f"A camera's picture may be sent larger than the {native} pixels that this model "
            "reduces it to; three bytes a pixel, not compressed.",
        )
    return Link(mbit=mbit, delay_ms=delay, faster=faster, side=side)
