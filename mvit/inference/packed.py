"""Dense layers whose weights were laid out once for the processor's matrix library, instead of anew
on every call.

The operators are those that PyTorch's own compiler emits. They are no public interface, so whoever
uses them asks first whether they are there and agree (mvit.inference.engine), and one that fails
later hands over to the plain layers at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import nn
from torch.nn import functional as F

from mvit.models.class_token import ClassTokenLayer, StraightClassToken
from mvit.models.inline_layers import Norm, Own, StraightLayer, Unpacked, Watch, matrix, plain_layer


class Layout(NamedTuple):
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
        self, x: torch.Tensor, layout: Layout, own: Own, gelu: bool, add: torch.Tensor | None
    ) -> torch.Tensor:
        """x: (..., in) -> (..., out), the layer's own bias added, then GELU, then `add`."""
        ...


class OneDNN:
    """oneDNN, with the GELU and the addition done while the product is still in the cache."""

    name = "oneDNN"

    def __init__(self):
        ops = torch.ops.mkldnn
        self.pack = ops._reorder_linear_weight.default
        self.unary, self.binary = ops._linear_pointwise.default, ops._linear_pointwise.binary

    def product(self, x, layout, own, gelu, add):
        if gelu:
            found = self.unary(x, layout.packed, own.bias, "gelu", [], "none")
            return found if add is None else found.add_(add)
        if add is None:
            return self.unary(x, layout.packed, own.bias, "none", [], "")
        return self.binary(x, add, layout.packed, own.bias, "add")


class MKL:
    """MKL's packed matrix product, in float32 only; bit for bit what the plain layer says."""

    name = "MKL"

    def __init__(self):
        ops = torch.ops.mkl
        self.pack, self.linear = ops._mkl_reorder_linear_weight.default, ops._mkl_linear.default

    def product(self, x, layout, own, gelu, add):
        found = self.linear(x, layout.packed, matrix(own.weight), own.bias, layout.made_for[0])
        if gelu:
            found = F.gelu(found)
        return found if add is None else found.add_(add)


class PackedDense(Unpacked):
    """A dense layer whose weight is laid out when it is first called, and anew when it, or the
    number of rows, has changed since."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, whole: Packed):
        super().__init__(layer)
        self.whole, self.product = whole, whole.library.product
        self.layout: Layout | None = None

    def __call__(self, x, gelu=False, add=None):
        rows = x.numel() // x.shape[-1]
        # A single row reads each weight once, in whatever order: nothing to win, and oneDNN's call
        # takes 20 us more. In bfloat16 PyTorch itself goes that way.
        alone = rows == 1 and x.dtype == torch.float32
        if not self.whole.problem and not alone:
            try:
                return self.product(x, self._laid_out(rows), self, gelu=gelu, add=add)
            except (RuntimeError, TypeError) as error:
                self.whole.fail(error)
        return super().__call__(x, gelu, add)

    def _laid_out(self, rows: int) -> Layout:
        weight, layout = self.weight, self.layout
        made_for = rows, weight._version, weight.data_ptr()
        if layout is None or layout.made_for != made_for:
            packed = self.whole.library.pack(matrix(weight).detach(), rows)
            self.layout = layout = Layout(packed, made_for)
        return layout


# bytes of heads that are packed; all 84 of a ViT-Ti fit, and a ViT-B's would double its 1.5 GB
MOST_OF_HEADS = 128_000_000
MOST_OF_ENDING = 500_000  # numbers; a ViT-B's `mlp` has 480,000
LIBRARIES: tuple[type[Library], ...] = (OneDNN, MKL)


class Packed:
    """The dense layers, encoder layers and heads of a model by one library. problem: why the plain
    layers took over, if they had to."""

    def __init__(self, library: Library):
        self.library, self.problem = library, ""
        self._dense: dict[nn.Module, PackedDense] = {}
        self._layers: dict[nn.Module, StraightLayer] = {}
        self._exits: dict[nn.Module, tuple[Watch, Callable]] = {}
        self._room = MOST_OF_HEADS

    def dense(self, layer: nn.Linear | nn.Conv2d) -> PackedDense:
        """A dense layer, or a convolution whose windows do not overlap."""
        if layer not in self._dense:
            self._dense[layer] = PackedDense(layer, self)
        return self._dense[layer]

    def layer(self, block: nn.Module) -> StraightLayer:
        """A plain encoder layer of timm's."""
        found = self._layers.get(block)
        if found is None:
            found = self._layers[block] = StraightLayer(block, self.dense)
        return found

    def fail(self, error: Exception) -> None:
        """Note why the plain layers take over, and give up all layouts."""
        self.problem = (str(error).splitlines() or [type(error).__name__])[0]
        for dense in self._dense.values():
            dense.layout = None

    def exit(self, head: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """What computes a head (or any module), its dense layers and encoder layers here; itself
        where its own modules are needed, or where the heads before it have filled the room."""
        if head not in self._exits:
            size = sum(p.nbytes for p in head.parameters())
            fits = size <= self._room
            self._room -= size if fits else 0
            self._exits[head] = Watch(head), _straight(head, self) if fits else head
        watched, straight = self._exits[head]
        return head if watched() else straight


class Ending:
    """The MLP that every head ends in, which reads one vector a tile: in float32 whatever the
    number format, and without its modules, which take longer than what they compute."""

    def __init__(self, mlp: nn.Sequential):
        self.layers = [Own(layer) for layer in mlp if type(layer) is nn.Linear]
        self.made_for = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        own = [p for layer in self.layers for p in (layer.weight, layer.bias)]
        made_for = [(p._version, p.data_ptr()) for p in own]
        if made_for != self.made_for:
            self.float, self.made_for = [p.detach().float() for p in own], made_for
        w1, b1, w2, b2, w3, b3 = self.float
        x = F.gelu(F.linear(x.float(), w1, b1))
        return F.linear(F.gelu(F.linear(x, w2, b2)), w3, b3)

    @staticmethod
    def fits(module: nn.Module) -> bool:
        """Whether a module is such an MLP, and small: a large one is read faster in fewer bits."""
        kinds = nn.Linear, nn.GELU, nn.Dropout
        return (
            type(module) is nn.Sequential
            and [type(m) for m in module] == [*kinds, *kinds, nn.Linear]
            and len(own := list(module.parameters())) == 6
            and sum(p.numel() for p in own) <= MOST_OF_ENDING
        )


def _straight(module: nn.Module, packed: Packed) -> Callable[[torch.Tensor], torch.Tensor]:
    """What computes a module: its dense layers, encoder layers, norms and ending without their
    modules, all else as it is."""
    if type(module) is nn.Linear:
        return packed.dense(module)
    if type(module) is nn.LayerNorm:
        return Norm(module)
    if plain_layer(module) and module.attn.fused_attn:
        return packed.layer(module)
    if type(module) is ClassTokenLayer:
        return StraightClassToken(module, packed.dense)
    if Ending.fits(module):
        return Ending(module)
    children, found = list(module.named_children()), {}
    for i, (name, child) in enumerate(children):
        before = children[i - 1][1] if i else None
        after = children[i + 1][1] if i + 1 < len(children) else None
        in_order = isinstance(module, nn.Sequential)
        if in_order and type(child) is nn.Linear and _exact_gelu(after):
            found[name] = partial(packed.dense(child), gelu=True)
        elif in_order and type(before) is nn.Linear and _exact_gelu(child):
            found[name] = nn.Identity()
        else:
            found[name] = _straight(child, packed)
    twin = copy.copy(module)
    twin._modules = found
    return twin.forward


def _exact_gelu(module: nn.Module | None) -> bool:
    return type(module) is nn.GELU and module.approximate == "none"
