"""The plain network's time: measured once for each network, device, number format and engine, and
the same on every page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from mvit.clock import Timing
from mvit.evaluation.unlike import Check
from mvit.inference.baseline import alike, plain_time, run_beside_plain
from mvit.models.multi_exit import Plan
from pages.parts.models import Bundle, inference
from pages.parts.words import WORDS


@dataclass(frozen=True)
class Plain:
    """The plain network's time in ms as a page shows it. usual: as it was measured once; of a run
    made while the machine was much busier or quieter than then, `ms` was taken beside that run."""

    ms: float
    usual: Timing

    @property
    def is_usual(self) -> bool:
        """Whether this is the figure that every page shows."""
        return self.ms == self.usual.median


@st.cache_resource(show_spinner=False)
def known_times() -> dict[tuple, Timing]:
    """What was measured since the server started, for all visitors."""
    return {}


def _place(bundle: Bundle) -> tuple:
    """What is trained does not change the time: bundles of one architecture share it."""
    net, task = bundle.model.backbone, bundle.model.task
    size = (net.dim, bundle.model.depth, net.grid, task.input_px, task.tiles)
    return (*size, *bundle.key[2:])


def is_timed(bundle: Bundle) -> bool:
    """Whether `plain` answers at once."""
    return _place(bundle) in known_times()


def plain(bundle: Bundle, beside_ms: float | None = None) -> Plain:
    """The plain network's time for this model, measured when it is first asked for.

    beside_ms: of plain passes taken in turn with a run. If the machine was then not as it was when
    the time was measured, these are what the run is to be compared with.
    """
    place, known = _place(bundle), known_times()

    def timed(model: Any) -> Timing:
        # asked again: who waited in line may have waited for this very measurement
        found = known.get(place) or plain_time(model)
        # not what the CPU did in place of a GPU that failed
        return known.setdefault(place, found) if str(model.device) == bundle.device else found

    def retimed(model: Any) -> Timing:
        # another visitor may have timed it meanwhile
        found = min(plain_time(model), known.get(place, usual), key=lambda timing: timing.median)
        if str(model.device) == bundle.device:
            known[place] = found
        return found

    usual = known.get(place) or inference(bundle, timed)
    run = (*place, beside_ms)
    if beside_ms and beside_ms < usual.median and not alike(beside_ms, usual.median):
        if run not in known:  # a quieter machine than ever before: measured anew, once for each run
            known[run] = usual
            usual = inference(bundle, retimed)
    differs = beside_ms is not None and not alike(beside_ms, usual.median)
    return Plain(beside_ms if differs else usual.median, usual)


def beside_plain(
    bundle: Bundle, pixels: np.ndarray, plan: Plan, also: Plan = ()
) -> Callable[[Any], dict]:
    """The work of one measured run on a picture: `work(model)` gives "exits", under "plain" the ms
    of the plain passes beside it, under "unlike" whether the model knows nothing like it, if its
    card records a check, and under "scores" those of the exits in `also`, which are not timed."""
    usual_ms, check = plain(bundle).ms, Check.of(bundle.card, bundle.model)

    def work(model: Any) -> dict:
        seen, more = {}, (*also, *(check.exits if check else ()))
        exits, beside_ms = run_beside_plain(
            model, pixels, plan, usual_ms=usual_ms, also=more, seen=seen
        )
        told = {"unlike": check.unlike(seen)} if check else {}
        told |= {"scores": {e: model.task.scores(seen[e]).tolist() for e in also}}
        return {"exits": exits, "plain": beside_ms} | told

    return work


def plain_badge(time: Plain) -> None:
    """Say what the plain network needs, where the figure is from, and why it is another one than on
    other pages, if it is."""
    usual = time.usual
    how = (
        f"{WORDS['plain']} Timed once on this machine while the lab computed nothing else: the "
        f"median of {usual.n} passes, half of which took {usual.q1:.1f} to {usual.q3:.1f} ms. "
        "Every page shows this figure."
    )
    if time.is_usual:
        text, colour = f"plain network: {time.ms:.1f} ms", "gray"
    else:
        state = "busier" if time.ms > usual.median else "quieter"
        text = f"plain network: {time.ms:.1f} ms now, usually {usual.median:.1f} ms"
        colour = "orange"
        how = (
            f"During this run the machine was {state} than when the plain network was timed, so "
            "the run is compared with plain passes that were made in turn with it, not with the "
            f"usual figure.\n\n{how}"
        )
    st.badge(text, icon=":material/speed:", color=colour, help=how)
