"""utils.models: the shape of the networks, and weights that depend on the seed and nothing else."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from utils.layers import FirstBatchNorm2d
from utils.models import ConvNet, initialize

quick = settings(max_examples=25, deadline=None)


def plan(model: ConvNet) -> list[tuple[int, int, int]]:
    """(channels in, channels out, stride) of each layer."""
    return [(layer.conv.in_channels, layer.conv.out_channels, layer.conv.stride[0]) for layer in model.layers]


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Of the convolutions and linear layers, biases not included."""
    kinds = nn.Conv2d | nn.Linear
    return {name: m.weight.detach() for name, m in model.named_modules() if isinstance(m, kinds)}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- the network -----------------------------------------------------------------------------------------------------


@quick
@given(widths=st.lists(st.integers(1, 6), min_size=1, max_size=4), more=st.integers(0, 9), norm=st.booleans())
def test_any_depth_and_widths(widths, more, norm):
    depth = len(widths) + more
    model = ConvNet(depth, widths, nn.BatchNorm2d if norm else None)
    layers = plan(model)
    assert len(layers) == depth
    assert [i for i, _, _ in layers] == [3, *(out for _, out, _ in layers[:-1])]
    assert [s for _, _, s in layers].count(2) == len(widths)
    starts = [k for k, (_, _, s) in enumerate(layers) if s == 2]
    counts = [end - start for start, end in zip(starts, [*starts[1:], depth], strict=True)]
    assert [out for _, out, _ in layers] == [w for w, c in zip(widths, counts, strict=True) for _ in range(c)]
    assert max(counts) - min(counts) <= 1
    assert counts == sorted(counts), "what is left over goes to the later stages"
    assert all(layer.conv.kernel_size == (3, 3) for layer in model.layers)
    side = 32
    x = torch.zeros(2, 3, side, side)
    for layer, (_, out, stride) in zip(model.layers, layers, strict=True):
        x, side = layer(x), -(-side // stride)
        assert x.shape == (2, out, side, side)


@pytest.mark.parametrize("norm_layer", [None, nn.BatchNorm2d, FirstBatchNorm2d])
@pytest.mark.parametrize("norm_first", [False, True])
def test_the_output_is_the_head_of_the_average(norm_layer, norm_first):
    model = ConvNet(4, (4, 6), norm_layer, norm_first=norm_first, num_classes=7)
    x = torch.randn(3, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    y = model(x)
    assert y.shape == (3, 7)
    assert all(layer.norm_first is norm_first for layer in model.layers)
    features = x
    for layer in model.layers:
        features = layer(features)
    expected = features.sum((2, 3)) / (4 * 6) @ model.head.weight.T + model.head.bias
    assert (y - expected).abs().max() < 1e-4


@pytest.mark.parametrize(("depth", "widths"), [(2, (16, 32, 64)), (0, (4,)), (3, ())])
def test_too_few_layers(depth, widths):
    with pytest.raises(ValueError, match=f"a network of {len(widths)} stages needs at least.*depth={depth}"):
        ConvNet(depth, widths)


# --- with and without ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["default", "he", 0.2])
@pytest.mark.parametrize("norm_layer", [nn.BatchNorm2d, FirstBatchNorm2d, lambda c: nn.GroupNorm(1, c)])
def test_with_and_without_hold_the_same_weights(init, norm_layer):
    without, with_ = (ConvNet(7, (4, 6, 8), norm, init=init, seed=3) for norm in (None, norm_layer))
    assert len(weights(without)) == 8
    assert same(weights(without), weights(with_))
    assert all(layer.conv.bias is None for layer in with_.layers)
    assert all(layer.conv.bias is not None for layer in without.layers)


@pytest.mark.parametrize("init", ["default", "he", 0.2])
def test_the_seed_decides_and_the_global_generator_has_no_part_in_it(init):
    torch.manual_seed(1)
    a = ConvNet(3, (4, 6, 8), init=init)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    b, c = (initialize(ConvNet(3, (4, 6, 8), seed=9), init, seed) for seed in (0, 1))
    assert same(dict(a.named_parameters()), dict(b.named_parameters()))
    assert not any(torch.equal(u, v) for u, v in zip(weights(a).values(), weights(c).values(), strict=True))
    torch.set_rng_state(state)
    initialize(b, init, 5)
    assert torch.equal(torch.get_rng_state(), state)


def test_what_stands_between_the_layers_does_not_matter():
    bare = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 5), nn.Linear(5, 2))
    full = nn.Sequential(
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.LayerNorm(4), nn.Linear(4, 5), nn.Linear(5, 2)
    )
    initialize(bare, "default", 7)
    initialize(full, "default", 7)
    assert all(torch.equal(a, b) for a, b in zip(weights(bare).values(), weights(full).values(), strict=True))


# --- initialize ------------------------------------------------------------------------------------------------------


def several_layers() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(24, 40, 5), nn.BatchNorm2d(40), nn.Conv2d(40, 40, 3, groups=4), nn.Linear(300, 70))


FAN_INS = (24 * 25, 10 * 9, 300)


def layers_of(model: nn.Sequential) -> list[nn.Module]:
    return [m for m in model if not isinstance(m, nn.BatchNorm2d)]


def test_default_is_uniform_within_one_over_the_root_of_fan_in():
    for layer, fan_in in zip(layers_of(initialize(several_layers(), "default", 0)), FAN_INS, strict=True):
        bound = 1 / math.sqrt(fan_in)
        n = layer.weight.numel()
        for values in (layer.weight, layer.bias):
            assert values.abs().max() <= bound * (1 + 1e-6)
            assert values.abs().max() > 0.9 * bound
            assert values.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.25)
        assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=4 / math.sqrt(n))
        assert abs(layer.weight.mean().item()) < 5 * bound / math.sqrt(3 * n)


def test_default_is_what_pytorch_does_by_itself():
    torch.manual_seed(0)
    for ours, theirs in zip(
        layers_of(initialize(several_layers(), "default", 0)), layers_of(several_layers()), strict=True
    ):
        n = ours.weight.numel()
        assert ours.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=6 / math.sqrt(n))
        assert ours.weight.abs().max().item() == pytest.approx(theirs.weight.abs().max().item(), rel=0.01)
        assert ours.bias.abs().max().item() == pytest.approx(theirs.bias.abs().max().item(), rel=0.25)


@pytest.mark.parametrize("init", ["he", 0.2, 1])
def test_he_and_a_number_are_normal_with_that_std_and_no_bias(init):
    for layer, fan_in in zip(layers_of(initialize(several_layers(), init, 0)), FAN_INS, strict=True):
        std = math.sqrt(2 / fan_in) if init == "he" else init
        z = layer.weight.detach() / std
        n = z.numel()
        assert z.std().item() == pytest.approx(1, abs=4 / math.sqrt(2 * n))
        assert abs(z.mean().item()) < 4 / math.sqrt(n)
        assert (z.abs() < 1).float().mean().item() == pytest.approx(0.6827, abs=4 * 0.47 / math.sqrt(n))
        assert (layer.bias == 0).all()


def test_nothing_else_is_touched_and_the_model_comes_back():
    model = several_layers()
    model[1].weight.data.fill_(3)
    model[1].running_mean.fill_(2)
    before = copy.deepcopy(model[1].state_dict())
    assert initialize(model, "he", 0) is model
    assert same(model[1].state_dict(), before)
    assert all(p.requires_grad and p.grad is None and p.is_leaf for p in model.parameters())


def test_the_dtype_of_the_layer_does_not_matter():
    single, double = initialize(nn.Linear(3, 4), "he", 0), initialize(nn.Linear(3, 4).double(), "he", 0)
    assert torch.equal(single.weight.double(), double.weight)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_gets_the_same_weights():
    assert torch.equal(
        initialize(nn.Linear(3, 4).cuda(), "he", 0).weight.cpu(), initialize(nn.Linear(3, 4), "he", 0).weight
    )


@pytest.mark.parametrize("init", ["xavier", -0.1, None, float("nan")])
def test_an_unknown_init_is_refused_before_anything_is_changed(init):
    model = nn.Linear(3, 4)
    before = {name: p.clone() for name, p in model.named_parameters()}
    with pytest.raises(ValueError, match='init is "default", "he" or a standard deviation; given: '):
        initialize(model, init, 0)
    assert same(dict(model.named_parameters()), before)
    with pytest.raises(ValueError, match="given: "):
        ConvNet(init=init)
