"""The seven heads against the paper's formulas, written out literally."""

import math
from functools import partial

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import nn
from torch.nn import functional as F

from mvit.models.heads import HEADS, Head

SEVEN = ["mlp", "vit", "cnn_add", "cnn_project", "cnn_ignore", "mixer", "resmlp"]
DIM, GRID, OUT = 64, 4, 5
LayerNorm = partial(nn.LayerNorm, eps=1e-6)


@pytest.fixture
def tokens():
    return torch.randn(3, 1 + GRID**2, DIM, generator=torch.Generator().manual_seed(1))


def shaken(name: str, **sizes) -> Head:
    """A head in evaluation mode with every parameter moved, so that no scale is 1 and no offset
    0."""
    torch.manual_seed(2)
    head = HEADS[name](**{"dim": DIM, "grid": GRID, "out": OUT} | sizes).eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return head


def test_the_registry_holds_the_seven_heads_in_the_papers_order():
    assert list(HEADS) == SEVEN
    assert all(issubclass(head, Head) for head in HEADS.values()) and len(set(HEADS.values())) == 7


@pytest.mark.parametrize("name", SEVEN)
@pytest.mark.parametrize("grid, out", [(2, 3), (4, 1), (7, 10), (14, 100), (24, 1)])
def test_any_batch_becomes_batch_by_outputs(name, grid, out):
    head = HEADS[name](64, grid, out).eval()
    for batch in (1, 2):
        assert head(torch.randn(batch, 1 + grid * grid, 64)).shape == (batch, out)


@pytest.mark.parametrize("name", SEVEN)
def test_every_head_ends_in_three_dense_layers_and_two_dropouts(name):
    mlp = HEADS[name](DIM, GRID, OUT).mlp
    assert [type(layer) for layer in mlp] == [
        nn.Linear,
        nn.GELU,
        nn.Dropout,
        nn.Linear,
        nn.GELU,
        nn.Dropout,
        nn.Linear,
    ]
    assert mlp[-1].out_features == OUT and all(
        layer.p > 0 for layer in mlp if isinstance(layer, nn.Dropout)
    )


@pytest.mark.parametrize("name", SEVEN)
def test_every_parameter_takes_part_in_learning(name, tokens):
    head = HEADS[name](DIM, GRID, OUT)
    F.cross_entropy(head(tokens), torch.tensor([0, 1, 2])).backward()
    idle = [n for n, p in head.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert idle == []


def norm(x: torch.Tensor, layer: nn.LayerNorm) -> torch.Tensor:
    """Layer normalisation over channels, by hand."""
    mean, var = x.mean(-1, keepdim=True), x.var(-1, unbiased=False, keepdim=True)
    return (x - mean) / (var + layer.eps).sqrt() * layer.weight + layer.bias


def gelu(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def check(head: Head, tokens: torch.Tensor, described: torch.Tensor) -> None:
    """The head says what its MLP makes of `described`, the literal formula's result."""
    with torch.no_grad():
        assert (head.describe(tokens) - described).abs().max() < 1e-4
        assert (head(tokens) - head.mlp(described)).abs().max() < 1e-4


@torch.no_grad()
def test_mlp_normalises_all_tokens_and_takes_the_class_token(tokens):
    head = shaken("mlp")
    check(head, tokens, norm(tokens, head.norm)[:, 0])


@torch.no_grad()
def test_mixer_is_the_papers_formula_token_by_token(tokens):
    head = shaken("mixer")
    x, results = tokens, []
    for picture in x:  # (1+N, D)
        # (D, 1+N)
        mixed = (
            gelu(norm(picture, head.norm1).T @ head.f1.weight.T + head.f1.bias) @ head.f2.weight.T
            + head.f2.bias
        )
        u = picture + mixed.T
        y = torch.stack(
            [
                token
                + gelu(norm(token, head.norm2) @ head.f3.weight.T + head.f3.bias) @ head.f4.weight.T
                + head.f4.bias
                for token in u
            ]
        )
        results.append(y.mean(0))  # global average pooling
    check(head, tokens, torch.stack(results))


@torch.no_grad()
def test_resmlp_is_the_papers_formula_token_by_token(tokens):
    head = shaken("resmlp")

    def aff(x, layer):
        return x * layer.alpha + layer.beta

    results = []
    for picture in tokens:  # (1+N, D)
        mixed = aff(picture, head.aff1).T @ head.f1.weight.T + head.f1.bias  # (D, 1+N)
        u = picture + aff(mixed.T, head.aff2)
        y = torch.stack(
            [
                token
                + aff(
                    gelu(aff(token, head.aff3) @ head.f2.weight.T + head.f2.bias) @ head.f3.weight.T
                    + head.f3.bias,
                    head.aff4,
                )
                for token in u
            ]
        )
        results.append(y.mean(0))
    check(head, tokens, torch.stack(results))


LAID_OUT = {
    "cnn_add": lambda patch, p0: patch + p0,
    "cnn_project": lambda patch, p0: torch.cat([patch, p0], 1),
    "cnn_ignore": lambda patch, p0: patch,
}


@torch.no_grad()
@pytest.mark.parametrize("name", LAID_OUT)
@pytest.mark.parametrize("grid", [4, 14])
def test_convolutional_heads_lay_patches_out_row_by_row(name, grid):
    head = shaken(name, grid=grid)
    tokens = torch.randn(2, 1 + grid * grid, DIM)
    p0, channels = tokens[:, 0], head.conv.in_channels
    image = torch.zeros(2, channels, grid, grid)
    for row in range(grid):
        for column in range(grid):
            image[:, :, row, column] = LAID_OUT[name](tokens[:, 1 + row * grid + column], p0)
    window = head.pool.kernel_size
    found = F.conv2d(image, head.conv.weight, head.conv.bias, padding=1)
    side = grid // window
    pooled = torch.stack(
        [
            found[:, :, r * window : (r + 1) * window, c * window : (c + 1) * window].amax((2, 3))
            for r in range(side)
            for c in range(side)
        ],
        2,
    )
    assert window == (2 if grid == 14 else 1)
    check(head, tokens, pooled.flatten(1))


def test_the_class_token_matters_except_where_it_is_ignored(tokens):
    changed = tokens.clone()
    changed[:, 0] += 1 + torch.randn(DIM)
    moved = {
        name: not torch.allclose(shaken(name)(tokens), shaken(name)(changed)) for name in SEVEN
    }
    assert moved == dict.fromkeys(SEVEN, True) | {"cnn_ignore": False}


def test_the_patches_matter_except_to_mlp(tokens):
    changed = tokens.clone()
    changed[:, 5] += 1 + torch.randn(DIM)
    moved = {
        name: not torch.allclose(shaken(name)(tokens), shaken(name)(changed)) for name in SEVEN
    }
    assert moved == dict.fromkeys(SEVEN, True) | {"mlp": False}


def whole_layer(head: Head) -> Block:
    """timm's encoder layer with the weights of a `vit` head's, which computes every token."""
    wide = head.encoder.mlp.fc1.out_features / head.dim
    layer = Block(head.dim, head.encoder.attn.num_heads, wide, qkv_bias=True, norm_layer=LayerNorm)
    layer.load_state_dict(head.encoder.state_dict())
    return layer.eval()


@pytest.mark.parametrize(
    "dim, grid, out, batch", [(192, 14, 10, 1), (128, 4, 3, 5), (192, 24, 1, 6)]
)
def test_vit_answers_as_the_papers_head_which_computes_all_tokens(dim, grid, out, batch):
    head = HEADS["vit"](dim, grid, out).eval()
    layer, tokens = whole_layer(head), torch.randn(batch, 1 + grid**2, dim)
    with torch.no_grad():
        said, expected = head(tokens), head.mlp(head.norm(layer(tokens)[:, 0]))
        assert said.shape == (batch, out) and (said - expected).abs().max() < 1e-5
        exact, head, tokens = expected, head.bfloat16(), tokens.bfloat16()
        rounded = head.mlp(head.norm(layer.bfloat16()(tokens)[:, 0])).float()
        # as near to the exact answer as the whole layer is in this number format
        assert (head(tokens).float() - exact).norm() < 2 * (rounded - exact).norm()


def test_vit_learns_as_the_papers_head_does():
    head = shaken("vit", dim=128)  # two attention heads
    layer, tokens = whole_layer(head), torch.randn(3, 1 + GRID**2, 128)
    target = torch.tensor([0, 1, 2])
    F.cross_entropy(head(tokens), target).backward()
    F.cross_entropy(head.mlp(head.norm(layer(tokens)[:, 0])), target).backward()
    own = dict(head.encoder.named_parameters())
    for name, p in layer.named_parameters():
        assert torch.allclose(p.grad, own[name].grad, atol=1e-5), name


def test_the_layer_of_a_vit_head_can_be_listened_to(tokens):
    head, heard = shaken("vit"), []
    for part in (head.encoder, head.encoder.norm1, head.encoder.attn.proj, head.encoder.mlp.fc1):
        part.register_forward_hook(lambda _, x, y: heard.append(y.shape[1]))
    head(tokens)
    assert heard == [1 + GRID**2, 1, 1, 1]  # of the tokens: all normalised, all else for p0


def test_a_head_without_a_description_says_so(tokens):
    with pytest.raises(TypeError, match="Head does not describe"):
        Head(DIM, GRID, OUT)(tokens)
