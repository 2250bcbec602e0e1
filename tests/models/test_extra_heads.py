"""The heads beyond the paper: they are what their papers say, cost what they claim, and do not
crowd out the seven."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mvit.models import macs
from mvit.models.extra_heads import EVERY, EXTRA
from mvit.models.heads import HEADS, Head

DIM, GRID, OUT = 128, 4, 5


@pytest.fixture
def tokens():
    return torch.randn(3, 1 + GRID**2, DIM, generator=torch.Generator().manual_seed(1))


def shaken(name: str) -> Head:
    """A head in evaluation mode with every parameter moved, so that no scale is 1 and no offset
    0."""
    torch.manual_seed(2)
    head = EXTRA[name](DIM, GRID, OUT).eval().requires_grad_(False)
    for parameter in head.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    return head


def test_the_seven_stay_the_default_and_every_head_can_be_had():
    assert list(EXTRA) == ["gmlp", "fnet", "perceiver", "mlp_mean", "lens"]
    assert not EXTRA.keys() & HEADS.keys()
    assert list(EVERY) == [*HEADS, *EXTRA]


@pytest.mark.parametrize("name", EXTRA)
@pytest.mark.parametrize("dim, grid, out", [(64, 2, 1), (192, 14, 10), (192, 24, 100)])
def test_any_batch_becomes_batch_by_outputs(name, dim, grid, out):
    head = EXTRA[name](dim, grid, out).eval()
    for batch in (1, 2):
        assert head(torch.randn(batch, 1 + grid * grid, dim)).shape == (batch, out)
        assert head.bfloat16()(torch.randn(batch, 1 + grid * grid, dim).bfloat16()).isfinite().all()
        head.float()


@pytest.mark.parametrize("name", EXTRA)
def test_every_parameter_takes_part_in_learning(name, tokens):
    torch.manual_seed(0)
    head = EXTRA[name](DIM, GRID, OUT)
    F.cross_entropy(head(tokens), torch.tensor([0, 1, 2])).backward()
    assert [
        n for n, p in head.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0
    ] == []


def norm(x: torch.Tensor, layer) -> torch.Tensor:
    return F.layer_norm(x, x.shape[-1:], layer.weight, layer.bias, layer.eps)


def test_gmlp_gates_each_half_with_the_other_halfs_places(tokens):
    head = shaken("gmlp")
    z = F.gelu(head.u(norm(tokens, head.norm)))
    z1, z2 = z[..., :DIM], norm(z[..., DIM:], head.gate.norm)
    mixed = torch.einsum("mn,bnd->bmd", head.gate.proj.weight, z2) + head.gate.proj.bias[:, None]
    y = tokens + head.v(z1 * mixed)
    assert torch.allclose(head.describe(tokens), y.mean(1), atol=1e-4)


def test_fnet_mixes_with_a_fourier_transform_over_tokens_and_channels(tokens):
    head = shaken("fnet")

    def transform(n: int) -> torch.Tensor:
        index = torch.arange(n, dtype=torch.float64)
        return torch.exp(-2j * math.pi * index[:, None] * index / n) / n**0.5

    x = norm(tokens, head.norm0)
    mixed = (transform(1 + GRID**2) @ x.to(torch.complex128) @ transform(DIM)).real.float()
    u = norm(x + mixed, head.norm1)
    y = norm(u + head.f2(F.gelu(head.f1(u))), head.norm2)
    assert torch.allclose(head.describe(tokens), y.mean(1), atol=1e-4)


def test_mlp_mean_reads_the_class_token_and_the_average_patch(tokens):
    head = shaken("mlp_mean")
    normed = norm(tokens, head.norm)
    expected = torch.cat([normed[:, 0], normed[:, 1:].mean(1)], 1)
    assert torch.allclose(head.describe(tokens), expected, atol=1e-5)


def test_perceivers_latents_ask_all_tokens_then_each_other(tokens):
    head, heads = shaken("perceiver"), 2
    cross = head.cross

    def split(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (heads, 64)).transpose(1, 2)

    keys, values = cross.kv(norm(tokens, head.norm)).chunk(2, dim=-1)
    weights = (split(cross.q(cross.latent)) @ split(keys).transpose(2, 3) / 8).softmax(-1)
    found = cross.proj((weights @ split(values)).transpose(1, 2).flatten(2))
    found = found + cross.mlp(norm(found, cross.norm))
    assert found.shape == (3, 16, DIM)
    assert torch.allclose(
        head.describe(tokens), norm(head.latent(found), head.norm2).mean(1), atol=1e-4
    )


def transform_flops(shape, *_, **__) -> int:
    """Operations of a fast Fourier transform over all axes but the first, by the usual count."""
    n = math.prod(shape[1:])
    return round(shape[0] * 5 * n * math.log2(n))


@pytest.mark.parametrize("name", EXTRA)
@pytest.mark.parametrize("dim, grid", [(192, 14), (192, 24), (384, 7)])
def test_macs_agree_with_an_independent_counter(name, dim, grid):
    head = EXTRA[name](dim, grid, 10).eval().requires_grad_(False)
    counter = FlopCounterMode(
        display=False, custom_mapping={torch.ops.aten._fft_c2c: transform_flops}
    )
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        head(torch.randn(1, 1 + grid * grid, dim))
    assert head.macs == pytest.approx(counter.get_total_flops() / 2, rel=0.01)


@pytest.mark.parametrize("dim, grid", [(192, 14), (768, 14)])
def test_they_cost_more_than_mlp_and_less_than_a_layer(dim, grid):
    with torch.device("meta"):
        cost = {name: EVERY[name](dim, grid, 10).macs for name in EVERY}
    layer = macs.encoder_layer(1 + grid**2, dim, 4 * dim)
    assert all(cost["mlp"] < cost[name] < layer for name in EXTRA)
