"""Table I on the paper's page: three training strategies, and what they do to the final exit."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from streamlit.column_config import NumberColumn

from mvit.charts import paper as draw
from mvit.evaluation import paper
from mvit.evaluation.table_again import gains
from mvit.models.heads import HEADS
from pages import parts as ui
from pages.parts import columns, words
from pages.parts.paper import again, begun
from pages.parts.words import percent

MEANING = """- **classifier-wise**: the backbone is trained first and then stays fixed; each exit
  learns by itself
- **layer-wise**: the layers up to the exit learn together with it and are frozen, then the rest
  learns
- **end-to-end**: backbone and exit learn together, the final exit counting double"""

COLUMNS = {
    "final": columns.share("final exit", help="The final exit of the same network."),
    "change": NumberColumn(
        "change, points", format="%+.2f", help="Of the final exit against the plain network."
    ),
    "gain": NumberColumn(
        "gain, points", format="%+.2f", help="At the layer, against classifier-wise training."
    ),
    "change_noise": NumberColumn(
        "change by chance", format="±%.2f", help="What chance could do to the change (95 %)."
    ),
    "gain_noise": NumberColumn(
        "gain by chance", format="±%.2f", help="What chance could do to the gain (95 %)."
    ),
} | columns.INTERVAL


def show(bundle: ui.Bundle) -> None:
    """Our Table I as two charts, the paper's two questions answered from it, and the budget that it
    was made with."""
    st.subheader("Table I: three ways to train an exit", anchor=False, help=MEANING)
    table = paper.table1(bundle.task, bundle.card)
    if table is None:
        st.caption(
            "The paper's Table I was not measured for this task and backbone. "
            "`python -m mvit table1` measures it."
        )
        return
    rows, layer, plain = table["rows"], table["layer"], table["plain"]
    found = paper.strategy_findings(table)
    ui.recorded_badge(bundle, f"{table['n']:,} pictures, exits after layer {layer}")
    if said := apart(bundle, table):
        st.caption(said)
    first, second = st.columns(2, gap="medium")
    with first:
        _early_exits(rows, layer, table["budget"]["px"])
    with second:
        _final_exits(rows[rows.strategy.isin(paper.JOINT)], plain, found)
    lines = [best_exit(bundle, table), *answers(found, layer)]
    lines += again.lines(table, "accuracy", lambda share: percent(share, 1))
    st.markdown("\n".join(f"- {line}" for line in lines if line))
    for line in begun.told(table):
        st.caption(line)
    if curves := table.get("start", {}).get("validation"):
        begun.show_start(curves)
    after = columns.share(f"after layer {layer}", help="The exit's accuracy on test.")
    ui.table(rows, "Table I as a table", column_config=COLUMNS | {"accuracy": after})


def _early_exits(rows: pd.DataFrame, layer: int, px: int) -> None:
    """How good every head is, trained in every way."""
    best = rows.loc[rows.accuracy.idxmax()]
    right = percent(best.accuracy, 1)
    said = (
        f"Best after layer {layer} of this study ({px} × {px} pixels): {best['head']} trained "
        f"{best.strategy}, {right}"
    )
    how = "Each point is one training; its line is where the accuracy lies with 95 % certainty."
    axis = f"Accuracy after layer {layer}"
    figure = draw.strategies(rows, "accuracy", axis, finding=said, how=how)
    ui.chart(figure, alt=f"{said}.", key="table1_early")


def _final_exits(rows: pd.DataFrame, plain: float, found: dict) -> None:
    """What the strategies in which the backbone learns too do to the final exit."""
    if rows.empty:
        return
    changes = ", ".join(f"{f['change']:+z.2f} points {s}" for s, f in found.items())
    said = f"The final exit changes by {changes} on average"
    how = (
        f"Against the plain network ({percent(plain, 1)}, dashed) after as much training; a line "
        "is what chance could change, with 95 % certainty."
    )
    rows = rows.assign(low=rows.change - rows.change_noise, high=rows.change + rows.change_noise)
    axis = "Change of the final exit, points"
    figure = draw.strategies(rows, "change", axis, finding=said, how=how, line=0.0)
    ui.chart(figure, alt=f"{said}.", key="table1_final")


def best_exit(bundle: ui.Bundle, table: dict) -> str:
    """Does the best exit get better when the backbone learns with it? From the table, and from the
    bundles, which were trained in other ways. Empty without exits of both kinds."""
    layer, best = table["layer"], paper.best_after(table["rows"])
    joint = best.strategy.isin(paper.JOINT)
    if joint.all() or not joint.any():
        return ""
    alone, first = best[~joint].iloc[0], best[joint].iloc[0]
    gain = 100 * (first.accuracy - alone.accuracy)
    same = first["head"] == alone["head"]
    noise = first.gain_noise if same else paper.chance(alone.accuracy, table["n"])
    others = gains(table, first.strategy, first["head"]) if same else []
    verdict = decision([(gain, noise), *others], first.strategy)
    line = (
        f"**Is the best exit after layer {layer} better when the backbone learns with it?** "
        f"{verdict}: the best is right for {listed(best)}; a difference of up to "
        f"{noise:.2f} points could be chance."
    )
    trained = bundled(bundle, layer)
    if len(trained) > 1:
        final = words.listed([percent(r.final, 1) for r in trained.itertuples()])
        line += (
            " The bundles here were each trained at another cost, so they decide nothing: their "
            f"best exit after layer {layer} is right for {listed(trained)}, "
            f"their final exit for {final}."
        )
    return line + " The paper says yes."


def decision(found: list[tuple[float, float]], strategy: str) -> str:
    """Whether a gain is real, from what each seed found and what of it could be chance."""
    better = sum(gain > noise for gain, noise in found)
    if better == len(found):
        return f"Yes, {strategy}"
    if better:
        return f"With {better} of {len(found)} seeds, {strategy}"
    return "No" if all(gain < -noise for gain, noise in found) else "Not decided by these runs"


def bundled(bundle: ui.Bundle, layer: int) -> pd.DataFrame:
    """The best exits after a layer of the bundles that this network has."""
    network = bundle.card.get("grown_from") or bundle.card["architecture"]
    return paper.bundled_exits(bundle.task, network, layer)


def apart(bundle: ui.Bundle, table: dict) -> str:
    """Why Table I's accuracies are not those of the bundle above them. Empty for a study whose
    exits had no start of their own."""
    budget, start, layer = table["budget"], table.get("start"), table["layer"]
    rows, others = table["rows"], bundled(bundle, layer)
    own = others[others.strategy == bundle.card.get("strategy")]
    rows = rows[rows.strategy == bundle.card.get("strategy")]
    if not start or own.empty or rows.empty:
        return ""
    here, there = rows.loc[rows.accuracy.idxmax()], own.iloc[0]
    saw = start["rounds"] * budget.get("round_images", 0) + budget["images"]
    trained = [(saw, "", budget["px"]), (there.pictures, "at most ", there.px)]
    if any(pd.isna(seen) or not seen for seen, *_ in trained):
        return ""
    ours, its = (
        f"up to {int(n):,} pictures of {most}{px} × {px} pixels" for n, most, px in trained
    )
    return (
        "A study of its own, not the exits in the figures above: its best exit after layer "
        f"{layer} trained {here.strategy} ({here['head']}, {percent(here.accuracy, 1)}) saw "
        f"{ours}; the best of the figures above ({there['head']}, "
        f"{percent(there.accuracy, 1)}) saw {its}."
    )


def listed(rows: pd.DataFrame) -> str:
    """Accuracy, head and strategy of each row, in words."""
    return words.listed(
        [f"{percent(r.accuracy, 1)} (`{r.head}`, {r.strategy})" for r in rows.itertuples()]
    )


def answers(found: dict, layer: int) -> list[str]:
    """The paper's two questions, answered with the table's numbers."""
    lines = []
    for strategy, question in (
        ("end-to-end", "Does end-to-end training cost the final exit?"),
        ("layer-wise", "Does layer-wise training fail beyond its first step?"),
    ):
        if strategy not in found:
            continue
        f = found[strategy]
        verdict = (
            "Yes, with every head"
            if f["costs"] == f["heads"]
            else f"With {f['costs']} of {f['heads']} heads"
            if f["costs"]
            else "No"
            if f["best"] > f["noise"]
            else "Not decided by these runs"
        )
        lines.append(
            f"**{question}** {verdict}: the final exit changes by {f['change']:+z.2f} points on "
            f"average, from {f['worst']:+z.2f} to {f['best']:+z.2f}; for one head, up to "
            f"{f['noise']:.2f} could be chance, and the luck of the one plain training is in all. "
            f"The exit after layer {layer} differs by "
            f"{signed(f['gain'])} points on average from classifier-wise training: it is better "
            f"by more than chance with {f['better']} of {f['heads']} heads, and worse with "
            f"{f['worse']}."
        )
    return lines


def signed(points: float) -> str:
    """Points with their sign: `+0.3`, and never `-0.0`."""
    return f"{points:+z.1f}"


def show_future_work(bundle: ui.Bundle) -> None:
    """The heads that the paper left for later, beside its seven on the same backbone."""
    exits = paper.with_siblings(bundle.task, bundle.card)
    rows, every = paper.future_work(exits), paper.by_head(exits)
    if rows.empty:
        return
    st.subheader(
        "The paper's future work: other heads",
        anchor=False,
        help="gMLP (Liu et al., 2021), FNet (Lee-Thorp et al., 2021) and Perceiver (Jaegle et al., "
        "2021) as exits.",
    )
    some, of = int(rows.practical.sum()), int(rows["of"].sum())
    st.markdown(
        f"Do they give practical exits? **{some} of {of} are practical.** "
        + " ".join(
            f"`{r.head}` comes {ordinal(r.rank)} of {len(every)} heads by mean accuracy "
            f"({percent(r.mean_accuracy, 1)}) and reaches {percent(r.best_accuracy, 1)} after "
            f"layer {r.best_layer}."
            for r in rows.itertuples()
        )
    )
    later = exits["head"].isin(rows["head"])
    saw, others = (exits[who].pictures.max() for who in (later, ~later))
    if saw < others:
        st.caption(
            f"Heads that the paper left for later saw up to {saw:,.0f} pictures, its own up to "
            f"{others:,.0f}: part of the distance between them may be that."
        )
    best = every.iloc[0]
    told = f"By mean accuracy {best['head']} comes first of {len(every)} heads, {ordered(every)}"
    ui.chart(
        draw.practical_by_head(every, told),
        alt=f"Practical exits of all heads. {told}.",
        key="future_heads",
    )
    ui.table(every, "All heads on this backbone as a table")


def ordered(every) -> str:
    """Where the heads beyond the paper stand: `gmlp 4th, fnet 8th`."""
    return ", ".join(
        f"{head} {ordinal(place)}"
        for place, head in enumerate(every["head"], 1)
        if head not in HEADS
    )


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th ..."""
    ending = (
        "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    return f"{number}{ending}"
