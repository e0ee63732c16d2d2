"""utils.layers: the first normalization with the faults it has on purpose, and the layers around a normalization."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from utils.layers import BnLayer, ConvLayer, FirstBatchNorm2d, FirstBnLayer

quick = settings(max_examples=40, deadline=None)
sizes = st.integers(1, 6)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(a: torch.Tensor, b: torch.Tensor, rtol: float = 1e-5, atol: float = 1e-5) -> None:
    """As torch.testing.assert_close, whose first call costs seconds."""
    np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=atol)


# --- FirstBatchNorm2d ------------------------------------------------------------------------------------------------


@quick
@given(n=sizes, c=sizes, h=sizes, w=sizes, seed=st.integers(0, 2**31), shift=st.floats(-5, 5), scale=st.floats(0.1, 50))
def test_each_channel_gets_mean_0_and_std_1(n, c, h, w, seed, shift, scale):
    assume(n * h * w > 1)
    x = randn(n, c, h, w, seed=seed) * scale + shift
    assume(x.std((0, 2, 3)).min() > 0.05 * scale)
    y = FirstBatchNorm2d(c)(x)
    assert y.shape == x.shape
    close(y.mean((0, 2, 3)), torch.zeros(c), atol=1e-3)
    close(y.std((0, 2, 3)), torch.ones(c), atol=1e-3)  # the unbiased one


@quick
@given(n=st.integers(2, 5), c=sizes, seed=st.integers(0, 2**31))
def test_a_and_m_become_the_mean_and_the_std(n, c, seed):
    norm = FirstBatchNorm2d(c)
    a, m = randn(c, 1, 1, seed=seed), randn(c, 1, 1, seed=seed + 1)
    with torch.no_grad():
        norm.a.copy_(a)
        norm.m.copy_(m)
    y = norm(randn(n, c, 4, 4, seed=seed + 2) * 3 + 1)
    close(y.mean((0, 2, 3)), a.flatten(), atol=1e-4)
    close(y.std((0, 2, 3)), m.flatten().abs(), atol=1e-4)


def test_it_is_pytorchs_layer_up_to_eps_and_the_unbiased_std():
    x = randn(4, 3, 5, 5) * 2 + 1
    values = 4 * 5 * 5
    expected = F.batch_norm(x, None, None, training=True, eps=1e-12) * ((values - 1) / values) ** 0.5
    close(FirstBatchNorm2d(3)(x), expected)


def test_parameters_are_a_and_m_and_begin_at_0_and_1():
    norm = FirstBatchNorm2d(4)
    assert {name: tuple(p.shape) for name, p in norm.named_parameters()} == {"a": (4, 1, 1), "m": (4, 1, 1)}
    assert (norm.a == 0).all()
    assert (norm.m == 1).all()


def test_evaluation_reuses_the_statistics_of_the_last_batch():
    norm, last, other = FirstBatchNorm2d(2), randn(3, 2, 4, 4, seed=1) * 5 + 2, randn(2, 2, 1, 1)
    norm(randn(3, 2, 4, 4))
    norm(last)
    norm.eval()
    mean, std = last.mean((0, 2, 3)), last.std((0, 2, 3))
    expected = (other - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)
    close(norm(other), expected)
    close(norm(other), expected)  # and evaluation does not change them


def test_evaluation_before_training_fails():
    with pytest.raises(AttributeError, match="means"):
        FirstBatchNorm2d(2).eval()(randn(3, 2, 4, 4))


def test_the_statistics_are_not_saved_with_the_model():
    norm = FirstBatchNorm2d(2)
    norm(randn(3, 2, 4, 4))
    assert list(norm.state_dict()) == ["a", "m"]


def test_a_constant_channel_gives_nan_and_only_there():
    x = randn(3, 2, 4, 4)
    x[:, 1] = 0.5
    y = FirstBatchNorm2d(2)(x)
    assert y[:, 0].isfinite().all()
    assert y[:, 1].isnan().all()


def test_the_gradients_are_those_of_finite_differences():
    norm = FirstBatchNorm2d(2).double()

    def function(x: torch.Tensor, a: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(norm, {"a": a, "m": m}, (x,))

    assert torch.autograd.gradcheck(function, (randn(3, 2, 2, 2).double().requires_grad_(), norm.a, norm.m))


# --- FirstBnLayer, BnLayer and ConvLayer ---


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 6)])
def test_the_shape_is_that_of_the_formula(kernel_size, stride, height, width):
    x = randn(2, 3, height, width)
    expected = (2, 7, *((extent + 2 - kernel_size) // stride + 1 for extent in (height, width)))
    assert FirstBnLayer(3, 7, stride, kernel_size)(x).shape == expected
    divided = (2, 7, *(math.ceil(extent / stride) for extent in (height, width)))
    assert BnLayer(3, 7, stride, kernel_size)(x).shape == divided
    assert ConvLayer(3, 7, stride, kernel_size)(x).shape == divided


@pytest.mark.parametrize("kind", [FirstBnLayer, BnLayer, ConvLayer])
def test_the_defaults_halve_the_picture(kind):
    assert kind(3, 4)(randn(2, 3, 32, 32)).shape == (2, 4, 16, 16)


@pytest.mark.parametrize("kernel_size", [0, 2, 4])
def test_an_even_kernel_has_no_middle(kernel_size):
    with pytest.raises(ValueError, match=f"odd.*given: {kernel_size}"):
        BnLayer(3, 4, kernel_size=kernel_size)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_first_is_the_general_layer_with_its_normalization(stride):
    layer, general = FirstBnLayer(3, 4, stride), ConvLayer(3, 4, stride, norm_layer=FirstBatchNorm2d)
    assert layer.conv.bias is general.conv.bias is None  # the normalization would take it away
    general.load_state_dict(layer.state_dict())
    x = randn(2, 3, 8, 8)
    assert torch.equal(layer(x), general(x))


@pytest.mark.parametrize("stride", [1, 2])
def test_in_training_the_finished_layer_is_the_first_but_for_eps_and_the_unbiased_std(stride):
    """Per channel: the first divides by √(var·n/(n-1)), the finished layer by √(var + eps)."""
    first, finished = FirstBnLayer(3, 4, stride).double(), BnLayer(3, 4, stride).double()
    finished.conv.load_state_dict(first.conv.state_dict())
    x = randn(4, 3, 8, 8).double()
    y, z = first(x), F.relu(first.conv(x))
    n, var = z.numel() / 4, z.var((0, 2, 3), keepdim=True, correction=0)
    close(y * (var * n / (n - 1) / (var + finished.norm.eps)).sqrt(), finished(x), rtol=1e-10, atol=1e-10)


def test_without_one_it_has_a_bias_and_nothing_else_is_added():
    layer = ConvLayer(3, 4)
    assert sorted(layer.state_dict()) == ["conv.bias", "conv.weight"]
    x = randn(2, 3, 8, 8)
    expected = F.conv2d(x, layer.conv.weight, layer.conv.bias, stride=2, padding=1).clamp(min=0)
    assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("norm_first", [False, True])
def test_the_order_of_normalization_and_relu(norm_first):
    layer = ConvLayer(3, 4, norm_layer=nn.BatchNorm2d, norm_first=norm_first)
    x = randn(5, 3, 8, 8)
    z = F.conv2d(x, layer.conv.weight, stride=2, padding=1)

    def normalize(v: torch.Tensor) -> torch.Tensor:
        return (v - v.mean((0, 2, 3), keepdim=True)) / (v.var((0, 2, 3), keepdim=True, correction=0) + 1e-5).sqrt()

    before, after = normalize(z).clamp(min=0), normalize(z.clamp(min=0))
    assert (before - after).abs().max() > 0.1
    close(layer(x), before if norm_first else after)
    assert (layer(x).min() >= 0) == norm_first


def test_the_normalization_is_made_for_the_channels_that_go_out():
    asked = []

    def norm_layer(channels: int) -> nn.Module:
        asked.append(channels)
        return nn.GroupNorm(1, channels)

    layer = ConvLayer(3, 6, norm_layer=norm_layer)
    assert asked == [6]
    assert isinstance(layer.norm, nn.GroupNorm)
