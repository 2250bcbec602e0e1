"""Models: what each bundle is, where it came from, how good every exit is, and whether its files
are intact."""

import pandas as pd
import streamlit as st

from mvit.bundles import weights
from mvit.bundles.card import measured_on
from mvit.charts import crowd as charts_crowd
from mvit.charts import style as charts
from mvit.evaluation import paper
from pages import parts as ui
from pages.parts import unlike, words

SHOWN_ELSEWHERE = {"task", "architecture", "layers", "exits", "final", "files", "splits"}
SHOWN_ELSEWHERE |= {"unusual", "before", "unlike", "coarse", "intervals", "elsewhere", "maps"}
NOISE = {"losses", "seconds", "unreadable"}  # of no use to a reader
LABELS = {
    "init": "Started from",
    "exit_recipe": "Recipe of the exits",
    "n": "Test pictures",
    "strategy": "Training strategy",
    "seed": "Random seed",
    "precision": "Computed in",
}
COMMANDS = """\
# what can be chosen, and what it means
python -m mvit train --help
# measure every exit on the official test pictures
python -m mvit evaluate --task cifar10 --data DIR
# check every file of every bundle
python -m mvit verify"""


def as_text(value: object) -> str:
    """What a card says, in words: names and numbers instead of brackets and quotes."""
    if isinstance(value, dict):
        said = {k.replace("_", " "): as_text(v) for k, v in value.items() if k not in NOISE}
        if len(said) > 3 and len(set(said.values())) == 1:
            return f"{next(iter(said.values()))} each"
        return "; ".join(f"{name} {text}" for name, text in said.items())
    if isinstance(value, list):
        joint = ", " if any(isinstance(v, list) for v in value) else " / "
        return joint.join(as_text(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def provenance(card: dict) -> pd.DataFrame:
    """Everything the card says in words: which training, what, value; the latest training
    first."""
    task = card["task"]
    pixels = [f"{task[side]} px" for side in ("native_px", "input_px")]
    shown = " enlarged to ".join(dict.fromkeys(pixels))
    rows = [("", "Architecture", card["architecture"]), ("", "Input", shown)]
    number, told = 0, card
    while isinstance(told, dict):
        when = "latest" if not number else f"{number} before"
        rows += [
            (when, LABELS.get(k, k.replace("_", " ").capitalize()), as_text(v))
            for k, v in told.items()
            if k not in SHOWN_ELSEWHERE and v not in ("", None, [], {})
        ]
        number, told = number + 1, told.get("before")
    return pd.DataFrame(rows, columns=["training", "what", "value"])


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
        column_config={"MB": st.column_config.NumberColumn(format="%.1f", help="Size on disk.")},
    )


def show_exits(card: dict, task: str) -> None:
    """The recorded accuracy of every exit as a map, and as a table."""
    exits, depth = pd.DataFrame(card.get("exits", [])), max(card.get("layers") or [0])
    if exits.empty:
        st.caption("This card records no exits.")
        return
    st.badge(
        f"recorded on {measured_on(card, ui.TASK_NAMES.get(task, task))}",
        icon=":material/inventory_2:",
        color="blue",
        help="Measured once, when the weights were made, and read from the card.",
    )
    if "accuracy" in exits:
        best = paper.best_early(exits, depth)
        finding = (
            f"Best early exit: {best['head']} at layer {best['layer']}, "
            f"{100 * best['accuracy']:.1f}\u00a0% right"
        )
        if "accuracy" in card.get("final", {}):
            finding += f"; the final exit: {100 * card['final']['accuracy']:.1f}\u00a0%"
        ui.chart(charts.accuracy_map(exits, finding), alt=f"Accuracy by head and layer. {finding}.")
    if "mae" in exits:
        best = paper.best_early(exits, depth)
        place = f"{best['head']} at layer {best['layer']}"
        st.markdown(
            f"Best early exit: **{place}**, off by {best['mae']:.1f} people on average over all "
            "test pictures."
        )
    for name, split in (card.get("splits", {}) | card.get("elsewhere", {})).items():
        own = pd.DataFrame(split["exits"])
        best = paper.best_early(own, depth)
        finding = (
            f"In {words.split_name(name)} the best early exit is {best['head']} at layer "
            f"{best['layer']}, off by {best['mae']:.1f} people; the final exit by "
            f"{split['final']['mae']:.1f}"
        )
        ui.chart(
            charts_crowd.error_map(own, own.mae.min(), finding),
            alt=f"Error by head and layer. {finding}.",
        )
        if "pictures" in split:
            st.caption(f"Measured on {split['pictures']}.")
    ui.table(exits.drop(columns="ranges", errors="ignore"), "Every exit as a table")
    if "maps" in card:
        show_maps(card["maps"])


def show_maps(maps: dict) -> None:
    """How far each layer's map of people is off by itself, from the card."""
    rows = [
        {
            "layer": row["layer"],
            "pictures": words.split_name(name),
            "off by, whole picture": row["mae"],
            "off by, a quarter of it": row["quarter"],
        }
        for name, split in maps.get("splits", {}).items()
        for row in split["layers"]
    ]
    if not rows:
        return
    ui.table(pd.DataFrame(rows).round(1), "Maps of people: how far their own sums are off")


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
            final = split["final"]
            best = paper.best_early(split["exits"], max(card["layers"]))
            st.metric(
                f"Off by, {words.split_name(name)}",
                f"{final['mae']:.1f}",
                f"best early exit {best['mae']:.1f}",
                delta_color="off",
                delta_arrow="off",
                help=f"Mean absolute error (MAE) in people, {split['n']} pictures; RMSE "
                f"{final['rmse']:.1f}. {words.WORDS['final']}",
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
        st.metric("On disk", f"{megabytes:.0f} MB", help="Backbone and all heads.")
    names = ["Exits", "Where it comes from", "Files"]
    names += ["Unknown things"] if unlike.has_figures(card) else []
    exits, origin, files, *more = st.tabs(names)
    with exits:
        show_exits(card, task)
    for tab in more:
        with tab:
            unlike.figures(card)
    with origin:
        st.dataframe(
            provenance(card), hide_index=True, alt="Provenance of this bundle", row_height=40
        )
    with files:
        show_files(card)


@ui.page("Models")
def page() -> None:
    st.markdown(
        "Each model comes as a bundle: a backbone, its exits, and a card that says how they were "
        "made and how good they are. A file that does not match the card exactly is refused.",
        help="safetensors files only; sha256, names, shapes and finiteness are checked before a "
        "number is used.",
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
        "Your own image folder and backbone work too. Training runs on the command line, shows its "
        "progress and can be resumed; the new bundle then appears here."
    )
    st.code(COMMANDS, language=None, wrap_lines=True)
