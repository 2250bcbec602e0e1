"""Models: what each bundle is, where it came from, how good every exit is, and whether its files
are intact."""

import pandas as pd
import streamlit as st

from mvit.bundles import delta, weights
from mvit.evaluation import paper
from mvit.evaluation.intact import verify
from pages import parts as ui
from pages.parts import unlike, words
from pages.parts.cards.exits import show_exits
from pages.parts.cards.origin import provenance

FOLLOWS = "_card_of"  # in the session: the sidebar's model when the card was last drawn
COMMANDS = """\
# what can be chosen, and what it means
python -m mvit train --help
# measure every exit on the official test pictures
python -m mvit evaluate --task cifar10 --data DIR
# check every file of every bundle
python -m mvit verify"""


def name_of(task: str, backbone: str) -> str:
    """A bundle as people call it."""
    return f"{ui.TASK_NAMES.get(task, task)} · {backbone}"


def show_files(card: dict) -> None:
    """Sizes and hashes of every file."""
    files = pd.DataFrame(
        [
            {
                "file": f"{f}, of {about['of']}" if "of" in about else f,
                "MB": about["bytes"] / 1e6,
                "sha256": about["sha256"],
            }
            for f, about in card["files"].items()
        ]
    )
    st.dataframe(
        files,
        hide_index=True,
        alt="Files of this bundle with size and sha256",
        column_config={"MB": st.column_config.NumberColumn(format="%.1f", help="Size on disk.")},
    )


def worth(row: dict) -> str:
    """How good an exit is: its accuracy, or how many people it is off by on average."""
    if "accuracy" in row:
        return words.percent(row["accuracy"], 1)
    return f"off\u00a0by\u00a0{row['mae']:.1f}" if "mae" in row else ""


def overview(cards: dict[tuple[str, str], dict]) -> None:
    """One row a bundle: how good it is; of a counter one for each set of test pictures, since
    crowds differ more than counters do. cards: by task and backbone."""
    rows = []
    for (task, backbone), card in cards.items():
        for part, own in (card.get("splits") or {"": card}).items():
            exits, best = own.get("exits", []), {}
            if exits:
                best = paper.best_early(exits, max(card["layers"])).to_dict()
            where = f", {words.split_name(part)}" if part else ""
            rows.append(
                {
                    "model": name_of(task, backbone) + where,
                    "final exit": worth(own.get("final", {})),
                    "best early exit": worth(best),
                }
            )
    st.table(
        pd.DataFrame(rows),
        border="horizontal",
        hide_index=True,
        alt="How good the final exit and the best early exit of every model are",
    )
    st.caption(
        "Right answers on the test pictures, or by how many people a count is off on average."
    )


def show_numbers(card: dict) -> None:
    """The first figures of a card."""
    heads = [f for f in card["files"] if f.startswith("heads/")]
    with st.container(horizontal=True):
        if "accuracy" in card.get("final", {}):
            st.metric(
                "Final exit",
                f"{100 * card['final']['accuracy']:.1f} %",
                help=f"Share of right answers. {words.WORDS['final']}",
            )
        parts = card.get("splits", {})
        every = {"all test pictures": card} if len(parts) > 1 else {}
        for name, split in (every | parts).items():
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
        own = [about for about in card["files"].values() if "of" not in about]
        holds = "All heads; another bundle holds the backbone."
        if len(own) == len(card["files"]):
            holds = "Backbone and all heads."
        if of := card.get("delta"):
            holds = f"What training changed. The rest is grown from {delta.told(of)} at every load."
        megabytes = sum(about["bytes"] for about in own) / 1e6
        st.metric("On disk", f"{megabytes:.0f} MB", help=holds)


def show_bundle(card: dict, task: str) -> None:
    """One card."""
    show_numbers(card)
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


def verify_button() -> None:
    """The button that checks every file."""
    if not ui.hidden("verify") and st.button(
        "Verify all files",
        icon=":material/verified_user:",
        key="verify",
        help="Reads every file again and checks hash, names, shapes and numbers.",
    ):
        with st.spinner("Reading and checking every file …", show_time=True):
            st.session_state["_verified"] = verify()


def show_verified() -> None:
    """What the latest check of every file found: a line for all that are intact, one for each other
    bundle."""
    found = st.session_state.get("_verified", [])
    if intact := sum(result["ok"] for result in found):
        many = f"{'All' if intact == len(found) else f'{intact} of'} {len(found)} bundles"
        one = name_of(found[0]["task"], found[0]["backbone"])
        said = f"{many if len(found) > 1 else one}: every file is intact."
        st.success(said, icon=":material/verified:")
    for result in found:
        if not result["ok"]:
            name = name_of(result["task"], result["backbone"])
            st.error(f"{name}: {result['reason']}", icon=":material/gpp_bad:")


def readable(found: list[tuple[str, str]]) -> dict[tuple[str, str], dict]:
    """The cards by task and backbone; of one that cannot be read, which file and why is said."""
    cards = {}
    for task, backbone in found:
        try:
            if reason := weights.refusal(task, backbone):
                raise weights.WeightsError(reason)
            cards[task, backbone] = weights.read_card(weights.folder(task, backbone))
        except weights.WeightsError as error:
            title = f"{name_of(task, backbone)}: this bundle was refused"
            st.error(str(error), title=title, icon=":material/gpp_bad:")
    return cards


def pick(cards: dict[tuple[str, str], dict]) -> tuple[str, str]:
    """Draw the choice of the card to look at, which opens with the sidebar's model, or else with
    the usual one of its task, and follows the sidebar. cards: by task and backbone."""
    chosen = (st.session_state.get("_choice") or ("", ""))[:2]
    wanted = (chosen, (chosen[0], weights.default_backbone(chosen[0])))
    order = sorted(cards, key=lambda card: (card[0] != chosen[0], *(card != one for one in wanted)))
    start = {"index": list(cards).index(order[0])}
    before, st.session_state[FOLLOWS] = st.session_state.get(FOLLOWS, chosen), chosen
    if before != chosen and not ui.hidden("card"):
        st.session_state["card"], start = "/".join(order[0]), {}
    named = ui.linked(
        st.selectbox,
        "Card",
        key="card",
        options=["/".join(card) for card in cards],
        format_func=lambda card: name_of(*card.split("/")),
        width=420,
        help="The model whose exits, origin and files are shown below.",
        **start,
    )
    return tuple(named.split("/"))


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
    cards = readable(found)
    if len(cards) > 1:
        overview(cards)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        card = pick(cards) if cards else None
        if found:
            verify_button()
    show_verified()
    if card:
        with st.container(border=True):
            st.subheader(name_of(*card), anchor=False)
            show_bundle(cards[card], card[0])

    st.subheader("Train your own", anchor=False)
    st.markdown(
        "Your own image folder and backbone work too. Training runs on the command line, shows its "
        "progress and can be resumed; the new bundle then appears here."
    )
    st.code(COMMANDS, language=None, wrap_lines=True)
