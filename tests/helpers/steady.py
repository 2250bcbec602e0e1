"""Is the lab steady? Measure it and print a table: python tests/helpers/steady.py [PART ...]

Parts: pictures (hostile and mutated files), traces (memory over many runs), visitors (a class at
once, on a real server), memory (every page of every bundled task), faults. Each runs in a process
of its own. Exit status 1 if any promise was broken.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import psutil

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

from live import Server, Visitor  # noqa: E402

# columns that differ from run to run, or that say what the visitor knows
TIMES = {"elapsed_ms", "ms", "head_ms", "verdict"}
FLAT, MOST_MB = 0.05, 2000


def pictures(count: int) -> dict:
    """The corpus and `count` mutated pictures, in a process of its own."""
    done = subprocess.run(
        [sys.executable, HERE / "fuzz_images.py", "--cases", str(count), "--json"],
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    return {
        "files tried": f"{found['files']:,}: {found['corpus']} unusual or hostile ones "
        f"of {found['kinds']} kinds, {count:,} mutations",
        "neither a picture nor one clear error": len(found["failures"]),
        "slowest picture": f"{found['slowest_cpu_s']:.2f} s of CPU ({found['slowest']})",
        "most memory for one picture": f"{found['largest_mb']} MB",
        "broken": [*found["failures"], *(["files were written"] if found["written_files"] else [])],
    }


def traces(count: int) -> dict:
    """Resident memory while `count` traces run, each in a thread of its own as a visitor's run is,
    after a tenth of them to warm up."""
    import numpy as np
    from thin import thin_model

    from mvit.bundles import weights

    model = weights.load(*weights.bundles()[0], device="cpu") if weights.bundles() else thin_model()
    chance, seen = np.random.default_rng(0), []
    for i in range(-count // 10, count):
        picture = chance.integers(0, 256, (300, 400, 3), dtype=np.uint8)
        run = threading.Thread(target=model.trace, args=(picture,))
        run.start()
        run.join()
        if i >= 0:
            seen.append(psutil.Process().memory_info().rss / 1e6)
    tenth = max(1, count // 10)
    start, end = np.median(seen[:tenth]), np.median(seen[-tenth:])
    growth = max(end, max(seen)) / start - 1
    return {
        "traces": f"{count:,} of {len(model.exits()) + 1} exits each",
        "resident memory": f"{start:.0f} MB after warming up, {end:.0f} MB at the end, "
        f"at most {100 * growth:.1f} % more",
        "broken": [f"memory grew by {100 * growth:.1f} %"] if growth > FLAT else [],
    }


def visitors(count: int) -> dict:
    """`count` visitors open different links of a server that has just started, all at once; each
    gets what one alone gets."""
    from mvit.bundles import weights
    from mvit.images.reader import read_image
    from pages.parts.pictures import FOLDER, examples

    task, backbone = weights.bundles()[0]
    # one engine for all, since two may round differently
    model = weights.load(task, backbone, device="cpu", engine="timm")
    wishes = [*product(examples(task).items(), model.heads)]
    wishes = [wishes[i * 7 % len(wishes)] for i in range(count)]

    def alone(name: str, entry: dict, head: str) -> list[dict]:
        plan = model.checked(model.plan(head))
        columns = ("layer", "head", "label", "confidence", "macs", "practical")
        return [
            {c: getattr(e, c) for c in columns}
            for e in model.run(read_image((FOLDER / entry["file"]).read_bytes()), plan)
        ]

    expected = [alone(name, entry, head) for (name, entry), head in wishes]
    with Server() as server, ThreadPoolExecutor(count) as crowd:
        gate = threading.Barrier(count)

        def visit(wish: tuple) -> tuple[list[dict], float, list[str], float]:
            (name, _), head = wish
            with Visitor(server) as visitor:
                gate.wait(180)
                began = time.monotonic()
                visitor.ask(
                    f"task={task}&backbone={backbone}&dtype=float32&engine=timm"
                    f"&example={name}&head={head}"
                )
                told = []
                while not visitor.heard_the_end():
                    told += [
                        int(n)
                        for n in re.findall(
                            r"(\d+) before you",
                            visitor.drawn[-1].alert.body if visitor.drawn else "",
                        )
                    ]
                seconds = time.monotonic() - began
                return visitor.rows().drop(columns=list(TIMES)).to_dict("records"), seconds, told

        got = [*crowd.map(visit, wishes)]
        before = server.megabytes()
        with Visitor(server) as one:
            began = time.monotonic()
            one.open(f"task={task}&backbone={backbone}")
            single = time.monotonic() - began
        same = sum(rows == wanted for (rows, *_), wanted in zip(got, expected, strict=True))
        honest = sum(told == sorted(told, reverse=True) for _, _, told in got)
    return {
        "visitors at once": f"{count}, the server just started, each another picture or head",
        "bit-identical to a run alone": f"{same} of {count}",
        "longest line told": f"{max([n for *_, told in got for n in told], default=0)} before you",
        "last visitor served after": f"{max(seconds for _, seconds, _ in got):.1f} s "
        f"(one alone, later: {single:.1f} s)",
        "the server's memory then": f"{before:.0f} MB",
        "broken": [
            *([] if same == count else ["results differ"]),
            *([] if honest == count else ["somebody's place in the line grew"]),
        ],
    }


def memory(count: int) -> dict:
    """Every page of every bundled task on one server, `count` times: the most resident memory, and
    the slowest page once all is loaded."""
    from mvit.bundles import weights

    pages = sorted(f.stem for f in (ROOT / "pages").glob("[!_]*.py"))
    slowest, after, failed = (0.0, ""), [], []
    with Server() as server:
        for turn, (task, backbone), page in product(range(count), weights.bundles(), pages):
            with Visitor(server) as visitor:
                began = time.monotonic()
                visitor.open(f"page={page}&task={task}&backbone={backbone}")
                seconds = time.monotonic() - began
            failed += [f"{page} of {task}: {a}" for a in visitor.alerts if "did not work" in a]
            slowest = (
                max(slowest, (seconds, f"{page} of {task}")) if turn or count == 1 else slowest
            )
            after += [server.megabytes()] if page == pages[-1] else []
        peak = server.peak_megabytes()
    return {
        "all pages of": ", ".join(task for task, _ in weights.bundles())
        + f", {len(pages)} pages, {count} times",
        "most resident memory of the server": f"{peak:.0f} MB "
        f"(after each round: {', '.join(f'{m:.0f}' for m in after)})",
        "slowest page": f"{slowest[0]:.1f} s ({slowest[1]})",
        "broken": failed + ([f"{peak:.0f} MB is too much"] if peak > MOST_MB else []),
    }


def faults(count: int) -> dict:
    """The tests of injected faults and of altered weights: how many there are, and how many the app
    did not survive."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--no-header",
        "tests/inference/test_faults.py",
        "tests/bundles/test_weights.py",
    ]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.splitlines()[-1]
    passed, failed = (
        int(m[1]) if (m := re.search(rf"(\d+) {word}", said)) else 0
        for word in ("passed", "failed")
    )
    return {
        "faults and altered weights": f"{passed + failed} cases (pytest: {said.strip('= ')})",
        "broken": [] if passed and not failed else [said],
    }


PARTS = {
    "pictures": (pictures, 10_000),
    "traces": (traces, 2000),
    "visitors": (visitors, 30),
    "memory": (memory, 3),
    "faults": (faults, 1),
}


def main() -> int:
    """Run the parts, each in a process of its own unless there is only one, and print the
    figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="which (default: all)")
    parser.add_argument(
        "--count", type=int, help="how many pictures, traces, visitors or rounds (for one part)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    parts = options.parts or list(PARTS)
    figures: dict = {"broken": []}
    for name in parts:
        work, usual = PARTS[name]
        if len(parts) == 1:
            found = work(options.count or usual)
        else:
            done = subprocess.run(
                [sys.executable, __file__, name, "--json"],
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ,
            )
            found = json.loads(done.stdout or '{"broken": ["it ended without a result"]}')
        broken = figures["broken"] + [f"{name}: {b}" for b in found.pop("broken")]
        figures |= found | {"broken": broken}
    if options.json:
        print(json.dumps(figures | {"broken": [b.split(": ", 1)[1] for b in figures["broken"]]}))
    else:
        print("| what | measured |\n|---|---|")
        print(
            "\n".join(
                f"| {what} | {value} |" for what, value in figures.items() if what != "broken"
            )
        )
        print("\n" + ("\n".join(f"BROKEN {b}" for b in figures["broken"]) or "nothing broken"))
    return 1 if figures["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
