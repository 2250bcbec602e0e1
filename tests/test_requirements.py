"""What the code imports stands in the requirements files, so that the README's two commands suffice
on a fresh machine."""

import ast
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APP = [
    ROOT / "app.py",
    ROOT / "serve.py",
    *(ROOT / "pages").rglob("*.py"),
    *(ROOT / "mvit").rglob("*.py"),
]
TESTS = [*(ROOT / "tests").rglob("*.py")]
OWN = {"mvit", "pages", "serve", *(f.stem for f in (ROOT / "tests" / "helpers").glob("*.py"))}
# Each is imported inside a function, and its absence is one sentence there; tests say so:
# tests/bundles/test_export.py (ONNX) and tests/bench/test_bench.py (a peer that bench compares
# with where it is installed).
OPTIONAL = {"onnxruntime", "onnxscript", "openvino", "earlyon"}


def imported(source: str) -> set[str]:
    """The top-level modules that a source imports, anywhere in it, without Python's own."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(node.module.split(".")[0])
    return found - sys.stdlib_module_names


def at_the_top(source: str) -> set[str]:
    """The modules that are imported as soon as the source is."""
    lazy = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    body = [node for node in ast.parse(source).body if not isinstance(node, lazy)]
    return imported(ast.unparse(ast.Module(body, [])))


def declared(file: str) -> set[str]:
    """The distributions of a requirements file and of those that it includes."""
    found = set()
    for line in (ROOT / file).read_text().splitlines():
        if line.startswith("-r "):
            found |= declared(line[3:].strip())
        elif name := re.match(r"[A-Za-z0-9._-]+", line):
            found.add(normal(name[0]))
    return found


def normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def undeclared(modules: set[str], file: str) -> list[str]:
    """The modules that no distribution of the requirements file brings."""
    brings, known = packages_distributions(), declared(file)
    return sorted(m for m in modules if not known & {normal(d) for d in brings.get(m, [])})


@pytest.mark.parametrize(
    ("sources", "file", "optional"),
    [(APP, "requirements.txt", OPTIONAL), (TESTS, "requirements-dev.txt", set())],
    ids=["app", "tests"],
)
def test_every_import_is_declared(sources, file, optional):
    modules = {m for source in sources for m in imported(source.read_text())} - OWN - optional
    assert len(modules) > 5 and undeclared(modules, file) == []


def test_what_is_optional_is_never_imported_at_the_top():
    assert not OPTIONAL & {m for source in APP for m in at_the_top(source.read_text())}


def test_the_check_would_notice_an_import_inside_a_function():
    source = "import os\nimport numpy.linalg\ndef f():\n    from onnx.helper import make_node\n"
    assert imported(source) == {"numpy", "onnx"} and at_the_top(source) == {"numpy"}
    assert undeclared({"numpy", "onnx", "no_such_module"}, "requirements.txt") == [
        "no_such_module",
        "onnx",
    ]
