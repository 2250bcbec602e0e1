"""Read the whole corpus and thousands of mutated pictures, and report time and memory: python
tests/helpers/fuzz_images.py --cases 10000

Runs as a process of its own, because only so is the peak memory that of reading pictures. Exit
status 1 if any file broke the promise.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from corpus import Case, corpus

from mvit.images.reader import MAX_PIXELS, ImageError, read_image

EXTREMES = (
    b"\0",
    b"\xff",
    b"\x7f\xff",
    b"\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\1\0",
)
CASE_SECONDS, CASE_MEGABYTES = 2.0, 500.0


def mutate(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Return data with one to three small damages, half of them in the first 128 bytes, where the
    headers are."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(min(len(out), rng.choice((128, len(out)))) or 1) if out else 0
        span = rng.choice((1, 2, 4, 16, 200))
        match rng.randrange(7):
            case 0 if out:
                out[at] ^= 1 << rng.randrange(8)
            case 1 if out:
                out[at] = rng.randrange(256)
            case 2:
                extreme = rng.choice(EXTREMES)
                out[at : at + len(extreme)] = extreme
            case 3:
                del out[at : at + span]
            case 4:
                out[at:at] = out[at : at + span] * rng.choice((1, 2, 50))
            case 5:
                start = rng.randrange(len(other))
                out[at : at + span] = other[start : start + span]
            case 6:
                del out[at + rng.randrange(len(out) + 1) :]
    return bytes(out)


def mutations(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the name and bytes of `count` mutated pictures; the same for the same seed, and each
    depends on its own index alone."""
    sources: dict[str, list[Case]] = {}
    for case in corpus():
        if len(case.data) < 50_000 and callable(case.expect):
            sources.setdefault(case.kind, []).append(case)
    groups = sorted(sources)  # by kind first, so that no kind is drowned by one with many files
    for index in range(count):
        rng = random.Random(f"{seed}:{index}")
        case, other = (rng.choice(sources[rng.choice(groups)]) for _ in range(2))
        yield f"mutation {index} of {case.name}", mutate(rng, case.data, other.data)


def complaint(data: bytes) -> tuple[str | None, str, np.ndarray | str]:
    """Read one file; return what broke the promise "an RGB picture or one ImageError", or None, how
    it ended, and the picture or the error's sentence."""
    try:
        pixels = read_image(data)
    except ImageError as error:
        words = str(error)
        one_sentence = (
            words.endswith(".") and "\n" not in words and len(words) < 200 and "Error" not in words
        )
        return (None if one_sentence else f"not one sentence: {words!r}"), "refused", words
    except Exception as error:
        return f"raised {error!r}", "raised", repr(error)
    whole = (
        pixels.dtype == np.uint8
        and pixels.ndim == 3
        and pixels.shape[2] == 3
        and 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS
    )
    return (None if whole else f"gave {pixels.dtype} {pixels.shape}"), "read", pixels


class Meter:
    """Peak memory in MB above the start of each case, where the kernel can restart its count
    (Linux); else of the process."""

    def __init__(self) -> None:
        self.exact = Path("/proc/self/clear_refs").exists()
        self.start()

    def _status(self, field: str) -> float:
        if self.exact:
            lines = Path("/proc/self/status").read_text().splitlines()
            return (
                next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6
            )
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6

    def start(self) -> None:
        if self.exact:
            Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is in use now
        self.before = self._status("VmRSS")

    def grown(self) -> float:
        return self._status("VmHWM") - self.before


class Disk:
    """Counts the files that Python opens for writing while it is watching."""

    def __init__(self) -> None:
        self.watching, self.written = False, 0
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if self.watching and event == "open":
            mode, flags = str(arguments[1] or ""), int(arguments[2] or 0)
            # O_WRONLY is 1, O_RDWR is 2
            self.written += bool(set(mode) & set("wax+")) or bool(flags & 3)


def run(count: int, seed: int) -> dict:
    """Read the corpus, whose files must give what each must give, and `count` mutations; return
    the figures as a JSON object."""
    sys.dont_write_bytecode = True  # a first import of a decoder is no file of the picture's
    cases = {case.name: case for case in corpus()}
    files = [(case.name, case.data) for case in corpus()]
    kinds = {case.kind for case in corpus()}
    meter, disk = Meter(), Disk()
    ends, failures = {"read": 0, "refused": 0, "raised": 0}, []
    slowest, largest, began = ("", 0.0), ("", 0.0), time.monotonic()
    for part in (files, mutations(count, seed)):
        for name, data in part:
            meter.start()
            disk.watching = True
            # a second time where the first was slow, because other work on the machine slows this
            # too
            for _ in range(2):
                start = time.process_time()
                problem, end, result = complaint(data)
                seconds = time.process_time() - start
                if seconds < CASE_SECONDS:
                    break
            disk.watching = False
            megabytes = meter.grown()
            ends[end] += 1
            slowest, largest = (
                max(slowest, (name, seconds), key=lambda p: p[1]),
                max(largest, (name, megabytes), key=lambda p: p[1]),
            )
            if problem is None and name in cases and not cases[name].meets(result):
                problem = "gave " + (result if isinstance(result, str) else str(result.shape))
            del result
            if problem is None and seconds > CASE_SECONDS:
                problem = f"took {seconds:.1f} s"
            if problem is None and meter.exact and megabytes > CASE_MEGABYTES:
                problem = f"took {megabytes:.0f} MB"
            if problem:
                failures.append(f"{name}: {problem}")
    return {
        "files": sum(ends.values()),
        "corpus": len(files),
        "mutations": count,
        "seed": seed,
        "kinds": len(kinds),
        **ends,
        "slowest": slowest[0],
        "slowest_cpu_s": round(slowest[1], 3),
        "largest": largest[0],
        "largest_mb": round(largest[1]),
        "peak_process_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6),
        "memory_per_case": meter.exact,
        "written_files": disk.written,
        "total_s": round(time.monotonic() - began, 1),
        "failures": failures,
    }


def main() -> int:
    """Read the options, run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cases", type=int, default=500, help="mutated pictures to read after the corpus"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    figures = run(options.cases, options.seed)
    print(
        json.dumps(figures)
        if options.json
        else "\n".join(f"{name:16} {value}" for name, value in figures.items())
    )
    return 1 if figures["failures"] or figures["written_files"] else 0


if __name__ == "__main__":
    sys.exit(main())
