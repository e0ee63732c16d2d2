"""utils.layers.collapsed: the formula against the written-out layer and float64, compiled, and under autocast."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from normdoctor import assert_batchnorm
from torch import Tensor, nn

from utils.layers import BatchNorm2d
from utils.layers.collapsed import FastBatchNorm2d, Normalize


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def step(layer: nn.Module, x: Tensor, dy: Tensor) -> list[Tensor]:
    """Output, gradients of input and parameters, and statistics."""
    x = x.detach().requires_grad_()
    out = layer(x)
    out.backward(dy)
    return [out.detach(), x.grad, *(p.grad for p in layer.parameters()), *layer.buffers()]


def both(x: Tensor, dy: Tensor, **options) -> tuple[list[Tensor], list[Tensor]]:
    """One step of the collapsed layer, and of the one that is written out, in float64."""
    fast, exact = FastBatchNorm2d(x.shape[1], **options), BatchNorm2d(x.shape[1], dtype=torch.float64, **options)
    with torch.no_grad():
        for k, parameter in enumerate(fast.parameters()):
            parameter.copy_(randn(x.shape[1], seed=5 + k))
    exact.load_state_dict(fast.state_dict())
    return step(fast, x, dy), step(exact, x.double(), dy.double())


def assert_close(fast: list[Tensor], exact: list[Tensor], tolerance: float) -> None:
    """To a share of the largest number: of a sum whose terms cancel, the terms are rounded."""
    for a, b in zip(fast, exact, strict=True):
        assert (a - b).abs().max() <= tolerance * max(1, b.abs().max())


def test_every_probe_is_green_but_that_of_forward_derivatives_which_it_refuses():
    assert_batchnorm(FastBatchNorm2d, expected_failures={"forward derivative": "its Function has no jvp"})


@settings(max_examples=30, deadline=None)
@given(
    shape=st.one_of(
        st.tuples(st.integers(8, 16), st.integers(1, 6)),
        st.tuples(st.integers(2, 9), st.integers(1, 6), st.integers(4, 9)),
        st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(4, 9), st.integers(2, 9)),
    ),
    affine=st.booleans(),
    offset=st.sampled_from([0, 1e3, 1e4]),
    channels_last=st.booleans(),
)
def test_it_is_the_written_out_layer_even_far_from_zero(shape, affine, offset, channels_last):
    x, dy = randn(*shape) + offset, randn(*shape, seed=1)
    if channels_last and len(shape) == 4:
        x, dy = (each.contiguous(memory_format=torch.channels_last) for each in (x, dy))
    fast, exact = both(x, dy, affine=affine)
    assert_close(fast, exact, 2e-5)
    assert fast[0].stride() == fast[1].stride() == x.stride()


@pytest.mark.parametrize("offset", [0, 1e3, 1e4])
def test_a_large_mean_costs_no_digit(offset):
    assert_close(*both(randn(64, 16, 8, 8) + offset, randn(64, 16, 8, 8, seed=1)), 2e-6)


def test_a_constant_channel_has_no_negative_variance():
    layer = FastBatchNorm2d(64, momentum=1.0)
    y = layer(torch.logspace(-3, 9, 64).view(1, 64, 1, 1).repeat(48, 1, 3, 3))
    assert y.isfinite().all()
    assert (layer.running_var >= 0).all()


@pytest.mark.parametrize("given", ["weight and bias", "weight", "bias", "neither"])
def test_the_gradient_by_finite_differences_once_and_twice(given):
    weight, bias = (randn(2, seed=seed).double().requires_grad_() if name in given else None
                    for seed, name in enumerate(("weight", "bias"), start=1))  # fmt: skip
    inputs = (randn(3, 2, 2, 2).double().requires_grad_(), weight, bias, 1e-5)
    assert torch.autograd.gradcheck(lambda *a: Normalize.apply(*a)[0], inputs)
    assert torch.autograd.gradgradcheck(lambda *a: Normalize.apply(*a)[0], inputs)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("channels_last", [True, False])
def test_compiled_it_is_one_graph_with_the_same_results(affine, channels_last):
    x, dy = randn(9, 4, 5, 3) + 10, randn(9, 4, 5, 3, seed=1)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    layer, plain = FastBatchNorm2d(4, affine=affine), FastBatchNorm2d(4, affine=affine)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert_close(step(compiled, x, dy), step(plain, x, dy), 1e-6)
    layer.eval(), plain.eval()
    torch.testing.assert_close(compiled(x), plain(x))
    torch.compiler.reset()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_it_gives_no_wrong_second_derivative(backend):
    compiled = torch.compile(FastBatchNorm2d(3), backend=backend, fullgraph=True)

    def size_of_gradient(x: Tensor) -> Tensor:
        return torch.autograd.grad(compiled(x).pow(3).sum(), x, create_graph=True)[0].square().sum()

    with pytest.raises(RuntimeError, match=r"does not require grad|create_graph=False|double backward"):
        size_of_gradient(randn(4, 3, 2).requires_grad_()).backward()
    torch.compiler.reset()


def test_exported_it_computes_the_same():
    x = randn(8, 3, 4, 4)
    program = torch.export.export(FastBatchNorm2d(3), (x,))
    torch.testing.assert_close(program.module()(x), FastBatchNorm2d(3)(x))


def test_a_gradient_in_another_order_of_memory():
    """A sum's gradient is one number, expanded; one of another format must not be read in the wrong order."""
    x = randn(4, 3, 2, 2)
    for dy in (torch.ones(1).expand(4, 3, 2, 2), randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)):
        assert_close(*both(x, dy), 1e-5)


@pytest.mark.parametrize("half", [None, torch.float16, torch.bfloat16], ids=str)
def test_autocast_rounds_no_sum_forward_or_back(half):
    """Pictures so large that the sums could be a product of matrices, which autocast would take in bfloat16."""
    x, dy = randn(32, 8, 96, 96) + 1, randn(32, 8, 96, 96, seed=1)
    if half:
        x, dy = x.to(half), dy.to(half)
    layer, exact = FastBatchNorm2d(8), BatchNorm2d(8, dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16):
        out, dx, *sums = step(layer, x, dy)
    expected = step(exact, x.double(), dy.double())
    assert_close(sums, expected[2:], 1e-6)
    assert out.dtype == dx.dtype == x.dtype
    assert_close([out, dx], expected[:2], torch.finfo(half or torch.float32).eps * 8)


def test_it_refuses_what_the_written_out_layer_refuses():
    for wrong in (torch.zeros(4, 2, 3, 3), torch.zeros(4, 3, 3, 3, dtype=torch.long), torch.zeros(1, 3, 1, 1)):
        with pytest.raises(ValueError, match=r"expected|more than one value"):
            FastBatchNorm2d(3)(wrong)
    with pytest.raises(ValueError, match="eps must be positive"):
        FastBatchNorm2d(3, eps=0.0)(torch.ones(4, 3, 2, 2))
