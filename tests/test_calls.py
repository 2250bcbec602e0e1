"""Calls that a stranger can read: from the fourth argument on, each says what it is."""

import ast
from collections import defaultdict
from collections.abc import Iterable

from sources import LIBRARY, PAGES, nodes

MOST = 3  # arguments without a name; other people's functions are called as they want it


def takes() -> dict[str, int]:
    """The most arguments without a name that any function or class of ours of a name can take; 0
    for one that takes any number."""
    most: dict[str, int] = defaultdict(int)
    for node in (node for file in [*LIBRARY, *PAGES] for node in nodes(file)):
        if isinstance(node, ast.ClassDef):
            fields = [at for at in node.body if isinstance(at, ast.AnnAssign)]
            most[node.name] = max(most[node.name], len(fields))
        elif isinstance(node, ast.FunctionDef) and not node.args.vararg:
            given = [one for one in node.args.args if one.arg not in ("self", "cls")]
            most[node.name] = max(most[node.name], len(given))
    return most


def too_many(code: Iterable[ast.AST], most: dict[str, int]) -> list[str]:
    """The calls of ours with more than MOST arguments without a name."""
    found = []
    for call in (node for node in code if isinstance(node, ast.Call)):
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        given = sum(not isinstance(one, ast.Starred) for one in call.args)
        if MOST < given <= most.get(name, 0):
            found.append(f"{name}, line {call.lineno}")
    return found


def loose(code: Iterable[ast.AST]) -> list[str]:
    """The data classes that take more than MOST fields without a name."""
    found = []
    for node in (node for node in code if isinstance(node, ast.ClassDef)):
        made = "".join(ast.unparse(decorator) for decorator in node.decorator_list)
        kinds = [ast.unparse(at.annotation) for at in node.body if hasattr(at, "annotation")]
        fields = [kind for kind in kinds if "ClassVar" not in kind]
        if "dataclass" in made and "kw_only" not in made and "KW_ONLY" not in fields[: MOST + 1]:
            found += [node.name] if len(fields) > MOST else []
    return found


def test_no_call_of_ours_has_more_than_three_arguments_without_a_name():
    most = takes()
    found = {file.name: too_many(nodes(file), most) for file in [*LIBRARY, *PAGES]}
    assert {name: calls for name, calls in found.items() if calls} == {}


def test_from_the_fourth_field_on_records_are_filled_by_name():
    found = {file.name: loose(nodes(file)) for file in [*LIBRARY, *PAGES]}
    assert {name: classes for name, classes in found.items() if classes} == {}


def test_what_breaks_the_rule_would_be_named():
    code = (
        "trace(1, 2, 3, 4)\n@dataclass\nclass Four:\n    a: int\n    b: int\n    c: int\n    d: int"
    )
    broken = list(ast.walk(ast.parse(code)))
    assert too_many(broken, {"trace": 4}) == ["trace, line 1"] and loose(broken) == ["Four"]
