"""Models: what each bundle is, where it came from, how good every exit is, and whether its files
are intact."""

import pandas as pd
import streamlit as st

from mvit.bundles import weights
from mvit.charts import crowd as charts_crowd
from mvit.charts import style as charts
from pages import parts as ui
from pages.parts import words

SHOWN_ELSEWHERE = {"task", "architecture", "layers", "exits", "final", "files"}
LABELS = {
    "init": "Started from",
    "data": "Data",
    "recipe": "Recipe",
    "seed": "Random seed",
    "strategy": "Training strategy",
}

COMMANDS = """\
# what can be chosen, and what it means
python -m mvit train --help
# measure every exit on the official test pictures
python -m mvit evaluate --task cifar10 --data DIR
# check every file of every bundle
python -m mvit verify"""


def provenance(card: dict) -> pd.DataFrame:
    """Everything the card says in words, as two columns."""
    facts = {
        LABELS.get(k, k.replace("_", " ").capitalize()): v
        for k, v in card.items()
        if k not in SHOWN_ELSEWHERE
    }
    facts |= {
        "Architecture": card["architecture"],
        "Input": f"{card['task']['native_px']} px enlarged to {card['task']['input_px']} px",
    }
    return pd.DataFrame(
        [(k, v if isinstance(v, str) else str(v)) for k, v in facts.items()],
        columns=["what", "value"],
    )


def show_files(card: dict) -> None:
    """Sizes and hashes of every file."""
    files = pd.DataFrame(
        [
            {"file": f, "MB": about["bytes"] / 1e6, "sha256": about["sha256"]}
            for f, about in card["files"].items()
        ]
    )
    st.dataframe(
        files,
        hide_index=True,
        alt="Files of this bundle with size and sha256",
        column_config={
            "MB": st.column_config.NumberColumn(format="%.1f", help="Size on disk, half precision.")
        },
    )


def show_exits(card: dict, task: str) -> None:
    """The recorded accuracy of every exit as a map, and as a table."""
    exits = pd.DataFrame(card.get("exits", []))
    if exits.empty:
        st.caption("This card records no exits.")
        return
    st.badge(
        f"recorded on the official {ui.TASK_NAMES.get(task, task)} test split",
        icon=":material/inventory_2:",
        color="blue",
        help="Measured once, when the weights were made, and read from the card.",
    )
    if "accuracy" in exits:
        best = exits.loc[exits.accuracy.idxmax()]
        finding = f"Best exit: {best['head']} at layer {best['layer']}, {100 * best['accuracy']:.1f}\u00a0% right"
        if "accuracy" in card.get("final", {}):
            finding += f"; the final exit: {100 * card['final']['accuracy']:.1f}\u00a0%"
        ui.chart(charts.accuracy_map(exits, finding), alt=f"Accuracy by head and layer. {finding}.")
    if "mae" in exits:
        best = exits.loc[exits.mae.idxmin()]
        place = f"{best['head']} at layer {best['layer']}"
        st.markdown(
            f"Best exit: **{place}**, off by {best['mae']:.1f} people on average over all test pictures."
        )
    for name, split in card.get("splits", {}).items():
        own = pd.DataFrame(split["exits"])
        best = own.loc[own.mae.idxmin()]
        finding = (
            f"On {name.replace('_', ' ')} the best exit is {best['head']} at layer {best['layer']}, off by {best['mae']:.1f}; "
            f"the final exit: {split['final']['mae']:.1f}"
        )
        ui.chart(
            charts_crowd.error_map(own, best["mae"], finding),
            alt=f"Error by head and layer. {finding}.",
        )
    ui.table(exits.drop(columns="ranges", errors="ignore"), "Every exit as a table")


def show_bundle(task: str, backbone: str) -> None:
    """One card; if it cannot be read, which file and why."""
    st.subheader(f"{ui.TASK_NAMES.get(task, task)} · {backbone}", anchor=False)
    try:
        card = weights.read_card(weights.folder(task, backbone))
    except weights.WeightsError as error:
        st.error(str(error), title="This card was refused", icon=":material/gpp_bad:")
        return
    heads = [f for f in card["files"] if f.startswith("heads/")]
    with st.container(horizontal=True):
        if "accuracy" in card.get("final", {}):
            st.metric(
                "Final exit",
                f"{100 * card['final']['accuracy']:.1f} %",
                help=f"Share of right answers. {words.WORDS['final']}",
            )
        for name, split in card.get("splits", {}).items():
            final, best = split["final"], min(split["exits"], key=lambda e: e["mae"])
            st.metric(
                f"Off by, {name.replace('_', ' ')}",
                f"{final['mae']:.1f}",
                f"best exit {best['mae']:.1f}",
                delta_color="off",
                delta_arrow="off",
                help=f"Mean absolute error (MAE) in people, {split['n']} pictures; RMSE {final['rmse']:.1f}. "
                + words.WORDS["final"],
            )
        st.metric(
            "Exits",
            len(card.get("exits", [])),
            help=f"{len(heads)} heads at {len(card.get('layers', []))} layers.",
        )
        st.metric(
            "Practical",
            sum(e.get("practical", False) for e in card.get("exits", [])),
            help=words.WORDS["practical"],
        )
        megabytes = sum(f["bytes"] for f in card["files"].values()) / 1e6
        st.metric("On disk", f"{megabytes:.0f} MB", help="Backbone and all heads, half precision.")
    exits, origin, files = st.tabs(["Exits", "Where it comes from", "Files"])
    with exits:
        show_exits(card, task)
    with origin:
        st.dataframe(
            provenance(card), hide_index=True, alt="Provenance of this bundle", row_height=40
        )
    with files:
        show_files(card)


@ui.page("Models")
def page() -> None:
    st.markdown(
        "Every bundle is a backbone with its exits and a card. Files are refused unless they match the card exactly.",
        help="safetensors files only; sha256, names, shapes and finiteness are checked before a number is used.",
    )
    found = weights.bundles()
    if not found:
        st.error(
            f"There are no weights in {weights.root().name}/.",
            title="No weights",
            icon=":material/folder_off:",
        )
    if (
        found
        and not ui.hidden("verify")
        and st.button(
            "Verify all files",
            icon=":material/verified_user:",
            key="verify",
            help="Reads every file again and checks hash, names, shapes and numbers.",
        )
    ):
        with st.spinner("Reading and checking every file …", show_time=True):
            st.session_state["_verified"] = weights.verify()
    for result in st.session_state.get("_verified", []):
        name = f"{ui.TASK_NAMES.get(result['task'], result['task'])} · {result['backbone']}"
        if result["ok"]:
            st.success(f"{name}: every file is intact.", icon=":material/verified:")
        else:
            st.error(f"{name}: {result['reason']}", icon=":material/gpp_bad:")
    for task, backbone in found:
        with st.container(border=True):
            show_bundle(task, backbone)

    st.subheader("Train your own", anchor=False)
    st.markdown(
        "Your own image folder and backbone work too. Training runs on the command line, shows its progress and can be resumed; "
        "the new bundle then appears here."
    )
    st.code(COMMANDS, language="bash", wrap_lines=True)
