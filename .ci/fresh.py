"""A new user's first minutes, where only requirements.txt is installed: every command of the
README's table, every page, and the served app. `python .ci/fresh.py` stops at what fails."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mvit.tasks import CIFAR10_LABELS  # noqa: E402

START = "weights/cifar10/vit_tiny_patch16_224"
CAT = "examples/cat.jpg"
README = (ROOT / "README.md").read_text()


def commands(work: Path) -> list[str]:
    """Every command once, on pictures and with folders below `work`."""
    pets, data = make_pictures(work / "pets", ("cat", "dog"), 5), work / "data"
    for split, each in (("train", 4), ("test", 1)):
        make_pictures(data / "cifar10" / split, CIFAR10_LABELS, each)
    short = "--exit-batch 4 --rates 1e-3 --trial-steps 2 --max-rounds 1 --heads mlp --layers 6,12"
    return [
        f"trace {CAT}",
        f"deadline {CAT} --ms 1000 --head resmlp",
        f"evaluate --data {data} --head mlp",
        f"train --data {pets} --task-name pets --init {START} --run {work / 'run'} "
        f"--batch 4 --stages 64:2 {short}",
        f"trace {pets / 'cat' / '0.png'} --task pets",
        f"table1 --data {data} --init {START} --run {work / 'table'} "
        "--images 8 --batch 4 --px 32 --round-images 8 --max-rounds 1 --heads mlp --overwrite",
        f"ablation --data {data} --init {START} --run {work / 'ablation'} "
        "--images 8 --batch 4 --px 32 --overwrite",
        f"grow --to vit_base_patch16_224 --head mlp --out {work / 'grown'}",
        f"export --exit 6 --head resmlp --format pt2 --out {work / 'layer6.pt2'}",
        "verify",
        "bench --head mlp --rounds 1 --runs 1 --only overhead",
    ]


def make_pictures(folder: Path, classes: tuple[str, ...], each: int) -> Path:
    """Write `each` noisy pictures of one brightness a class; return the folder."""
    chance = np.random.default_rng(0)
    for shade, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(each):
            pixels = chance.integers(20 * shade, 20 * shade + 60, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def mvit(line: str, status: int = 0) -> str:
    """Run `python -m mvit ...`, which must end with that status; return what it printed, or said on
    standard error where it must fail."""
    command = [sys.executable, "-m", "mvit", *line.split()]
    with told(f"python -m mvit {line}"):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode != status:
        sys.exit(f"it ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stderr if status else done.stdout


def mvit_here(line: str) -> str:
    """The same in this process, which has the same packages and has imported them already."""
    from mvit.cli.main import main

    out = io.StringIO()
    with told(f"mvit {line}"), redirect_stdout(out):
        status = main(line.split())
    if status:
        sys.exit(f"it ended with status {status}:\n{out.getvalue()}")
    return out.getvalue()


@contextmanager
def told(what: str) -> Iterator[None]:
    """Print how long something took."""
    began = time.monotonic()
    yield
    print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)


def check_commands(work: Path) -> None:
    """Every command that the README's table names works, or says in one line what it needs; the
    first one in a process of its own, as users run it."""
    promised = set(re.findall(r"^\| `python -m mvit (\w+)", README, re.M))
    first, *others = commands(work)
    if untried := promised - {line.split()[0] for line in (first, *others)}:
        sys.exit(f"the README's table has commands that are not tried here: {untried}")
    if unnamed := promised - set(re.findall(r"\w+", mvit("--help"))):
        sys.exit(f"--help does not name {unnamed}")
    json.loads(mvit(f"{first} --json"))
    for line in others:
        json.loads(mvit_here(f"{line} --json"))
    if find_spec("onnxscript") is None:
        said = mvit("export --exit 6 --head resmlp", status=2)
        if "pip install onnx" not in said or said.count("\n") != 1:
            sys.exit(f"it does not say how to get ONNX: {said}")


def check_pages() -> None:
    """Every page opens without an error."""
    from streamlit.testing.v1 import AppTest

    for page in sorted(file.stem for file in (ROOT / "pages").glob("[!_]*.py")):
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=180)
        app.query_params["page"] = page
        with told(f"page {page}"):
            app.run()
        wrong = [e.value for e in [*app.exception, *app.error]]
        if wrong or not app.title:
            sys.exit(f"the page has no title or shows errors: {wrong}")


def check_server() -> None:
    """`streamlit run app.py` answers its health page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"--server.headless=true --server.address=127.0.0.1 --server.port={port}".split()
    until, log = time.monotonic() + 90, tempfile.TemporaryFile("w+")
    server = subprocess.Popen(
        [Path(sys.executable).with_name("streamlit"), "run", "app.py", *options],
        cwd=ROOT,
        stdout=log,
        stderr=log,
    )
    try:
        with told("streamlit run app.py answers its health page"):
            while not healthy(f"http://127.0.0.1:{port}/_stcore/health"):
                if server.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    sys.exit(f"the app did not answer its health page:\n{log.read()}")
                time.sleep(0.2)
    finally:
        server.kill()
        server.wait()


def healthy(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=2).status == 200
    except OSError:
        return False


def main() -> None:
    """Try everything, in a folder that is thrown away."""
    os.environ.pop("MVIT_DATA", None)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        # a copy, since training writes there
        os.environ["MVIT_WEIGHTS"] = str(shutil.copytree(ROOT / "weights", work / "weights"))
        check_commands(work)
        del os.environ["MVIT_WEIGHTS"]
        check_pages()
    check_server()


if __name__ == "__main__":
    main()
