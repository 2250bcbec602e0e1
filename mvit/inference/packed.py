"""Dense layers whose weights were laid out once for the processor's matrix library, instead of anew
on every call.

The operators are those that PyTorch's own compiler emits. They are no public interface, so whoever
uses them asks first whether they are there and agree (mvit.inference.engine), and one that fails
later hands over to the plain layers at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn
from torch.nn import functional as F

from mvit.models.inline_layers import encoder_layer, matrix, plain_layer, unpacked, watched


@dataclass(frozen=True, slots=True)
class Layout:
    """A weight (out, in) as its library wants it. made_for: the rows of input, and the version and
    address of the weight that it was made from."""

    packed: torch.Tensor
    made_for: tuple[int, int, int]


class Library(Protocol):
    """A matrix library behind PyTorch: made, it raises AttributeError where PyTorch lacks it."""

    name: str

    def pack(self, weight: torch.Tensor, rows: int) -> torch.Tensor:
        """Lay out a weight (out, in) for inputs of so many rows."""
        ...

    def product(
        self,
        x: torch.Tensor,
        layout: Layout,
        layer: nn.Module,
        gelu: bool,
        add: torch.Tensor | None,
    ) -> torch.Tensor:
        """x: (..., in) -> (..., out), bias added, then GELU, then `add`."""
        ...


class OneDNN:
    """oneDNN, with the GELU and the addition done while the product is still in the cache."""

    name = "oneDNN"

    def __init__(self):
        ops = torch.ops.mkldnn
        self.pack = ops._reorder_linear_weight.default
        self.unary, self.binary = ops._linear_pointwise.default, ops._linear_pointwise.binary

    def product(self, x, layout, layer, gelu, add):
        if gelu:
            found = self.unary(x, layout.packed, layer.bias, "gelu", [], "none")
            return found if add is None else found.add_(add)
        if add is None:
            return self.unary(x, layout.packed, layer.bias, "none", [], "")
        return self.binary(x, add, layout.packed, layer.bias, "add")


class MKL:
    """MKL's packed matrix product, in float32 only; bit for bit what the plain layer says."""

    name = "MKL"

    def __init__(self):
        ops = torch.ops.mkl
        self.pack, self.linear = ops._mkl_reorder_linear_weight.default, ops._mkl_linear.default

    def product(self, x, layout, layer, gelu, add):
        found = self.linear(x, layout.packed, matrix(layer), layer.bias, layout.made_for[0])
        if gelu:
            found = F.gelu(found)
        return found if add is None else found.add_(add)


# bytes of heads that are packed; all 84 of a ViT-Ti fit, and a ViT-B's would double its 1.5 GB
MOST_OF_HEADS = 128_000_000
LIBRARIES: tuple[type[Library], ...] = (OneDNN, MKL)


class Packed:
    """Dense layers by one library: called as `mvit.models.inline_layers.unpacked` is.

    A weight is laid out when its layer is first called, and anew when it, or the number of rows,
    has changed since. problem: why the plain layers took over, if they had to.
    """

    def __init__(self, library: Library):
        self.library, self.problem = library, ""
        self._layouts: dict[nn.Module, Layout] = {}
        self._exits: dict[nn.Module, nn.Module] = {}
        self._room = MOST_OF_HEADS

    def __call__(self, layer, x, *, gelu: bool = False, add=None) -> torch.Tensor:
        rows = x.numel() // x.shape[-1]
        # A single row reads each weight once, in whatever order: nothing to win, and oneDNN's call
        # takes 20 us more. In bfloat16 PyTorch itself goes that way.
        alone = rows == 1 and x.dtype == torch.float32
        if not self.problem and not alone:
            try:
                return self.library.product(x, self._layout(layer, rows), layer, gelu=gelu, add=add)
            except (RuntimeError, TypeError) as error:
                self.problem = (str(error).splitlines() or [type(error).__name__])[0]
                self._layouts.clear()
        return unpacked(layer, x, gelu=gelu, add=add)

    def _layout(self, layer: nn.Module, rows: int) -> Layout:
        weight, layout = layer.weight, self._layouts.get(layer)
        made_for = rows, weight._version, weight.data_ptr()
        if layout is None or layout.made_for != made_for:
            layout = Layout(self.library.pack(matrix(layer).detach(), rows), made_for)
            self._layouts[layer] = layout
        return layout

    def exit(self, head: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """A head (or any module) whose dense layers and encoder layers are computed here; itself
        where its own modules are needed, or where the heads before it have filled the room."""
        if watched(head) or getattr(head, "lean", False):
            return head
        if head not in self._exits:
            size = sum(p.nbytes for p in head.parameters())
            fits = size <= self._room
            self._room -= size if fits else 0
            self._exits[head] = _twin(head, self) if fits else head
        return self._exits[head]


class PackedLinear(nn.Linear):
    """A dense layer that shares another's weights and is computed by `dense`."""

    @classmethod
    def of(cls, layer: nn.Linear, dense: Packed, gelu: bool) -> PackedLinear:
        """The twin of a dense layer, perhaps with the GELU that follows it."""
        twin = copy.copy(layer)
        twin.__class__, twin.dense, twin.gelu = cls, dense, gelu
        return twin

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dense(self, x, gelu=self.gelu)


class PackedLayer(nn.Module):
    """timm's plain encoder layer, computed by `dense`."""

    def __init__(self, block: nn.Module, dense: Packed):
        super().__init__()
        self.block, self.dense = block, dense

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return encoder_layer(self.block, x, self.dense)


def _twin(module: nn.Module, dense: Packed) -> nn.Module:
    """A module that shares everything with the given one but its dense and encoder layers."""
    if type(module) is nn.Linear:
        return PackedLinear.of(module, dense, gelu=False)
    if plain_layer(module) and module.attn.fused_attn:
        return PackedLayer(module, dense)
    children, twins = list(module.named_children()), {}
    for i, (name, child) in enumerate(children):
        before = children[i - 1][1] if i else None
        after = children[i + 1][1] if i + 1 < len(children) else None
        in_order = isinstance(module, nn.Sequential)
        if in_order and type(child) is nn.Linear and _exact_gelu(after):
            twins[name] = PackedLinear.of(child, dense, gelu=True)
        elif in_order and type(before) is nn.Linear and _exact_gelu(child):
            twins[name] = nn.Identity()
        else:
            twins[name] = _twin(child, dense)
    twin = copy.copy(module)
    twin._modules = twins
    return twin


def _exact_gelu(module: nn.Module | None) -> bool:
    return type(module) is nn.GELU and module.approximate == "none"
