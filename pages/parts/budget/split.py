"""The split of one network between a device and a server."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn, TextColumn

from mvit.charts import budget as draw
from mvit.evaluation.predictions import Predictions
from mvit.policies import split
from mvit.policies.split import Divided, Link
from pages import parts as ui
from pages.parts import columns
from pages.parts.untouched import following
from pages.parts.words import WORDS, percent

MBITS = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0]
FASTER = [1, 2, 5, 10, 20, 50, 100]
MBIT, DELAY, FASTER_BY = 10.0, 20, 10  # where the sliders start if no exit pays
SURE = 0.9
SIDES = [32, 64, 96, 128, 224, 384, 640, 1080]  # of a picture on its way, in pixels
SENT = {"tokens": "tokens", "picture": "pictures"}
ABOUT = (
    "The device runs the layers up to one exit. If that exit is sure, its answer counts; else a "
    "server goes on."
)
START = "Layer and bandwidth start where an exit saves the most time, if one does."
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


def show(bundle: ui.Bundle, head: str, test: Predictions, trace: pd.DataFrame) -> None:
    """One exit on the device, the rest at a server. trace: the times that all rests on."""
    st.subheader("Split between device and server", anchor=False, help=ABOUT)
    backbone, own = bundle.model.backbone, [e for e in bundle.model.exits(head) if e in test.exits]
    times = trace.set_index(["layer", "head"]).loc[own]
    network = Divided(
        backbone_ms=(times.ms - times.head_ms).tolist(),
        head_ms=times.head_ms.tolist(),
        full_ms=float(trace.ms.iloc[-1]),
        tokens=split.token_bytes(backbone.grid, backbone.dim),
        seen=test.select(own),
        final=test.correct[-1],
    )
    # what the gains depend on
    worth = (tuple(network.seen.accuracy), float(network.final.mean()))
    key = (*bundle.key, worth, tuple(times.ms), tuple(times.head_ms), network.full_ms)
    layer, sure, link = _pick(network, key, bundle.model.task.native_px)
    rows, server_ms = network.splits(link, sure), network.server_ms(link)
    plain = pd.DataFrame(
        {"where": ["on the device", "on the server"], "ms": [network.full_ms, server_ms]}
    ).assign(accuracy=float(network.final.mean()))
    said = finding(rows, plain, layer)
    figure = draw.split(
        rows, device_ms=network.full_ms, server_ms=server_ms, picked=layer, finding=said
    )
    ui.chart(figure, alt=said)
    paying = [m for m, (gain, _) in gains(key, link, sure, _network=network).items() if gain > 1]
    st.caption(f"{where_it_pays(paying)} {START}")
    _say_formula(backbone.grid, backbone.dim, link.side, tokens=network.tokens)
    ui.table(rows, "Every split as a table", column_config=COLUMNS)


def where_it_pays(mbits: list[float]) -> str:
    """At which bandwidths an exit pays, and what that means."""
    pays = (
        "An exit pays where it is quicker than the plain network, on the device and on the server, "
        f"and loses at most {100 * split.LOSS:g} point"
    )
    if not mbits:
        return f"{pays}. With these settings that is so at no bandwidth of the slider."
    low, high = min(mbits), max(mbits)
    whole = [m for m in MBITS if low <= m <= high] == mbits
    some = f"{low:g} to {high:g}" if whole and low < high else ", ".join(f"{m:g}" for m in mbits)
    return f"{pays}. With these settings that is so at {some} Mbit/s."


def _say_formula(grid: int, dim: int, side: int, tokens: int) -> None:
    picture = split.picture_bytes(side) / 1000
    st.caption(
        f"Tokens: (1 + {grid} × {grid}) × {dim} numbers in half precision, {tokens / 1000:.1f} kB. "
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


@st.cache_data(max_entries=64, show_spinner=False)
def gains(
    key: tuple, link: Link, sure: float, *, _network: Divided
) -> dict[float, tuple[float, int | None]]:
    """`Divided.gain` at every bandwidth of the slider; `key` tells the network's exits and times
    from others."""
    return {m: _network.gain(replace(link, mbit=m), sure) for m in MBITS}


def _pick(network: Divided, key: tuple, native: int) -> tuple[int, float, Link]:
    """Layer of the exit on the device, confidence at which it keeps a picture, and the link. They
    start where an exit saves most, if one does. key: see `gains`; native: side of the pictures that
    the model knows."""
    usual = Link(mbit=MBIT, delay_ms=DELAY, faster=FASTER_BY, side=native)
    found = gains(key, usual, SURE, _network=network)
    best = max(found, key=lambda mbit: found[mbit][0])
    layers = [layer for layer, _ in network.seen.exits]
    layer = layers[len(layers) // 2]
    if found[best][0] > 1:
        usual, layer = replace(usual, mbit=best), found[best][1]
    row = st.container(horizontal=True, vertical_alignment="bottom")
    link = _pick_server(usual)
    with row:
        layer, sure, mbit = _pick_exit(layers, layer, usual.mbit)
    return layer, sure, replace(link, mbit=mbit)


def _pick_exit(layers: list[int], layer: int, mbit: float) -> tuple[int, float, float]:
    """Layer of the exit on the device, confidence at which it keeps a picture, Mbit/s. layer, mbit:
    where the sliders start."""
    layer = ui.linked(
        st.select_slider,
        "Exit on the device, at layer",
        key="split",
        options=layers,
        width=230,
        help=WORDS["layer"],
        **following("split", layer),
    )
    sure = ui.linked(
        st.slider,
        "Sure enough at confidence",
        key="sure",
        min_value=0.0,
        max_value=1.0,
        value=SURE,
        step=0.01,
        width=230,
        help=f"The device keeps a picture if its exit is at least this sure. {WORDS['confidence']}",
    )
    mbit = ui.linked(
        st.select_slider,
        "Bandwidth, Mbit/s",
        key="mbit",
        options=MBITS,
        width=230,
        help="Of the link from the device to the server.",
        **following("mbit", mbit),
    )
    return layer, sure, mbit


def _pick_server(usual: Link) -> Link:
    """What a first look does not need. usual: what these controls start with."""
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
            value=usual.delay_ms,
            width=200,
            help="There and back.",
        )
        faster = ui.linked(
            st.select_slider,
            "Server faster by",
            key="faster",
            options=FASTER,
            value=usual.faster,
            width=200,
            help="How many times as fast as this machine the server is. This is your assumption; "
            "it is not measured.",
        )
        side = ui.linked(
            st.select_slider,
            "Picture sent, pixels a side",
            key="side",
            options=sorted({*SIDES, usual.side}),
            value=usual.side,
            width=230,
            help=f"A camera's picture may be sent larger than the {usual.side} pixels that this "
            "model reduces it to; three bytes a pixel, not compressed.",
        )
    return replace(usual, delay_ms=delay, faster=faster, side=side)
