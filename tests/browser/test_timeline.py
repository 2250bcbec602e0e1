"""The timeline in a real browser: its handle by mouse, finger and keys, and the real runs that it
starts."""

import re
from statistics import median

import pytest
from browsing import visits

pytestmark = pytest.mark.browser

FRAMES = """async axis => {
    const box = axis.getBoundingClientRect(), times = [];
    for (let i = 0; i < 60; i += 1) {
        await new Promise(next => requestAnimationFrame(() => {
            const start = performance.now(), painted = new MessageChannel();
            const clientX = box.left + box.width * (0.1 + 0.8 * Math.abs(Math.sin(i / 7)));
            axis.dispatchEvent(new PointerEvent('pointermove', {clientX, pointerId: 1}));
            painted.port1.onmessage = () => { times.push(performance.now() - start); next(); };
            painted.port2.postMessage(0);
        }));
    }
    return times;
}"""
SIZES = [(1400, 900), (1280, 720), (390, 844)]


def latency(visit, link: str = "/latency", **options):
    """The page with its slider and what it says."""
    seen = visit(**options).open(link)
    return seen, seen.page.get_by_role("slider", name="Deadline")


def real(seen) -> str:
    """What the latest real run found, once there is one."""
    seen.page.locator('.lab[data-real="done"]').wait_for()
    return seen.settled().page.locator(".lab .real").inner_text()


def drawn(seen) -> int:
    """How many real runs the axis shows: as dots, and as a number where they ended beyond it."""
    axis = seen.settled().page.locator(".lab .axis")
    later = re.findall(r"(\d+) later than", axis.text_content())
    return axis.locator(".dot").count() + sum(map(int, later))


@pytest.mark.timed
def test_a_drag_is_drawn_within_a_frame_and_letting_go_interrupts_a_real_run(visit):
    seen, slider = latency(visit)
    axis, mouse = seen.page.locator(".lab .axis"), seen.page.mouse
    box = axis.bounding_box()
    runs, before = drawn(seen), seen.page.url
    mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 60)
    mouse.down()
    assert median(axis.evaluate(FRAMES)) < 16
    mouse.move(box["x"] + 2 * box["width"], box["y"] + 60)  # past the end
    assert slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemax")
    assert "plain network: answered" in slider.get_attribute("aria-valuetext")
    mouse.move(box["x"] - 300, box["y"] + 60)
    assert slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemin")
    assert "with exits: no answer yet" in slider.get_attribute("aria-valuetext")
    assert seen.page.url == before  # nothing asked of the server so far
    mouse.move(box["x"] + 0.45 * box["width"], box["y"] + 60)
    mouse.up()
    at = float(slider.get_attribute("aria-valuenow"))
    seen.page.wait_for_url(re.compile(f"deadline={at:g}(&|$)"))
    assert real(seen).startswith(f"Real run, told to stop at {at:.1f} ms: ")
    assert drawn(seen) == runs + 1
    assert f"Replay at {at:.1f} ms: " in seen.page.locator(".lab .finding").inner_text()
    assert seen.complaints == []


def test_a_finger_drags_the_handle_on_a_phone(visit):
    seen, slider = latency(visit, width=390, has_touch=True, is_mobile=True)
    box, start = slider.bounding_box(), float(slider.get_attribute("aria-valuenow"))
    touch = seen.page.context.new_cdp_session(seen.page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def send(kind: str, *points: float) -> None:
        where = [{"x": point, "y": y} for point in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": where})

    send("touchStart", x)
    for step in range(1, 9):
        send("touchMove", x - 8 * step)
    send("touchEnd")
    now = float(slider.get_attribute("aria-valuenow"))
    assert now < start and real(seen).startswith(f"Real run, told to stop at {now:.1f} ms: ")
    assert seen.overflow <= 0 and seen.complaints == []


def test_the_arrow_keys_move_the_handle_and_the_value_is_told(visit):
    seen, slider = latency(visit)
    slider.focus()
    seen.page.keyboard.press("Home")
    assert slider.get_attribute("aria-valuenow") == slider.get_attribute("aria-valuemin")
    for _ in range(5):
        seen.page.keyboard.press("ArrowRight")
    seen.page.keyboard.press("End")
    seen.page.keyboard.press("ArrowLeft")
    at = float(slider.get_attribute("aria-valuenow"))
    assert at < float(slider.get_attribute("aria-valuemax"))
    assert slider.get_attribute("aria-valuetext").startswith(f"{at:.1f} milliseconds, with exits: ")
    assert real(seen).startswith(
        f"Real run, told to stop at {at:.1f} ms: "
    )  # earlier moves were superseded
    assert seen.complaints == []


@pytest.mark.parametrize("link", ["/?speed=1x", "/latency"])
def test_picture_answer_timeline_and_lamps_stand_above_the_fold(link, visit):
    seen = visit().open(link)
    for width, height in SIZES:
        seen.page.set_viewport_size({"width": width, "height": height})
        seen.settled()
        for part in (".picture img", ".finding", ".with", ".without", ".axis", ".handle", ".lamps"):
            box = seen.page.locator(f".lab {part}").first.bounding_box()
            assert box and box["y"] + box["height"] <= height, (part, width)
        axis = seen.page.locator(".lab .axis").bounding_box()
        main = seen.page.locator(".lab").bounding_box()
        assert axis["width"] > 0.75 * main["width"]


def test_the_words_at_the_steps_are_inside_the_chart(visit):
    seen = visit().open("/?speed=1x&task=imagenet1k&exits=all+layers")
    for width, scheme in ((1400, "light"), (390, "dark")):
        seen.look(width, scheme)
        axis, lab = (seen.page.locator(part).bounding_box() for part in (".lab .axis", ".lab"))
        words = [w.bounding_box() for w in seen.page.locator(".lab .says").all()]
        assert len(words) > 1
        assert all(box["x"] >= axis["x"] - 1 for box in words), width
        assert all(box["x"] + box["width"] <= lab["x"] + lab["width"] for box in words), width


def test_many_real_runs_are_drawn_and_stop_keeps_those_so_far(chromium, slow_server):
    with visits(chromium, slow_server) as visit:
        seen, _ = latency(visit, "/latency?deadline=200")
        seen.page.get_by_role("button", name="30 more real runs").click()
        seen.page.get_by_role("button", name="to go").click()
        assert seen.settled().page.get_by_role("button", name="to go").count() == 0
        kept = drawn(seen)
        assert 1 < kept < 31
        seen.page.get_by_role("button", name="30 more real runs").click()
        seen.page.get_by_text(f"of {kept + 30} real runs had an answer").wait_for()
        assert drawn(seen) == kept + 30 and seen.complaints == []
