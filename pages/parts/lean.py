"""timm as the lab needs it, in two thirds of the time.

timm and torchvision ask PyTorch's compiler two things: whether a function can be compiled, and not
to compile another. With the compiler come hundreds of modules and all of SymPy, which nothing here
needs. So both are answered without it: nothing is compiled.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType

COMPILER, UTILS = ANSWERED = "torch._dynamo", "torch._dynamo.utils"


def import_timm() -> None:
    """Import timm; where it cannot be had without the compiler, whoever imports it next gets it
    with the compiler."""
    with suppress(ImportError, AttributeError), answered(import_module("torch")):
        import_module("timm")


@contextmanager
def answered(torch: ModuleType) -> Iterator[None]:
    """Let a stand-in answer for the compiler, unless that has been imported already."""
    if COMPILER in sys.modules:
        yield
        return
    compiler, utils = ModuleType(COMPILER), ModuleType(UTILS)
    compiler.__path__ = []
    compiler.disable = lambda function=None, *_, **options: function or (lambda other: other)
    utils.is_compile_supported = lambda device: False
    sys.modules |= {COMPILER: compiler, UTILS: utils}
    torch._dynamo = compiler
    try:
        yield
    finally:
        del torch._dynamo
        for name in ANSWERED:
            sys.modules.pop(name, None)
