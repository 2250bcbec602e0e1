"""timm without PyTorch's compiler: a stand-in that leaves no trace."""

import sys
from types import ModuleType

import pytest

from pages.parts import lean


@pytest.fixture
def torch(monkeypatch) -> ModuleType:
    """A stand-in for PyTorch that has not imported its compiler."""
    for name in lean.ANSWERED:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return ModuleType("torch")


def test_the_compiler_says_no_and_leaves_functions_alone_and_is_gone_afterwards(torch):
    with lean.answered(torch):
        assert not sys.modules["torch._dynamo.utils"].is_compile_supported("cpu")
        assert torch._dynamo.disable(len, True, reason=None) is len
        assert torch._dynamo.disable()(len) is len
    assert not set(lean.ANSWERED) & sys.modules.keys() and not hasattr(torch, "_dynamo")


def test_a_compiler_that_is_there_answers_for_itself(torch, monkeypatch):
    real = ModuleType("torch._dynamo")
    monkeypatch.setitem(sys.modules, "torch._dynamo", real)
    with lean.answered(torch):
        assert sys.modules["torch._dynamo"] is real
    assert sys.modules["torch._dynamo"] is real


def test_a_timm_that_asks_for_more_is_imported_by_whoever_comes_next(monkeypatch):
    asked = []

    def missing(name: str) -> ModuleType:
        asked.append(name)
        if name == "timm":
            raise AttributeError("the compiler is not whole")
        return ModuleType(name)

    monkeypatch.setattr(lean, "import_module", missing)
    lean.import_timm()
    assert asked == ["torch", "timm"]
