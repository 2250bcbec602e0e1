"""Moving budget: the time for one answer changes from picture to picture. Who still answers, how
well, and what is wasted?"""

import numpy as np
import pandas as pd
import streamlit as st

from mvit.charts import budget as draw
from mvit.policies import budget
from mvit.policies.outcomes import finish_times
from mvit.policies.plans import BestPlan, best_plan, measured, options
from mvit.policies.rules import make, replay
from pages.parts import recorded as recordings
from pages.parts import shared as ui
from pages.parts import words

WORDS = words.WORDS
UPLOADED = "your own trace"
EXAMPLE = "budget_ms\n12.5\n30\n8"
LINKS = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0]
PLANS = ["planned", "practical", "all"]


def percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f}\u00a0%"


def uploaded() -> np.ndarray | None:
    """The visitor's own budgets; after a bad file the last good ones, or None with a word on what
    to do."""
    file = st.file_uploader(
        "A CSV of budgets in milliseconds",
        type=["csv", "txt"],
        key="budget_file",
        help="One budget a line, one for each picture; with several columns, name one budget_ms.",
    )
    if file is not None:
        try:
            st.session_state["_budget_trace"] = budget.read_csv(file.getvalue())
        except budget.BudgetError as error:
            kept = (
                "the trace before it stays"
                if "_budget_trace" in st.session_state
                else "steps are shown instead"
            )
            st.error(
                f"{str(error)[0].upper()}{str(error)[1:]}; {kept}.",
                title="This trace cannot be used",
                icon=":material/csv:",
            )
    elif "_budget_trace" not in st.session_state:
        st.caption("Until a file is there, steps are shown.")
        st.download_button(
            "An example file",
            EXAMPLE,
            "budget.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            help="Three pictures with 12.5, 30 and 8 ms.",
        )
    return st.session_state.get("_budget_trace")


def pick_budgets(plain: float) -> tuple[np.ndarray, dict]:
    """The controls of the budget; gives back the budgets in ms and the settings. Limits are shares
    of the static backbone's time, so that a link means the same on a faster machine."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = ui.linked(
            st.pills,
            "The budget",
            key="budget",
            options=[*budget.KINDS, UPLOADED],
            default="bursts",
            required=True,
            wrap=True,
            help="- **steps**: a level holds, then jumps\n- **random walk**: drifts\n- **bursts**: other work takes the "
            "machine now and then\n- **your own trace**: a CSV file",
        )
    own = uploaded() if kind == UPLOADED else None
    if own is not None:
        return own, {"budget": kind, "pictures": len(own)}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        help = "As a share of the time that the static backbone needs on this machine."
        low = ui.linked(
            st.slider,
            "Least, % of the static backbone",
            key="low",
            min_value=5,
            max_value=300,
            value=30,
            help=help,
            width=230,
        )
        high = ui.linked(
            st.slider,
            "Most, % of the static backbone",
            key="high",
            min_value=5,
            max_value=300,
            value=140,
            help=help,
            width=230,
        )
        n = ui.linked(
            st.select_slider,
            "Pictures",
            key="pictures",
            options=[200, 500, 1000, 2000, 5000],
            value=500,
            width=200,
            help="Length of the stream: recorded test pictures in random order, one budget each.",
        )
        seed = ui.linked(
            st.number_input,
            "Seed",
            key="seed",
            min_value=0,
            max_value=9999,
            value=0,
            step=1,
            width=130,
            help="Another seed, another budget and another order of pictures; the same seed, exactly the same.",
        )
    if low > high:
        ui.notice("The least budget is above the most, so the two are swapped.")
        low, high = high, low
    shape = kind if kind in budget.KINDS else "steps"
    values = budget.series(shape, n, plain * low / 100, plain * high / 100, seed)
    return values, {
        "budget": shape,
        "pictures": n,
        "seed": seed,
        "low_percent": low,
        "high_percent": high,
    }


@st.cache_data(max_entries=64, show_spinner=False)
def planned(key: tuple, _options: list, _budgets: np.ndarray) -> BestPlan:
    """The plan of highest expected accuracy for these budgets."""
    return best_plan(_options, np.quantile(_budgets, np.linspace(0.01, 0.99, 40)))


def pick_plan(
    bundle: ui.Bundle, head: str, name: str, times: dict, budgets: np.ndarray
) -> list[tuple[int, str]]:
    """The exits that the anytime way runs on its way."""
    end = (bundle.model.depth, "final")
    if name == "all":
        return [*bundle.model.exits(head), end]
    known = (
        measured(options(bundle.model, bundle.accuracies, head), times["trace"])
        if bundle.accuracies
        else []
    )
    if name == "practical" or not known:
        return bundle.model.practical(head)
    key = (bundle.task, bundle.backbone, tuple(known), len(budgets), hash(budgets.tobytes()))
    return planned(key, known, budgets).plan


def show_stream(
    budgets: np.ndarray, ways: list[budget.Outcome], levels: pd.DataFrame
) -> pd.DataFrame:
    """Budget, accuracy over time, and the totals."""
    table = budget.summary(ways)
    anytime, static, cut = table.iloc[0], table.iloc[1], table.iloc[2]
    with st.container(horizontal=True):
        for row in (anytime, static, cut):
            st.metric(
                f"{row.way}: in time",
                percent(row.answered, 1),
                f"{percent(row.right, 1)} right",
                "off",
                delta_arrow="off",
                help="Share of the pictures answered within their budget; below, answered and right, of all pictures.",
            )
    window = max(10, len(budgets) // 12)
    kept = np.unique(np.linspace(0, len(budgets) - 1, min(400, len(budgets))).astype(int))
    line = pd.DataFrame({"picture": kept + 1, "ms": budgets[kept]})
    enough = float((budgets >= levels.ms[1]).mean())
    said = (
        f"Between {budgets.min():.1f} and {budgets.max():.1f} ms for a picture: enough for the static backbone in "
        f"{percent(enough)} of the cases"
    )
    ui.chart(draw.budgets(line, levels, said), alt=f"The budget over time. {said}.")
    best = table.loc[table.right.idxmax()]
    left, right = st.columns(2, gap="medium")
    with left:
        told = f"Right most often over the stream: {best.way}, {percent(best.right, 1)}; static backbone {percent(static.right, 1)}"
        ui.chart(
            draw.over_time(budget.over_time(ways, window), window, told),
            alt=f"Share of right answers over time. {told}.",
        )
    with right:
        told = (
            f"Answered in time: anytime {percent(anytime.answered)}, static {percent(static.answered)}, cut {percent(cut.answered)}; "
            f"wasted: {percent(anytime.wasted)}, {percent(static.wasted)}, {percent(cut.wasted)}"
        )
        ui.chart(draw.compared(table, told), alt=f"{told}.")
    st.caption(
        "Wasted is time computed that the answer does not rest on.",
        help="What ran after the last finished answer until the clock "
        "stopped, and earlier heads whose answers were replaced by a later one. Waiting costs nothing.",
    )
    ui.table(
        table,
        column_config={
            "answered": st.column_config.NumberColumn(
                "answered in time", format="percent", help="Of all pictures."
            ),
            "right": st.column_config.NumberColumn(
                format="percent", help="Of all pictures; no answer counts as wrong."
            ),
            "used_ms": st.column_config.NumberColumn(
                "computed ms", format="%.2f", help="Mean of a picture."
            ),
            "wasted_ms": st.column_config.NumberColumn(
                "wasted ms", format="%.2f", help="Mean of a picture."
            ),
            "wasted": st.column_config.NumberColumn(
                "wasted share", format="percent", help="Of the time computed."
            ),
        },
    )
    return table


def show_split(bundle: ui.Bundle, head: str, test, times: dict) -> None:
    """One exit on the device, the rest at a server."""
    st.subheader(
        "Split between device and server",
        anchor=False,
        help="The device runs the layers up to one exit. If that is sure, its answer counts; else a server goes on.",
    )
    own = [e for e in bundle.model.exits(head) if e in set(test.exits)]
    layers = [b for b, _ in own]
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
            help=f"The device keeps a picture if its exit is at least this sure. {WORDS['confidence']}",
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
            help="How many times as fast as this machine the server is. Your assumption, no measurement.",
        )
    known = {
        (row.layer, row.head): (row.ms - row.head_ms, row.head_ms)
        for row in times["trace"].itertuples()
    }
    backbone_ms, head_ms = (list(v) for v in zip(*(known[e] for e in own), strict=True))
    seen, model = test.select(own), bundle.model
    sizes = {
        "tokens": budget.token_bytes(model.backbone.grid, model.backbone.dim),
        "picture": budget.picture_bytes(model.task.native_px),
    }
    plain = times["plain"]
    rows = budget.split(
        layers,
        backbone_ms,
        head_ms,
        plain,
        seen.confidence >= sure,
        seen.correct,
        test.correct[-1],
        sizes,
        mbit,
        delay,
        faster,
    )
    here = rows[rows.layer == layer]
    best = here.loc[here.ms.idxmin()]
    server = budget.link_ms(sizes["picture"], mbit, delay) + plain / faster
    finding = (
        f"Exit at layer {layer}: {percent(1 - best.offloaded)} answered on the device, {best.ms:.1f} ms on average and "
        f"{percent(best.accuracy, 1)} right, sending the {best.sent}; device alone {plain:.1f} ms"
    )
    ui.chart(draw.split(rows, plain, server, layer, finding), alt=finding)
    tokens, picture = sizes["tokens"] / 1000, sizes["picture"] / 1000
    grid, dim, side = model.backbone.grid, model.backbone.dim, model.task.native_px
    st.caption(
        f"Tokens: (1 + {grid} × {grid}) × {dim} numbers in half precision, {tokens:.1f} kB. Picture: {side} × {side} × 3 bytes, "
        f"{picture:.1f} kB. Time = device + offloaded share × (delay + 8 × bytes / bandwidth + server).",
        help="With tokens the server runs the layers that remain, with the picture all of them. The server's answer is a few bytes "
        "and not counted. The link and the server are your settings; the device's times are measured.",
    )
    ui.table(rows, "Every split as a table")


ui.title("Moving budget")
st.markdown(
    "On a phone, a drone, a camera, the time for one answer is never the same twice. **Anytime exits** keep the latest answer that "
    "is ready; the plain network has one answer, at the very end, or none.",
    help=f"{WORDS['exit']} {WORDS['backbone']}",
)
bundle = ui.current()
ui.classes_only(bundle)
with st.container(horizontal=True, vertical_alignment="bottom"):
    head = ui.linked(
        st.pills,
        "Head",
        key="head",
        options=bundle.heads,
        default=bundle.best_head,
        required=True,
        wrap=True,
        help=words.head_help(bundle.heads),
    )
    plan_name = ui.linked(
        st.segmented_control,
        "Anytime exits",
        key="exits",
        options=PLANS,
        default="planned",
        required=True,
        help="- **planned**: the exits of highest expected accuracy for these budgets, as if they were known beforehand"
        f"\n- **practical**: all practical exits. {WORDS['practical']}\n- **all**: every layer",
    )
    layers = [b for b, _ in bundle.model.exits(head)]
    cut = ui.linked(
        st.select_slider,
        "Fixed early cut at layer",
        key="cut",
        options=layers,
        value=layers[len(layers) // 2],
        width=230,
        help="The network cut off after this layer, with this head as its only answer.",
    )
times = recordings.times(bundle, [head])
recorded = recordings.predictions(bundle)
budgets, settings = pick_budgets(times["plain"])
plan, end = pick_plan(bundle, head, plan_name, times, budgets), (bundle.model.depth, "final")
test = (
    recorded["test"]
    if recorded is not None and {*plan, (cut, head)} <= set(recorded["test"].exits)
    else None
)
early = False
if test is None:  # the card's accuracies, as the chance that any one picture is right
    worth = {
        e: np.full(len(budgets), bundle.accuracies.get(e, 0.0)) for e in {*plan, (cut, head), end}
    }
    if not bundle.accuracies:
        st.caption(
            "The card records no accuracies either, so only times and answers in time mean anything below."
        )
else:
    order = np.random.default_rng(settings.get("seed", 0) + 1).integers(
        0, len(test.truth), len(budgets)
    )
    worth = {
        e: test.correct[test.exits.index(e), order].astype(float) for e in {*plan, (cut, head), end}
    }
    early = ui.linked(
        st.toggle,
        "Anytime exits stop when sure",
        key="stop",
        value=False,
        help="Leave at the first exit that is at least 90 % sure, even if there is time left: less work.",
    )
finishes = finish_times(times["trace"], plan)
lookup = {(row.layer, row.head): (row.ms, row.head_ms) for row in times["trace"].itertuples()}
leave = replay(make("confidence", 0.9), test.select(plan))[order] if early else None
cut_ms = lookup[cut, head][0]
ways = [
    budget.anytime(
        draw.ANYTIME,
        budgets,
        finishes,
        [lookup[e][1] for e in plan],
        np.stack([worth[e] for e in plan]),
        leave,
    ),
    budget.anytime(draw.STATIC, budgets, [times["plain"]], [0.0], worth[end][None]),
    budget.anytime(draw.CUT, budgets, [cut_ms], [0.0], worth[cut, head][None]),
]
levels = pd.DataFrame({"way": [w.name for w in ways], "ms": [finishes[0], times["plain"], cut_ms]})
with st.container(horizontal=True):
    recordings.times_badge(bundle, times)
    ui.recorded_badge(
        bundle, f"{len(test.truth):,} pictures" if test is not None else "the card's accuracies"
    )
    ui.replay_badge("simulated stream of recorded answers")
st.caption(
    "Anytime exits run: "
    + ", ".join("final" if h == "final" else f"layer {b}" for b, h in plan)
    + "."
)
table = show_stream(budgets, ways, levels)
if test is not None and any(e[1] == head for e in test.exits):
    show_split(bundle, head, test, times)
settings |= {
    "head": head,
    "anytime_plan": plan,
    "finishes_ms": finishes.round(3).tolist(),
    "static_ms": times["plain"],
    "cut_layer": cut,
    "cut_ms": cut_ms,
    "stops_when_sure": early,
}
ui.export("budget", table, bundle, settings)
