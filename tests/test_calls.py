"""Calls that a stranger can read: from the fourth argument on, each says what it is."""

import ast
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
FILES = [
    *(HERE / f for f in ("app.py", "serve.py")),
    *(file for root in ("mvit", "pages") for file in sorted((HERE / root).rglob("*.py"))),
]
MOST = 3  # arguments without a name; other people's functions are called as they want it
TREES = {file: ast.parse(file.read_text()) for file in FILES}


def takes() -> dict[str, int]:
    """The most arguments without a name that any function or class of ours of a name can take; 0
    for one that takes any number."""
    most: dict[str, int] = defaultdict(int)
    for node in (node for tree in TREES.values() for node in ast.walk(tree)):
        if isinstance(node, ast.ClassDef):
            fields = [at for at in node.body if isinstance(at, ast.AnnAssign)]
            most[node.name] = max(most[node.name], len(fields))
        elif isinstance(node, ast.FunctionDef) and not node.args.vararg:
            given = [one for one in node.args.args if one.arg not in ("self", "cls")]
            most[node.name] = max(most[node.name], len(given))
    return most


def too_many(file: Path, most: dict[str, int]) -> list[str]:
    """The calls of ours in a file with more than MOST arguments without a name."""
    found = []
    for call in (node for node in ast.walk(TREES[file]) if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        given = sum(not isinstance(one, ast.Starred) for one in call.args)
        if MOST < given <= most.get(name, 0):
            found.append(f"{file.name}:{call.lineno} {name}")
    return found


def test_no_call_of_ours_has_more_than_three_arguments_without_a_name():
    most = takes()
    assert [call for file in FILES for call in too_many(file, most)] == []


def test_a_call_with_four_would_be_named(monkeypatch):
    file = FILES[0]
    monkeypatch.setitem(TREES, file, ast.parse("trace(1, 2, 3, 4)"))
    assert too_many(file, {"trace": 4}) == ["app.py:1 trace"]


def test_large_records_are_filled_by_name():
    """From the fourth field on, a data class takes its fields by name only."""
    loose = []
    for file, tree in TREES.items():
        for node in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)):
            made = "".join(ast.unparse(d) for d in node.decorator_list)
            fields = [ast.unparse(at.annotation) for at in node.body if hasattr(at, "annotation")]
            if "dataclass" in made and "kw_only" not in made and len(fields) > MOST:
                own = [kind for kind in fields if "ClassVar" not in kind]
                if len(own) > MOST and "KW_ONLY" not in own[: MOST + 1]:
                    loose.append(f"{file.name} {node.name}")
    assert loose == []
