"""What the stream of pictures got: answers in time, right answers, wasted work; and the split of
one network between device and server."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from mvit.charts import budget as draw
from mvit.evaluation.predictions import Predictions
from mvit.policies import budget, split
from pages import parts as ui
from pages.parts.words import WORDS, percent

LINKS = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0]
INTERVAL = "of the 95 % interval of the share that is right (Wilson)."
SIDES = [32, 64, 96, 128, 224, 384, 640, 1080]  # of a picture on its way, in pixels


def show_stream(
    budgets: np.ndarray, ways: list[budget.Outcome], levels: pd.DataFrame
) -> pd.DataFrame:
    """Budget, accuracy over time, and the totals. levels: way, ms until its first answer."""
    table = budget.summary(ways)
    static = table.iloc[1]
    with st.container(horizontal=True):
        for row in table.itertuples():
            st.metric(
                f"{row.way}: in time",
                percent(row.answered, 1),
                f"{percent(row.right, 1)} right",
                "off",
                delta_arrow="off",
                help="Share of the pictures answered within their budget; below, answered and "
                "right, of all pictures. On a longer stream of this kind between "
                f"{percent(row.low, 1)} and {percent(row.high, 1)} would be right, with 95 % "
                "certainty (Wilson's interval).",
            )
    window = max(10, len(budgets) // 12)
    kept = np.unique(np.linspace(0, len(budgets) - 1, min(400, len(budgets))).astype(int))
    line = pd.DataFrame({"picture": kept + 1, "ms": budgets[kept]})
    said = (
        f"Between {budgets.min():.1f} and {budgets.max():.1f} ms for a picture: enough for the "
        f"plain network in {percent(static.answered)} of the cases"
    )
    ui.chart(draw.budgets(line, levels, said), alt=f"The budget over time. {said}.")
    best = table.loc[table.right.idxmax()]
    left, right = st.columns(2, gap="medium")
    with left:
        told = (
            f"Right most often over the stream: {best.way}, {percent(best.right, 1)}; plain "
            f"network {percent(static.right, 1)}"
        )
        figure = draw.over_time(budget.over_time(ways, window), window, told)
        ui.chart(figure, alt=f"Share of right answers over time. {told}.")
    with right:
        each = [
            ", ".join(
                f"{short} {percent(share)}"
                for short, share in zip(SHORT, table[column], strict=True)
            )
            for column in ("answered", "wasted")
        ]
        told = f"Answered in time: {each[0]}; wasted: {each[1]}"
        ui.chart(draw.compared(table, told), alt=f"{told}.")
    st.caption(
        "Wasted: time spent on work that the answer does not use.",
        help="What ran after the last finished answer until the clock stopped, and earlier heads "
        "whose answers were replaced by a later one. Waiting costs nothing.",
    )
    share, number = (
        lambda label, help: st.column_config.NumberColumn(label, format="percent", help=help),
        lambda label: st.column_config.NumberColumn(
            label, format="%.2f", help="Mean of a picture."
        ),
    )
    ui.table(
        table,
        column_config={
            "answered": share("answered in time", "Of all pictures."),
            "right": share("right", "Of all pictures; no answer counts as wrong."),
            "low": share("low", f"The lower end {INTERVAL}"),
            "high": share("high", f"The upper end {INTERVAL}"),
            "used_ms": number("computed ms"),
            "wasted_ms": number("wasted ms"),
            "wasted": share("wasted share", "Of the time computed."),
        }
        | {
            p: st.column_config.NumberColumn(
                f"{p}, ms",
                format="%.1f",
                help=f"{p[1:]} of 100 pictures were computed for no longer than this.",
            )
            for p in ("p50", "p95", "p99")
        },
    )
    return table


SHORT = ("anytime exits", "plain network", "early cut")


def _controls(layers: list[int], native: int) -> tuple[int, float, int, float, int, int]:
    """Layer, confidence, side of the picture sent, Mbit/s, delay in ms, and the server's speed."""
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
            options=LINKS,
            value=10.0,
            width=230,
            help="Of the link from the device to the server.",
        )
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
            options=[1, 2, 5, 10, 20, 50, 100],
            value=10,
            width=200,
            help="How many times as fast as this machine the server is. Your assumption, no "
            "measurement.",
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
    return layer, sure, side, mbit, delay, faster


def show_split(bundle: ui.Bundle, head: str, test: Predictions, times: dict) -> None:
    """One exit on the device, the rest at a server."""
    st.subheader(
        "Split between device and server",
        anchor=False,
        help="The device runs the layers up to one exit. If that is sure, its answer counts; else "
        "a server goes on.",
    )
    model, plain = bundle.model, ui.plain(bundle, times["plain"]).ms
    own = [e for e in model.exits(head) if e in set(test.exits)]
    layer, sure, side, mbit, delay, faster = _controls([b for b, _ in own], model.task.native_px)
    trace = times["trace"].set_index(["layer", "head"]).loc[own]
    grid, dim = model.backbone.grid, model.backbone.dim
    sizes = {"tokens": split.token_bytes(grid, dim), "picture": split.picture_bytes(side)}
    seen = test.select(own)
    rows = split.split(
        [b for b, _ in own],
        backbone_ms=(trace.ms - trace.head_ms).tolist(),
        head_ms=trace.head_ms.tolist(),
        full_ms=plain,
        leaves=seen.confidence >= sure,
        correct=seen.correct,
        final_correct=test.correct[-1],
        sizes=sizes,
        mbit=mbit,
        delay_ms=delay,
        faster=faster,
    )
    here = rows[rows.layer == layer]
    best = here.loc[here.ms.idxmin()]
    server = split.link_ms(sizes["picture"], mbit, delay) + plain / faster
    finding = (
        f"Exit at layer {layer}: {percent(1 - best.offloaded)} answered on the device, "
        f"{best.ms:.1f} ms on average and {percent(best.accuracy, 1)} right, sending the "
        f"{best.sent}; the plain network on the device {plain:.1f} ms"
    )
    figure = draw.split(rows, device_ms=plain, server_ms=server, picked=layer, finding=finding)
    ui.chart(figure, alt=finding)
    tokens, picture = sizes["tokens"] / 1000, sizes["picture"] / 1000
    st.caption(
        f"Tokens: (1 + {grid} × {grid}) × {dim} numbers in half precision, {tokens:.1f} kB. "
        f"Picture: {side} × {side} × 3 bytes, {picture:.1f} kB. Time = device + offloaded share × "
        "(delay + 8 × bytes / bandwidth + server).",
        help="With tokens the server runs the layers that remain, with the picture all of them. "
        "The server's answer is a few bytes and not counted. The link and the server are your "
        "settings; the device's times are measured.",
    )
    ui.table(rows, "Every split as a table")
