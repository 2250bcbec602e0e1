"""What the documents say exists: commands with their options, linked files, and the keys of the
links for a class."""

import argparse
import ast
import re
import shlex
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from sources import nodes, tree

from mvit.policies.rules import POLICIES

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "examples" / "CREDITS.md",
]
COMMAND = re.compile(r"python -m mvit +((?:\\\n|[^\n`|])+)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
QUERY = re.compile(r"`/?(\?[^`]+)`")


def subcommands() -> dict[str, argparse.ArgumentParser]:
    from mvit.cli import main as cli

    return next(
        a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)
    ).choices


def commands(text: str) -> list[list[str]]:
    """Every `python -m mvit ...`, its continued lines joined, as words."""
    found = [m[1].replace("\\\n", " ") for m in COMMAND.finditer(text)]
    return [shlex.split(line, comments=True) for line in found]


def complaint(words: list[str], known: dict[str, argparse.ArgumentParser]) -> str | None:
    """What is wrong with a command as documented, None if nothing is; `...` stands for options left
    out."""
    if words[0] == "...":
        return None
    if words[0] not in known:
        return f"there is no command {words[0]}"
    parser, options = (
        known[words[0]],
        {s: a for a in known[words[0]]._actions for s in a.option_strings},
    )
    if unknown := [w for w in words if w.startswith("-") and w.split("=")[0] not in options]:
        return f"{words[0]} has no option {unknown[0]}"
    complete = len(words) > 1 and "..." not in words and "--help" not in words
    try:
        if complete:
            parser.parse_args(words[1:])
    except SystemExit:
        return f"{' '.join(words)} does not parse"
    return None


def strings(code: ast.AST) -> set[str]:
    return {
        n.value for n in ast.walk(code) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }


def page_keys() -> dict[str, set[str]]:
    """The query keys that each page reads, with those of its parts and of the shell."""
    found = {page.stem: keys(page) for page in (ROOT / "pages").glob("*.py")}
    parts = ROOT / "pages" / "parts"
    shared = {part.stem: keys(part) for part in parts.glob("*.py")}
    shared |= {room.name: set().union(*map(keys, room.glob("*.py"))) for room in parts.iterdir()}
    shell = {"page", "hide", "example", "task", "backbone", "device", "dtype"}
    for page, own in found.items():
        source = (ROOT / "pages" / f"{page}.py").read_text()
        used = [part for part in shared if re.search(rf"\b{part}\b", source)]
        found[page] = own.union(shell, *(shared[p] for p in [*used, page] if p in shared))
    return found


def keys(file: Path) -> set[str]:
    """The `key="..."` of every linked control, the pickers of pictures and the rule's own
    sliders."""
    found = set()
    for call in (n for n in nodes(file) if isinstance(n, ast.Call)):
        name = (
            call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        )
        if name == "linked_seed":
            found.add("seed")
        if name in ("linked", "linked_number", "pick_picture"):
            found |= {
                k.value.value
                for k in call.keywords
                if k.arg == "key" and isinstance(k.value, ast.Constant)
            }
            found |= (
                {rule.key for rule in POLICIES.values()}
                if any(k.arg is None for k in call.keywords)
                else set()
            )
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_command_in_the_documents_can_be_typed(document):
    known = subcommands()
    assert [c for words in commands(document.read_text()) if (c := complaint(words, known))] == []


def test_the_check_of_commands_would_notice_a_wrong_one():
    known = subcommands()
    assert (
        complaint(["train", "--no-such-option", "1"], known)
        == "train has no option --no-such-option"
    )
    assert complaint(["fly"], known) == "there is no command fly"
    assert complaint(["grow", "--seed", "many"], known) == "grow --seed many does not parse"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_every_relative_link_leads_to_a_file(document):
    targets = [
        t
        for t in LINK.findall(document.read_text())
        if not urlsplit(t).scheme and not t.startswith("#")
    ]
    assert [t for t in targets if not (document.parent / t.split("#")[0]).exists()] == []


def test_every_link_for_a_class_has_real_keys_and_a_real_page():
    known, links = page_keys(), QUERY.findall((ROOT / "docs" / "teaching.md").read_text())
    assert len(links) >= 10
    for link in links:
        given = dict(parse_qsl(link[1:], strict_parsing=True))
        if step := given.pop("lesson", None):  # the short form
            given |= {"page": "lesson", "step": step}
        assert given["page"] in known, link
        assert set(given) <= known[given["page"]], link


def test_everything_that_the_teachers_document_hides_is_a_control_that_can_be_hidden():
    text = (ROOT / "docs" / "teaching.md").read_text()
    sources = [*(ROOT / "pages").rglob("*.py")]
    hideable = set().union(*(strings(tree(f)) for f in sources))
    hidden = {
        name
        for link in QUERY.findall(text)
        for name in dict(parse_qsl(link[1:])).get("hide", "").split(",")
    } - {""}
    assert hidden and hidden <= hideable


def test_the_readme_has_one_command_to_run_the_lab_and_one_to_test_it():
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert sum("pip install" in block for block in blocks) == 2


def linked_keys() -> set[str]:
    """The key of every control of the pages that is bound to the link."""
    calls = (
        call
        for file in (ROOT / "pages").rglob("*.py")
        for call in nodes(file)
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "").startswith("linked")
    )
    given = [k.value for call in calls for k in call.keywords if k.arg == "key"]
    return {key.value for key in given if isinstance(key, ast.Constant)}


def test_every_key_of_a_link_is_told_to_teachers():
    text = (ROOT / "docs" / "teaching.md").read_text()
    keys = linked_keys() | {rule.key for rule in POLICIES.values()}
    assert len(keys) > 30 and not sorted(key for key in keys if f"`{key}`" not in text)
