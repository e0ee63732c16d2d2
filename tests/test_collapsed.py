"""utils.layers.collapsed: the formula against autograd and float64, memory formats, and what falls back."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from utils.layers import BatchNorm2d, collapsed
from utils.layers.collapsed import FastBatchNorm2d, Normalize, NormalizeLines
from utils.probes import check_batchnorm


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def both(x: Tensor, dy: Tensor, **options) -> list[list[Tensor]]:
    """Output, gradients and statistics of the fast layer, and of the one that is written out, in float64."""
    results = []
    for make, dtype in ((FastBatchNorm2d, x.dtype), (BatchNorm2d, torch.float64)):
        layer = make(x.shape[1], dtype=dtype, **options)
        if layer.affine:
            with torch.no_grad():
                layer.weight.copy_(randn(x.shape[1], seed=5) + 1)
                layer.bias.copy_(randn(x.shape[1], seed=6))
        leaf = x.detach().to(dtype, memory_format=torch.preserve_format).requires_grad_()
        out = layer(leaf)
        out.backward(dy.to(dtype))
        results.append([out.detach(), leaf.grad, *(p.grad for p in layer.parameters()), *layer.buffers()])
    return results


def test_every_probe_is_green():
    report = check_batchnorm(FastBatchNorm2d)
    assert report.ok, report.details()


@settings(max_examples=30, deadline=None)
@given(
    shape=st.one_of(
        st.tuples(st.integers(2, 9), st.integers(1, 6)),
        st.tuples(st.integers(2, 9), st.integers(1, 6), st.integers(1, 9)),
        st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(2, 9), st.integers(1, 9)),
    ),
    piece=st.sampled_from([1, 50, 10**6]),
    affine=st.booleans(),
    offset=st.sampled_from([0, 1000]),
    last=st.booleans(),
)
def test_it_is_the_written_out_layer_whatever_the_pieces(shape, piece, affine, offset, last):
    x, dy = randn(*shape) + offset, randn(*shape, seed=1)
    if last and len(shape) == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collapsed, "PIECE", piece)
        fast, slow = both(x, dy, affine=affine)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=2e-4, atol=2e-4)
    assert fast[0].stride() == x.stride()
    assert fast[1].stride() == x.stride()


@pytest.mark.parametrize("offset", [0, 1e3, 1e4])
def test_a_large_mean_costs_no_digit(offset):
    x, dy = randn(64, 16, 8, 8) + offset, randn(64, 16, 8, 8, seed=1)
    fast, right = both(x, dy)
    for a, b in zip(fast[:4], right[:4], strict=True):
        assert (a - b).abs().max() < 5e-6 * b.abs().max()


@pytest.mark.parametrize("shape", [(64, 16, 8, 8), (5, 3, 4, 4), (256, 16)])
@pytest.mark.parametrize("offset", [100.0, 1e6])
def test_a_first_guess_far_off_costs_one_digit_at_most(shape, offset):
    """Every image that is looked at for it is an outlier: with one in k of them, (guess - mean)² is at most k · var."""
    x = randn(*shape)
    x[:: collapsed.EVERY] += offset
    fast, right = both(x, randn(*shape, seed=1))
    assert (fast[0] - right[0]).abs().max() < 1e-5 * right[0].abs().max()
    torch.testing.assert_close(fast[-2].double(), right[-2], rtol=1e-5, atol=0)


def test_a_constant_channel_has_no_negative_variance():
    layer = FastBatchNorm2d(64, momentum=1.0)
    layer(torch.logspace(-3, 6, 64).view(1, 64, 1, 1).repeat(48, 1, 3, 3))
    assert (layer.running_var >= 0).all()


def test_the_gradient_by_finite_differences_once_and_twice():
    x = randn(3, 2, 2, 2).double().requires_grad_()
    weight, bias = (randn(2, seed=1).double().requires_grad_(), randn(2, seed=2).double().requires_grad_())
    assert torch.autograd.gradcheck(lambda *a: Normalize.apply(*a, 1e-5)[0], (x, weight, bias))
    assert torch.autograd.gradgradcheck(lambda *a: Normalize.apply(*a, 1e-5)[0], (x, weight, bias))
    assert torch.autograd.gradgradcheck(lambda x: Normalize.apply(x, None, None, 1e-5)[0], (x,))


@pytest.mark.parametrize("shape", [(9, 3), (9, 3, 5), (9, 3, 5, 4)])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("offset", [0, 1000])
def test_the_plain_lines_for_a_compiler_are_the_same(shape, affine, offset):
    x, dy = randn(*shape) + offset, randn(*shape, seed=1)
    results = []
    for function in (Normalize, NormalizeLines):
        leaves = [t.clone().requires_grad_() for t in (x, *([randn(3, seed=2), randn(3, seed=3)] if affine else []))]
        out, mean, var = function.apply(*leaves, *[None] * (3 - len(leaves)), 1e-5)
        out.backward(dy)
        results.append([out, mean, var, *(leaf.grad for leaf in leaves)])
    for lines, pieces in zip(*results, strict=True):
        torch.testing.assert_close(lines, pieces, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("last", [True, False])
def test_compiled_it_is_one_graph_with_the_same_results(affine, last, monkeypatch):
    monkeypatch.setattr(Normalize, "apply", lambda *_: pytest.fail("pieces, in a compiler"))
    x, dy = randn(9, 4, 5, 3) + 10, randn(9, 4, 5, 3, seed=1)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    layer, right = FastBatchNorm2d(4, affine=affine), BatchNorm2d(4, affine=affine, dtype=torch.float64)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    leaf, exact = x.requires_grad_(), x.detach().double().requires_grad_()
    compiled(leaf).backward(dy)
    right(exact).backward(dy.double())
    torch.testing.assert_close(leaf.grad.double(), exact.grad, rtol=1e-4, atol=1e-5)
    for a, b in zip((*layer.buffers(), *layer.parameters()), (*right.buffers(), *right.parameters()), strict=True):
        torch.testing.assert_close(a.double(), b.double())
    for a, b in zip(layer.parameters(), right.parameters(), strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-4, atol=1e-4)
    layer.eval()
    torch.testing.assert_close(compiled(leaf), layer(leaf))
    torch.compiler.reset()


def test_the_plain_lines_give_no_wrong_second_derivative():
    x = randn(4, 3, 2).requires_grad_()
    (slope,) = torch.autograd.grad(NormalizeLines.apply(x, None, None, 1e-5)[0].pow(3).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        slope.sum().backward()


def test_exported_it_is_the_written_out_layer(monkeypatch):
    monkeypatch.setattr(NormalizeLines, "apply", lambda *_: pytest.fail("a formula for compilers, in an export"))
    layer, x = FastBatchNorm2d(3), randn(8, 3, 4, 4)
    program = torch.export.export(layer, (x,))
    torch.testing.assert_close(program.module()(x), FastBatchNorm2d(3)(x))


def test_a_gradient_in_another_order_of_memory():
    """A sum's gradient is one number, expanded; one of another format must not be read in the wrong order."""
    x = randn(4, 3, 2, 2)
    for dy in (torch.ones(1).expand(4, 3, 2, 2), randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)):
        fast, slow = both(x, dy)
        torch.testing.assert_close(fast[1].double(), slow[1], rtol=1e-4, atol=1e-5)


def test_what_it_hands_over_to_the_written_out_layer(monkeypatch):
    monkeypatch.setattr(Normalize, "apply", lambda *_: pytest.fail("it did not hand over"))
    layer, x = FastBatchNorm2d(3), randn(4, 3, 6, 6)
    layer(x.transpose(2, 3))
    layer.eval()(x)
    layer.train()
    for wrong in (torch.zeros(4, 2, 3, 3), torch.zeros(4, 3, 3, 3, dtype=torch.long), torch.zeros(1, 3, 1, 1)):
        with pytest.raises(ValueError, match=r"expected|more than one value"):
            layer(wrong)


def test_autocast_does_not_round_the_sums():
    layer, x = FastBatchNorm2d(3), randn(8, 3, 5, 5) + 100
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), expected)


def test_it_takes_the_place_of_pytorchs_layer():
    ours, theirs = FastBatchNorm2d(3), nn.BatchNorm2d(3)
    assert isinstance(ours, BatchNorm2d)
    ours.load_state_dict(theirs.state_dict())
