"""utils.layers: the finished layers. `BatchNorm2d` is PyTorch's in everything one can see; `BnLayer` stands on it.

Two layers are compared by the relative difference of whole vectors, ‖a - b‖ / ‖a‖. What is a sum of terms that may
cancel (a gradient of γ or β, a mean) is rounded in proportion to its terms, so there the norm of the terms divides.
"""

import copy
import gc
import io
import math
import pickle
import re
import weakref

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from utils.layers import BatchNorm2d, BnLayer, FirstBnLayer
from utils.models import ConvNet

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}

quick = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**31)
sizes = st.integers(1, 6)
# at least 8 values a channel: with two or three, float32's digits can cancel away in x - mean (see the test of two)
shapes = st.tuples(sizes, sizes, sizes, sizes).filter(lambda shape: shape[0] * shape[2] * shape[3] >= 8)
options = st.fixed_dictionaries(
    {
        "eps": st.sampled_from([1e-5, 1e-3, 0.1]),
        "momentum": st.sampled_from([None, 0, 0.1, 1]),
        "affine": st.booleans(),
        "track_running_stats": st.booleans(),
    }
)
both_types = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
both_modes = pytest.mark.parametrize("training", [True, False], ids=["training", "eval"])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64).to(dtype)


def flat(tensors) -> Tensor:
    return torch.cat([t.detach().flatten() for t in tensors])


def norm(values: Tensor) -> float:
    values = values if values.is_floating_point() else values.double()
    return torch.linalg.vector_norm(values, dtype=torch.float64).item()


def relative(a: Tensor, b: Tensor, terms: Tensor | None = None) -> float:
    """‖a - b‖ / ‖a‖, or over the norm of the terms that a was summed from; NaN anywhere gives NaN, so no `<` holds."""
    assert a.shape == b.shape
    difference, size = norm(a - b), norm(a if terms is None else terms)
    return difference / size if difference else 0.0


@torch.no_grad()
def randomize(net: nn.Module, seed: int) -> nn.Module:
    """Random γ, β and running statistics in every normalization; convolutions and linear layers as He et al. (2015)."""
    g = generator(seed)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            noise = torch.empty(layer.weight.shape)  # float32, drawn five times as fast as float64
            layer.weight.copy_(noise.normal_(0, (2 / layer.weight[0].numel()) ** 0.5, generator=g))
        for name in ("weight", "running_var") if hasattr(layer, "running_var") else ():
            if (values := getattr(layer, name)) is not None:
                values.copy_(torch.rand(values.shape, generator=g) + 0.5)
        for name in ("bias", "running_mean") if hasattr(layer, "running_mean") else ():
            if (values := getattr(layer, name)) is not None:
                values.copy_(torch.randn(values.shape, generator=g) * 0.3)
    return net


def twins(channels: int, seed: int = 0, theirs=nn.BatchNorm2d, **kwargs) -> tuple[nn.Module, BatchNorm2d]:
    """PyTorch's layer and ours, holding the same random numbers."""
    theirs, ours = randomize(theirs(channels, **kwargs), seed), BatchNorm2d(channels, **kwargs)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def seen(layer: nn.Module, x: Tensor, dy: Tensor) -> dict[str, Tensor]:
    """All that one step shows: the output, the gradients for a given dL/dy, the state left behind."""
    x = x.clone().requires_grad_()
    y = layer(x)
    names = ["x", *(name for name, _ in layer.named_parameters())]
    gradients = torch.autograd.grad(y, [x, *layer.parameters()], dy)
    found = {"y": y.detach()} | {f"d{name}": g for name, g in zip(names, gradients, strict=True)}
    return found | {name: values.clone() for name, values in layer.named_buffers()}


def terms_of(layer: nn.Module, x: Tensor, dy: Tensor) -> dict[str, Tensor]:
    """The sizes of what is added up in each gradient and in the running mean; `layer` as it was before the step."""
    dims, column = (0, *range(2, x.ndim)), (-1, *[1] * (x.ndim - 2))
    mean, var = x.mean(dims), x.var(dims, correction=0)
    if not layer.training and layer.running_mean is not None:
        mean, var = layer.running_mean, layer.running_var
    r = (var + layer.eps).rsqrt().view(column)
    gamma = 1 if layer.weight is None else layer.weight.detach().view(column)
    normalized = (x - mean.view(column)) * r
    return {
        "dx": gamma * r * dy,
        "dweight": (dy * normalized).abs().sum(dims),
        "dbias": dy.abs().sum(dims),
        "running_mean": x.abs().mean(dims) + (0 if layer.running_mean is None else layer.running_mean.abs()),
    }


def assert_same_step(theirs: nn.Module, ours: nn.Module, x: Tensor, dy: Tensor) -> None:
    terms = terms_of(theirs, x, dy)
    expected, got = seen(theirs, x, dy), seen(ours, x, dy)
    assert expected.keys() == got.keys()
    for name, values in expected.items():
        assert values.dtype == got[name].dtype
        assert relative(values, got[name], terms.get(name)) < TOLERANCE[x.dtype], name
    if ours.num_batches_tracked is not None:
        assert torch.equal(ours.num_batches_tracked, theirs.num_batches_tracked)


# --- one layer against PyTorch's -------------------------------------------------------------------------------------
# Worst of 3,000 examples a type: 3e-15 in float64 and 1e-6 in float32, both in the output.


@both_types
@quick
@given(shape=shapes, kwargs=options, seed=seeds, shift=st.floats(-2, 2), scale=st.floats(0.5, 5))
def test_it_is_pytorchs_layer(dtype, shape, kwargs, seed, shift, scale):
    theirs, ours = twins(shape[1], seed, dtype=dtype, **kwargs)
    for step, training in enumerate([True, True, False, True]):  # three batches, and an evaluation among them
        theirs.train(training), ours.train(training)
        x = randn(*shape, seed=seed + 2 * step, dtype=dtype) * scale + shift
        assert_same_step(theirs, ours, x, randn(*shape, seed=seed + 2 * step + 1, dtype=dtype))


@both_types
@both_modes
@pytest.mark.parametrize(
    ("theirs", "shape"),
    [
        (nn.BatchNorm1d, (6, 3)),
        (nn.BatchNorm1d, (4, 3, 5)),
        (nn.BatchNorm3d, (2, 3, 4, 2, 3)),
    ],
)
def test_in_one_and_in_three_dimensions_it_is_pytorchs_too(theirs, shape, training, dtype):
    theirs, ours = twins(3, theirs=theirs, dtype=dtype)
    theirs.train(training), ours.train(training)
    assert_same_step(theirs, ours, randn(*shape, dtype=dtype) + 1, randn(*shape, seed=1, dtype=dtype))


@both_types
def test_two_values_a_channel_are_enough(dtype):
    theirs, ours = twins(2, dtype=dtype)
    x = torch.tensor([[[[1.0]], [[-3.0]]], [[[2.0]], [[5.0]]]], dtype=dtype)
    assert_same_step(theirs, ours, x, randn(2, 2, 1, 1, dtype=dtype))


@both_types
def test_without_spread_eps_keeps_it_finite_as_in_pytorchs(dtype):
    theirs, ours = twins(2, dtype=dtype)
    x = torch.cat([torch.full((3, 1, 4, 4), 0.5, dtype=dtype), randn(3, 1, 4, 4, dtype=dtype)], 1)
    assert_same_step(theirs, ours, x, randn(3, 2, 4, 4, seed=1, dtype=dtype))
    assert ours(x).isfinite().all()


def test_a_large_offset_does_not_eat_the_spread():
    """E[x²] - E[x]² would: the squares, 10⁸, are rounded to multiples of 8. PyTorch's is off 2e-4 here, ours 3e-4."""
    x = randn(64, 1, 16, 16) + 1e4
    norm = BatchNorm2d(1)
    truth = nn.BatchNorm2d(1, dtype=torch.float64)
    assert relative(truth(x.double()), norm(x)) < 2e-3
    assert relative(truth.running_var, norm.running_var) < 2e-3


@pytest.mark.parametrize("eps", [0.0, 1e-5, 0.5])
def test_eps_is_added_to_the_variance(eps):
    x = randn(4, 2, 3, 3, dtype=torch.float64)
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, correction=0)
    assert relative((x - mean) / (var + eps).sqrt(), BatchNorm2d(2, eps=eps, dtype=torch.float64)(x)) < 1e-15 * 4


@pytest.mark.parametrize(
    ("momentum", "shares"), [(None, (1 / 3, 1 / 3, 1 / 3)), (0.1, (0.081, 0.09, 0.1)), (1, "last")]
)
def test_momentum_is_the_weight_of_the_newest_batch(momentum, shares):
    norm, batches = (
        BatchNorm2d(2, momentum=momentum, dtype=torch.float64),
        [randn(4, 2, 3, 3, seed=k) for k in range(3)],
    )
    for x in batches:
        norm(x.double())
    shares = torch.tensor((0, 0, 1) if shares == "last" else shares).double()
    means = torch.stack([x.double().mean((0, 2, 3)) for x in batches])
    variances = torch.stack([x.double().var((0, 2, 3)) for x in batches])  # unbiased
    assert relative(shares @ means, norm.running_mean, means) < 1e-7
    assert relative(shares @ variances + (1 - shares.sum()), norm.running_var) < 1e-7  # it began at 1
    assert norm.num_batches_tracked == 3


def test_momentum_0_remembers_nothing_and_evaluation_changes_nothing():
    still = BatchNorm2d(2, momentum=0)
    still(randn(4, 2, 3, 3))
    assert torch.equal(still.running_mean, torch.zeros(2))
    assert torch.equal(still.running_var, torch.ones(2))
    assert still.num_batches_tracked == 1
    _, norm = twins(2)
    before = copy.deepcopy(norm.state_dict())
    norm.eval()(randn(4, 2, 3, 3))
    assert all(torch.equal(values, before[name]) for name, values in norm.state_dict().items())


@both_modes
def test_the_input_is_not_changed(training):
    x = randn(4, 2, 3, 3)
    before = x.clone()
    BatchNorm2d(2).train(training)(x)
    assert torch.equal(x, before)


def test_without_parameters_and_without_statistics_nothing_is_left():
    bare = BatchNorm2d(3, affine=False, track_running_stats=False)
    assert list(bare.parameters()) == list(bare.buffers()) == []
    assert (bare.weight, bare.bias, bare.running_mean, bare.running_var, bare.num_batches_tracked) == (None,) * 5
    assert not BatchNorm2d(3, affine=False).state_dict().keys() & {"weight", "bias"}
    assert list(BatchNorm2d(3, track_running_stats=False).state_dict()) == ["weight", "bias"]


# --- numbers of other kinds ---


@both_modes
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("parameters", ["float32", "half"])
def test_half_precision_comes_out_as_it_went_in(half, parameters, training):
    theirs, ours = twins(3)
    for layer in (theirs, ours):
        layer.train(training).to(half if parameters == "half" else torch.float32)
    x, dy = (randn(4, 3, 8, 8) + 1).to(half), randn(4, 3, 8, 8, seed=1).to(half)
    expected, got = seen(theirs, x, dy), seen(ours, x, dy)
    assert got["y"].dtype == got["dx"].dtype == half
    for name, values in expected.items():
        assert got[name].dtype == values.dtype
        assert relative(values, got[name]) < torch.finfo(half).eps, name


def test_half_precision_is_summed_in_float32():
    """10⁴ values near 100 add up to more than float16 holds, 65504, and their squares do so at once."""
    x = (randn(4, 1, 50, 50) + 100).half()
    y = BatchNorm2d(1)(x)
    assert y.isfinite().all()
    assert relative(BatchNorm2d(1)(x.float()), y) < torch.finfo(torch.float16).eps


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
def test_under_autocast_it_keeps_the_type_that_it_is_given(half):
    theirs, ours = twins(4)
    conv = nn.Conv2d(3, 4, 3)
    x = randn(2, 3, 8, 8)
    with torch.autocast("cpu", dtype=half):
        z = conv(x).detach()
        assert z.dtype == half
        for values in (z, z.float()):
            expected, got = theirs(values), ours(values)
            assert got.dtype == expected.dtype == values.dtype
            assert relative(expected, got) < torch.finfo(values.dtype).eps * 4
    assert ours.running_mean.dtype == torch.float32
    assert relative(theirs.running_mean, ours.running_mean) < 1e-5


def test_a_double_input_to_a_float32_layer_stays_double():
    """PyTorch's layer refuses it on a CPU."""
    theirs, ours = twins(3)
    x = randn(4, 3, 5, 5, dtype=torch.float64)
    y = ours(x)
    assert y.dtype == torch.float64
    assert relative(theirs.double()(x), y) < 1e-12
    assert ours.running_mean.dtype == torch.float32


@both_modes
def test_channels_last_stays_channels_last(training):
    theirs, ours = twins(3)
    theirs.train(training), ours.train(training)
    plain = randn(4, 3, 5, 6)
    x = plain.contiguous(memory_format=torch.channels_last)
    y = ours(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert relative(theirs(x), y) < 1e-6
    assert relative(y, ours(plain)) < 1e-6
    assert ours(plain).is_contiguous()


# --- a module like any other ---


def test_device_and_dtype_are_those_asked_for():
    theirs, ours = (cls(3, device="meta", dtype=torch.float64) for cls in (nn.BatchNorm2d, BatchNorm2d))
    for (name, a), (also, b) in zip(theirs.state_dict().items(), ours.state_dict().items(), strict=True):
        assert (name, a.dtype, a.device, a.shape) == (also, b.dtype, b.device, b.shape)


def test_everything_moves_with_it():
    norm = BatchNorm2d(3).to("meta")
    assert {values.device.type for values in norm.state_dict().values()} == {"meta"}
    y = norm(torch.empty(2, 3, 4, 4, device="meta"))
    assert (y.device.type, y.shape) == ("meta", (2, 3, 4, 4))
    assert BatchNorm2d(3).double().running_var.dtype == torch.float64
    assert BatchNorm2d(3).double().num_batches_tracked.dtype == torch.long


def printed(theirs: nn.Module) -> str:
    """Without `bias`, an argument that newer releases of PyTorch have and ours has not."""
    return re.sub(r", bias=(True|False)", "", repr(theirs))


@quick
@given(channels=sizes, kwargs=options)
def test_it_prints_as_pytorchs(channels, kwargs):
    assert repr(BatchNorm2d(channels, **kwargs)) == printed(nn.BatchNorm2d(channels, **kwargs))


def test_it_begins_as_pytorchs_and_takes_the_same_positions():
    for arguments in [(3,), (3, 0.1, None, False, True), (3, 0.1, 0.2, True, False)]:
        theirs, ours = nn.BatchNorm2d(*arguments), BatchNorm2d(*arguments)
        assert printed(theirs) == repr(ours)
        for (name, a), (also, b) in zip(theirs.state_dict().items(), ours.state_dict().items(), strict=True):
            assert name == also
            assert torch.equal(a, b)
        assert [n for n, _ in theirs.named_parameters()] == [n for n, _ in ours.named_parameters()]


@quick
@given(kwargs=options, seed=seeds, there=st.booleans())
def test_a_file_of_either_is_loaded_by_the_other(kwargs, seed, there):
    kinds = (nn.BatchNorm2d, BatchNorm2d) if there else (BatchNorm2d, nn.BatchNorm2d)
    source, target = (kind(3, **kwargs) for kind in kinds)
    randomize(source, seed)(randn(2, 3, 4, 4, seed=seed))
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    file.seek(0)
    result = target.load_state_dict(torch.load(file, weights_only=True))
    assert not result.missing_keys
    assert not result.unexpected_keys
    for name, values in source.state_dict().items():
        assert torch.equal(values, target.state_dict()[name]), name
    x = randn(2, 3, 4, 4, seed=seed + 1)
    assert relative(source.eval()(x), target.eval()(x)) < 1e-5


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda norm: pickle.loads(pickle.dumps(norm))])
def test_a_copy_is_equal_and_apart(duplicate):
    _, norm = twins(3)
    norm(randn(4, 3, 4, 4)).sum().backward()
    twin = duplicate(norm)
    x = randn(4, 3, 4, 4, seed=1)
    assert torch.equal(twin(x), norm(x))
    before = norm.running_mean.clone()
    twin(x + 5)
    assert torch.equal(norm.running_mean, before)
    assert twin.num_batches_tracked == norm.num_batches_tracked + 1


def test_the_statistics_keep_no_graph_and_no_batch():
    norm, x = BatchNorm2d(3), randn(4, 3, 4, 4).requires_grad_()
    for _ in range(2):  # the second backward pass would go through the first's freed graph
        norm(x * 2).sum().backward()
    assert all(not buffer.requires_grad and buffer.grad_fn is None for buffer in norm.buffers())
    watched = weakref.ref(x)
    del x
    gc.collect()
    assert watched() is None


def test_compiled_it_computes_the_same():
    for momentum in (0.1, None):
        _, norm = twins(3, momentum=momentum)
        compiled = torch.compile(copy.deepcopy(norm), backend="eager", fullgraph=True)
        for training in (True, True, False):
            x = randn(4, 3, 5, 5)
            assert relative(norm.train(training)(x), compiled.train(training)(x)) < 1e-6
        assert torch.equal(norm.running_mean, compiled.running_mean)
        assert norm.num_batches_tracked == compiled.num_batches_tracked == 2


def test_exported_it_computes_the_same():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), twins(4)[1], nn.ReLU()).eval()
    x = randn(2, 3, 6, 6)
    exported = torch.export.export(model, (x,)).module()
    assert relative(model(x), exported(x)) < 1e-6


# --- what it refuses ---


@both_modes
@pytest.mark.parametrize("shape", [(2, 4, 5, 5), (2, 2, 3, 3), (2, 1, 3, 3), (4, 5), (3,), ()])
def test_a_wrong_number_of_channels_is_refused_with_the_shape_given(shape, training):
    norm = BatchNorm2d(3).train(training)
    with pytest.raises(ValueError, match=r"expected \(N, 3, \.\.\.\)") as caught:
        norm(torch.zeros(shape))
    assert str(shape) in str(caught.value)
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1), (1, 3, 1, 1)])
def test_one_value_a_channel_has_no_spread_to_divide_by(shape, track):
    norm = BatchNorm2d(3, track_running_stats=track)
    with pytest.raises(ValueError, match="more than one value") as caught:
        norm(torch.zeros(shape))
    assert str(shape) in str(caught.value)


def test_one_value_a_channel_is_enough_to_evaluate_if_there_are_running_statistics():
    theirs, ours = twins(3)
    x = randn(1, 3, 1, 1)
    assert relative(theirs.eval()(x), ours.eval()(x)) < 1e-6
    alone = BatchNorm2d(3, track_running_stats=False).eval()
    for layer in (nn.BatchNorm2d(3, track_running_stats=False).eval(), alone):
        with pytest.raises(ValueError, match=r"more than (1|one) value"):
            layer(x)


def test_what_is_refused_is_not_counted():
    norm = BatchNorm2d(3)
    with pytest.raises(ValueError, match="more than one value"):
        norm(torch.zeros(1, 3, 1, 1))
    assert norm.num_batches_tracked == 0
    assert torch.equal(norm.running_mean, torch.zeros(3))


# --- its gradient ---


@both_modes
@pytest.mark.parametrize("affine", [True, False])
def test_first_and_second_derivatives_are_those_of_finite_differences(affine, training):
    norm = twins(2, affine=affine, dtype=torch.float64)[1].train(training)
    x = (randn(3, 2, 2, 1, dtype=torch.float64) * 2).requires_grad_()
    names = [name for name, _ in norm.named_parameters()]

    def layer(x: Tensor, *parameters: Tensor) -> Tensor:
        return torch.func.functional_call(norm, dict(zip(names, parameters, strict=True)), (x,))

    inputs = (x, *(p.detach().clone().requires_grad_() for p in norm.parameters()))
    assert torch.autograd.gradcheck(layer, inputs)
    assert torch.autograd.gradgradcheck(layer, inputs)


@quick
@given(shape=shapes, seed=seeds, shift=st.floats(-2, 2), scale=st.floats(0.5, 5))
def test_autograd_gives_the_collapsed_gradient(shape, seed, shift, scale):
    """dL/dx = γ r (dy - mean(dy) - x̂ mean(dy·x̂)) with r = 1/√(var + eps): shifting a channel changes nothing, so it
    sums to zero. Worst of 3,000 examples: 6e-16 for each of the two, against ‖γ r dy‖."""
    norm = twins(shape[1], seed, dtype=torch.float64)[1]
    x = randn(*shape, seed=seed, dtype=torch.float64) * scale + shift
    dy = randn(*shape, seed=seed + 1, dtype=torch.float64)
    dims, column = (0, 2, 3), (-1, 1, 1)
    r = (x.var(dims, correction=0) + norm.eps).rsqrt().view(column)
    normalized = (x - x.mean(dims).view(column)) * r
    wanted = dy - dy.mean(dims).view(column) - normalized * (dy * normalized).mean(dims).view(column)
    factor = norm.weight.detach().view(column) * r
    got = seen(norm, x, dy)["dx"]
    assert relative(factor * wanted, got, factor * dy) < 1e-12
    assert relative(torch.zeros(shape[1]), got.sum(dims), factor * dy) < 1e-12
    # orthogonal to x̂ too, but for eps: Σ x̂² is count · var / (var + eps), and the rest of the 1 stays
    left = (factor * dy * normalized).sum(dims) * norm.eps * r.flatten() ** 2
    assert relative(left, (got * normalized).sum(dims), factor * dy) < 1e-12


# --- the drop-in: ResNets of torchvision -----------------------------------------------------------------------------
# Pictures of 33×33, not 32×32: a ResNet halves them five times, to 2×2, so that four pictures give its last stages 16
# values a channel. With 32×32 they would have four, and at four the gradient of the normalization is ill-conditioned:
# float32 outputs then differ by up to 1.5e-5, about as much as PyTorch's own do from float64 (tested below).
#
# Measured over 20 networks, worst relative difference:
#                                outputs  gradients  buffers
#   float64, training            9e-15    1e-14      3e-16
#   float64, evaluation          3e-15    2e-15      0
#   float32, training            2e-6     3e-6       8e-8    (gradients: where no ReLU flipped)
#   float32, evaluation          1e-6     6e-7       0       (the same)
#   float32, SiLU, training      9e-7     2e-6       4e-8
#   float32, SiLU, evaluation    1e-6     2e-6       0

NETWORKS = 20


def resnets(dtype: torch.dtype, *, small: bool = False) -> tuple[nn.Module, nn.Module]:
    """PyTorch's and ours: ResNet-18, or the same with one block a stage."""
    from torchvision.models import resnet18
    from torchvision.models.resnet import BasicBlock, ResNet

    if small:
        theirs, ours = (ResNet(BasicBlock, [1] * 4, 10, norm_layer=n) for n in (nn.BatchNorm2d, BatchNorm2d))
    else:
        theirs, ours = (
            resnet18(norm_layer=nn.BatchNorm2d, num_classes=10),
            resnet18(norm_layer=BatchNorm2d, num_classes=10),
        )
    return theirs.to(dtype), ours.to(dtype)


def redraw(theirs: nn.Module, ours: nn.Module, seed: int, training: bool) -> None:
    randomize(theirs, seed)
    result = ours.load_state_dict(theirs.state_dict())
    assert not result.missing_keys
    assert not result.unexpected_keys
    theirs.train(training), ours.train(training)


def whole(net: nn.Module, x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Output, all gradients in one vector (that of the pictures too), all buffers in one vector."""
    x = x.clone().requires_grad_()
    y = net(x)
    gradients = torch.autograd.grad(y, [x, *net.parameters()], dy)
    return y.detach(), flat(gradients), flat(net.buffers())


def differences(theirs: nn.Module, ours: nn.Module, seed: int) -> list[float]:
    """Of outputs, gradients and buffers. In evaluation, where no picture knows of another, two pictures will do."""
    dtype, (n, size) = next(ours.parameters()).dtype, (4, 33) if ours.training else (2, 32)
    x, dy = randn(n, 3, size, size, seed=seed, dtype=dtype), randn(n, 10, seed=seed + 1, dtype=dtype)
    return [relative(a, b) for a, b in zip(whole(theirs, x, dy), whole(ours, x, dy), strict=True)]


def test_our_layer_is_what_stands_in_the_resnet():
    _, ours = resnets(torch.float32)
    assert sum(isinstance(layer, BatchNorm2d) for layer in ours.modules()) == 20
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in ours.modules())


@both_modes
def test_in_float64_a_resnet_is_the_same_with_ours(training):
    theirs, ours = resnets(torch.float64)
    for seed in range(NETWORKS):
        redraw(theirs, ours, seed, training)
        assert max(differences(theirs, ours, seed)) < 1e-12


def watch_signs(net: nn.Module) -> list[Tensor]:
    """The list that gets, at each pass, which inputs of each ReLU were positive."""
    signs = []
    for layer in net.modules():
        if isinstance(layer, nn.ReLU):
            layer.register_forward_hook(lambda layer, inputs, y: signs.append(y.detach() > 0))
    return signs


@both_modes
def test_in_float32_a_resnet_is_the_same_with_ours(training):
    """The outputs always. The gradients wherever every ReLU has the same sign in both networks: an input within
    rounding of zero can come out on the other side, and then a whole path opens or closes, which is 1e-3 or more of the
    gradient, in either network as right as in the other. With 10⁵ inputs or more, about one network in twenty does."""
    theirs, ours = resnets(torch.float32)
    signs = watch_signs(theirs), watch_signs(ours)
    without_flips = 0
    for seed in range(NETWORKS):
        redraw(theirs, ours, seed, training)
        signs[0].clear(), signs[1].clear()
        outputs, gradients, buffers = differences(theirs, ours, seed)
        assert len(signs[0]) == len(signs[1]) == 17
        assert outputs < 1e-5
        assert buffers < 1e-5
        if all(torch.equal(a, b) for a, b in zip(*signs, strict=True)):
            without_flips += 1
            assert gradients < 1e-5
    assert without_flips >= NETWORKS // 2


@both_modes
def test_in_float32_a_resnet_without_kinks_has_the_same_gradients_always(training):
    """SiLU for ReLU: a smooth function has no side to come out on, so rounding stays rounding."""
    theirs, ours = resnets(torch.float32, small=True)
    for layer in (*theirs.modules(), *ours.modules()):
        if hasattr(layer, "relu"):
            layer.relu = nn.SiLU()
    for seed in range(NETWORKS):
        redraw(theirs, ours, seed, training)
        assert max(differences(theirs, ours, seed)) < 1e-5


def test_where_float32_is_ill_conditioned_ours_is_as_near_the_truth_as_pytorchs():
    """Four values a channel in the last stage (see above). The distances of each from the float64 outputs."""
    theirs, ours = resnets(torch.float32)
    errors = []
    for seed in range(6):
        redraw(theirs, ours, seed, training=True)
        x = randn(4, 3, 32, 32, seed=seed)
        with torch.no_grad():
            truth = copy.deepcopy(theirs).double()(x.double())
            errors.append([relative(truth, net(x)) for net in (theirs, ours)])
    of_theirs, of_ours = torch.tensor(errors).log().mean(0).exp().tolist()
    assert of_ours < 3 * of_theirs


@pytest.mark.parametrize("norm_first", [False, True])
def test_after_50_steps_of_training_both_are_still_the_same(norm_first):
    """Measured: parameters 3e-14, buffers 3e-15, outputs in eval mode 1e-13; with the normalization first, less."""
    theirs, ours = (ConvNet(norm_layer=n, norm_first=norm_first).double() for n in (nn.BatchNorm2d, BatchNorm2d))
    ours.load_state_dict(theirs.state_dict())
    start = flat(theirs.parameters())
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9) for net in (theirs, ours)]
    for step in range(50):
        x = randn(16, 3, 16, 16, seed=step, dtype=torch.float64)
        labels = torch.randint(10, (16,), generator=generator(step))
        for net, optimizer in zip((theirs, ours), optimizers, strict=True):
            optimizer.zero_grad()
            F.cross_entropy(net(x), labels).backward()
            optimizer.step()
    assert relative(start, flat(theirs.parameters())) > 0.1  # they did go somewhere
    assert relative(flat(theirs.parameters()), flat(ours.parameters())) < 1e-9
    assert relative(flat(theirs.buffers()), flat(ours.buffers())) < 1e-9
    assert relative(theirs.eval()(x), ours.eval()(x)) < 1e-9


# --- BnLayer ---


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_the_size_is_divided_by_the_stride_and_rounded_up(stride, kernel_size, norm_first):
    layer = BnLayer(3, 7, stride, kernel_size, norm_first)
    for height, width in [(8, 8), (9, 6), (7, 12), (1, 2)]:
        y = layer(randn(2, 3, height, width))
        assert y.shape == (2, 7, math.ceil(height / stride), math.ceil(width / stride))


def test_by_default_it_halves_the_picture_and_normalizes_last():
    layer = BnLayer(3, 4)
    assert layer.norm_first is False
    assert layer.conv.kernel_size == (3, 3)
    y = layer(randn(2, 3, 32, 32))
    assert y.shape == (2, 4, 16, 16)
    assert y.mean((0, 2, 3)).abs().max() < 1e-5


@pytest.mark.parametrize("kernel_size", [0, 2, 4])
def test_an_even_kernel_has_no_middle(kernel_size):
    with pytest.raises(ValueError, match=f"odd.*given: {kernel_size}"):
        BnLayer(3, 4, kernel_size=kernel_size)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_the_order_is_the_one_asked_for(kernel_size, norm_first):
    layer = BnLayer(3, 4, kernel_size=kernel_size, norm_first=norm_first)
    randomize(layer.norm, 0)
    x = randn(5, 3, 8, 8)
    z = F.conv2d(x, layer.conv.weight, stride=2, padding=(kernel_size - 1) // 2)

    def normalize(v: Tensor) -> Tensor:
        v = v - v.mean((0, 2, 3), keepdim=True)
        v = v / (v.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
        return v * layer.norm.weight.view(-1, 1, 1) + layer.norm.bias.view(-1, 1, 1)

    before, after = normalize(z).clamp(min=0), normalize(z.clamp(min=0))
    assert relative(before, after) > 0.1
    assert relative(before if norm_first else after, layer(x)) < 1e-5


@pytest.mark.parametrize("stride", [1, 2])
def test_in_training_it_is_the_first_layer_but_for_eps_and_the_unbiased_std(stride):
    """Per channel: the first divides by √(var·n/(n-1)), the finished layer by √(var + eps)."""
    first, finished = FirstBnLayer(3, 4, stride).double(), BnLayer(3, 4, stride).double()
    finished.conv.load_state_dict(first.conv.state_dict())
    x = randn(4, 3, 8, 8, dtype=torch.float64)
    y, z = first(x), F.relu(first.conv(x))
    n, var = z.numel() / 4, z.var((0, 2, 3), keepdim=True, correction=0)
    assert relative(y * (var * n / (n - 1) / (var + finished.norm.eps)).sqrt(), finished(x)) < 1e-12
    finished.norm.eps = 0.0
    assert relative(y * (n / (n - 1)) ** 0.5, finished(x)) < 1e-12


def test_the_convolution_has_no_bias_since_the_normalization_would_take_it_away():
    layer = BnLayer(3, 4)
    assert layer.conv.bias is None
    assert sorted(name for name, _ in layer.named_parameters()) == ["conv.weight", "norm.bias", "norm.weight"]


@pytest.mark.parametrize("training", [True, False])
def test_whole_numbers_are_refused(training):
    with pytest.raises(ValueError, match=r"floating-point numbers; given: torch\.int64"):
        BatchNorm2d(3).train(training)(torch.ones(2, 3, 4, 4, dtype=torch.int64))


def test_an_empty_batch_is_refused():
    with pytest.raises(ValueError, match=r"more than one value to be normalized; given: \(0, 3, 4, 4\)"):
        BatchNorm2d(3)(torch.ones(0, 3, 4, 4))
