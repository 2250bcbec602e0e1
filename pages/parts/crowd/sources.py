"""Where the Crowd page's pictures come from besides the usual picker: drawn scenes with a known
count, and several photos at once."""

from __future__ import annotations

import hashlib

import pandas as pd
import streamlit as st

from mvit.charts.crowd import people_words
from mvit.images.reader import ImageError
from mvit.models.multi_exit import FINAL
from mvit.policies.doubts import Usual, doubts
from mvit.scenes.drawing import GROUNDS, render
from pages.parts import link, pictures, queue
from pages.parts.models import Bundle, inference
from pages.parts.pictures import Picture

ANY = "any"
MOST_PHOTOS = 40  # at once
MOST_PEOPLE = 1000  # of the slider


@st.cache_data(max_entries=16, show_spinner=False)
def _scene(people: int, seed: int, ground: str) -> Picture:
    with queue.turn():
        scene = render(people, seed, ground=None if ground == ANY else ground)
    said = f"a drawn {scene.ground} with {people_words(people)}"
    return Picture(
        scene.picture,
        said,
        str(people),
        source="Drawn",
        key=hashlib.sha1(scene.picture.tobytes()).hexdigest(),
    )


def drawn() -> Picture:
    """The renderer's controls, and the scene they ask for."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        people = link.linked(
            st.slider,
            "People",
            key="people",
            min_value=0,
            max_value=MOST_PEOPLE,
            value=100,
            width=320,
            help="Exactly so many are drawn, every head at least partly visible.",
        )
        ground = link.linked(
            st.selectbox,
            "Place",
            key="ground",
            options=[ANY, *GROUNDS],
            width=140,
            help="Where they stand.",
        )
        seed = link.linked_seed(
            "Another seed is another scene; the same seed is the same scene on every machine."
        )
    with st.spinner("Drawing the crowd …", show_time=True):
        return _scene(people, seed, ground)


def _count(bundle: Bundle, data: bytes, layer: int, head: str, usual: Usual | None) -> dict:
    """One photo's row of the table; a photo that cannot be read has its reason in it."""
    try:
        photo = pictures.picture_of(data, "photo", None, source=pictures.UPLOAD).pixels
    except ImageError as error:
        return {"people": None, "final exit": None, "remark": str(error)}
    late = [e for e in bundle.model.exits() if e[0] > bundle.model.depth - 3]
    plan = bundle.model.checked(
        [*dict.fromkeys([(layer, head), *late]), (bundle.model.depth, FINAL)]
    )

    def work(model) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {c: getattr(e, c) for c in ("layer", "head", "count", "tiles", "ms")}
                for e in model.run(photo, plan)
            ]
        )

    rows = inference(bundle, work)
    own = rows[(rows["layer"] == layer) & (rows["head"] == head)].iloc[0]
    reasons, last = doubts(photo, rows, layer, head=head, usual=usual), rows.iloc[-1]["count"]
    if last < -0.5:
        reasons.append(f"The final exit's raw output is negative ({last:.0f}).")
    return {
        "people": round(max(own["count"], 0), 1),
        "final exit": round(max(last, 0), 1),
        "remark": " ".join(reasons),
    }


def _uploaded() -> list:
    """The uploader of many photos, and those of its files that are counted."""
    files = st.file_uploader(
        "Your photos",
        accept_multiple_files=True,
        key="crowd_many",
        help=f"Up to {MOST_PHOTOS} at once, each at most 20 MB and 40 megapixels.",
    )
    if not files:
        st.info(
            "Each photo is counted by the exit chosen above and by the final exit.",
            icon=":material/photo_library:",
        )
    if len(files) > MOST_PHOTOS:
        st.warning(
            f"These are {len(files)} photos; the first {MOST_PHOTOS} are counted.",
            icon=":material/filter:",
        )
    return files[:MOST_PHOTOS]


def _counts(
    bundle: Bundle, files: list, layer: int, *, head: str, usual: Usual | None
) -> pd.DataFrame:
    """The table of many photos, counted one after another under a progress bar; what was counted
    before is kept."""
    done = st.session_state.setdefault("_crowd_many", {})
    place = (bundle.task, bundle.backbone, layer, head)
    bar, rows = st.progress(0.0, "Counting …"), []
    for number, file in enumerate(files):
        data = file.getvalue()
        key = (*place, hashlib.sha1(data).hexdigest())
        if key not in done:
            done[key] = _count(bundle, data, layer, head=head, usual=usual)
        rows.append({"photo": file.name, **done[key]})
        bar.progress((number + 1) / len(files), f"{number + 1} of {len(files)} photos")
    for old in list(done)[: -4 * MOST_PHOTOS]:
        del done[old]
    bar.empty()
    return pd.DataFrame(rows)


def several(bundle: Bundle, layer: int, head: str, usual: Usual | None) -> None:
    """Count many photos and show a table and its CSV; a broken one does not stop the others."""
    if not (files := _uploaded()):
        return
    table = _counts(bundle, files, layer, head=head, usual=usual)
    good = table.people.notna()
    st.subheader(
        f"{good.sum()} of {len(table)} photos: {people_words(table.people[good].sum())} in all",
        anchor=False,
    )
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        alt="People counted in each photo",
        column_config={
            "people": st.column_config.NumberColumn(f"{head} after layer {layer}", format="%.0f"),
            "final exit": st.column_config.NumberColumn("final exit", format="%.0f"),
            "remark": st.column_config.TextColumn(
                "remark",
                width="large",
                help="Why a photo was not counted, or why to doubt its count.",
            ),
        },
    )
    if not link.hidden("export"):
        st.download_button(
            "CSV",
            table.to_csv(index=False),
            "crowd_photos.csv",
            "text/csv",
            key="crowd_many_csv",
            on_click="ignore",
            icon=":material/download:",
            help="The table as comma-separated values.",
        )
