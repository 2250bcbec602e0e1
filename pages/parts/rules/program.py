"""The rule on pictures that are not the test's: the lab's example photos, and the visitor's own by
a program to copy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from mvit.policies import rules
from mvit.policies.outcomes import Operating
from mvit.policies.policy import Policy
from mvit.policies.replay import leaves_at
from mvit.tasks import Task
from pages import parts as ui
from pages.parts import pictures
from pages.parts.rules.prepared import Replay
from pages.parts.words import work_saved


def show_photos(bundle: ui.Bundle, replay: Replay, here: Operating, head: str) -> None:
    """What the rule saves on the lab's example photos, just run."""
    photos = [pictures.shown(ui.examples(bundle.task), name) for name in ui.examples(bundle.task)]
    if not photos:
        return

    def work(model) -> dict:
        return {"exits": [list(model.run(p.pixels, model.plan(head))) for p in photos]}

    with st.spinner("Running the exits on the example photos …", show_time=True):
        run = ui.measured("rule_photos", bundle, (head, len(photos)), work=work)
    spent = []
    for exits in run["exits"]:
        own = {(e.layer, e.head): e for e in exits}
        # the time that this plan takes, without the exits that it leaves out
        path = [
            replace(own[e], elapsed_ms=float(ms))
            for e, ms in zip(replay.plan, replay.ms, strict=True)
        ]
        spent.append(replay.macs[leaves_at(replay.live(here.threshold), path)])
    full = bundle.model.exit_macs(*bundle.model.final_exit)
    saved, usual = 1 - np.mean(spent) / full, 1 - here.macs / full
    st.markdown(
        f"**On the lab's {len(photos)} example photos, run on this machine, the same rule "
        f"{work_saved(saved)}; on the test pictures it {work_saved(usual)}.**"
        f"{sharper(bundle.model.task) if saved < usual else ''}"
    )


def sharper(task: Task) -> str:
    """Why photos may leave later than the test pictures, where these are small."""
    if task.native_px == task.input_px:
        return ""
    return (
        f" The test pictures have {task.native_px} × {task.native_px} pixels. Photos reduced to "
        "that size are sharper, which may be why they leave later."
    )


def show_code(bundle: ui.Bundle, replay: Replay, threshold: float) -> None:
    """The rule as a program to copy."""
    rule = replay.live(threshold)
    st.code(code(bundle.task, bundle.backbone, replay.plan, rule=rule), language="python")


def code(task: str, backbone: str, plan: list[tuple[int, str]], rule: Policy) -> str:
    """A program that runs a rule along a plan on one picture, photo.jpg."""
    homes: dict[str, list[str]] = {}
    for kind in dict.fromkeys(_kinds(rule)):
        known = getattr(rules, kind.__name__, None) is kind
        homes.setdefault(rules.__name__ if known else kind.__module__, []).append(kind.__name__)
    if "=inf" in repr(rule) or "=-inf" in repr(rule):  # a threshold that is never reached
        homes["math"] = ["inf"]
    lines = "\n".join(f"from {home} import {', '.join(names)}" for home, names in homes.items())
    return f"""import mvit
{lines}

model = mvit.load("{task}", "{backbone}")
image = mvit.images.read_image(open("photo.jpg", "rb").read())
rule = {rule!r}
for exit in model.run(image, plan={plan}):
    if rule.stop(exit):
        break
answer = rule.answer(exit)
print(answer.label, f"{{answer.confidence:.0%}} sure, after layer {{exit.layer}}")
"""


def _kinds(rule: Policy) -> list[type[Policy]]:
    """The class of a rule, and those of the rules inside it."""
    inner = [kind for v in vars(rule).values() if isinstance(v, Policy) for kind in _kinds(v)]
    return [type(rule), *inner]
