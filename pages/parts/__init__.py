"""What pages share. Write `from pages import parts as ui` and use:

    @ui.page("Compare heads")                above a page's `def page()`: draws the heading
    ui.classes_only()                        before that: for a counting task a kind word, the way
                                             to the Crowd page, and the page stops
    bundle = ui.current()                    the chosen model, loaded; or a friendly explanation,
                                             and the page stops.
                                             bundle.model / .card / .task / .backbone / .device /
                                             .dtype / .heads / .best_head
                                             bundle.accuracies -> {(layer, head): recorded test
                                             accuracy}; bundle.accuracy(layer, head)
    ui.classes_note(bundle)                  which classes an answer is chosen from
    ui.other_model()                         which model *auto* takes here, if it is not Watch's
    head = ui.pick_head(bundle)              one of the model's heads
    picture = ui.pick_picture(bundle.task, key="example")
                                             picture.pixels (RGB uint8 HxWx3) / .title / .truth /
                                             .source / .key (hash, for caching)
    value = ui.linked(st.slider, "Threshold", key="threshold", min_value=0.0, max_value=1.0,
                      value=0.9, help="...")
                                             any Streamlit input, bound to ?threshold=; illegal
                                             values clamped and said; ?hide= obeyed.
                                             Use names as options where you can: what the visitor
                                             reads is what the link says.
    ui.hidden("key")                         True if the teacher's link hides that control
    ui.notice("...")                         a friendly remark that does not stop the page
    ui.page_link("watch", "Watch it", ...)   a link to another page
    with ui.turn(): ...                      one inference at a time, "2 before you" while waiting
    result = ui.inference(bundle, lambda model: model.trace(picture.pixels))
                                             the same, plus: GPU out of memory -> continues on the
                                             CPU and says so
    ui.once("name", key, make)               this visitor's latest result of that name, remade only
                                             when `key` changes
    run = ui.measured("name", bundle, more, work, picture, again=False)
                                             what `work` gave, with "device" and "at", when it was;
                                             on an example anybody's latest
    plain = ui.plain(bundle, run["plain"])   the plain network's time: plain.ms, one figure for all
                                             pages; ui.plain_badge(plain) says where it is from;
                                             ui.is_timed(bundle): whether it is known already
    ui.live_badge(bundle, run)  ui.recorded_badge(bundle, "10,000 pictures")  ui.replay_badge()
    ui.export("watch", table, bundle, settings={...}, run)  CSV and JSON run record buttons
    ui.csv_button("CSV", text, "name", help="...")  one table to take away
    ui.chart(figure, alt="...")              an Altair chart, the same way everywhere (alt: the text
                                             alternative)
    ui.table(frame)                          the table alternative, under an expander

Charts themselves come from mvit.charts, whose style holds the palette; pages hold no tensor code
and import no torch. Each name is imported when it is first asked for: app.py needs few of them, and
a server that starts must not wait for the libraries of all pages.
"""

from importlib import import_module
from typing import Any

_NAMES = {
    "link": "folded hidden linked linked_number linked_seed notice page page_link",
    "baseline": "beside_plain is_timed plain plain_badge",
    "choice": "classes_note classes_only counting current other_model pick_head",
    "models": "Bundle inference",
    "pictures": "EXAMPLE Picture examples pick_picture",
    "provenance": "TASK_NAMES csv_button export live_badge recorded_badge replay_badge run_record",
    "queue": "BusyError turn",
    "shared": "chart measured once table",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}
__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
