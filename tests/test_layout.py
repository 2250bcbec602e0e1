"""The layout of the library: packages by role, arrows that point down only, files of one idea."""

import ast
from pathlib import Path

import pytest
from sources import LIBRARY, PAGES, nodes
from sources import ROOT as HERE

MOST_LINES, MOST_ENTRIES, MOST_OF_A_FUNCTION = 300, 16, 50

BELOW = {  # what a package may import, besides whatever those may
    "cli": {"bench", "training", "charts", "policies"},
    "bench": {"policies", "evaluation", "inference", "bundles"},
    "training": {"evaluation", "bundles", "data", "models", "scenes"},
    "policies": {"evaluation", "models"},
    "charts": {"inference", "models"},
    "evaluation": {"bundles", "data", "models"},
    "bundles": {"inference", "models"},
    "inference": {"models"},
    "data": {"images", "tasks"},
    "models": {"tasks", "clock"},
    "images": set(),
    "scenes": set(),
}


def allowed(package: str) -> set[str]:
    """What a package may import, itself and everything further down included."""
    return {package}.union(*map(allowed, BELOW.get(package, ())))


def imports(file: Path) -> list[str]:
    """The full names of all that a file imports, also inside functions: `mvit.bundles.weights`."""
    found = []
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative imports hide where an arrow points"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def wrong_arrows(file: Path) -> list[str]:
    """The imports of a library's file that point up or sideways."""
    package = file.relative_to(HERE / "mvit").parts[0].removesuffix(".py")
    if package in ("__init__", "__main__"):
        return []
    targets = [name.split(".")[1] for name in imports(file) if name.startswith("mvit.")]
    return [f"{package} -> {t} in {file.name}" for t in targets if t not in allowed(package)]


def private_uses(file: Path) -> list[str]:
    """Names with an underscore in front that a file takes from another module of ours."""
    ours = ("mvit", "pages")
    names = [name for name in imports(file) if name.split(".")[0] in ours]
    found = [name for name in names if name.rpartition(".")[2].startswith("_")]
    modules = {
        alias.asname or alias.name
        for node in nodes(file)
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ours
        for alias in node.names
    }
    return found + [
        f"{node.value.id}.{node.attr}"
        for node in nodes(file)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in modules
        and node.attr.startswith("_")
        and not node.attr.endswith("__")
    ]


def test_arrows_between_packages_point_down_only():
    assert [arrow for file in LIBRARY for arrow in wrong_arrows(file)] == []


def test_a_wrong_arrow_would_be_named(monkeypatch):
    monkeypatch.setitem(BELOW, "bundles", set())
    weights = HERE / "mvit/bundles/weights.py"
    assert "bundles -> models in weights.py" in wrong_arrows(weights)


def test_every_package_has_its_place_in_the_rule():
    packages = {file.parent.name for file in LIBRARY if file.parent != HERE / "mvit"}
    assert packages == BELOW.keys()


def test_the_first_room_is_small():
    entries = [p.name for p in (HERE / "mvit").iterdir() if p.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_no_file_is_long():
    files = [*LIBRARY, *PAGES, *(HERE / "tests").rglob("*.py")]
    long = [str(f) for f in files if len(f.read_text().splitlines()) > MOST_LINES]
    assert len(files) > 300 and long == []


def test_functions_are_short():
    long = [
        f"{file.relative_to(HERE)}: {node.name}"
        for file in [*LIBRARY, *PAGES]
        for node in nodes(file)
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MOST_OF_A_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("root, files", [("streamlit", LIBRARY), ("torch", PAGES)])
def test_the_library_knows_no_page_and_the_pages_no_tensor(root, files):
    users = [f.name for f in files if root in {name.split(".")[0] for name in imports(f)}]
    assert users == []


def test_nothing_private_is_used_across_modules():
    found = {file.name: private_uses(file) for file in [*LIBRARY, *PAGES]}
    assert {name: uses for name, uses in found.items() if uses} == {}
